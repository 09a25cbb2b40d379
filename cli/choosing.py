"""Which task is meant where one is needed: a task itself, or one of an owner's, as in `exec deployment/web`."""

from typing import TYPE_CHECKING

from cli.refs import is_task_kind, parse_targets
from cli.session import note

if TYPE_CHECKING:
    from collections.abc import Sequence

    from client.client import Client


def chosen_task(client: "Client", written: str, namespace: str) -> str:
    """Return the name of the task; of an owner's the first ready one, which is told. Raises NotFound, Refused."""
    if "/" not in written:
        return written
    (target,) = parse_targets([written])
    if is_task_kind(target.kind.plural):
        return target.names[0]
    from client.owners import first_ready

    views = client.tasks_of(target.kind.name, target.names[0], namespace)
    chosen = first_ready(f"{target.kind.singular}/{target.names[0]}", views)
    note(f"{written}: {chosen.ref}")
    return chosen.name


def say_container(task: str, chosen: str, among: "Sequence[str]") -> None:
    """Tell which container of several was taken, as none was named."""
    if len(among) > 1:
        note(f"{task}: container {chosen} of {', '.join(among)}; choose with -c")
