"""Preemption: which tasks must go so that one that is due more can run; the fewest and least costly.

Who may be taken: of its own queue those of lower priority; of other queues, if the task stays within the guarantee of
its queue, those that their queue has beyond its guarantee, each counted when those before it are gone. There is no
cycle: a task that was taken for its priority is below the taker's; and one that was reclaimed was not within a
guarantee, by the same measure by which one must be to reclaim. So neither can take its place back. Nobody drives out
those that it is to be near: when they are gone, it could not come.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from controller.scheduler.columns import ABSENT, EVERY_ROW, Bools, Ints
from controller.scheduler.crowd import NOWHERE
from controller.scheduler.fairness import Account
from controller.scheduler.filters import FILTERS, allowed, fits_resources
from controller.scheduler.node_view import Standing
from controller.scheduler.shape import Shape
from controller.scheduler.snapshot import TaskView
from controller.scheduler.work import Work

MAX_CANDIDATES = 100  # nodes of which the best is chosen, as in Kubernetes


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
class Preemptor:
    """What was taken in this cycle: a victim is taken once, and its queue is charged no longer."""

    work: Work
    accounts: Mapping[str, Account]
    taken: set[str] = field(default_factory=set)
    _ending: dict[str, Ints] | None = (
        None  # resource -> what the tasks of each queue hold that are on their way out
    )
    _releasable: dict[_Key, dict[str, Ints]] = field(default_factory=dict)

    def find(self, task: TaskView, now: float) -> Preemption | None:
        """Return the cheapest preemption that makes room for a task, None if there is none."""
        if not task.preempts:
            return None
        account = self.accounts[task.queue]
        reclaims = account.is_guaranteed(task.shape.requests)
        rows = np.flatnonzero(self._candidates(task, reclaims=reclaims))
        found: list[tuple[tuple[float, ...], Preemption]] = []
        for row in rows:
            victims = self._victims(task, int(row), now, reclaims=reclaims)
            if victims:
                own = sum(each.queue == task.queue for each in victims) if reclaims else 0
                found.append(((own, *_cost(victims, now, int(row))), Preemption(task, int(row), victims)))
            if len(found) == MAX_CANDIDATES:
                break
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

    def _is_borrowed(self, standing: Standing, gone: Mapping[str, int]) -> bool:
        """Say whether a task is beyond its queue's guarantee once the queue holds less by `gone`."""
        account = self.accounts.get(standing.queue)
        if account is None:
            return True
        ending = self._ending_of(standing.queue)
        left = {name: used - ending.get(name, 0) - gone.get(name, 0) for name, used in account.used.items()}
        return not Account(account.rule, left).holds_as_guaranteed(standing.requests)

    def _ending_of(self, queue: str) -> Mapping[str, int]:
        """Return what a queue will have given back in a moment: that is not there to be reclaimed once more."""
        crowd = self.work.fleet.crowd
        if self._ending is None:
            leaving = crowd.is_ending & (crowd.row != NOWHERE)
            self._ending = crowd.sum_by(crowd.queue, leaving, len(crowd.queues.values))
        code = crowd.queues.find(queue)
        return {name: int(held[code]) for name, held in self._ending.items()} if code != ABSENT else {}

    def _candidates(self, task: TaskView, *, reclaims: bool) -> Bools:
        fits = allowed(task.shape.place, self.work.fleet).copy()
        key = _Key(task.queue, task.priority, reclaims)
        if key not in self._releasable:
            self._releasable[key] = self._sum(key)
        released = self._releasable[key]
        if not released:
            fits[:] = False
            return fits
        for name, asked in task.shape.requests:
            index = self.work.fleet.resources.get(name)
            if asked:
                fits &= self.work.free[index] + released.get(name, 0) >= asked if index is not None else False
        if fits.any():
            for each in FILTERS:
                if each is not fits_resources:
                    for check in each(task.shape, self.work, EVERY_ROW):
                        fits &= ~check.fails
        return fits

    def _sum(self, key: _Key) -> dict[str, Ints]:
        """Return what those who may be taken hold: resource -> by row; empty if there is nobody."""
        crowd, fleet = self.work.fleet.crowd, self.work.fleet
        chosen = (crowd.queue == crowd.queues.find(key.queue)) & (crowd.priority < key.priority)
        for code, queue in enumerate(crowd.queues.values if key.reclaims else ()):
            if queue != key.queue:
                chosen |= (crowd.queue == code) & self._borrowers(queue)
        chosen &= (crowd.row != NOWHERE) & ~crowd.is_ending & crowd.may_be_preempted
        chosen[[crowd.slot_of[uid] for uid in self.taken]] = False
        return crowd.sum_by(crowd.row, chosen, fleet.size) if chosen.any() else {}

    def _borrowers(self, queue: str) -> Bools:
        """Return by slot what `_is_borrowed` says of a task of this queue, before any other is gone."""
        crowd, account = self.work.fleet.crowd, self.accounts.get(queue)
        named, beyond = np.zeros(crowd.row.shape, np.bool_), np.zeros(crowd.row.shape, np.bool_)
        if account is None:
            return ~named
        ending = self._ending_of(queue)
        for name, guarantee in account.rule.guarantee.items():
            code = crowd.resources.find(name)
            asks = crowd.amounts[code] > 0 if code != ABSENT else False
            named |= asks
            if account.used.get(name, 0) - ending.get(name, 0) > guarantee:
                beyond |= asks
        return ~named | beyond

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
        free = {name: int(self.work.free[index, row]) for name, index in self.work.fleet.resources.items()}
        gone: list[Standing] = []
        of_queue: dict[str, dict[str, int]] = {}
        for each in eligible:
            if _fits(task.shape, free):
                break
            given = of_queue.setdefault(each.queue, {})
            if each.queue == task.queue or self._is_borrowed(each, given):
                gone.append(each)
                _add(free, each, +1)
                _add(given, each, +1)
        if not _fits(task.shape, free):
            return ()
        for each in reversed(list(gone)):
            _add(free, each, -1)
            if _fits(task.shape, free):
                gone.remove(each)
            else:
                _add(free, each, +1)
        return () if self._would_borrow(task, gone) else tuple(gone)

    def _would_borrow(self, task: TaskView, victims: Sequence[Standing]) -> bool:
        """Say whether what its own queue holds within the guarantee would become what it borrows.

        Another queue could take that back at once, and then those would come again who had to go for it.
        """
        own = [each for each in victims if each.queue == task.queue]
        if all(self._is_borrowed(each, {}) for each in own):
            return False
        ending, gone = self._ending_of(task.queue), dict[str, int]()
        for each in own:
            _add(gone, each, +1)
        account = self.accounts[task.queue]
        left = {name: used - ending.get(name, 0) - gone.get(name, 0) for name, used in account.used.items()}
        return not Account(account.rule, left).is_guaranteed(task.shape.requests)


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


def _fits(shape: Shape, free: Mapping[str, int]) -> bool:
    return all(free.get(name, 0) >= amount for name, amount in shape.requests if amount)


def _add(free: dict[str, int], task: Standing, sign: int) -> None:
    for name, amount in task.requests:
        free[name] = free.get(name, 0) + sign * amount
