"""Backfill: who may pass a task that fits nowhere yet, and where it will go.

The blocked task gets a reservation: the node on which it fits first, by the expected ends of what runs there, and that
time. Another may use that node only if it ends before, or if what will be free then is enough for both. Where no end
is known nothing can be reserved, until the task has waited too long (`order`): then the node that is the least short
is kept for it, and only those pass there whose end is known. Who makes others leave passes nobody for that.
Source: Lifka, The ANL/IBM SP scheduling system (1995): EASY; Mu'alem and Feitelson, IEEE TPDS 2001: both kinds.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from controller.scheduler.columns import EVERY_ROW, Bools, Floats
from controller.scheduler.crowd import NEVER, Ends
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
    """A node kept for a blocked task from `at` on. spare: what is free then besides, resource -> amount."""

    task: TaskView
    row: int
    at: float
    spare: dict[str, int]

    def lets_pass(self, task: TaskView, now: float) -> bool:
        """Say whether a task on this node would not delay the one that it is kept for."""
        if task.estimate is not None and now + task.estimate <= self.at:
            return True
        return all(amount <= self.spare.get(name, 0) for name, amount in task.shape.requests)

    def passed(self, task: TaskView, now: float) -> None:
        """Count a task that was placed here, if it will still run then."""
        if task.estimate is None or now + task.estimate > self.at:
            for name, amount in task.shape.requests:
                self.spare[name] = self.spare.get(name, 0) - amount


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
    could = _could_ever_fit(task.shape, work)
    could[list(taken)] = False
    at = _first_fits(task.shape, work, ends, now)
    rows = np.flatnonzero(could if is_aged else could & (at < NEVER))
    if not rows.size:
        return None
    best = int(rows[np.lexsort((shortages(task.shape, work)[rows], at[rows]))[0]])
    free = _free_at(task.shape, work, best, now, came.get(best, ()))
    spare = {name: amount - task.shape.asks(name) for name, amount in free.items()}
    return Reservation(task, best, float(at[best]), spare if at[best] < NEVER else {})


def _could_ever_fit(shape: Shape, work: Work) -> Bools:
    fits = allowed(shape.place, work.fleet).copy()
    for name, asked in shape.requests:
        index = work.fleet.resources.get(name)
        if asked:
            fits &= work.allocatable[index] >= asked if index is not None else False
    for each in FILTERS:
        if each is not fits_resources:
            for check in each(shape, work, EVERY_ROW):
                fits &= ~check.fails
    return fits


def _first_fits(shape: Shape, work: Work, ends: Ends, now: float) -> Floats:
    """Return by row when a shape fits as what runs there ends: now, at one of the ends, or never."""
    fits_now = np.ones(work.fleet.size, np.bool_)
    fits_then = np.ones(ends.rows.shape[0], np.bool_)
    for name, asked in shape.requests:
        index = work.fleet.resources.get(name)
        if asked and index is not None:
            short = asked - work.free[index]
            fits_now &= short <= 0
            fits_then &= short[ends.rows] <= ends.freed.get(name, 0)
    at = np.full(work.fleet.size, NEVER)
    rows, first = np.unique(ends.rows[fits_then], return_index=True)
    at[rows] = ends.at[fits_then][first]
    at[fits_now] = now
    return at


def _free_at(shape: Shape, work: Work, row: int, now: float, came: Sequence[TaskView]) -> dict[str, int]:
    """Return what is free on a row when the shape first fits there."""
    free = {name: int(work.free[index, row]) for name, index in work.fleet.resources.items()}
    for end, requests in ends_on(work.fleet, row, now, came):
        if end == NEVER or _fits(shape, free):
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


def _fits(shape: Shape, free: dict[str, int]) -> bool:
    return all(free.get(name, 0) >= amount for name, amount in shape.requests if amount)
