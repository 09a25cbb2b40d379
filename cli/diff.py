"""`berth diff`: what an apply would change. Exit code 0 without differences, 1 with some, 2 after an error."""

import typer

from cli.apply import CreateNamespace, Files, Recursive
from cli.manifests import read_sources, telling_lines
from cli.session import out, session_of
from cli.settings import HELP
from client.diff import unified_diff
from schemas.manifest import load


def register(app: typer.Typer, name: str) -> None:
    app.command(name, epilog=HELP)(diff)


def diff(
    context: typer.Context,
    filename: Files,
    recursive: Recursive = False,
    create_namespace: CreateNamespace = False,
) -> None:
    """Show what an apply would change. Exit code: 0 no differences, 1 differences, 2 an error.

    A line before the differences of a task says when they replace it.
    """
    session = session_of(context)
    sources = read_sources(filename, recursive=recursive)
    documents = load(sources, default_namespace=session.namespace)
    with session.client() as client, telling_lines(sources):
        planned = client.plan(documents, create_namespace=create_namespace)
    found = [text for each in planned if (text := unified_diff(each))]
    out("".join(found), end="")
    raise typer.Exit(1 if found else 0)
