"""Which finished tasks go by themselves: by age, and the oldest ones of a namespace that has too many. Pure.

Only bare tasks are asked about, those that a person wrote: what an owner made is its owner's business, which counts
it first (a Job's history, a Deployment's next task).
"""

from collections.abc import Sequence
from dataclasses import dataclass

from schemas.binding import Desired
from schemas.keys import ObjectRef
from schemas.state import TaskState
from schemas.status import TaskStatus
from schemas.task import Task
from schemas.timestamps import parse_time
from schemas.versioned import Versioned

ENDED_BY_ITSELF = frozenset({TaskState.SUCCEEDED, TaskState.FAILED})
"""Lost is not among them: a person may have to look. Nor is Stopped, which goes on or goes."""

WEEK_S = 7 * 86_400.0


@dataclass(frozen=True, slots=True)
class FinishedPolicy:
    """ttl_s: how long a finished task is kept; inf: for ever. keep: at most so many in a namespace.

    A week: as long as the agent keeps its containers' logs, which is what a finished task is good for; Nomad
    keeps batch jobs for a day. A thousand are more than anybody reads; Kubernetes keeps 12,500 Pods in a cluster.
    """

    ttl_s: float = WEEK_S
    keep: int = 1000


@dataclass(frozen=True, slots=True)
class Finished:
    """A bare task that has ended; `at`: when (seconds since the epoch). Sorted, the oldest is first."""

    at: float
    ref: ObjectRef


@dataclass(frozen=True, slots=True)
class Collection:
    """Who goes now and why; next_at: when the next one is old enough, None if none will be."""

    refs: tuple[ObjectRef, ...]
    next_at: float | None


def decide(oldest: Sequence[Finished], count: int, policy: FinishedPolicy, now: float) -> Collection:
    """Return who goes of one namespace's finished tasks.

    oldest: as many of them, the oldest first, as one look may take; count: how many there are.
    """
    surplus = max(0, count - policy.keep)
    stays = (n for n, each in enumerate(oldest) if n >= surplus and each.at + policy.ttl_s > now)
    first = next(stays, None)
    if first is None:  # all of them go, and more may be due
        return Collection(tuple(each.ref for each in oldest), now if count > len(oldest) else None)
    due = oldest[first].at + policy.ttl_s
    return Collection(tuple(each.ref for each in oldest[:first]), due if due != float("inf") else None)


def finished_at(
    task: Versioned[Task], status: TaskStatus, bindings: Sequence[tuple[Desired, bool]]
) -> float | None:
    """Return when a bare task ended, if it has ended for good; None while anything of it goes on or may.

    bindings: of each what it is to do, and whether its agent has said that it ended. A spec that was changed since
    begins anew. The leader noted when it saw the end: that bounds the age of what a slow clock of a node dates back.
    """
    if status.uid != task.value.metadata.uid or status.state not in ENDED_BY_ITSELF:
        return None
    if status.observed_generation != task.generation:
        return None
    if any(desired is not Desired.STOP or not ended for desired, ended in bindings):
        return None
    noted = [each.last_transition_time for each in status.conditions if each.type == "Ready"]
    try:
        return max((parse_time(each) for each in (status.finished_at, *noted) if each), default=None)
    except ValueError:  # somebody has written there by hand
        return None
