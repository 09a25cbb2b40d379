"""`berth restore`: makes an object what it was, as a new version."""

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from cli.history import one_ref
from cli.past import NO_SECRETS, check_past, parse_when
from cli.session import note, out, session_of
from cli.settings import HELP
from client.errors import BadOption, NotFound, Refused
from client.history import read_past

if TYPE_CHECKING:
    from client.client import Client
    from client.history import Revision, When
    from schemas.keys import ObjectRef


def register(app: typer.Typer, name: str) -> None:
    app.command(name, epilog=HELP)(restore)


def restore(
    context: typer.Context,
    what: Annotated[list[str], typer.Argument(metavar="WHAT", help="KIND/NAME, or KIND NAME.")],
    at_rev: Annotated[
        str, typer.Option("--at-rev", help="As it was at this revision; see: berth history.")
    ] = "",
    at: Annotated[
        str, typer.Option("--at", help="As it was: 10m ago, or at a time, such as 2026-11-29T10:00:00Z.")
    ] = "",
    yes: Annotated[bool, typer.Option("-y", "--yes", help="Write without asking.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show what would change.")] = False,
) -> None:
    """Make an object what it was: spec, labels and annotations, as a new version of it. The change is shown first.

    An object that was deleted is made anew. Fields that a manifest has are as the manifest says again with its next
    apply, so change that, too.
    """
    session = session_of(context)
    if not (at or at_rev):
        raise BadOption("say which version: --at-rev REVISION or --at 10m; see: berth history KIND/NAME")
    when, ref = parse_when(at, at_rev), one_ref(session, what)
    check_past(at, at_rev, is_watching=False, first=what[0])
    if ref.plural == "secrets":
        raise BadOption(NO_SECRETS)
    with session.client() as client:
        raise typer.Exit(_restore(client, ref, when, may_ask=not yes, dry_run=dry_run))


def _restore(client: "Client", ref: "ObjectRef", when: "When", *, may_ask: bool, dry_run: bool) -> int:
    from client import restoring

    revision = _find(client, ref, when)
    text = restoring.preview(restoring.standing(client, revision), revision)
    if not text:
        out(f"{ref} unchanged")
        return 0
    out(text, end="")
    if dry_run:
        return 0
    if may_ask and not _confirmed(ref):
        note("Nothing was written.")
        return 1
    sources = restoring.sources_of(client, revision)
    out(f"{ref} {restoring.restore(client, revision)}")
    for source in sources:
        note(
            f"Note: gitsource/{source} keeps {ref} as its repository has it, and undoes this with the next commit, or "
            f"soon with selfHeal; change the repository, too, or say: berth sync suspend {source}"
        )
    return 0


def _find(client: "Client", ref: "ObjectRef", when: "When") -> "Revision":
    past = read_past(client, when, ref.namespace, plural=ref.plural, name=ref.name)
    revision = past.find(ref)
    if revision is None:
        raise NotFound(f"there was no {ref} then; see: berth history {ref}")
    return revision


def _confirmed(ref: "ObjectRef") -> bool:
    """Ask on a terminal. Raises Refused where there is none."""
    if not sys.stdin.isatty():
        raise Refused("nothing was written: there is no terminal to ask on; say --yes")
    sys.stderr.write(f"Write {ref} like that? [y/N] ")
    sys.stderr.flush()
    return sys.stdin.readline().strip().lower() in ("y", "yes")
