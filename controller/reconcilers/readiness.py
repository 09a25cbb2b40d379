"""Which containers of a task are ready, and what to tell people about those that are not. Pure."""

from controller.reconcilers.plan import EventNote
from schemas.meta import Condition
from schemas.report import UNHEALTHY, ContainerStatus
from schemas.roles import Role, role_of
from schemas.state import ContainerState
from schemas.status import TaskStatus
from schemas.task import TaskSpec

NOT_READY = "ContainersNotReady"  # Kubernetes' word
PROBE_FAILED = {"LivenessProbeFailed": "liveness", "StartupProbeFailed": "startup"}


def is_ready(container: ContainerStatus) -> bool:
    """Say whether a container runs, has started, and is ready, as far as its probes say."""
    runs = container.state is ContainerState.RUNNING
    return runs and container.ready is not False and container.started is not False


def unready(spec: TaskSpec, containers: tuple[ContainerStatus, ...]) -> tuple[ContainerStatus, ...]:
    """Return the containers, sidecars included, because of which the task is not ready."""
    lasting = (each for each in containers if role_of(spec, each.name) is not Role.INIT)
    return tuple(each for each in lasting if not is_ready(each))


def unready_words(spec: TaskSpec, containers: tuple[ContainerStatus, ...]) -> str:
    """Return a sentence on who is not ready, and why."""
    found = unready(spec, containers)
    if not found:
        return ""
    told = "; ".join(dict.fromkeys(each.message for each in found if each.message))
    names = ", ".join(each.name for each in found)
    return f"not ready: {names}" + (f" ({told})" if told else "")


def stages(spec: TaskSpec, containers: tuple[ContainerStatus, ...]) -> tuple[Condition, ...]:
    """Return Initialized of a task with init containers, ContainersReady of one whose readiness has parts."""
    found = []
    if spec.init_containers:
        left = [each.name for each in containers if each.init and not _is_through(spec, each)]
        done = bool(containers) and not left
        found.append(
            Condition(
                type="Initialized",
                status="True" if done else "False",
                reason="" if done else "ContainersNotInitialized",
                message="" if done else f"not through: {', '.join(left)}",
            )
        )
    has_parts = len(containers) > 1 or any(
        each.ready is not None or each.started is not None for each in containers
    )
    if has_parts:
        text = unready_words(spec, containers)
        found.append(
            Condition(
                type="ContainersReady",
                status="False" if text else "True",
                reason=NOT_READY if text else "",
                message=text,
            )
        )
    return tuple(found)


def _is_through(spec: TaskSpec, container: ContainerStatus) -> bool:
    """A sidecar that has started once does not take the task back to its beginning when it is restarted."""
    if role_of(spec, container.name) is Role.SIDECAR:
        runs = container.state is ContainerState.RUNNING and container.started is not False
        return runs or container.attempt > 0
    return container.state is ContainerState.EXITED and container.exit_code == 0


def probe_notes(old: TaskStatus | None, new: TaskStatus) -> tuple[EventNote, ...]:
    """Tell of probes that began to fail, and of containers that are restarted because of one."""
    before = {each.name: each for each in old.containers} if old is not None else {}
    notes: list[EventNote] = []
    for container in new.containers:
        was = before.get(container.name)
        if container.reason == UNHEALTHY and (was is None or was.message != container.message):
            notes.append(EventNote("Warning", UNHEALTHY, f"{container.name}: {container.message}"))
        failed = _failed_attempt(container)
        if failed is not None and (was is None or _failed_attempt(was) != failed):
            notes += _killing(container, failed[1])
    return tuple(notes)


def _failed_attempt(container: ContainerStatus) -> tuple[int, str] | None:
    """Return the attempt that a probe ended, and the reason."""
    if container.reason in PROBE_FAILED:
        return container.attempt, container.reason
    if container.last_exit is not None and container.last_exit.reason in PROBE_FAILED:
        return container.attempt - 1, container.last_exit.reason
    return None


def _killing(container: ContainerStatus, reason: str) -> tuple[EventNote, EventNote]:
    kind = PROBE_FAILED[reason]
    told = container.message.split("; it is restarted")[0].split("; attempt ")[0]
    text = told if container.reason in PROBE_FAILED else f"{kind.capitalize()} probe failed"
    return (
        EventNote("Warning", UNHEALTHY, f"{container.name}: {text}"),
        EventNote(
            "Normal", "Killing", f"container {container.name} failed its {kind} probe and is restarted"
        ),
    )


_FAILED_HOOK = {"preStop": "FailedPreStopHook", "postStart": "FailedPostStartHook"}  # Kubernetes' words


def hook_notes(old: TaskStatus | None, containers: tuple[ContainerStatus, ...]) -> tuple[EventNote, ...]:
    """Tell of hooks that failed since `old`: a stop goes on after one, so nothing else would say it."""
    told = {_attempt(each): each.failed_hooks for each in old.containers} if old is not None else {}
    return tuple(
        EventNote("Warning", _FAILED_HOOK.get(which, "FailedHook"), f"{each.name}: {why}")
        for each in containers
        for which, why in each.failed_hooks.items()
        if which not in told.get(_attempt(each), {})
    )


def _attempt(container: ContainerStatus) -> tuple[str, str]:
    return container.name, container.container_id
