"""Backfill: who may pass a task that fits nowhere yet, and where it will go.

The blocked task gets a reservation: the node on which it fits first, by the expected ends of what runs there, and that
time. Another may use that node only if it ends before, or if what will be free then is enough for both. Where no end
is known nothing can be reserved, until the task has waited too long (`order`): then the node that is the least short
is kept for it, and nobody passes there.
Source: Lifka, The ANL/IBM SP scheduling system (1995): EASY; Mu'alem and Feitelson, IEEE TPDS 2001: both kinds.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from controller.scheduler.fairness import Requests
from controller.scheduler.filters import FILTERS, allowed, fits_resources
from controller.scheduler.fleet import Fleet
from controller.scheduler.node_view import Standing
from controller.scheduler.shape import Shape
from controller.scheduler.snapshot import TaskView
from controller.scheduler.work import Work

NEVER = float("inf")


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
    taken: Mapping[int, Reservation],
    now: float,
    *,
    is_aged: bool,
    came: Mapping[int, Sequence[TaskView]],
) -> Reservation | None:
    """Return where and when a task that fits nowhere now will fit, None if that can't be said.

    taken: the reservations that there are, by row; a node holds at most one. came: who was placed in this cycle.
    """
    found: Reservation | None = None
    best: tuple[float, float, int] | None = None
    for row in np.flatnonzero(_could_ever_fit(task.shape, work)):
        if row in taken:
            continue
        at, free = _first_fit(task.shape, work, int(row), now, came.get(int(row), ()))
        if at == NEVER and not is_aged:
            continue
        key = (at, _shortage(task.shape, work, int(row)), int(row))
        if best is None or key < best:
            spare = {name: amount - dict(task.shape.requests).get(name, 0) for name, amount in free.items()}
            best, found = key, Reservation(task, int(row), at, spare if at < NEVER else {})
    return found


def _could_ever_fit(shape: Shape, work: Work) -> np.ndarray[tuple[int, ...], np.dtype[np.bool_]]:
    fits = allowed(shape.place, work.fleet).copy()
    for name, asked in shape.requests:
        index = work.fleet.resources.get(name)
        if asked:
            fits &= work.allocatable[index] >= asked if index is not None else False
    for each in FILTERS:
        if each is not fits_resources:
            for check in each(shape, work):
                fits &= ~check.fails
    return fits


def _first_fit(
    shape: Shape, work: Work, row: int, now: float, came: Sequence[TaskView]
) -> tuple[float, dict[str, int]]:
    """Return when a shape fits on a row as what runs there ends, and what is free then."""
    free = {name: int(work.free[index, row]) for name, index in work.fleet.resources.items()}
    at = now
    for end, requests in ends_on(work.fleet, row, now, came):
        if _fits(shape, free):
            return at, free
        if end == NEVER:
            return NEVER, free
        at = max(now, end)
        for name, amount in requests:
            free[name] = free.get(name, 0) + amount
    return (at, free) if _fits(shape, free) else (NEVER, free)


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


def _shortage(shape: Shape, work: Work, row: int) -> float:
    """Return the largest share of a request that is missing on a row."""
    shares = [0.0]
    for name, asked in shape.requests:
        if asked:
            shares.append((asked - int(work.free[work.fleet.resources[name], row])) / asked)
    return max(shares)
