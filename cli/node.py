"""`berth node fence`: an operator asserts that a node is dead."""

from typing import Annotated

import typer

from cli.session import out, session_of
from cli.settings import HELP


def register(app: typer.Typer, name: str) -> None:
    verbs = typer.Typer(help="What an operator may assert about a node.", no_args_is_help=True)
    verbs.callback()(_no_options)
    verbs.command("fence", epilog=HELP)(fence)
    app.add_typer(verbs, name=name)


def _no_options() -> None:
    """Makes `fence` a verb of its own and not the only command."""


def fence(
    context: typer.Context,
    node: Annotated[str, typer.Argument(help="NAME or node/NAME.")],
    force: Annotated[bool, typer.Option("--force", help="Also when its heartbeat is fresh.")] = False,
) -> None:
    """Assert that a node is dead: nothing of it runs or will run, so its tasks may run elsewhere at once.

    If that is wrong, a task that must run once may run twice.
    """
    name = node.removeprefix("node/")
    with session_of(context).client() as client:
        client.fence(name, force=force)
    out(f"node/{name} fenced")
