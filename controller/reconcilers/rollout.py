"""The arithmetic of a Deployment: from the tasks that it has to those that go and how many come. Pure.

The rules are those of Kubernetes' deployment controller (pkg/controller/deployment/rolling.go), on tasks instead of
counts. Removals are decided first; what comes fits into the room that they leave, so that one step does all that may
be done now, and the same question asked of its outcome has no more to say.
"""

import heapq
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from controller.reconcilers.owner_inputs import OwnedTask
from schemas.selector import share_of
from schemas.workload import DeploymentSpec, RollingUpdate


class Replica(NamedTuple):
    """A task that counts: it is not leaving. `is_new`: its template is the one that is wanted.

    A plain tuple, as each plan makes one of each task.
    """

    task: OwnedTask
    is_new: bool
    is_ready: bool
    is_available: bool


@dataclass(frozen=True, slots=True)
class Bounds:
    """How many are wanted, how many must be available at least, and how many there may be."""

    wanted: int
    min_available: int
    max_total: int


@dataclass(frozen=True, slots=True)
class Moves:
    """Who goes, most dispensable first, and how many new ones come."""

    remove: tuple[Replica, ...] = ()
    create: int = 0


def bounds_of(spec: DeploymentSpec) -> Bounds:
    """Percent of maxUnavailable rounds down, of maxSurge up; where both come to 0, one may be unavailable."""
    wanted = spec.replicas
    if spec.strategy.type == "Recreate" or wanted == 0:
        return Bounds(wanted, wanted, wanted)
    rolling = spec.strategy.rolling_update or RollingUpdate()
    surge = share_of(rolling.max_surge, wanted, round_up=True)
    unavailable = share_of(rolling.max_unavailable, wanted, round_up=False)
    if surge == 0 and unavailable == 0:
        unavailable = 1
    return Bounds(wanted, max(wanted - unavailable, 0), wanted + surge)


def replica_of(task: OwnedTask, *, is_new: bool, min_ready_s: float, now: float) -> Replica:
    """A task is available once it has been ready for `min_ready_s` seconds."""
    ready = task.is_serving
    available = ready and task.ready_at is not None and task.ready_at + min_ready_s <= now
    return Replica(task, is_new, ready, available)


def roll(replicas: Sequence[Replica], bounds: Bounds, room: int) -> Moves:
    """One step of a rolling update, or of scaling; at most `room` tasks come and go."""
    too_many = dispensable(replicas, len(replicas) - bounds.max_total)
    left = _less(replicas, too_many)
    new = _new(left)
    superfluous = dispensable(new, len(new) - bounds.wanted)
    left = _less(left, superfluous)
    remove = (*too_many, *superfluous, *_replaced(left, bounds, room))[:room]
    left = _less(replicas, remove)
    create = min(bounds.wanted - len(_new(left)), bounds.max_total - len(left), room - len(remove))
    return Moves(remove, max(create, 0))


def _replaced(replicas: Sequence[Replica], bounds: Bounds, room: int) -> tuple[Replica, ...]:
    """Old tasks that may go now, `room` at most: those that are not available first, as they keep no promise.

    New tasks that are not available yet are counted as if they never will be.
    """
    new = _new(replicas)
    old = tuple(each for each in replicas if not each.is_new)
    unavailable = sum(not each.is_available for each in new)
    may_go = len(replicas) - bounds.min_available - unavailable
    if not old or may_go <= 0:
        return ()
    idle = dispensable((each for each in old if not each.is_available), min(may_go, room))
    spare = sum(each.is_available for each in replicas) - bounds.min_available
    return (*idle, *dispensable(_less(old, idle), min(spare, room - len(idle))))


def recreate(replicas: Sequence[Replica], bounds: Bounds, room: int, *, others_end: bool) -> Moves:
    """All old tasks go before the first new one comes; `others_end`: some of them are still on their way out."""
    old = dispensable((each for each in replicas if not each.is_new), room)
    new = _new(replicas)
    superfluous = dispensable(new, len(new) - bounds.wanted)
    remove = (*old, *superfluous)[:room]
    if old or others_end:
        return Moves(remove)
    return Moves(remove, max(min(bounds.wanted - len(new), room - len(remove)), 0))


def hold(replicas: Sequence[Replica], bounds: Bounds, room: int) -> Moves:
    """While paused: keep the number, and what is there of each template; a rollout's surge may stay."""
    is_mixed = len({each.is_new for each in replicas}) > 1
    most = bounds.max_total if is_mixed else bounds.wanted
    remove = dispensable(replicas, min(len(replicas) - most, room))
    create = min(bounds.wanted - len(replicas), room - len(remove))
    return Moves(remove, max(create, 0))


def dispensable(replicas: Iterable[Replica], most: int) -> tuple[Replica, ...]:
    """Return the first `most` of the order in which they go: not ready, without a node, old ones, then the youngest."""
    return tuple(heapq.nsmallest(most, replicas, key=_worth)) if most > 0 else ()


def _worth(replica: Replica) -> tuple[bool, bool, bool, bool, int]:
    task = replica.task
    has_node = task.status is not None and bool(task.status.value.node)
    age = task.owned.create_revision if task.owned is not None else 0
    return (replica.is_ready, has_node, replica.is_available, replica.is_new, -age)


def _new(replicas: Iterable[Replica]) -> tuple[Replica, ...]:
    return tuple(each for each in replicas if each.is_new)


def _less(replicas: Iterable[Replica], gone: Sequence[Replica]) -> tuple[Replica, ...]:
    if not gone:
        return tuple(replicas)
    names = {each.task.ref.name for each in gone}
    return tuple(each for each in replicas if each.task.ref.name not in names)
