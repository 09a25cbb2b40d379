"""When an ended container is started again in place, and when a failed pull or create is tried again."""

from dataclasses import dataclass

from agent.runtime.api import ContainerInfo, Reason
from schemas.roles import Role, restart_policy_of
from schemas.state import will_restart
from schemas.task import RestartBackoff, RestartPolicy, TaskSpec

IMAGE_BACKOFF = RestartBackoff(initial=10.0, factor=2.0, max=300.0)  # Kubernetes' image pull backoff


@dataclass(frozen=True, slots=True)
class Restart:
    """The next attempt: from when on (seconds since the epoch), and after how many ends in a row."""

    due: float
    failures: int


def delay_s(backoff: RestartBackoff, failures: int) -> float:
    """Return the seconds to wait after `failures` (1 or more) failures in a row."""
    doublings = min(failures - 1, 1000)
    try:
        return float(min(backoff.max, backoff.initial * backoff.factor**doublings))
    except OverflowError:
        return float(backoff.max)


def next_restart(spec: TaskSpec, ended: ContainerInfo) -> Restart | None:
    """Return when the attempt after `ended` starts, None if the task's policy wants no other.

    A host port that a stranger holds is no end of the task's own: it is tried again whatever the policy. Nor is
    the end of its sandbox, which has a patience of its own.
    """
    if not wants_restart(spec.restart_policy, ended):
        return None
    if ended.failure is Reason.SANDBOX_ENDED:
        return Restart(ended.ended_at, ended.journal.failures)
    ran_s = ended.finished_at - ended.started_at if ended.started_at else 0.0
    before = 0 if ran_s >= spec.restart_backoff.reset_after else ended.journal.failures
    return Restart(ended.ended_at + delay_s(spec.restart_backoff, before + 1), before + 1)


def wants_restart(policy: RestartPolicy, ended: ContainerInfo) -> bool:
    """Say whether `ended` is started again in a task with `policy`, which its role may change."""
    if ended.failure is Reason.HOST_PORT_TAKEN or ended.journal.is_sandbox:
        return True
    return will_restart(restart_policy_of(policy, Role(ended.journal.role)), ended.exit_code)


def sandbox_due(spec: TaskSpec, ended: ContainerInfo) -> tuple[float, int]:
    """Return when the sandbox after `ended` may begin, and after how many ends in a row."""
    ran_s = ended.finished_at - ended.started_at if ended.started_at else 0.0
    if ran_s >= spec.restart_backoff.reset_after:
        return ended.ended_at, 1
    failures = ended.journal.failures
    never_ran = ended.started_at == 0.0
    wait_s = delay_s(spec.restart_backoff, failures + 1) if failures or never_ran else 0.0
    return ended.ended_at + wait_s, failures + 1
