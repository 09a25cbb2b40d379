"""Proposals: who is to go where, as an optimiser has it. They are checked here by the filters that decide all else.

    follow(snapshot, nodes)   places each task on its proposed node if it fits there now, in an order that works

So nothing is ever bound that does not fit, whatever was proposed, and however old it is. What a proposal is worth is
compared with what the scheduler does by itself: it is taken only if it is better for the whole, and worse for no queue.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from controller.scheduler.fairness import Account, QueueRule, accounts_of, dominant
from controller.scheduler.fleet import Fleet
from controller.scheduler.node_view import Standing
from controller.scheduler.order import is_aged
from controller.scheduler.place import fitting
from controller.scheduler.schedule import Decisions, Placed
from controller.scheduler.shape import OWNER
from controller.scheduler.snapshot import Snapshot, TaskView
from controller.scheduler.work import Work

MAX_TIERS = 6  # lower priorities count as one: each tier is a program of its own
MICRO = 1_000_000  # work is counted in millionths of the cluster

Nodes = Mapping[str, str]
"""Task uid -> name of a node."""


@dataclass(frozen=True, slots=True)
class Worth:
    """How good placements are. by_tier: work placed, the most urgent first; by_queue: the same of each (queue, tier).

    Work is the largest share of the cluster that a task asks of any resource, in millionths, and at least one.
    """

    by_tier: tuple[int, ...]
    by_queue: Mapping[tuple[str, int], int]
    placed: int
    nodes_used: int

    def is_better_than(self, other: "Worth") -> bool:
        """More work of the first tier in which they differ, else fewer nodes; and no queue gets less in any tier."""
        if any(self.by_queue.get(key, 0) < work for key, work in other.by_queue.items()):
            return False
        return (self.by_tier, -self.nodes_used) > (other.by_tier, -other.nodes_used)


@dataclass(frozen=True, slots=True)
class Tiers:
    """How urgent each waiting task is: those that waited too long first, then by priority."""

    of: Mapping[str, int]
    count: int


def tiers_of(snapshot: Snapshot, now: float) -> Tiers:
    """Return task uid -> tier, 0 the most urgent."""
    rules = {rule.name: rule for rule in snapshot.queues}
    keys = {
        task.uid: (0, 0)
        if is_aged(task, rules.get(task.queue) or QueueRule(task.queue), now)
        else (1, -task.priority)
        for task in snapshot.pending
    }
    ranks = {key: min(number, MAX_TIERS - 1) for number, key in enumerate(sorted(set(keys.values())))}
    return Tiers({uid: ranks[key] for uid, key in keys.items()}, max(ranks.values(), default=-1) + 1)


def work_of(task: TaskView, capacity: Mapping[str, int]) -> int:
    return max(1, round(dominant(dict(task.shape.requests), capacity)[1] * MICRO))


def worth_of(snapshot: Snapshot, placed: Iterable[Placed], tiers: Tiers) -> Worth:
    """Return how good it is that these are placed."""
    capacity, by_tier = snapshot.fleet.capacity(), [0] * tiers.count
    by_queue: dict[tuple[str, int], int] = {}
    used, count = used_rows(snapshot.fleet), 0
    for each in placed:
        tier, work = tiers.of[each.task.uid], work_of(each.task, capacity)
        by_tier[tier] += work
        by_queue[each.task.queue, tier] = by_queue.get((each.task.queue, tier), 0) + work
        used.add(each.taken.row)
        count += 1
    return Worth(tuple(by_tier), by_queue, count, len(used))


def used_rows(fleet: Fleet) -> set[int]:
    """Return the rows on which something stands that keeps a node from being empty."""
    return {row for row, tasks in fleet.on_row.items() if any(occupies(each) for each in tasks.values())}


def occupies(task: Standing) -> bool:
    """Say whether a task keeps its node from being empty: those of a DaemonSet are on each, and go with it."""
    return not task.is_ending and not is_of_daemonset(task)


def is_of_daemonset(task: Standing) -> bool:
    owner = next((value for key, value in task.labels.labels if key == OWNER), "")
    return owner.startswith("daemonsets/")


# The check


@dataclass(frozen=True, slots=True)
class Followed:
    """placed: in an order in which each fits. refused: uids of those that do not fit where they were to go."""

    placed: tuple[Placed, ...]
    refused: frozenset[str]


def follow(snapshot: Snapshot, nodes: Nodes, kept: Mapping[str, frozenset[str]] | None = None) -> Followed:
    """Place waiting tasks on the nodes that were proposed, as far as they fit there.

    kept: node that is kept for somebody else -> uids of those who may go there all the same. A gang of which not
    enough members fit is left out as a whole.
    """
    refused: set[tuple[str, str]] = set()
    while True:
        trial = _Trial(snapshot, nodes, kept or {})
        wanted = [task for task in snapshot.pending if task.uid in nodes and _gang_of(task) not in refused]
        trial.place(wanted)
        broken = {key for key, missing in _missing(wanted, trial.placed).items() if missing > 0}
        if not broken:
            done = {each.task.uid for each in trial.placed}
            return Followed(tuple(trial.placed), frozenset(nodes) - done)
        refused |= broken


def kept_nodes(decisions: Decisions) -> dict[str, frozenset[str]]:
    """Return the nodes that are kept for others: name -> uids of those who go there and are in nobody's way."""
    names = {name for name, _ in decisions.reservations.values()} | {each.node for each in decisions.victims}
    return {
        name: frozenset(each.task.uid for each in decisions.placed if each.node == name) for name in names
    }


def adopt(snapshot: Snapshot, decisions: Decisions, nodes: Nodes, now: float) -> Decisions:
    """Return the decisions with a proposal in place of those about the same tasks, if that is better now."""
    tiers = tiers_of(snapshot, now)
    others = {each.task.uid: each.node for each in decisions.placed if each.task.uid not in nodes}
    found = follow(snapshot, {**others, **nodes}, kept_nodes(decisions))
    if not worth_of(snapshot, found.placed, tiers).is_better_than(
        worth_of(snapshot, decisions.placed, tiers)
    ):
        return decisions
    done = {each.task.uid for each in found.placed}
    return replace(
        decisions,
        placed=found.placed,
        unschedulable=tuple(each for each in decisions.unschedulable if each.task.uid not in done),
        victims=tuple(each for each in decisions.victims if each.for_uid not in done),
    )


@dataclass(slots=True)
class _Trial:
    snapshot: Snapshot
    nodes: Nodes
    kept: Mapping[str, frozenset[str]]
    placed: list[Placed] = field(default_factory=list)
    _accounts: dict[str, Account] = field(default_factory=dict)
    _work: Work = field(init=False)

    def __post_init__(self) -> None:
        self._work = work_with_promises(self.snapshot, self.nodes)
        self._accounts = accounts_of(self.snapshot.queues, self.snapshot.used)

    def place(self, tasks: list[TaskView]) -> None:
        """Try each until none of those that are left fits: one may need another to be there first."""
        left = tasks
        while left:
            waiting = [task for task in left if not self._place_one(task)]
            if len(waiting) == len(left):
                return
            left = waiting

    def _place_one(self, task: TaskView) -> bool:
        name, fleet = self.nodes[task.uid], self._work.fleet
        row = fleet.row_of.get(name)
        account = self._accounts.setdefault(task.queue, Account(QueueRule(task.queue)))
        if row is None or name in task.ending_on or task.uid not in self.kept.get(name, {task.uid}):
            return False
        if account.over_limit(task.shape.requests) is not None:
            return False
        if not fitting(task.shape, self._work, slice(row, row + 1))[0]:
            return False
        self.placed.append(Placed(task, name, self._work.take(row, task.shape)))
        account.take(task.shape.requests)
        return True


def work_with_promises(snapshot: Snapshot, besides: Nodes) -> Work:
    """Return the working copy in which the room of those for whom victims are ending is taken."""
    work = Work.of(snapshot.fleet)
    for task in snapshot.pending:
        row = snapshot.fleet.row_of.get(snapshot.nominated.get(task.uid, ""))
        if row is not None and task.uid not in besides:
            work.take_equal(row, task.shape, 1)
    return work


def _gang_of(task: TaskView) -> tuple[str, str] | None:
    return None if task.gang is None else (task.ref.namespace, task.gang.name)


def _missing(wanted: list[TaskView], placed: list[Placed]) -> dict[tuple[str, str], int]:
    """Return gang -> how many members it lacks."""
    missing: dict[tuple[str, str], int] = {}
    for task in wanted:
        key = _gang_of(task)
        if key is not None and task.gang is not None:
            missing[key] = task.gang.least
    for each in placed:
        key = _gang_of(each.task)
        if key is not None:
            missing[key] -= 1
    return missing
