"""Backfill: who may pass a task that fits nowhere yet, and where it will go.

The blocked task gets a reservation: the node on which it fits first, by the expected ends of what runs there, and that
time. Another may use that node only if it ends before, or if what will be free then is enough for both. Where no end
is known nothing can be reserved, until the task has waited too long (`order`): then the node is kept for it on which
the youngest of those who have to end began first, and nobody whose end is not known passes there. So as time goes on
another node is kept only if it will be free no later than the one before. A preemptor takes no node that is kept for
those before it in its queue.
Source: Lifka, The ANL/IBM SP scheduling system (1995): EASY; Mu'alem and Feitelson, IEEE TPDS 2001: both kinds.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from controller.scheduler.columns import EVERY_ROW, Bools, Floats, Ints
from controller.scheduler.crowd import NEVER, UNKNOWN, Coming, Ends
from controller.scheduler.fairness import Requests
from controller.scheduler.filters import FILTERS, allowed, fits_resources, shortages
from controller.scheduler.fleet import Fleet
from controller.scheduler.node_view import Standing
from controller.scheduler.shape import Shape
from controller.scheduler.snapshot import TaskView
from controller.scheduler.work import Work

MAX_RESERVATIONS = 100
"""In one cycle, the first in order: each costs a look at all that runs, and each placement afterwards a look at it.
Slurm bounds its backfill likewise (bf_max_job_test)."""


@dataclass(slots=True)
class Reservation:
    """A node kept from `at` on for a blocked task, or members of a gang. spare: what is free then besides."""

    tasks: tuple[TaskView, ...]
    row: int
    at: float
    spare: dict[str, int]

    @property
    def queue(self) -> str:
        return self.tasks[0].queue

    def lets_pass(self, task: TaskView, now: float) -> bool:
        """Say whether a task on this node would not delay those that it is kept for."""
        if task.estimate is not None and now + task.estimate <= self.at:
            return True
        return all(amount <= self.spare.get(name, 0) for name, amount in task.shape.requests)

    def passed(self, task: TaskView, now: float) -> None:
        """Count a task that was placed here, if it will still run then."""
        if task.estimate is None or now + task.estimate > self.at:
            for name, amount in task.shape.requests:
                self.spare[name] = self.spare.get(name, 0) - amount


@dataclass(slots=True)
class Expectations:
    """When what runs will end, with who was placed in this cycle: worked out when somebody asks."""

    fleet: Fleet
    now: float
    came: dict[int, list[TaskView]] = field(default_factory=dict)  # by row
    _known: Ends | None = None
    _all: Ends | None = None

    def count(self, row: int, task: TaskView) -> None:
        """Take in who was placed."""
        self.came.setdefault(row, []).append(task)
        self._all = None
        if task.estimate is not None:
            self._known = None

    def known(self) -> Ends:
        """Return the ends that are known."""
        if self._known is None:
            coming = [each for each in self._coming() if each[1] < UNKNOWN]
            self._known = self.fleet.crowd.ends(self.now, coming)
        return self._known

    def of_all(self) -> Ends:
        """Return the ends of all, for who has waited too long to be passed by those whose end nobody knows."""
        if self._all is None:
            self._all = self.fleet.crowd.all_ends(self.now, list(self._coming()))
        return self._all

    def _coming(self) -> Iterator[Coming]:
        for row, tasks in self.came.items():
            for task in tasks:
                end = UNKNOWN if task.estimate is None else task.estimate
                yield row, self.now + end, task.shape.requests


def reserve(
    task: TaskView,
    work: Work,
    taken: Collection[int],
    ends: Ends,
    now: float,
    *,
    is_aged: bool,
    came: Mapping[int, Sequence[TaskView]],
) -> Reservation | None:
    """Return where and when a task that fits nowhere now will fit, None if that can't be said.

    taken: the rows with a reservation; a node holds at most one. ends: of what runs, and of who came, as of `now`.
    came: who was placed in this cycle, by row.
    """
    could = open_to(task.shape, work) & could_hold(task.shape.requests, work.allocatable, work.fleet)
    could[list(taken)] = False
    at = first_fits(task.shape.requests, work.free, work.fleet, ends, now)
    rows = np.flatnonzero(could if is_aged else could & (at < UNKNOWN))
    if not rows.size:
        return None
    best = int(rows[np.lexsort((shortages(task.shape, work)[rows], at[rows]))[0]])
    return reservation((task,), best, float(at[best]), work, now, came.get(best, ()))


def reservation(
    tasks: tuple[TaskView, ...],
    row: int,
    at: float,
    work: Work,
    now: float,
    came: Sequence[TaskView],
) -> Reservation:
    """Return the reservation of a row from a time on; if that is not known, nothing there is to spare.

    came: who was placed there in this cycle.
    """
    if at >= UNKNOWN:
        return Reservation(tasks, row, NEVER, {})
    asked = amounts_of(tasks)
    free = _free_at(asked, work, row, now, came)
    return Reservation(tasks, row, at, {name: amount - asked.get(name, 0) for name, amount in free.items()})


def amounts_of(tasks: Iterable[TaskView]) -> dict[str, int]:
    """Return what tasks ask for together."""
    found: dict[str, int] = {}
    for task in tasks:
        for name, amount in task.shape.requests:
            found[name] = found.get(name, 0) + amount
    return found


def could_hold(requests: Requests, free: Ints, fleet: Fleet) -> Bools:
    """Return by row whether so much is there. free: int64[resource, row]."""
    fits = np.ones(fleet.size, np.bool_)
    for name, asked in requests:
        index = fleet.resources.get(name)
        if asked:
            fits &= free[index] >= asked if index is not None else False
    return fits


def open_to(shape: Shape, work: Work) -> Bools:
    """Return by row whether nothing but room keeps a shape away."""
    fits = allowed(shape.place, work.fleet).copy()
    for each in FILTERS:
        if each is not fits_resources:
            for check in each(shape, work, EVERY_ROW):
                fits &= ~check.fails
    return fits


def first_fits(requests: Requests, free: Ints, fleet: Fleet, ends: Ends, now: float) -> Floats:
    """Return by row when so much is free as what runs there ends: now, at one of the ends, or never."""
    fits_now = np.ones(fleet.size, np.bool_)
    fits_then = np.ones(ends.rows.shape[0], np.bool_)
    for name, asked in requests:
        index = fleet.resources.get(name)
        if asked and index is None:
            return np.full(fleet.size, NEVER)
        if asked:
            short = asked - free[index]
            fits_now &= short <= 0
            fits_then &= short[ends.rows] <= ends.freed.get(name, 0)
    at = np.full(fleet.size, NEVER)
    rows, first = np.unique(ends.rows[fits_then], return_index=True)
    at[rows] = ends.at[fits_then][first]
    at[fits_now] = now
    return at


def _free_at(
    asked: Mapping[str, int], work: Work, row: int, now: float, came: Sequence[TaskView]
) -> dict[str, int]:
    """Return what is free on a row when so much first is."""
    free = {name: int(work.free[index, row]) for name, index in work.fleet.resources.items()}
    for end, requests in ends_on(work.fleet, row, now, came):
        if end == NEVER or all(free.get(name, 0) >= amount for name, amount in asked.items()):
            break
        for name, amount in requests:
            free[name] = free.get(name, 0) + amount
    return free


def ends_on(
    fleet: Fleet, row: int, now: float, came: Sequence[TaskView] = ()
) -> list[tuple[float, Requests]]:
    """Return when what is on a row is expected to end, and what it frees; the first to end first.

    One that is late ends any moment.
    """
    ends = [(expected_end(task, now), task.requests) for task in fleet.on_row.get(row, {}).values()]
    ends += [(NEVER if each.estimate is None else now + each.estimate, each.shape.requests) for each in came]
    return sorted(ends)


def expected_end(task: Standing, now: float) -> float:
    if task.is_ending:
        return now
    if task.estimate is None:
        return NEVER
    started_at = now if task.started_at is None else min(now, task.started_at)  # by the clock of its host
    return max(now, started_at + task.estimate)
