"""`berth render`: manifests as they would be applied, with variables put in and kustomize's work done."""

import typer

from cli.manifests import Files, Recursive, Vars, read_manifests
from cli.session import out, session_of
from cli.settings import HELP
from client.yamltext import to_yaml


def register(app: typer.Typer, name: str) -> None:
    app.command(name, epilog=HELP)(render)


def render(
    context: typer.Context, filename: Files, recursive: Recursive = False, vars_file: Vars = ""
) -> None:
    """Print manifests as they would be applied: variables put in, kustomize's folders built, all of it checked.

    Needs no cluster.
    """
    read = read_manifests(
        filename, recursive=recursive, namespace=session_of(context).namespace, vars_file=vars_file
    )
    out("---\n".join(to_yaml(each.raw) for each in read.documents), end="")
