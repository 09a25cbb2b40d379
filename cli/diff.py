"""`berth diff`: what an apply would change. Exit code 0 without differences, 1 with some, 2 after an error."""

from typing import Annotated

import typer

from cli.apply import CreateNamespace, Recursive
from cli.manifests import read_sources, telling_lines
from cli.session import out, session_of
from cli.settings import HELP
from client.diff import unified_diff
from client.errors import BadOption
from schemas.manifest import load

SomeFiles = Annotated[
    list[str] | None, typer.Option("-f", "--filename", help="File, folder, or - for stdin; repeatable.")
]


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
    at_rev: Annotated[
        str, typer.Option("--at-rev", help="A..B: what changed between two revisions; A..: until now.")
    ] = "",
) -> None:
    """Show what an apply would change. Exit code: 0 no differences, 1 differences, 2 an error.

    A line before the differences of a task says when they replace it. With --at-rev: what has changed, as the leader's
    history has it.
    """
    session = session_of(context)
    if at_rev:
        from cli.past_diff import diff_past

        raise typer.Exit(diff_past(session, at_rev, what or [], filename or []))
    if what or not filename:
        raise BadOption("say what to compare: files with -f, or two revisions with --at-rev A..B")
    sources = read_sources(filename, recursive=recursive)
    documents = load(sources, default_namespace=session.namespace)
    with session.client() as client, telling_lines(sources):
        planned = client.plan(documents, create_namespace=create_namespace)
    found = [text for each in planned if (text := unified_diff(each))]
    out("".join(found), end="")
    raise typer.Exit(1 if found else 0)
