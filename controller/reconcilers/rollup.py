"""Roll a task's binding and report up into its status: what people see. Pure."""

from dataclasses import dataclass

from controller.reconcilers.readiness import NOT_READY, stages, unready, unready_words
from schemas.binding import Binding, StopReason
from schemas.meta import Condition, ConditionStatus, condition, find_condition, set_condition
from schemas.report import INITIALIZING, UNHEALTHY, ContainerStatus, TaskReport, container_views
from schemas.state import FINISHED, ContainerState, Placement, TaskState, task_state
from schemas.status import TaskStatus
from schemas.task import TaskSpec
from schemas.timestamps import format_time


@dataclass(frozen=True, slots=True)
class NodeHealth:
    """A node as planners see it. `down_since`: by the leader's own clock, None while its lease lives.

    `key_id`: names the key that Secrets for its tasks are sealed to, empty for a node that takes none.
    """

    name: str
    down_since: float | None = None
    stopping: bool = False
    fenced: bool = False
    address: str = ""
    api_address: str = ""
    key_id: str = ""


def state_of(binding: Binding, report: TaskReport | None, *, ended: bool) -> TaskState:
    """Return the state of a bound task."""
    placement = Placement(binding.desired, binding.reason, ended)
    views = container_views(binding.spec, report.containers if report else ())
    return task_state(placement, views, binding.spec.restart_policy)


def roll_up(
    old: TaskStatus,
    binding: Binding,
    report: TaskReport | None,
    health: NodeHealth,
    *,
    ended: bool,
    generation: int,
    now: float,
) -> TaskStatus:
    """Return the status of a task bound by `binding`; equal to `old` when nothing visible changed."""
    state = state_of(binding, report, ended=ended)
    if (
        binding.reason is StopReason.COMPLETED
        and old.state in FINISHED
        and not (report and report.containers)
    ):
        state = old.state  # its dead containers were removed by somebody; how it ended is known
    containers = report.containers if report else ()
    reason, message = _worst(containers, binding)
    conditions = old.conditions
    waits = find_condition(conditions, "Scheduled")
    for said in _conditions(state, report, health, reason, message, binding.spec):
        if said[0] == "Scheduled" and waits and waits.status == "False" and health.down_since is not None:
            continue  # why no other node takes it over
        conditions = _with(conditions, said, now)
    return old.model_copy(
        update={
            "observed_generation": generation,
            "state": state,
            "reason": reason,
            "message": message,
            "conditions": conditions,
            "containers": containers or old.containers,
            "ports": binding.grants.ports,
            "devices": binding.grants.devices,
            "resources": binding.grants.resources,
            "host_ip": health.address or old.host_ip,
            "api_address": health.api_address or old.api_address,
            "started_at": old.started_at
            or min((c.started_at for c in containers if c.started_at), default=""),
            "finished_at": (old.finished_at or _end_of(containers, now)) if state in FINISHED else "",
        }
    )


def _end_of(containers: tuple[ContainerStatus, ...], now: float) -> str:
    return max((c.finished_at for c in containers), default="") or format_time(now)


Said = tuple[str, ConditionStatus, str, str]
"""What a condition says: type, status, reason, message."""


def _with(conditions: tuple[Condition, ...], new: Said, now: float) -> tuple[Condition, ...]:
    """Return `conditions` with `new`, the very same where it says nothing new."""
    old = find_condition(conditions, new[0])
    if old is not None and _said(old) == new:
        return conditions
    return set_condition(conditions, condition(*new, format_time(now)))


def _said(old: Condition) -> Said:
    return old.type, old.status, old.reason, old.message


def _worst(containers: tuple[ContainerStatus, ...], binding: Binding) -> tuple[str, str]:
    """Return reason and message of the container that most needs a look."""
    if binding.reason is not None and binding.reason.value != "Completed":
        return binding.reason.value, binding.message
    found = (each for each in containers if each.reason and not _is_quiet(each, containers))
    worst = min(found, key=_urgency, default=None)
    return (worst.reason, worst.message) if worst else ("", "")


def _urgency(container: ContainerStatus) -> tuple[bool, bool, bool, str]:
    """What went wrong comes before what merely waits for it."""
    done, waits = container.reason == "Completed", container.reason == INITIALIZING
    return done, waits, container.state is ContainerState.RUNNING, container.name


def _is_quiet(container: ContainerStatus, containers: tuple[ContainerStatus, ...]) -> bool:
    """One that is not ready runs, as in Kubernetes; one that is done is no news while others go on."""
    if container.reason == UNHEALTHY:
        return True
    goes_on = any(not each.init and each.state is not ContainerState.EXITED for each in containers)
    return container.reason == "Completed" and goes_on


def _conditions(
    state: TaskState, report: TaskReport | None, health: NodeHealth, reason: str, message: str, spec: TaskSpec
) -> tuple[Said, ...]:
    unreachable = health.down_since is not None
    unknown = unreachable or (report is not None and report.unknown)
    containers = report.containers if report is not None else ()
    ready = state is TaskState.RUNNING and bool(containers) and not unready(spec, containers) and not unknown
    why = "NodeUnreachable" if unreachable else "RuntimeUnreachable" if unknown else reason or state.value
    text = message
    if not ready and not unknown and state is TaskState.RUNNING and not reason:
        why, text = NOT_READY, unready_words(spec, containers)
    found: list[Said] = [
        ("Scheduled", "True", "Bound", f"bound to {health.name}"),
        *map(_said, stages(spec, containers)),
        ("Ready", "True", "", "") if ready else ("Ready", "Unknown" if unknown else "False", why, text),
    ]
    if unknown:
        text = f"node {health.name} does not answer; what is shown is what was last known"
        if not unreachable:
            text = f"the container runtime on {health.name} does not answer"
        found.append(("Unknown", "True", why, text))
    elif state is not TaskState.BOUND:
        found.append(("Unknown", "False", "", ""))
    return tuple(found)
