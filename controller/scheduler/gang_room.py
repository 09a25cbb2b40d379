"""Room for a gang: where enough of its members fit together, and when, as what runs there ends.

Members that ask for the same are counted by row, so that their answer is exact: the earliest time at which all of them
fit somewhere. So while nobody takes what is kept for them it only comes nearer. Members that differ are looked at one
shape after the other, the largest first, each where it fits first beside those before it.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from controller.scheduler.columns import Bools, Floats, Ints
from controller.scheduler.crowd import Ends
from controller.scheduler.fairness import Amounts, Requests, dominant
from controller.scheduler.filters import allowed
from controller.scheduler.fleet import Fleet
from controller.scheduler.shape import NODE, Shape, TaskTerm
from controller.scheduler.snapshot import TaskView
from controller.scheduler.work import Work

NO_ENDS = Ends(np.zeros(0, np.int32), np.zeros(0), {})


@dataclass(frozen=True, slots=True)
class Room:
    """Where members of a gang fit together from `at` on. members: row -> who goes there."""

    members: Mapping[int, tuple[TaskView, ...]]
    at: float


@dataclass(frozen=True, slots=True)
class Ground:
    """Where room is looked for. free: int64[resource, row], what is free before anything ends.

    ends: of what is not free. open_to: which rows nothing but room keeps a shape away from. there: how many tasks of
    a term each row has.
    """

    fleet: Fleet
    free: Ints
    ends: Ends
    now: float
    open_to: Callable[[Shape], Bools]
    there: Callable[[TaskTerm], Ints]


def smallest(members: Sequence[TaskView], count: int, capacity: Amounts) -> tuple[TaskView, ...]:
    """Return those members that ask for the least, of equal ones the first; the largest of them first."""
    if len({task.shape.requests for task in members}) == 1:
        return tuple(members[:count])
    by_size = sorted(members, key=lambda task: dominant(dict(task.shape.requests), capacity)[1])
    return tuple(reversed(by_size[:count]))


def is_countable(members: Iterable[TaskView]) -> bool:
    """Say whether members can be counted by row: what they ask of each other, they ask on one node."""
    return all(map(_is_countable, {task.shape for task in members}))


def _is_countable(shape: Shape) -> bool:
    company = shape.company
    apart = (*company.repels, *(cap.term for cap in company.caps))
    others = (*company.near, *(each.term for each in company.spreads if each.is_hard))
    return not any(each.matches(shape.labels) for each in others) and all(
        each.topology == NODE or not each.matches(shape.labels) for each in apart
    )


def room_for(members: Sequence[TaskView], ground: Ground) -> Room | None:
    """Return where and when all of these fit together first, on as few nodes as can be; None if that can't be said."""
    free, at = ground.free, ground.now
    found: dict[int, list[TaskView]] = {}
    for tasks in _alike(members):
        shape = tasks[0].shape
        filled = _filled(shape, len(tasks), free, ground)
        if filled is None:
            return None
        counts, last = filled
        at, left = max(at, last), iter(tasks)
        for row in np.flatnonzero(counts).tolist():
            found.setdefault(row, []).extend(next(left) for _ in range(int(counts[row])))
        free = _after(shape.requests, counts, free, ground.fleet)
    return Room({row: tuple(tasks) for row, tasks in found.items()}, at)


def ever_fit(members: Sequence[TaskView], work: Work, now: float) -> bool:
    """Say whether all of these fit together if nothing else runs; of who can't be counted nobody knows better."""
    fleet = work.fleet
    nobody = np.zeros(fleet.size, np.int64)
    empty = Ground(
        fleet, work.allocatable, NO_ENDS, now, lambda shape: allowed(shape.place, fleet), lambda _: nobody
    )
    return not is_countable(members) or room_for(members, empty) is not None


def _alike(members: Sequence[TaskView]) -> Iterable[list[TaskView]]:
    by_shape: dict[Shape, list[TaskView]] = {}
    for task in members:
        by_shape.setdefault(task.shape, []).append(task)
    return by_shape.values()


def _after(requests: Requests, counts: Ints, free: Ints, fleet: Fleet) -> Ints:
    left = free.copy()
    for name, amount in requests:
        index = fleet.resources.get(name)
        if index is not None:
            left[index] -= counts * amount
    return left


def _filled(shape: Shape, count: int, free: Ints, ground: Ground) -> tuple[Ints, float] | None:
    """Return how many of a shape go to each row, and when all of them fit first; None if they never do."""
    rows, at, more = _rooms(shape, count, free, ground)
    order = np.argsort(at, kind="stable")
    enough = int(np.searchsorted(np.cumsum(more[order]), count))
    if enough == order.size:
        return None
    last = float(at[order[enough]])
    rooms = np.zeros(ground.fleet.size, np.int64)
    np.add.at(rooms, rows[at <= last], more[at <= last])
    fullest = np.argsort(-rooms, kind="stable")
    filled = np.minimum(np.cumsum(rooms[fullest]), count)
    counts = np.zeros(ground.fleet.size, np.int64)
    counts[fullest] = np.diff(filled, prepend=0)
    return counts, last


def _rooms(shape: Shape, count: int, free: Ints, ground: Ground) -> tuple[Ints, Floats, Ints]:
    """Return where and when how many more of a shape fit: on each row now, and after each of the ends."""
    fleet, ends = ground.fleet, ground.ends
    at_first = np.minimum(count, _most_by_row(shape, ground))
    after = at_first[ends.rows]
    for name, asked in shape.requests:
        index = fleet.resources.get(name)
        if asked and index is None:
            at_first[:], after[:] = 0, 0
        elif asked:
            np.minimum(at_first, free[index] // asked, out=at_first)
            np.minimum(after, (free[index, ends.rows] + ends.freed.get(name, 0)) // asked, out=after)
    fits = np.concatenate((at_first, after)).clip(0)  # less than nothing is free where a node shrank
    is_next = ends.rows[1:] == ends.rows[:-1]  # on the same row as the end before it
    before = at_first.clip(0)[ends.rows]
    before[1:][is_next] = fits[fleet.size : -1][is_next]
    fits[fleet.size :] -= before
    rows: Ints = np.concatenate((np.arange(fleet.size), ends.rows))
    at: Floats = np.concatenate((np.full(fleet.size, ground.now), ends.at))
    more: Ints = fits * ground.open_to(shape)[rows]
    some = more > 0
    return rows[some], at[some], more[some]


def _most_by_row(shape: Shape, ground: Ground) -> Ints:
    """Return how many of a shape each node takes at most, whatever its room."""
    is_alone = any(port.host_port is not None for port in shape.ports)
    is_alone |= any(_is_own(shape, term) for term in shape.company.repels)
    most = np.full(ground.fleet.size, 1 if is_alone else 2**31)
    for cap in shape.company.caps:
        if _is_own(shape, cap.term):
            np.minimum(most, cap.most - ground.there(cap.term), out=most)
    return most


def _is_own(shape: Shape, term: TaskTerm) -> bool:
    return term.topology == NODE and term.matches(shape.labels)
