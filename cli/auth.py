"""`berth auth`: who etcd takes us for (whoami), and what that user may do (can-i)."""

from typing import TYPE_CHECKING, Annotated

import typer

from cli.session import Session, note, out, session_of
from cli.settings import HELP
from cli.tables import format_table
from client.client import find_kind
from client.errors import BadOption

if TYPE_CHECKING:
    from store.api import Grant

FULL_ACCESS = "no authentication: full access"


def register(app: typer.Typer, name: str) -> None:
    verbs = typer.Typer(no_args_is_help=True, rich_markup_mode=None)
    verbs.command("whoami", epilog=HELP)(whoami)
    verbs.command("can-i", epilog=HELP)(can_i)
    app.add_typer(verbs, name=name, help="Show who you are to etcd, and what you may do.")


def whoami(context: typer.Context) -> None:
    """Show the user that etcd takes you for, its roles, and the keys that these open."""
    session = session_of(context)
    with session.client() as client:
        found = client.whoami(session.settings.cert_file)
    rows = [["User", found.user or "<none>"]]
    if found.access is None:
        out("\n".join(format_table(("ATTRIBUTE", "VALUE"), [*rows, ["Access", FULL_ACCESS]])))
        return
    rows.append(["Roles", ", ".join(found.access.roles) or "<none>"])
    out("\n".join(format_table(("ATTRIBUTE", "VALUE"), rows)))
    grants = [[each.role, each.right, range_text(each)] for each in found.access.grants]
    if grants:
        out("\n" + "\n".join(format_table(("ROLE", "RIGHT", "KEYS"), grants)))


def range_text(grant: "Grant") -> str:
    """Return a range of keys as people write it: `/berth/spec/*`, one key, or its two ends."""
    start, end = grant.start.decode(errors="replace"), grant.end
    if not end:
        return start
    if end == b"\0":
        return "all keys" if start in ("", "\0") else f"{start} and all behind it"
    is_prefix = grant.start and end == grant.start[:-1] + bytes([grant.start[-1] + 1 & 0xFF])
    return f"{start}*" if is_prefix else f"{start} up to {end.decode(errors='replace')}"


def can_i(
    context: typer.Context,
    verb: Annotated[str, typer.Argument(metavar="VERB", help="Such as get, apply, delete, logs.")] = "",
    kind: Annotated[str, typer.Argument(metavar="KIND[/NAME]", help="Such as tasks, or task/web.")] = "",
    all_namespaces: Annotated[
        bool, typer.Option("-A", "--all-namespaces", help="In all namespaces.")
    ] = False,
    listing: Annotated[bool, typer.Option("--list", help="List what you may do.")] = False,
    quiet: Annotated[bool, typer.Option("-q", "--quiet", help="Only the exit code.")] = False,
) -> None:
    """Say whether you may do something: yes and exit code 0, or no and 1."""
    session = session_of(context)
    namespace = None if all_namespaces else session.namespace
    if listing:
        _list(session, namespace)
        return
    if not verb or not kind:
        raise BadOption("say VERB and KIND, for example: berth auth can-i delete tasks; or --list")
    written, _, name = kind.partition("/")
    found = find_kind(written)
    with session.client() as client:
        lacking = client.missing_rights(
            client.whoami(session.settings.cert_file), verb, found, namespace=namespace, name=name
        )
    if not quiet:
        out("no" if lacking else "yes")
        for need in lacking:
            keys = f"{need.key}*" if need.key.endswith("/") else need.key
            note(f"lacking: {need.right} of {keys}")
    raise typer.Exit(1 if lacking else 0)


def _list(session: Session, namespace: str | None) -> None:
    with session.client() as client:
        rows = client.allowed_verbs(client.whoami(session.settings.cert_file), namespace)
    out(
        "\n".join(
            format_table(
                ("KIND", "VERBS"), [[kind.plural, ", ".join(verbs) or "<none>"] for kind, verbs in rows]
            )
        )
    )
