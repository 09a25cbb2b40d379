"""`berth drain`: have the leader move all tasks off a node, and follow it."""

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from cli.durations import parse_timeout
from cli.session import note, out, session_of
from cli.settings import HELP

if TYPE_CHECKING:
    from client.draining import Told

ON = "the leader goes on; see: berth describe node {0}; stop it with: berth uncordon {0}"


def register(app: typer.Typer, name: str) -> None:
    app.command(name, epilog=HELP)(drain)


def drain(
    context: typer.Context,
    node: Annotated[str, typer.Argument(help="NAME or node/NAME.")],
    ignore_daemonsets: Annotated[
        bool, typer.Option("--ignore-daemonsets", help="Leave the tasks of DaemonSets where they are.")
    ] = False,
    timeout: Annotated[str, typer.Option(help="When to give up, such as 5m; 0 is never.")] = "0",
    force: Annotated[
        bool, typer.Option("--force", help="Past the timeout, go on without regard to budgets.")
    ] = False,
    plan: Annotated[
        bool, typer.Option("--plan", help="Only show where each task would go, and what would keep it.")
    ] = False,
    wait: Annotated[bool, typer.Option("--wait/--no-wait", help="Wait until no task is left.")] = True,
) -> None:
    """Move all tasks off a node, one by one as budgets allow, and keep new ones off it.

    Exit code 1 when it was not done in time. `berth uncordon` stops a drain and lets tasks onto the node again.
    """
    from client.draining import DrainOptions
    from client.errors import BadOption

    name, timeout_s = node.removeprefix("node/"), parse_timeout(timeout)
    if plan:
        from cli.drain_plan import show_plan

        raise typer.Exit(show_plan(session_of(context), name, ignore_daemonsets=ignore_daemonsets))
    limit = None if timeout_s == float("inf") else timeout_s
    if force and limit is None:
        raise BadOption("--force is what happens past a timeout; give one, such as --timeout 5m")
    with session_of(context).client() as client:
        wish = client.drain(name, DrainOptions(ignore_daemonsets, limit, force))
        out(f"node/{name} cordoned")
        if not wait:
            out(f"node/{name} draining")
            note(f"Note: {ON.format(name)}")
            return
        sys.stdout.flush()
        try:
            is_empty = client.follow_drain(name, wish, _tell)
        except KeyboardInterrupt:
            note(f"Not waiting any longer; {ON.format(name)}")
            raise
    if is_empty:
        out(f"node/{name} drained")
        return
    again = "--ignore-daemonsets " if ignore_daemonsets else ""
    note(
        f"Error: node {name} was not drained within {timeout}; what is left stays, and the node stays cordoned; "
        f"see: berth describe node {name}; try again with: berth drain {name} {again}--timeout {timeout} --force"
    )
    raise typer.Exit(1)


def _tell(told: "Told") -> None:
    if told.kind == "left":
        out(f"{told.text} moved")
        sys.stdout.flush()
    else:
        note(told.text)
