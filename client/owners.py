"""What an owner made: its tasks, a CronJob's jobs; and which task stands for it where one is needed."""

from client.composing import made_by
from client.errors import Refused
from client.reading import Reading, at_one_revision, prefixes_of
from client.views import ObjectView, build_views
from schemas.keys import Family, Keys
from schemas.kinds import BY_NAME, Kind
from schemas.meta import find_condition
from schemas.state import TaskState
from store.api import Store


def made_objects(store: Store, keys: Keys, kind: Kind, owner: ObjectView) -> tuple[ObjectView, ...]:
    """Return the objects of a kind that an owner made, by name, at one revision."""
    namespace = owner.ref.namespace
    mine = keys.objects_range(Family.OWNED, namespace, kind.plural)

    def read(reading: Reading) -> tuple[ObjectView, ...]:
        owned = {kv.key: kv for kv in made_by(reading.kvs(mine), owner.uid)}
        if not owned:
            return ()
        written = keys.objects_range(Family.SPEC, namespace, kind.plural)
        others = [each for each in prefixes_of(kind, keys, namespace) if each not in (mine, written)]
        found = {kv.key: kv for prefix in others for kv in reading.kvs(prefix)} | owned
        return build_views(kind, keys, reading.complete(found, keys))

    views = at_one_revision(store, read)
    return tuple(view for view in views if view.owner is not None and view.owner.uid == owner.uid)


def tasks_of_owner(store: Store, keys: Keys, owner: ObjectView) -> tuple[ObjectView, ...]:
    """Return the tasks of a Deployment, DaemonSet or Job; of a CronJob those of all its jobs."""
    task, job = BY_NAME["Task"], BY_NAME["Job"]
    if owner.kind.name != "CronJob":
        return made_objects(store, keys, task, owner)
    jobs = made_objects(store, keys, job, owner)
    return tuple(view for each in jobs for view in made_objects(store, keys, task, each))


def is_ready(view: ObjectView) -> bool:
    status = view.task_status
    if status is None or view.is_terminating or status.state is not TaskState.RUNNING:
        return False
    condition = find_condition(status.conditions, "Ready")
    return condition is not None and condition.status == "True"


def first_ready(owner: str, views: tuple[ObjectView, ...]) -> ObjectView:
    """Return the first ready task, else the first that runs. Raises Refused when there is none."""
    running = [view for view in views if view.task_status and view.task_status.state is TaskState.RUNNING]
    chosen = next(filter(is_ready, views), running[0] if running else None)
    if chosen is None:
        raise Refused(f"no task of {owner} runs ({len(views)} exist); see: berth describe {owner}")
    return chosen
