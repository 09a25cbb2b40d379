"""`berth exec`: run a command in a container. Its exit code is ours."""

from typing import Annotated

import typer

from cli.choosing import chosen_task, say_container
from cli.session import ExitWith, note, session_of
from cli.settings import HELP
from client.errors import BadOption


def register(app: typer.Typer, name: str) -> None:
    app.command(name, epilog=HELP)(exec_)


def exec_(
    context: typer.Context,
    task: Annotated[str, typer.Argument(help="NAME, task/NAME, or an owner's KIND/NAME.")],
    command: Annotated[list[str] | None, typer.Argument(help="After --: the command.")] = None,
    stdin: Annotated[bool, typer.Option("-i", "--stdin", help="Pass our input on.")] = False,
    tty: Annotated[bool, typer.Option("-t", "--tty", help="Give it a terminal.")] = False,
    container: Annotated[str, typer.Option("-c", "--container", help="Which container.")] = "",
) -> None:
    """Run a command in a container of a task: berth exec -it web -- sh

    The exit code is the command's; 126: it can't be run, 127: there is no such command. If we are ended before
    it, the command goes on.
    """
    from cli.terminal import join, may_use_terminal

    if not command:
        raise BadOption(f"there is no command; write it after --, as in: berth exec {task} -- ls")
    session = session_of(context)
    is_tty = may_use_terminal(tty)
    with session.client() as client:
        process = client.exec(
            chosen_task(client, task, session.namespace),
            session.namespace,
            command,
            container or None,
            tty=is_tty,
            stdin=stdin,
        )
        say_container(f"task/{process.target.task}", process.target.container, process.target.among)
        code = join(process, stdin=stdin, tty=is_tty)
    if code is None:
        note(f"the command goes on in {task} without us; its exit code is unknown")
    raise ExitWith(1 if code is None else code)
