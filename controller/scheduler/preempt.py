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

from controller.scheduler.columns import Bools, Ints
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


@dataclass(slots=True)
class Preemptor:
    """What was taken in this cycle: a victim is taken once, and its queue is charged no longer."""

    work: Work
    accounts: Mapping[str, Account]
    taken: set[str] = field(default_factory=set)
    _ending: dict[str, dict[str, int]] | None = None  # queue -> what its tasks hold that are on their way out
    _releasable: dict[tuple[object, ...], Ints] = field(default_factory=dict)

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
        self._releasable.clear()
        for victim in preemption.victims:
            self.taken.add(victim.uid)
            self.accounts[victim.queue].take(victim.requests, -1)

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
        if self._ending is None:
            self._ending = {}
            for each in self.work.fleet.standing.values():
                if each.is_ending:
                    _add(self._ending.setdefault(each.queue, {}), each, +1)
        return self._ending.get(queue, {})

    def _candidates(self, task: TaskView, *, reclaims: bool) -> Bools:
        fits = allowed(task.shape.place, self.work.fleet).copy()
        key = (task.queue, task.priority, reclaims, task.shape.company.near)
        if key not in self._releasable:
            self._releasable[key] = self._sum(task, reclaims=reclaims)
        released = self._releasable[key]
        for name, asked in task.shape.requests:
            index = self.work.fleet.resources.get(name)
            if asked:
                fits &= self.work.free[index] + released[index] >= asked if index is not None else False
        if fits.any():
            for each in FILTERS:
                if each is not fits_resources:
                    for check in each(task.shape, self.work):
                        fits &= ~check.fails
        return fits

    def _sum(self, task: TaskView, *, reclaims: bool) -> Ints:
        fleet = self.work.fleet
        total = np.zeros_like(self.work.free)
        for row, standing in fleet.on_row.items():
            for each in standing.values():
                if self.may_take(task, each, reclaims=reclaims):
                    for name, amount in each.requests:
                        if name in fleet.resources:
                            total[fleet.resources[name], row] += amount
        return total

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
        return tuple(gone)


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
