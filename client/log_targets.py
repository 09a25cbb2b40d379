"""Whose logs are meant: from what people write to containers of tasks.

Tasks stand for themselves. An owner stands for its tasks: its kind has an entry in RESOLVERS that finds them.
"""

from collections.abc import Callable, Sequence

from client.agent_target import container_names
from client.errors import BadOption, NotFound
from client.log_events import LogTarget
from client.naming import not_found
from client.owners import tasks_of_owner
from client.reading import read_object
from client.views import ObjectView
from schemas.keys import Keys, ObjectRef
from schemas.kinds import KINDS, OWNERS, Kind
from store.api import Store

ALL_CONTAINERS = "*"  # no container is called so

Resolve = Callable[[Store, Keys, str, str], tuple[ObjectView, ...]]
"""(store, keys, namespace, name) -> its tasks. Raises NotFound."""


def _task_itself(store: Store, keys: Keys, namespace: str, name: str) -> tuple[ObjectView, ...]:
    kind = next(kind for kind in KINDS if kind.name == "Task")
    view = read_object(store, kind, ObjectRef(kind.plural, namespace, name), keys)
    if view is None:
        raise NotFound(f'task "{name}" not found in namespace {namespace}; see: berth get tasks')
    return (view,)


def _of_owner(kind: Kind) -> Resolve:
    def resolve(store: Store, keys: Keys, namespace: str, name: str) -> tuple[ObjectView, ...]:
        view = read_object(store, kind, ObjectRef(kind.plural, namespace, name), keys)
        if view is None:
            raise not_found(kind, name, namespace)
        return tasks_of_owner(store, keys, view)

    return resolve


RESOLVERS: dict[str, Resolve] = {
    "Task": _task_itself,
    **{kind.name: _of_owner(kind) for kind in KINDS if kind.plural in OWNERS},
}
"""Name of a kind -> how its tasks are found; owners add themselves."""


def tasks_of(store: Store, keys: Keys, kind: Kind, namespace: str, name: str) -> tuple[ObjectView, ...]:
    """Return the tasks that `kind/name` stands for. Raises NotFound, BadOption."""
    resolve = RESOLVERS.get(kind.name)
    if resolve is None:
        raise BadOption(
            f"only tasks and their owners have logs, not {kind.singular}/{name}; see: berth get tasks"
        )
    return resolve(store, keys, namespace, name)


def containers_of(views: Sequence[ObjectView], wanted: str) -> tuple[LogTarget, ...]:
    """Return the containers whose logs are meant: the one called `wanted`, ALL_CONTAINERS, or the first ("").

    What can't be read keeps its place, so that its failure is told with it.
    """
    targets: dict[LogTargetKey, LogTarget] = {}
    for view in views:
        names = container_names(view)
        chosen = (
            [*init_names(view), *names]
            if wanted == ALL_CONTAINERS
            else [wanted or (names[0] if names else "")]
        )
        for container in chosen or [""]:
            targets.setdefault((view.ref, container), LogTarget(view, container))
    return tuple(targets.values())


LogTargetKey = tuple[ObjectRef, str]


def init_names(view: ObjectView) -> list[str]:
    """Return the names of a task's init containers and sidecars, in their order."""
    return [str(each["name"]) for each in (view.raw.get("spec") or {}).get("initContainers") or ()]
