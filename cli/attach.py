"""`berth attach`: the main process of a container, as it runs."""

from typing import Annotated

import typer

from cli.choosing import chosen_task, say_container
from cli.session import ExitWith, note, session_of
from cli.settings import HELP


def register(app: typer.Typer, name: str) -> None:
    app.command(name, epilog=HELP)(attach)


def attach(
    context: typer.Context,
    task: Annotated[str, typer.Argument(help="NAME, task/NAME, or an owner's KIND/NAME.")],
    stdin: Annotated[bool, typer.Option("-i", "--stdin", help="Pass our input on.")] = False,
    tty: Annotated[bool, typer.Option("-t", "--tty", help="Hand on every key.")] = False,
    container: Annotated[str, typer.Option("-c", "--container", help="Which container.")] = "",
) -> None:
    """Print what a container prints from now on, and with -i type into it.

    Input needs `stdin: true` in the container's spec, -t `tty: true`. With -it every key goes to the container,
    Ctrl-C too; Ctrl-P Ctrl-Q detaches. Without -t Ctrl-C detaches. In both cases the container goes on. If it
    ends, its exit code is ours.
    """
    from cli.terminal import join, may_use_terminal

    session = session_of(context)
    is_tty = may_use_terminal(tty)
    with session.client() as client:
        process = client.attach(
            chosen_task(client, task, session.namespace), session.namespace, container or None, stdin=stdin
        )
        say_container(f"task/{process.target.task}", process.target.container, process.target.among)
        if is_tty and not process.target.has_terminal:
            note(f"Unable to use a TTY - container {process.target.container} did not allocate one")
            is_tty = False
        if is_tty and stdin:
            note("Ctrl-P Ctrl-Q detaches; if you see nothing, press Enter.")
        code = join(process, stdin=stdin, tty=is_tty)
    if code is None:
        note(f"detached from {task}, which goes on")
    raise ExitWith(code or 0)
