"""Placing: of the nodes that fit, the best. One task at a time, or a run of equal ones at once."""

import heapq
import zlib
from collections.abc import Collection, Iterator
from itertools import repeat

import numpy as np

from controller.scheduler.columns import Bools, Floats, Ints
from controller.scheduler.filters import FILTERS, allowed, fits_resources
from controller.scheduler.scores import EVERY_ROW, Strategy, score
from controller.scheduler.shape import ALONE, Shape
from controller.scheduler.work import Taken, Work

WINDOW = 1000  # nodes that are looked at for one task, as long as one of them fits


class Placer:
    """Places on the working copy of one cycle. Ties are broken by `seed`."""

    def __init__(self, work: Work, seed: int) -> None:
        self._work = work
        self._ties: Ints = np.array(
            [zlib.crc32(f"{seed}/{view.name if view else ''}".encode()) for view in work.fleet.views],
            np.int64,
        )
        self._start = 0  # of the window: where the last task was placed

    def best(self, shape: Shape, strategy: Strategy, without: Collection[int] = ()) -> int | None:
        """Return the row of the best node that fits, None if none does."""
        size = self._work.fleet.size
        if size <= WINDOW or not is_plain(shape):
            return self._best_of(shape, strategy, EVERY_ROW, without)
        for offset in range(0, size + WINDOW, WINDOW):
            first = (self._start + offset) % size
            found = self._best_of(shape, strategy, slice(first, first + WINDOW), without)
            if found is not None:
                self._start = first if strategy == "binpack" else (first + WINDOW) % size
                return found
        return None

    def _best_of(self, shape: Shape, strategy: Strategy, rows: slice, without: Collection[int]) -> int | None:
        fits = fitting(shape, self._work, rows)
        first = rows.start or 0
        for row in without:
            if 0 <= row - first < fits.shape[0]:
                fits[row - first] = False
        if not fits.any():
            return None
        scores = score(shape, self._work, strategy, rows)
        scores[~fits] = -np.inf
        return first + self._of_equals(scores, self._ties[rows])

    @staticmethod
    def _of_equals(scores: Floats, ties: Ints) -> int:
        best = np.flatnonzero(scores == scores.max())
        return int(best[0] if best.size == 1 else best[ties[best].argmin()])

    def run(self, shape: Shape, strategy: Strategy, most: int) -> Iterator[Taken]:
        """Place up to `most` equal tasks, each on the best node, until none fits.

        What one placement changes for a plain shape is its own node only, so only that one is scored again: the
        result is that of placing one by one.
        """
        if is_plain(shape) and self._work.fleet.devices.isdisjoint(
            name for name, asked in shape.requests if asked
        ):
            yield from self._fill(shape, strategy, most)
            return
        for _ in range(most):
            row = self.best(shape, strategy)
            if row is None:
                return
            yield self._work.take(row, shape)

    def _fill(self, shape: Shape, strategy: Strategy, most: int) -> Iterator[Taken]:
        rooms = self._rooms(shape, most)
        rows = np.flatnonzero(rooms)
        if strategy == "binpack":
            yield from self._fill_up(shape, rows, rooms, most)
        else:
            yield from self._fill_by_turns(shape, strategy, rows, rooms, most)

    def _rooms(self, shape: Shape, most: int) -> Ints:
        """Return how many of a plain shape fit on each row, at most `most`."""
        rooms: Ints = np.where(fitting(shape, self._work), most, 0)
        for name, asked in shape.requests:
            if asked and name in self._work.fleet.resources:
                np.minimum(rooms, self._work.free[self._work.fleet.resources[name]] // asked, out=rooms)
        return np.maximum(rooms, 0, out=rooms)

    def _fill_up(self, shape: Shape, rows: Ints, rooms: Ints, most: int) -> Iterator[Taken]:
        """The best node stays the best while it fills up, so the nodes are filled one after the other."""
        scores = score(shape, self._work, "binpack")[rows]
        for row in rows[np.lexsort((self._ties[rows], -scores))]:
            count = min(most, int(rooms[row]))
            yield from repeat(self._work.take_equal(int(row), shape, count), count)
            most -= count
            if not most:
                return

    def _fill_by_turns(
        self, shape: Shape, strategy: Strategy, rows: Ints, rooms: Ints, most: int
    ) -> Iterator[Taken]:
        """Each node gets worse with each task: a heap of what the next task would score on each."""
        work, ties = self._work, self._ties
        levels = [score(shape, work, strategy)]
        heap = [(-float(levels[0][row]), int(ties[row]), int(row), 0) for row in rows]
        heapq.heapify(heap)
        counts: dict[int, int] = {}
        found: list[int] = []
        while heap and len(found) < most:
            _, tie, row, level = heap[0]
            found.append(row)
            counts[row] = level = level + 1
            if level == len(levels):
                levels.append(score(shape, work.after(shape, level), strategy))
            if level < rooms[row]:
                heapq.heapreplace(heap, (-float(levels[level][row]), tie, row, level))
            else:
                heapq.heappop(heap)
        taken = {row: work.take_equal(row, shape, count) for row, count in counts.items()}
        yield from (taken[row] for row in found)


def is_plain(shape: Shape) -> bool:
    """Say whether it asks for plain amounts only: no ports, no company, nothing that repels it."""
    return shape.company == ALONE and not shape.ports


def fitting(shape: Shape, work: Work, rows: slice = EVERY_ROW) -> Bools:
    """Return which of the rows fit."""
    fits = allowed(shape.place, work.fleet)[rows].copy()
    for name, asked in shape.requests:
        index = work.fleet.resources.get(name)
        if not asked:
            continue  # of it even a node that shrank below what is bound has enough
        if index is not None:
            fits &= work.free[index, rows] >= asked
        else:
            fits[:] = False
    for each in FILTERS:
        if each is not fits_resources:
            for check in each(shape, work):
                fits &= ~check.fails[rows]
    return fits
