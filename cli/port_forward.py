"""`berth port-forward`: local ports that lead to a task."""

from typing import Annotated

import typer

from cli.choosing import chosen_task
from cli.session import out, session_of
from cli.settings import HELP


def register(app: typer.Typer, name: str) -> None:
    app.command(name, epilog=HELP)(port_forward)


def port_forward(
    context: typer.Context,
    task: Annotated[str, typer.Argument(help="NAME, task/NAME, or an owner's KIND/NAME.")],
    ports: Annotated[list[str], typer.Argument(help="[LOCAL:]REMOTE; REMOTE may be a port's name.")],
    address: Annotated[str, typer.Option(help="Local address to listen on.")] = "127.0.0.1",
) -> None:
    """Forward local ports to a task until Ctrl-C, or until the task ends: berth port-forward web 8080:80

    80 listens on 80, :80 on any free port. The port need not be published, but what listens on it must listen
    on 0.0.0.0 and not only on the container's own 127.0.0.1.
    """
    import sys

    session = session_of(context)
    with (
        session.client() as client,
        client.forward(
            chosen_task(client, task, session.namespace), session.namespace, ports, address
        ) as forwarding,
    ):
        for local, remote in forwarding.routes:
            out(f"Forwarding from {local} -> {remote}")
        sys.stdout.flush()
        forwarding.wait()
