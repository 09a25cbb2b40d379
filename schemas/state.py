"""States of containers and tasks, and which actor may make which transition.

A container's state, per attempt, only ever moves forward: of two observations the greater is right
(moby/swarmkit). A task's state is a pure function of its placement and its containers.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

from schemas.binding import Desired, StopReason
from schemas.roles import Role, restart_policy_of
from schemas.task import RestartPolicy


class ContainerState(StrEnum):
    WAITING = "Waiting"
    PREPARING = "Preparing"
    STARTING = "Starting"
    RUNNING = "Running"
    STOPPING = "Stopping"
    EXITED = "Exited"

    @property
    def rank(self) -> int:
        """Position on the one way from Waiting (0) to Exited (5)."""
        return _ORDER[self]


_ORDER = {state: rank for rank, state in enumerate(ContainerState)}

Actor = Literal["agent", "runtime"]

TRANSITIONS: dict[tuple[ContainerState, ContainerState], Actor] = {
    (ContainerState.WAITING, ContainerState.PREPARING): "agent",  # pull or create was submitted
    (ContainerState.PREPARING, ContainerState.STARTING): "agent",  # created, start was submitted
    (ContainerState.STARTING, ContainerState.RUNNING): "runtime",
    (ContainerState.STARTING, ContainerState.STOPPING): "agent",
    (ContainerState.STARTING, ContainerState.EXITED): "runtime",  # also: could not be started
    (ContainerState.RUNNING, ContainerState.STOPPING): "agent",
    (ContainerState.RUNNING, ContainerState.EXITED): "runtime",
    (ContainerState.STOPPING, ContainerState.EXITED): "runtime",
}
"""(from, to) -> who makes it, within one attempt. A stop before the start simply ends in the final report."""


class TaskState(StrEnum):
    PENDING = "Pending"
    BOUND = "Bound"
    PREPARING = "Preparing"
    STARTING = "Starting"
    RUNNING = "Running"
    STOPPING = "Stopping"
    SUCCEEDED = "Succeeded"
    FAILED = "Failed"
    STOPPED = "Stopped"
    LOST = "Lost"


FINISHED = frozenset({TaskState.SUCCEEDED, TaskState.FAILED, TaskState.STOPPED, TaskState.LOST})


@dataclass(frozen=True, slots=True)
class Placement:
    """Where a task is, as the state function needs it; `final`: its agent reported the end."""

    desired: Desired
    reason: StopReason | None
    final: bool


@dataclass(frozen=True, slots=True)
class ContainerView:
    """One container's newest attempt (0 is the first); `exit_code` is None until Exited.

    `started`: what its startup probe says, None without one.
    """

    state: ContainerState
    attempt: int
    exit_code: int | None
    role: Role = Role.MAIN
    started: bool | None = None


def will_restart(policy: RestartPolicy, exit_code: int | None) -> bool:
    """Say whether a container that ended with `exit_code` is started again in place."""
    return policy == "Always" or (policy == "OnFailure" and exit_code != 0)


def task_state(
    placement: Placement | None, containers: Sequence[ContainerView], policy: RestartPolicy
) -> TaskState:
    """Return the state of a task from where it is placed and what its containers do."""
    if placement is None:
        return TaskState.PENDING
    if placement.desired is Desired.STOP and placement.reason is not StopReason.COMPLETED:
        return TaskState.STOPPED if placement.final else TaskState.STOPPING
    if not containers:
        return TaskState.BOUND
    mains = [each for each in containers if each.role is Role.MAIN]
    failed = any(
        each.role is Role.INIT and _ended(each, policy) and each.exit_code != 0 for each in containers
    )
    if failed or (mains and all(_ended(each, policy) for each in mains)):
        if any(each.role is Role.SIDECAR and each.state in _AT_WORK for each in containers):
            return TaskState.RUNNING  # its sidecars end next
        failed = failed or any(each.exit_code != 0 for each in mains)
        return TaskState.FAILED if failed else TaskState.SUCCEEDED
    if mains and all(each.state is ContainerState.WAITING and not each.attempt for each in mains):
        before = next((each for each in containers if not _is_through(each)), None)
        if before is not None:
            is_first = not any(_is_through(each) for each in containers if each.role is not Role.MAIN)
            return _BEFORE[before.state] if is_first else TaskState.STARTING
    return min((_live_state(each) for each in mains), key=_TASK_ORDER.index, default=TaskState.BOUND)


def _ended(container: ContainerView, policy: RestartPolicy) -> bool:
    restarts = will_restart(restart_policy_of(policy, container.role), container.exit_code)
    return container.state is ContainerState.EXITED and not restarts


def _is_through(container: ContainerView) -> bool:
    """Say whether the containers after this one may begin."""
    match container.role:
        case Role.MAIN:
            return True
        case Role.INIT:
            return container.state is ContainerState.EXITED and container.exit_code == 0
        case Role.SIDECAR:
            return container.state is ContainerState.RUNNING and container.started is not False


_TASK_ORDER = (TaskState.BOUND, TaskState.PREPARING, TaskState.STARTING, TaskState.RUNNING)
_AT_WORK = (ContainerState.STARTING, ContainerState.RUNNING, ContainerState.STOPPING)

_LIVE = {
    ContainerState.WAITING: TaskState.BOUND,
    ContainerState.PREPARING: TaskState.PREPARING,
    ContainerState.STARTING: TaskState.STARTING,
    ContainerState.RUNNING: TaskState.RUNNING,
    ContainerState.STOPPING: TaskState.RUNNING,  # of its own accord; a wanted stop is the placement's
    ContainerState.EXITED: TaskState.RUNNING,  # its siblings go on, or it waits for its restart
}
_BEFORE = {
    state: TaskState.STARTING if live is TaskState.RUNNING else live for state, live in _LIVE.items()
}  # of a task whose init containers are not through yet, by the first of those


def _live_state(container: ContainerView) -> TaskState:
    """A container between two attempts counts as Running, as in Kubernetes; its reason tells the rest."""
    return TaskState.RUNNING if container.attempt > 0 else _LIVE[container.state]
