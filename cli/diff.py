"""`berth diff`: what an apply would change. Exit code 0 without differences, 1 with some, 2 after an error."""

from typing import Annotated

import typer

from cli.colour import coloured_diff, is_coloured
from cli.intent import Intent, intended
from cli.manifests import Recursive, SomeFiles, Vars, read_manifests, telling_lines
from cli.session import out, session_of
from cli.set_options import AllowEmpty, CreateNamespace, Prune, Set, check_set_options
from cli.settings import HELP
from client.diff import removal_diff, unified_diff
from client.errors import BadOption


def register(app: typer.Typer, name: str) -> None:
    app.command(name, epilog=HELP)(diff)


def diff(
    context: typer.Context,
    what: Annotated[
        list[str] | None,
        typer.Argument(metavar="[WHAT]", help="With --at-rev: KIND, KIND NAME or KIND/NAME; else all."),
    ] = None,
    filename: SomeFiles = None,
    recursive: Recursive = False,
    create_namespace: CreateNamespace = False,
    set_name: Set = "",
    prune: Prune = False,
    allow_empty: AllowEmpty = False,
    vars_file: Vars = "",
    at_rev: Annotated[
        str, typer.Option("--at-rev", help="A..B: what changed between two revisions; A..: until now.")
    ] = "",
) -> None:
    """Show what an apply would change. Exit code: 0 no differences, 1 differences, 2 an error.

    Lines that begin with # say what a change does besides: which tasks it stops and starts anew, which fields were set
    by others, which objects are pruned. With --at-rev: what has changed, as the leader's history has it.
    """
    session = session_of(context)
    if at_rev:
        from cli.past_diff import diff_past

        raise typer.Exit(diff_past(session, at_rev, what or [], filename or []))
    if what or not filename:
        raise BadOption("say what to compare: files with -f, or two revisions with --at-rev A..B")
    check_set_options(set_name, prune=prune, allow_empty=allow_empty)
    read = read_manifests(
        filename,
        recursive=recursive,
        namespace=session.namespace,
        vars_file=vars_file,
        may_be_empty=allow_empty,
    )
    wanted = Intent(set_name, prune, allow_empty, create_namespace)
    with session.client() as client, telling_lines(read.sources):
        found = intended(session, client, read.documents, wanted)
    texts = [text for each in found.planned if (text := unified_diff(each))]
    texts += [removal_diff(each.ref, each.view.raw) for each in found.pruned if each.view is not None]
    text = "".join(texts)
    out(coloured_diff(text) if is_coloured() else text, end="")
    raise typer.Exit(1 if texts else 0)
