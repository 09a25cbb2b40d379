"""`berth down`: stop what `berth up` started."""

import os
from pathlib import Path
from typing import Annotated

import typer

from cli.session import note
from cli.settings import HELP
from local.folder import Folder, default_data_dir


def register(app: typer.Typer, name: str) -> None:
    app.command(name, epilog=HELP)(down)


def down(
    stop_tasks: Annotated[
        bool,
        typer.Option(
            "--stop-tasks", help="Also stop and remove the containers; the next up runs them again."
        ),
    ] = False,
    data_dir: Annotated[
        str, typer.Option(help="Folder of the cluster [BERTH_DATA_DIR, default: ~/.local/share/berth].")
    ] = "",
) -> None:
    """Stop the cluster that berth up started, and wait until it is gone.

    Containers go on, and the next berth up adopts them. Where nothing runs there is nothing to do.
    """
    from local import down as work

    folder = Folder(Path(data_dir).expanduser().absolute() if data_dir else default_data_dir(os.environ))
    work.down(folder, note, stops_tasks=stop_tasks)
    if stop_tasks:
        work.stop_tasks(folder, dict(os.environ), note)
