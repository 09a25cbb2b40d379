"""Preemption: which tasks must go so that one that is due more can run; the fewest and least costly.

Who may be taken: of its own queue those of lower priority; of other queues, if the task stays within the guarantee of
its queue, those that their queue has beyond its guarantee, each counted when those before it are gone. There is no
cycle: a task that was taken for its priority is below the taker's; and one that was reclaimed was not within a
guarantee, by the same measure by which one must be to reclaim. So neither can take its place back. Nobody drives out
those that it is to be near: when they are gone, it could not come.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from controller.scheduler.columns import EVERY_ROW, Bools, Ints
from controller.scheduler.crowd import NOWHERE
from controller.scheduler.fairness import Account
from controller.scheduler.filters import FILTERS, allowed, fits_resources, shortages
from controller.scheduler.node_view import Standing
from controller.scheduler.shape import Shape
from controller.scheduler.snapshot import TaskView
from controller.scheduler.work import Work

MAX_CANDIDATES = 100  # nodes of which the best is chosen, as in Kubernetes
MAX_REFUSED = 1000
"""Nodes that are looked at for one task where enough is held and may not all be taken; the least short are first."""
MAX_REFUSED_IN_CYCLE = 10_000  # of all tasks: at some 50 µs each half a second; the first in order have them


@dataclass(frozen=True, slots=True)
class Preemption:
    """Room on `row` for a task, once the victims have ended."""

    task: TaskView
    row: int
    victims: tuple[Standing, ...]


@dataclass(frozen=True, slots=True)
class _Key:
    """Who may be taken is the same for all tasks of one key. reclaims: from other queues too."""

    queue: str
    priority: int
    reclaims: bool


@dataclass(slots=True)
class _Room:
    """What there is for a task on a node while others go. free: resource -> amount."""

    task: TaskView
    free: dict[str, int]

    def is_enough(self) -> bool:
        requests = self.task.shape.requests
        return all(self.free.get(name, 0) >= amount for name, amount in requests if amount)

    def give(self, standing: Standing, sign: int = 1) -> None:
        """Count one that goes; -1: it stays after all."""
        _add(self.free, standing, sign)


@dataclass(slots=True)
class Preemptor:
    """What was taken in this cycle: a victim is taken once, and its queue is charged no longer."""

    work: Work
    accounts: Mapping[str, Account]
    taken: set[str] = field(default_factory=set)
    _ending: dict[str, dict[str, int]] = field(default_factory=dict)  # of the queues that were asked about
    _releasable: dict[_Key, dict[str, Ints]] = field(default_factory=dict)
    _refused: int = 0

    def find(self, task: TaskView, now: float, *, out: Collection[int] = ()) -> Preemption | None:
        """Return the cheapest preemption that makes room for a task, None if there is none. out: rows to leave out."""
        if not task.preempts or self._refused >= MAX_REFUSED_IN_CYCLE:
            return None
        reclaims = self.accounts[task.queue].is_guaranteed(task.shape.requests)
        found: list[tuple[tuple[float, ...], Preemption]] = []
        refused = 0
        for row in self._rows(task, out, reclaims=reclaims):
            victims = self._victims(task, row, now, reclaims=reclaims)
            if victims:
                own = sum(each.queue == task.queue for each in victims) if reclaims else 0
                found.append(((own, *_cost(victims, now, row)), Preemption(task, row, victims)))
            refused += not victims
            if len(found) == MAX_CANDIDATES or refused == MAX_REFUSED:
                break
        self._refused += refused
        return min(found, key=lambda each: each[0])[1] if found else None

    def take(self, preemption: Preemption) -> None:
        """Count its victims as taken; their room is the preemptor's when they have ended."""
        for victim in preemption.victims:
            self.taken.add(victim.uid)
            self.accounts[victim.queue].take(victim.requests, -1)
        self._releasable = {key: sums for key, sums in self._releasable.items() if not key.reclaims}
        for key, sums in self._releasable.items():
            for victim in preemption.victims:
                if victim.queue == key.queue and victim.priority < key.priority:
                    for name, amount in victim.requests:
                        sums[name][preemption.row] -= amount

    def may_take(self, task: TaskView, standing: Standing, *, reclaims: bool) -> bool:
        """Say whether one task may be taken for another."""
        if standing.uid in self.taken or standing.is_ending or not standing.may_be_preempted:
            return False
        if any(term.matches(standing.labels) for term in task.shape.company.near):
            return False
        if standing.queue == task.queue:
            return standing.priority < task.priority
        return reclaims and self._is_borrowed(standing, {})

    def will_fit(self, task: TaskView, row: int, ending: Iterable[Standing]) -> bool:
        """Say whether there is enough for a task on a node when those that end there have ended."""
        room = self._room(task, row)
        for each in ending:
            room.give(each)
        return room.is_enough()

    def _room(self, task: TaskView, row: int) -> _Room:
        resources = self.work.fleet.resources
        return _Room(task, {name: int(self.work.free[index, row]) for name, index in resources.items()})

    # What queues hold

    def _is_borrowed(self, standing: Standing, gone: Mapping[str, int]) -> bool:
        """Say whether a task is beyond its queue's guarantee once the queue holds less by `gone`."""
        if standing.queue not in self.accounts:
            return True
        return not self._left(standing.queue, gone).holds_as_guaranteed(standing.requests)

    def _left(self, queue: str, gone: Mapping[str, int]) -> Account:
        """Return what a queue holds when those that are on their way out, and `gone`, have ended."""
        account, ending = self.accounts[queue], self._ending_of(queue)
        left = {name: used - ending.get(name, 0) - gone.get(name, 0) for name, used in account.used.items()}
        return Account(account.rule, left)

    def _ending_of(self, queue: str) -> Mapping[str, int]:
        """Return what a queue will have given back in a moment: that is not there to be reclaimed once more."""
        known = self._ending.get(queue)
        if known is None:
            crowd = self.work.fleet.crowd
            leaving = crowd.is_ending & (crowd.row != NOWHERE) & (crowd.queue == crowd.queues.find(queue))
            held = zip(crowd.resources.values, crowd.amounts[:, leaving].sum(axis=1), strict=True)
            known = self._ending[queue] = {name: int(amount) for name, amount in held}
        return known

    # Where enough is held by those who may be taken

    def _rows(self, task: TaskView, out: Collection[int], *, reclaims: bool) -> list[int]:
        """Return the rows where a task may fit when others are gone, the least short first."""
        released = self._released(_Key(task.queue, task.priority, reclaims))
        if not released:
            return []
        shape, free = task.shape, self.work.free
        fits = allowed(shape.place, self.work.fleet).copy()
        fits[list(out)] = False
        for name, asked in shape.requests:
            index = self.work.fleet.resources.get(name)
            if asked:
                fits &= free[index] + released.get(name, 0) >= asked if index is not None else False
        for each in FILTERS if fits.any() else ():
            if each is not fits_resources:
                for check in each(shape, self.work, EVERY_ROW):
                    fits &= ~check.fails
        rows = np.flatnonzero(fits)
        least_short = np.argsort(shortages(shape, self.work)[rows], kind="stable")
        return [int(row) for row in rows[least_short]]

    def _released(self, key: _Key) -> dict[str, Ints]:
        """Return what those who may be taken hold: resource -> by row; empty if there is nobody."""
        known = self._releasable.get(key)
        if known is None:
            crowd = self.work.fleet.crowd
            is_own = crowd.queue == crowd.queues.find(key.queue)
            chosen = is_own & (crowd.priority < key.priority)
            if key.reclaims:
                chosen |= ~is_own & self._borrowed()
            chosen &= (crowd.row != NOWHERE) & ~crowd.is_ending & crowd.may_be_preempted
            chosen[[crowd.slot_of[uid] for uid in self.taken]] = False
            known = crowd.sum_by(crowd.row, chosen, self.work.fleet.size) if chosen.any() else {}
            self._releasable[key] = known
        return known

    def _borrowed(self) -> Bools:
        """Return by slot what `_is_borrowed` says of a task, before any other is gone."""
        crowd = self.work.fleet.crowd
        held = [self._left(name, {}) for name in crowd.queues.values if name in self.accounts]
        named, beyond = np.zeros(crowd.row.shape, np.bool_), np.zeros(crowd.row.shape, np.bool_)
        for code, name in enumerate(crowd.resources.values):
            asks = crowd.amounts[code] > 0
            for account in held:
                if name in account.rule.guarantee:
                    own = asks & (crowd.queue == crowd.queues.find(account.rule.name))
                    named |= own
                    if account.used.get(name, 0) > account.rule.guarantee[name]:
                        beyond |= own
        return ~named | beyond

    # Who goes, on one node

    def _victims(self, task: TaskView, row: int, now: float, *, reclaims: bool) -> tuple[Standing, ...]:
        """Take the cheapest first, else the largest: of whole tasks those may be all that can be reclaimed.

        Who reclaims takes those of other queues first: one of its own would reclaim in its turn.
        """
        eligible = [
            each
            for each in self.work.fleet.on_row.get(row, {}).values()
            if self.may_take(task, each, reclaims=reclaims)
        ]
        own = task.queue if reclaims else ""
        eligible.sort(key=lambda each: (each.queue == own, each.priority, lost_work(each, now), each.uid))
        return self._enough(task, row, eligible) or (
            self._enough(task, row, sorted(eligible, key=lambda each: -_help(task.shape, each)))
            if reclaims
            else ()
        )

    def _enough(self, task: TaskView, row: int, eligible: Sequence[Standing]) -> tuple[Standing, ...]:
        """Take one after the other until it fits, then spare from the last on those that need not go."""
        room, gone = self._room(task, row), list[Standing]()
        of_queue: dict[str, dict[str, int]] = {}
        for each in eligible:
            if room.is_enough():
                break
            given = of_queue.setdefault(each.queue, {})
            if each.queue == task.queue or self._is_borrowed(each, given):
                gone.append(each)
                room.give(each)
                _add(given, each, +1)
        if not room.is_enough():
            return ()
        for each in reversed(list(gone)):
            room.give(each, -1)
            if room.is_enough():
                gone.remove(each)
            else:
                room.give(each)
        return () if self._would_borrow(task, gone) else tuple(gone)

    def _would_borrow(self, task: TaskView, victims: Sequence[Standing]) -> bool:
        """Say whether what its own queue holds within the guarantee would become what it borrows.

        Another queue could take that back at once, and then those would come again who had to go for it.
        """
        own = [each for each in victims if each.queue == task.queue]
        if all(self._is_borrowed(each, {}) for each in own):
            return False
        gone = dict[str, int]()
        for each in own:
            _add(gone, each, +1)
        return not self._left(task.queue, gone).is_guaranteed(task.shape.requests)


def lost_work(task: Standing, now: float) -> float:
    """Return the seconds that a task has run, which are lost when it goes."""
    return max(0.0, now - task.started_at) if task.started_at is not None else 0.0


def _help(shape: Shape, task: Standing) -> float:
    """Return the largest share of what is asked for that a task's end would free."""
    held = dict(task.requests)
    return max((held.get(name, 0) / amount for name, amount in shape.requests if amount), default=0.0)


def _cost(victims: tuple[Standing, ...], now: float, row: int) -> tuple[float, ...]:
    """The lowest highest priority first, then the least work lost, then the fewest."""
    highest = max(each.priority for each in victims)
    return highest, sum(lost_work(each, now) for each in victims), len(victims), row


def _add(free: dict[str, int], task: Standing, sign: int) -> None:
    for name, amount in task.requests:
        free[name] = free.get(name, 0) + sign * amount
