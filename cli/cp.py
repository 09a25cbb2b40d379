"""`berth cp`: files and folders between this machine and a container."""

from pathlib import Path
from typing import Annotated

import typer

from cli.refs import is_task_kind, task_name
from cli.session import note, session_of
from cli.settings import HELP
from client.errors import BadOption


def register(app: typer.Typer, name: str) -> None:
    app.command(name, epilog=HELP)(cp)


def cp(
    context: typer.Context,
    source: Annotated[str, typer.Argument(help="TASK:/path, or a path of this machine.")],
    target: Annotated[str, typer.Argument(help="The other one.")],
    container: Annotated[str, typer.Option("-c", "--container", help="Which container.")] = "",
) -> None:
    """Copy a file or folder: berth cp web:/etc/app.conf . or berth cp site/ web:/www

    Into a folder that exists, else under the name that is given, as `cp -r`. Modes are kept; copies belong to
    you, or to the container's user. What leads out of the target folder is left out, and the exit code is 1.
    """
    session = session_of(context)
    from_task, to_task = split_place(source), split_place(target)
    if "-" in (source, target):
        raise BadOption(
            "- is no file here; to read one: berth exec NAME -- cat PATH; a file of that name is ./-"
        )
    if (from_task is None) == (to_task is None):
        raise BadOption(
            "one side must be TASK:/path and the other a path of this machine, as in: berth cp web:/etc/hosts ."
            + _namespace_hint(source, target)
        )
    with session.client() as client:
        if from_task is not None:
            name, path = from_task
            left_out = client.download(name, session.namespace, path, Path(target), container or None)
            if left_out:
                note(f"{left_out} of them left out: they lead out of {target}, or are no files")
                raise typer.Exit(1)
        elif to_task is not None:
            name, path = to_task
            client.upload(name, session.namespace, Path(source), path, container or None)


def _namespace_hint(*places: str) -> str:
    """Return what to write for kubectl's NAMESPACE/NAME:/path, "" if neither place looks like it."""
    for place in places:
        namespace, slash, rest = place.partition("/")
        if slash and namespace and ":" in rest.partition("/")[0] and not is_task_kind(namespace):
            return f"; a namespace is told by -n: berth cp -n {namespace} {rest} ..."
    return ""


def split_place(text: str) -> tuple[str, str] | None:
    """Return (task, path) of `NAME:PATH` or `task/NAME:PATH`; None for a path of this machine. Pure.

    A local path with a colon is written `./a:b`.
    """
    before, colon, path = text.partition(":")
    kind, slash, _ = before.partition("/")
    if not colon or not before or (slash and not is_task_kind(kind)):
        return None
    if not path:
        raise BadOption(f"{text!r} names no path in the container; write {before}:/path")
    return task_name(before), path
