"""Who waits for a node: whom to try now, and who is parked until something happens that could help.

Equal tasks stand together, so that what helps one shape is asked once. A task that is parked is not polled.
"""

import heapq
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace

from controller.reconcilers.plan import Waiting
from controller.reconcilers.shapes import rule_of
from controller.scheduler.fairness import QueueRule
from controller.scheduler.reasons import AROUND, CURES, Code, Cure
from controller.scheduler.rejection import Rejection
from controller.scheduler.schedule import Unschedulable
from controller.scheduler.shape import Shape
from controller.scheduler.snapshot import TaskView
from controller.view import View
from schemas.keys import ObjectRef

NEVER = float("inf")


@dataclass(frozen=True, slots=True)
class Parked:
    """Why a task is not tried. is_around: the end of a task on one node may open another for it."""

    cures: frozenset[Cure]
    is_around: bool
    at_limit: bool


@dataclass(slots=True)
class Group:
    """Waiting tasks of one shape; `parked` are among them."""

    shape: Shape
    waiting: set[ObjectRef] = field(default_factory=set)
    parked: dict[ObjectRef, Parked] = field(default_factory=dict)


class Waitlist:
    """`want` and `drop` come from planning, `cure` from changes of the cluster, parking from a cycle's decisions."""

    def __init__(self) -> None:
        self._waiting: dict[ObjectRef, Waiting] = {}
        self._active: set[ObjectRef] = set()
        self._groups: dict[Shape, Group] = {}
        self._group_of: dict[ObjectRef, Group] = {}
        self._gangs: dict[tuple[str, str], set[ObjectRef]] = {}  # namespace and name -> members that wait
        self._held: set[ObjectRef] = set()  # for whom room is kept, or behind whom a queue waits
        self._rules: dict[str, QueueRule] = {}
        self._aged_at: list[tuple[float, ObjectRef]] = []  # when a task will have waited too long

    # Who waits

    def want(self, ref: ObjectRef, waiting: Waiting) -> None:
        """A task wants a node; if nothing about it changed since it was parked, it stays parked."""
        before = self._waiting.get(ref)
        group = self._group_of.get(ref)
        if before is None or group is None or before.task.shape != waiting.task.shape:
            group = self._regroup(ref, waiting.task.shape)
        task = replace(waiting.task, shape=group.shape)  # one object for all, so that equality is quick
        if before is not None and before.task.gang != task.gang:
            self._leave_gang(before.task)
        self._waiting[ref] = replace(waiting, task=task)
        if task.gang is not None:
            self._gangs.setdefault((ref.namespace, task.gang.name), set()).add(ref)
        due = self._aged_when(task)
        if due < NEVER and (before is None or self._aged_when(before.task) != due):
            heapq.heappush(self._aged_at, (due, ref))
        if ref not in group.parked or before is None or not _asks_the_same(before, self._waiting[ref]):
            self._activate(ref)

    def drop(self, ref: ObjectRef) -> None:
        """A task wants no node (any more)."""
        before = self._waiting.pop(ref, None)
        if before is None:
            return
        self._ungroup(ref)
        self._leave_gang(before.task)
        self._active.discard(ref)
        if ref in self._held:
            self._held.discard(ref)
            self.cure(Cure.LINE_MOVED)

    def retry(self, ref: ObjectRef) -> None:
        """It was placed, but can't be bound yet: it comes again."""
        if ref in self._waiting:
            self._activate(ref)

    def _regroup(self, ref: ObjectRef, shape: Shape) -> Group:
        self._ungroup(ref)
        group = self._groups.setdefault(shape, Group(shape))
        group.waiting.add(ref)
        self._group_of[ref] = group
        return group

    def _ungroup(self, ref: ObjectRef) -> None:
        group = self._group_of.pop(ref, None)
        if group is not None:
            group.waiting.discard(ref)
            group.parked.pop(ref, None)
            if not group.waiting:
                del self._groups[group.shape]

    def _leave_gang(self, task: TaskView) -> None:
        key = (task.ref.namespace, task.gang.name if task.gang is not None else "")
        members = self._gangs.get(key, set())
        members.discard(task.ref)
        if not members:
            self._gangs.pop(key, None)

    def _activate(self, ref: ObjectRef) -> None:
        self._group_of[ref].parked.pop(ref, None)
        self._active.add(ref)

    def _park(self, rejected: Unschedulable) -> None:
        ref = rejected.task.ref
        if ref in self._waiting:
            self._active.discard(ref)
            self._group_of[ref].parked[ref] = _parked(rejected.rejection)

    # Whom to try

    def waits(self, ref: ObjectRef) -> bool:
        return ref in self._waiting

    def waiting(self, ref: ObjectRef) -> Waiting:
        return self._waiting[ref]

    def active(self) -> frozenset[ObjectRef]:
        return frozenset(self._active)

    def held(self) -> frozenset[ObjectRef]:
        """Return those that go with every cycle, so that nobody passes them."""
        return frozenset(self._held)

    def due(self, now: float) -> frozenset[ObjectRef]:
        """Return whom to try now, empty if nothing could have changed for anybody."""
        self._age(now)
        if not self._active:
            return frozenset()
        gangs = {
            (task.ref.namespace, task.gang.name)
            for task in self._tasks(self._active | self._held)
            if task.gang is not None
        }
        return self.active() | self.held() | {ref for key in gangs for ref in self._gangs[key]}

    def torn_gangs(self, absent: Iterable[ObjectRef]) -> frozenset[ObjectRef]:
        """Return all who wait of the gangs of some members that can't go with a cycle just now.

        Judged without them the others would be parked, and nothing would bring them back when those can go.
        """
        gangs = {self._gang_key(ref) for ref in absent if ref in self._waiting}
        return frozenset(ref for key in gangs for ref in self._gangs.get(key, ()))

    def _gang_key(self, ref: ObjectRef) -> tuple[str, str]:
        gang = self._waiting[ref].task.gang
        return ref.namespace, gang.name if gang is not None else ""

    def _tasks(self, refs: Iterable[ObjectRef]) -> Iterator[TaskView]:
        return (self._waiting[ref].task for ref in refs)

    def counts(self) -> Mapping[str, int]:
        """Return how many tasks wait, by "active" and "parked"."""
        return {"active": len(self._active), "parked": len(self._waiting) - len(self._active)}

    # What could have changed

    def cure(self, happened: Cure) -> None:
        """Try those again whose reasons could have gone with what happened."""
        for group in self._groups.values():
            for ref in [ref for ref, parked in group.parked.items() if happened in parked.cures]:
                self._activate(ref)

    def queues_changed(self, view: View) -> None:
        """Take the rules of queues in."""
        rules = {name: rule_of(queue) for name, queue in view.queues().items()}
        if rules != self._rules:
            self._rules = rules
            tasks = [each.task for each in self._waiting.values()]
            self._aged_at = [(due, task.ref) for task in tasks if (due := self._aged_when(task)) < NEVER]
            heapq.heapify(self._aged_at)
            self.cure(Cure.QUEUE_CHANGED)
            self.cure(Cure.LINE_MOVED)
            self._may_reclaim()

    def _may_reclaim(self) -> None:
        """Try those again that may take something back now: guarantees decide who has borrowed."""
        for group in self._groups.values():
            for ref in [ref for ref, parked in group.parked.items() if Cure.RESOURCES_FREED in parked.cures]:
                task = self._waiting[ref].task
                if task.preempts and self._rule(task).guarantee:
                    self._activate(ref)

    def next_due(self) -> float | None:
        """Return when somebody will have waited too long to be passed any more."""
        while self._aged_at and self._aged_at[0][1] not in self._waiting:
            heapq.heappop(self._aged_at)
        return self._aged_at[0][0] if self._aged_at else None

    def _aged_when(self, task: TaskView) -> float:
        return task.waiting_since + self._rule(task).max_wait

    def _age(self, now: float) -> None:
        while self._aged_at and self._aged_at[0][0] <= now:
            _, ref = heapq.heappop(self._aged_at)
            if ref in self._waiting:
                self._activate(ref)

    def _queue_of(self, ref: ObjectRef) -> str:
        return self._waiting[ref].task.queue

    def _rule(self, task: TaskView) -> QueueRule:
        return self._rules.get(task.queue) or QueueRule(task.queue)


def _asks_the_same(before: Waiting, after: Waiting) -> bool:
    """Say whether nothing that decides differs; since when it waits is only noted."""
    task = replace(before.task, waiting_since=after.task.waiting_since)
    return (task, before.spec, before.nominated) == (after.task, after.spec, after.nominated)


def _parked(rejection: Rejection) -> Parked:
    codes = rejection.codes
    cures = frozenset().union(*(CURES[code] for code in codes))
    if rejection.queue is None:
        cures |= {Cure.NODE_CHANGED}
    return Parked(cures, bool(codes & AROUND), rejection.queue is Code.QUEUE_LIMIT)
