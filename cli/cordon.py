"""`berth cordon` and `berth uncordon`: keep new tasks off a node, or let them on again."""

from typing import Annotated

import typer

from cli.session import out, session_of
from cli.settings import HELP

Node = Annotated[str, typer.Argument(help="NAME or node/NAME.")]


def register(app: typer.Typer, name: str) -> None:
    app.command(name, epilog=HELP)(cordon if name == "cordon" else uncordon)


def cordon(context: typer.Context, node: Node) -> None:
    """Keep new tasks off a node; what runs there goes on."""
    name = node.removeprefix("node/")
    with session_of(context).client() as client:
        out(f"node/{name} {'cordoned' if client.cordon(name) else 'already cordoned'}")


def uncordon(context: typer.Context, node: Node) -> None:
    """Let new tasks onto a node again."""
    name = node.removeprefix("node/")
    with session_of(context).client() as client:
        out(f"node/{name} {'uncordoned' if client.uncordon(name) else 'already uncordoned'}")
