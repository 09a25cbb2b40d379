"""Cells that are derived: STATUS, READY, RESTARTS, PORTS. Pure; as kubectl derives them."""

from cli.ages import age
from client.views import ObjectView
from schemas.meta import find_condition
from schemas.report import ContainerStatus
from schemas.state import ContainerState, TaskState
from schemas.status import TaskStatus

NONE = "<none>"
_LIVE = (ContainerState.STARTING, ContainerState.RUNNING, ContainerState.STOPPING)
_SETTLED = {TaskState.STOPPED, TaskState.STOPPING, TaskState.LOST}  # the placement says more than a container

_OVER = {TaskState.SUCCEEDED, TaskState.FAILED}


def task_status(view: ObjectView) -> str:
    """Return the STATUS of a task: not the plain state, but what a person has to know first."""
    if view.is_unreadable:
        return "Unreadable"
    status = view.task_status
    if status is not None and is_unreachable(status):
        return "Unknown"
    if view.is_terminating:
        return "Terminating"
    if status is None:
        return str(TaskState.PENDING)
    if status.state in _SETTLED:
        return str(status.state)
    shown = [each for each in status.containers if not _is_of_earlier_binding(status.state, each)]
    before = _init_status(view, status, shown)
    if before:
        return before
    reasons = [_reason_beside(each) for each in shown]
    reason = next(filter(None, reversed(reasons)), "")
    if reason == "Completed" and any(_is_main_running(each) for each in shown):
        return "NotReady"
    return reason or _between_attempts(status) or _settled_name(status.state)


def _reason_beside(container: ContainerStatus) -> str:
    """An init container that has done its work says nothing about the task."""
    reason = container_reason(container)
    return "" if container.init and reason == "Completed" else reason


def _is_main_running(container: ContainerStatus) -> bool:
    return not container.init and container.state is ContainerState.RUNNING


def _init_status(view: ObjectView, status: TaskStatus, shown: list[ContainerStatus]) -> str:
    """Return `Init:1/2`, or why an init container does not get on; "" when all have done their work."""
    spec = view.raw.get("spec") or {}
    wanted = spec.get("initContainers") or ()
    if not wanted or status.state in (TaskState.PENDING, TaskState.RUNNING, TaskState.SUCCEEDED):
        return ""
    reported = {each.name: each for each in shown if each.init}
    for done, each in enumerate(wanted):
        found = reported.get(each["name"])
        if found is None or not _is_through(found, is_sidecar=each.get("restartPolicy") == "Always"):
            reason = container_reason(found) if found else ""
            return f"Init:{reason or f'{done}/{len(wanted)}'}"
    return ""


def _is_through(container: ContainerStatus, *, is_sidecar: bool) -> bool:
    """Say whether the containers after this one may begin."""
    if is_sidecar:
        return container.state is ContainerState.RUNNING and container.started is not False
    return container.state is ContainerState.EXITED and container.exit_code == 0


def _between_attempts(status: TaskStatus) -> str:
    """Between two attempts the state says Running, as in Kubernetes; what is shown is what goes on just now."""
    if status.state is not TaskState.RUNNING or not status.containers:
        return ""
    if any(each.state in (ContainerState.RUNNING, ContainerState.STOPPING) for each in status.containers):
        return ""
    mains = [each for each in status.containers if not each.init] or status.containers
    return str(mains[-1].state)


def _is_of_earlier_binding(state: TaskState, container: ContainerStatus) -> bool:
    """A task that has not begun on its node may still show how it ended on the last one."""
    return state in (TaskState.PENDING, TaskState.BOUND) and container.state is ContainerState.EXITED


def _settled_name(state: TaskState) -> str:
    return {TaskState.SUCCEEDED: "Completed", TaskState.FAILED: "Error"}.get(state, str(state))


def is_unreachable(status: TaskStatus) -> bool:
    """The node doesn't answer, or its runtime doesn't: what the status says is what was last known.

    How a task has ended stays so whatever becomes of its node.
    """
    if status.state in _OVER:
        return False
    ready = find_condition(status.conditions, "Ready")
    unknown = find_condition(status.conditions, "Unknown")
    return (ready is not None and ready.status == "Unknown") or (
        unknown is not None and unknown.status == "True"
    )


def container_reason(container: ContainerStatus) -> str:
    """Return why a container does not simply run, "" if it does or is on its way."""
    if container.state in _LIVE:
        return ""
    if container.reason or container.state is not ContainerState.EXITED:
        return container.reason
    if container.oom:
        return "OOMKilled"
    if container.signal:
        return f"Signal:{container.signal}"
    return "Completed" if container.exit_code == 0 else f"ExitCode:{container.exit_code}"


def ready(view: ObjectView) -> str:
    """Return ready containers of all that stay, sidecars included, as in 1/2."""
    names = lasting_names(view)
    status = view.task_status
    found = [each for each in status.containers if each.name in names and is_ready(each)] if status else []
    return f"{len(found)}/{len(names)}"


def lasting_names(view: ObjectView) -> set[str]:
    """Return the names of the containers that stay: all but the init containers that end."""
    spec = view.raw.get("spec") or {}
    sidecars = [each for each in spec.get("initContainers") or () if each.get("restartPolicy") == "Always"]
    return {each["name"] for each in (*sidecars, *(spec.get("containers") or ()))}


def is_ready(container: ContainerStatus) -> bool:
    """Say whether a container runs and its probes have nothing against it."""
    is_up = container.state is ContainerState.RUNNING
    return is_up and container.ready is not False and container.started is not False


def restarts(view: ObjectView, now: float) -> str:
    """Return `3 (5m ago)`: how often containers were started again, and when the last of them had ended."""
    containers = view.task_status.containers if view.task_status else ()
    count = sum(each.attempt for each in containers)
    ends = [
        each.last_exit.finished_at for each in containers if each.last_exit and each.last_exit.finished_at
    ]
    return f"{count} ({age(max(ends), now)} ago)" if count and ends else str(count)


def ports(view: ObjectView) -> str:
    """Return `8080->31000,53->31001/udp`: container port to host port."""
    granted = view.task_status.ports if view.task_status else ()
    texts = (
        f"{port.container_port}->{port.host_port}{'/udp' if port.protocol == 'UDP' else ''}"
        for port in granted
    )
    return ",".join(texts) or NONE


def task_reason(view: ObjectView) -> str:
    """Return the sentence behind STATUS, where there is one."""
    if view.is_unreadable:
        return view.error
    status = view.task_status
    if status is None:
        return NONE
    told = [each.message or each.reason for each in status.containers if container_reason(each)]
    denied = [
        each.message for each in status.conditions if each.type == "Admitted" and each.status == "False"
    ]
    return next(filter(None, [*denied, *told, status.message, status.reason]), NONE)


def node_status(view: ObjectView) -> str:
    """Return Ready, NotReady or Unknown, with what people want of the node besides: no new tasks, or none at all."""
    if view.is_unreadable:
        return "Unreadable"
    condition = find_condition(view.node_status.conditions, "Ready") if view.node_status else None
    name = "Unknown" if condition is None else "Ready" if condition.status == "True" else "NotReady"
    if (view.raw.get("spec") or {}).get("drain"):
        drained = find_condition(view.node_status.conditions, "Drained") if view.node_status else None
        return f"{name},{'Drained' if drained and drained.status == 'True' else 'Draining'}"
    return f"{name},SchedulingDisabled" if is_cordoned(view) else name


def is_cordoned(view: ObjectView) -> bool:
    return bool((view.raw.get("spec") or {}).get("unschedulable", False))


ROLE_LABEL = "node-role/"  # as in node-role/gpu=


def node_roles(view: ObjectView) -> str:
    """Return the roles of a node: what its labels name behind `node-role/`."""
    roles = sorted(key.removeprefix(ROLE_LABEL) for key in view.labels if key.startswith(ROLE_LABEL))
    return ",".join(roles) or NONE


def frozen_words(view: ObjectView) -> str:
    """Return why nothing is decided about an owner, empty if that isn't so."""
    conditions = (view.status or {}).get("conditions") or ()
    return next((str(each.get("message")) for each in conditions if each.get("type") == "Frozen"), "")


def plain_status(view: ObjectView) -> str:
    """Return the STATUS of a kind that has none of its own."""
    if view.is_unreadable:
        return "Unreadable"
    if frozen_words(view):
        return "Frozen"
    return "Terminating" if view.is_terminating else "Active"
