"""The live side of the scheduler: a cycle over those that are to be tried, and who is to be tried when room is freed.

A task that fits nowhere is parked with the changes that could cure its reasons (`waitlist`), and tried again then.
With those that are tried go the tasks of earlier cycles for which room is kept, or behind which their queue waits.
"""

import heapq
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace

import numpy as np

from controller.fleetkeeping import FleetKeeper, Freed
from controller.reconcilers.guarantees import shortfalls
from controller.scheduler.fairness import Account, QueueRule
from controller.scheduler.order import order_key
from controller.scheduler.place import fitting, is_plain
from controller.scheduler.proposal import adopt
from controller.scheduler.reasons import Cure
from controller.scheduler.record import records
from controller.scheduler.schedule import Decisions, Placed, Policy, schedule, strategy_of
from controller.scheduler.scores import OPTIMAL, Strategy
from controller.scheduler.shape import Shape
from controller.scheduler.snapshot import Snapshot, TaskView
from controller.scheduler.staying import staying
from controller.scheduler.work import Work
from controller.waitlist import NEVER, Waitlist
from schemas.keys import ObjectRef
from schemas.status import Decision
from schemas.timestamps import format_time


class Scheduling(Waitlist):
    """Cycles over those that wait, on the live fleet."""

    def __init__(
        self,
        policy: Policy,
        keeper: FleetKeeper,
        begun: Callable[[tuple[str, str]], int] = lambda _: 0,
    ) -> None:
        """begun: how many members of the gang of a namespace and name run already."""
        super().__init__()
        self._begun = begun
        self._policy = policy
        self._keeper = keeper

    # What could have changed

    def lacking(self, queue: str) -> str | None:
        """Return what of a queue's guarantee the nodes can't give, empty for nothing; None if it has none."""
        rule = self._rules.get(queue)
        if rule is None or not rule.guarantee:
            return None
        short = shortfalls(self._rules.values(), self._keeper.fleet.capacity())
        return "; ".join(text for name, text in short.items() if name in rule.guarantee)

    def guaranteed(self) -> list[str]:
        """Return the queues that have a guarantee."""
        return [name for name, rule in self._rules.items() if rule.guarantee]

    def freed(self, freed: Freed) -> None:
        """Try those again that fit what was freed, as many of equal ones as it is enough for."""
        if freed.nodes:
            self._nodes_freed(freed.nodes)
        for name in freed.queues:
            rule = self._rules.get(name, QueueRule(name))
            if rule.limit:
                self._queue_freed(name)
            if rule.guarantee:
                self._guarantee_freed(rule)

    def _nodes_freed(self, names: frozenset[str]) -> None:
        fleet = self._keeper.fleet
        rows = np.array(sorted(fleet.row_of[name] for name in names if name in fleet.row_of), np.int64)
        work: Work | None = None
        for group in list(self._groups.values()):
            cured = [ref for ref, each in group.parked.items() if Cure.RESOURCES_FREED in each.cures]
            if not cured:
                continue
            work = work or Work.of(fleet)
            for ref in [ref for ref in cured if self._waiting[ref].task.ending_on & names]:
                self._activate(ref)
            is_around = any(group.parked[ref].is_around for ref in cured if ref in group.parked)
            room = _room(group.shape, work, None if is_around else rows)
            for ref in list(self._first([ref for ref in cured if ref in group.parked], room)):
                self._activate(ref)

    def _queue_freed(self, name: str) -> None:
        """Try those that the limit of a queue has room for now."""
        account = Account(self._rules[name], dict(self._keeper.used.get(name, {})))
        for group in list(self._groups.values()):
            at_limit = [
                ref for ref, each in group.parked.items() if each.at_limit and self._queue_of(ref) == name
            ]
            if at_limit and account.over_limit(group.shape.requests) is None:
                for ref in at_limit:
                    self._activate(ref)

    def _guarantee_freed(self, rule: QueueRule) -> None:
        """Try the first of each shape that is within the guarantee now: it may take back what others have borrowed."""
        account = Account(rule, dict(self._keeper.used.get(rule.name, {})))
        for group in list(self._groups.values()):
            if account.is_guaranteed(group.shape.requests):
                tasks = [self._waiting[ref].task for ref in group.parked if self._queue_of(ref) == rule.name]
                for task in heapq.nsmallest(1, tasks, key=lambda task: order_key(task, rule, 0.0)):
                    self._activate(task.ref)

    def _first(self, refs: list[ObjectRef], room: int) -> Iterator[ObjectRef]:
        """Yield of each queue as many as there is room for: the next in order, and the shortest, as those may pass."""
        if room >= len(refs):
            yield from refs
            return
        by_queue: dict[str, list[TaskView]] = {}
        for ref in refs if room else ():
            by_queue.setdefault(self._queue_of(ref), []).append(self._waiting[ref].task)
        for tasks in by_queue.values():
            rule = self._rule(tasks[0])
            found = heapq.nsmallest(room, tasks, key=lambda task: order_key(task, rule, 0.0))
            found += heapq.nsmallest(room, (each for each in tasks if each.estimate is not None), key=_length)
            yield from {each.ref for each in found}

    def came(self, placed: Iterable[Placed]) -> None:
        """Try those again who wanted company, or may take the place of those that came."""
        lowest: dict[str, int] = {}
        for each in placed:
            task = each.task
            lowest[task.queue] = min(task.priority, lowest.get(task.queue, task.priority))
        if not lowest:
            return
        self.cure(Cure.TASK_CAME)
        for group in list(self._groups.values()):
            for ref in [ref for ref in group.parked if self._may_take_place(ref, lowest)]:
                self._activate(ref)

    def _may_take_place(self, ref: ObjectRef, lowest: Mapping[str, int]) -> bool:
        task, parked = self._waiting[ref].task, self._group_of[ref].parked[ref]
        if not task.preempts or Cure.RESOURCES_FREED not in parked.cures:
            return False
        if lowest.get(task.queue, task.priority) < task.priority:
            return True
        return bool(self._rule(task).guarantee) and bool(lowest.keys() - {task.queue})

    # One cycle

    def snapshot(self, refs: Iterable[ObjectRef] | None = None) -> Snapshot:
        """Return what a cycle over `refs`, or all that wait, sees; the fleet is the live one, for this thread now."""
        chosen = [self._waiting[ref] for ref in sorted(self._waiting if refs is None else refs)]
        return Snapshot(
            self._keeper.fleet,
            tuple(self._with_those_who_run(each.task) for each in chosen),
            tuple(self._rules.values()),
            self._keeper.used,
            {each.task.uid: each.nominated for each in chosen if each.nominated},
        )

    def _with_those_who_run(self, task: TaskView) -> TaskView:
        """So many members of its gang as run already need not come with it."""
        if task.gang is None:
            return task
        missing = task.gang.least - self._begun((task.ref.namespace, task.gang.name))
        return replace(task, gang=replace(task.gang, least=max(1, missing)))

    @property
    def policy(self) -> Policy:
        return self._policy

    def cycle(
        self, refs: Iterable[ObjectRef], now: float, seed: int, nodes: Mapping[str, str] | None = None
    ) -> Decisions:
        """Decide about `refs`; those that fit nowhere are parked. nodes: what an optimiser proposes, task uid -> node.

        Those that a proposal leaves out, though they would fit, stay to be tried again.
        """
        snapshot = self.snapshot(refs)
        decisions = schedule(snapshot, self._policy, now, seed)
        if nodes:
            decisions = adopt(snapshot, decisions, nodes, now)
        for rejected in decisions.unschedulable:
            self._park(rejected)
        for placed in decisions.placed:
            self._active.discard(placed.task.ref)
        self._hold(decisions)
        self.came(decisions.placed)
        return decisions

    def records(self, placed: Iterable[Placed], now: float) -> Mapping[str, Decision]:
        """Return task uid -> why it was placed where it was; before any of them is assumed."""
        return records(self._keeper.fleet, placed, self._strategy, format_time(now))

    def is_optimal(self, task: TaskView) -> bool:
        """Say whether a task, or its queue, asks for an optimal packing."""
        return (task.shape.strategy or self._rule(task).strategy) == OPTIMAL

    def _strategy(self, task: TaskView) -> Strategy:
        return strategy_of(task, self._rule(task), self._policy)

    def _hold(self, decisions: Decisions) -> None:
        """Keep those in the next cycles who stay, so that nobody passes them unseen."""
        held = {task.ref for task in staying(decisions)}
        left = self._held - held
        self._held = held & self._waiting.keys()
        if left:
            self.cure(Cure.LINE_MOVED)


def _room(shape: Shape, work: Work, rows: "np.ndarray[tuple[int, ...], np.dtype[np.int64]] | None") -> int:
    """Return how many tasks of a shape fit on some rows, on all for None; any number if not only amounts count."""
    most = 2**31
    if rows is not None:
        for name, asked in shape.requests:
            index = work.fleet.resources.get(name)
            if asked and (index is None or not (work.free[index, rows] >= asked).any()):
                return 0
    fits = fitting(shape, work)
    fits = fits if rows is None else fits[rows]
    if not fits.any():
        return 0
    if rows is None or not is_plain(shape):
        return most
    rooms = np.where(fits, most, 0)
    for name, asked in shape.requests:
        if asked:
            np.minimum(rooms, work.free[work.fleet.resources[name], rows] // asked, out=rooms)
    return min(most, int(rooms.sum()))


def _length(task: TaskView) -> float:
    return task.estimate if task.estimate is not None else NEVER
