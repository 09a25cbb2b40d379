"""`berth logs`: the output of a task, from the agent that ran it."""

import sys
from typing import Annotated

import typer

from cli.refs import parse_targets
from cli.session import session_of
from cli.settings import HELP
from client.errors import BadOption
from client.logs import LogOptions


def register(app: typer.Typer, name: str) -> None:
    app.command(name, epilog=HELP)(logs)


def logs(
    context: typer.Context,
    task: Annotated[str, typer.Argument(help="NAME or task/NAME.")],
    follow: Annotated[bool, typer.Option("-f", "--follow", help="Go on as it is written.")] = False,
    tail: Annotated[int, typer.Option(min=-1, help="Number of last lines; -1: all.")] = -1,
    previous: Annotated[
        bool, typer.Option("-p", "--previous", help="Of the attempt before this one.")
    ] = False,
    timestamps: Annotated[bool, typer.Option("--timestamps", help="Put the time before each line.")] = False,
    container: Annotated[str, typer.Option("-c", "--container", help="Which container.")] = "",
) -> None:
    """Print the output of a task."""
    session = session_of(context)
    options = LogOptions(follow, None if tail < 0 else tail, previous, timestamps)
    with session.client() as client:
        for chunk in client.logs(_task_name(task), session.namespace, options, container or None):
            sys.stdout.buffer.write(chunk)
            sys.stdout.buffer.flush()


def _task_name(written: str) -> str:
    if "/" not in written:
        return written
    (target,) = parse_targets([written])
    if target.kind.name != "Task":
        raise BadOption(f"only tasks have logs, not {written}; see: berth get tasks")
    return target.names[0]
