"""Preemption: which tasks must go so that one that is due more can run; the fewest and least costly.

Who may be taken: of its own queue those of lower priority; of other queues, if the task stays within the guarantee of
its queue, those of borrowers. There is no cycle: a task that was taken for its priority is below the taker's, and one
that was reclaimed was not within a guarantee, so neither can take its place back.
"""

from collections.abc import Iterable, Mapping
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

MAX_CANDIDATES = 100  # nodes that are looked at closely, as in Kubernetes


@dataclass(frozen=True, slots=True)
class Preemption:
    """Room on `row` for a task, once the victims have ended."""

    task: TaskView
    row: int
    victims: tuple[Standing, ...]


@dataclass(frozen=True, slots=True)
class _Key:
    """Who may be taken is the same for all tasks of one key. reclaimed: resources, empty for the own queue only."""

    queue: str
    priority: int
    reclaimed: tuple[str, ...]


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
        for row in rows[:MAX_CANDIDATES]:
            victims = self._victims(task, int(row), now, reclaims=reclaims)
            if victims:
                found.append((_cost(victims, now, int(row)), Preemption(task, int(row), victims)))
        return min(found, key=lambda each: each[0])[1] if found else None

    def take(self, preemption: Preemption) -> None:
        """Count its victims as taken; their room is the preemptor's when they have ended."""
        for victim in preemption.victims:
            self.taken.add(victim.uid)
            self.accounts[victim.queue].take(victim.requests, -1)
        self._releasable = {key: sums for key, sums in self._releasable.items() if not key.reclaimed}
        for key, sums in self._releasable.items():
            for victim in preemption.victims:
                if victim.queue == key.queue and victim.priority < key.priority:
                    for name, amount in victim.requests:
                        sums[name][preemption.row] -= amount

    def may_take(self, task: TaskView, standing: Standing, *, reclaims: bool) -> bool:
        """Say whether one task may be taken for another."""
        if standing.uid in self.taken or standing.is_ending or not standing.may_be_preempted:
            return False
        if standing.queue == task.queue:
            return standing.priority < task.priority
        asked = (name for name, amount in task.shape.requests if amount)
        return reclaims and self._is_borrowed(standing.queue, asked)

    def _is_borrowed(self, queue: str, asked: Iterable[str]) -> bool:
        """Say whether a queue holds more than its guarantee of one of these resources."""
        account = self.accounts.get(queue)
        if account is None:
            return True
        borrowed, ending = account.borrowed(), self._ending_of(queue)
        return any(borrowed.get(name, 0) > ending.get(name, 0) for name in asked)

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
        reclaimed = tuple(name for name, asked in task.shape.requests if asked) if reclaims else ()
        key = _Key(task.queue, task.priority, reclaimed)
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
        for code, queue in enumerate(crowd.queues.values):
            if key.reclaimed and queue != key.queue and self._is_borrowed(queue, key.reclaimed):
                chosen |= crowd.queue == code
        chosen &= (crowd.row != NOWHERE) & ~crowd.is_ending & crowd.may_be_preempted
        chosen[[crowd.slot_of[uid] for uid in self.taken]] = False
        return crowd.sum_by(crowd.row, chosen, fleet.size) if chosen.any() else {}

    def _victims(self, task: TaskView, row: int, now: float, *, reclaims: bool) -> tuple[Standing, ...]:
        """Take the cheapest until it fits, then spare from the dearest on those that need not go."""
        eligible = [
            each
            for each in self.work.fleet.on_row.get(row, {}).values()
            if self.may_take(task, each, reclaims=reclaims)
        ]
        eligible.sort(key=lambda each: (each.priority, lost_work(each, now), each.uid))
        free = {name: int(self.work.free[index, row]) for name, index in self.work.fleet.resources.items()}
        gone: list[Standing] = []
        for each in eligible:
            if _fits(task.shape, free):
                break
            gone.append(each)
            _add(free, each, +1)
        if not _fits(task.shape, free):
            return ()
        for each in reversed(list(gone)):
            _add(free, each, -1)
            if _fits(task.shape, free):
                gone.remove(each)
            else:
                _add(free, each, +1)
        return tuple(gone)


def lost_work(task: Standing, now: float) -> float:
    """Return the seconds that a task has run, which are lost when it goes."""
    return max(0.0, now - task.started_at) if task.started_at is not None else 0.0


def _cost(victims: tuple[Standing, ...], now: float, row: int) -> tuple[float, ...]:
    """The lowest highest priority first, then the least work lost, then the fewest."""
    highest = max(each.priority for each in victims)
    return highest, sum(lost_work(each, now) for each in victims), len(victims), row


def _fits(shape: Shape, free: Mapping[str, int]) -> bool:
    return all(free.get(name, 0) >= amount for name, amount in shape.requests if amount)


def _add(free: dict[str, int], task: Standing, sign: int) -> None:
    for name, amount in task.requests:
        free[name] = free.get(name, 0) + sign * amount
