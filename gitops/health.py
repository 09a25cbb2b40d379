"""How an object is, in a word and a sentence, as `berth get` and `rollout status` would tell it. Pure."""

from collections.abc import Callable

from client.errors import ClientError
from client.rollout_state import ROLLED_OUT, RolloutState, settled_state
from client.views import ObjectView
from schemas.gitsource_status import Health
from schemas.meta import find_condition
from schemas.state import TaskState
from schemas.status import TaskStatus

Told = tuple[Health, str]

MAX_MESSAGE = 300  # characters; a status may tell of hundreds of objects


def health_of(view: ObjectView) -> Told:
    """Return how an object that exists is."""
    if view.is_unreadable:
        return "Degraded", f"can't be read: {view.error}"[:MAX_MESSAGE]
    if view.is_terminating:
        return "Progressing", "is being deleted"
    judge = _JUDGES.get(view.kind.name)
    if judge is None:
        return "Healthy", ""
    health, message = judge(view)
    return health, message[:MAX_MESSAGE]


def _rollout(view: ObjectView) -> Told:
    try:
        state = settled_state(view)
    except ClientError:  # what replaces its tasks only when they are deleted has no rollout to judge
        return "Healthy", ""
    if state.verdict == "waiting" and (view.raw.get("spec") or {}).get("paused"):
        return "Suspended", "its rollout is paused"
    return _of_state(state)


def _job(view: ObjectView) -> Told:
    if (view.raw.get("spec") or {}).get("suspend"):
        return "Suspended", "it is suspended"
    return _of_state(settled_state(view))


def _of_state(state: RolloutState) -> Told:
    match state.verdict:
        case "done":
            return "Healthy", ""
        case "failed":
            return "Degraded", state.text
        case "waiting":
            return "Progressing", state.text


def _cronjob(view: ObjectView) -> Told:
    is_suspended = (view.raw.get("spec") or {}).get("suspend")
    return ("Suspended", "it is suspended") if is_suspended else ("Healthy", "")


def _task(view: ObjectView) -> Told:
    status = view.task_status
    if status is None:
        return "Progressing", "is not placed yet"
    denied = find_condition(status.conditions, "Admitted")
    if denied is not None and denied.status == "False":
        return "Degraded", denied.message
    match status.state:
        case TaskState.RUNNING:
            return _running(status)
        case TaskState.SUCCEEDED:
            return "Healthy", ""
        case TaskState.FAILED | TaskState.LOST:
            return "Degraded", status.message or status.reason or status.state.value
        case _:
            return "Progressing", status.message or status.reason or status.state.value


def _running(status: TaskStatus) -> Told:
    ready = find_condition(status.conditions, "Ready")
    if ready is not None and ready.status == "False":
        return "Progressing", ready.message or "is not ready"
    return "Healthy", ""


_JUDGES: dict[str, Callable[[ObjectView], Told]] = {
    **dict.fromkeys(ROLLED_OUT, _rollout),
    "Job": _job,
    "CronJob": _cronjob,
    "Task": _task,
}
