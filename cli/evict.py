"""`berth evict`: have the leader move tasks off their nodes, as budgets allow."""

from typing import Annotated

import typer

from cli.session import note, out, session_of
from cli.settings import HELP


def register(app: typer.Typer, name: str) -> None:
    app.command(name, epilog=HELP)(evict)


def evict(
    context: typer.Context,
    tasks: Annotated[list[str], typer.Argument(metavar="TASK...", help="NAME or task/NAME.")],
) -> None:
    """Ask that tasks are stopped and bound again, maybe elsewhere. What a budget holds back says so in its events."""
    from client.errors import ClientError

    session, code = session_of(context), 0
    with session.client() as client:
        for name in [each.removeprefix("tasks/").removeprefix("task/") for each in tasks]:
            try:
                client.evict(name, session.namespace)
            except ClientError as error:
                note(f"Error: {error}")
                code = 1
            else:
                out(f"task/{name} eviction requested")
    raise typer.Exit(code)
