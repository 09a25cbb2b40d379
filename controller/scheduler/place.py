"""Placing: of the nodes that fit, the best. One task at a time, or a run of equal ones at once."""

import heapq
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from itertools import repeat

import numpy as np

from controller.scheduler.columns import EVERY_ROW, Bools, Floats, Ints, Memo
from controller.scheduler.filters import FILTERS, allowed, fits_resources
from controller.scheduler.scores import Strategy, locality, preference, prefers_company, score, total_of
from controller.scheduler.shape import ALONE, Company, Shape, TaskTerm
from controller.scheduler.work import Taken, TermCount, Work

WINDOW = 1000
"""Nodes that are looked at for one task, as long as one of them fits: Kubernetes looks at 500 in a cluster of 5,000
or 10,000 (numFeasibleNodesToFind). A cluster that is not larger is seen whole, and so is any by who prefers some
nodes for more than their room."""


@dataclass(slots=True, eq=False)
class Ask:
    """A shape as the columns of one cycle see it: what is needed for each of its tasks, worked out once.

    amounts: (index of the resource, amount), None for a resource that no node has. watched: counts that decide where
    it fits. repellers: whose anti-affinity it meets. preferred, local: what of its score stays the same.
    is_choosy: it prefers some nodes for more than their room, so that the best may be anywhere.
    out_at: the `stamp` at which it fitted nowhere, -1 for never.
    """

    shape: Shape
    work: Work
    allowed: Bools
    amounts: tuple[tuple[int | None, int], ...]
    watched: tuple[TermCount, ...]
    repellers: dict[TaskTerm, TermCount]
    preferred: Floats | None
    local: Floats | None
    is_plain: bool
    is_choosy: bool
    out_at: int = -1

    def stamp(self) -> int:
        """Return a number that differs when somebody it looks at came or went, or anything was given back.

        As long as it is the same, there is only less room: who fitted nowhere fits nowhere still.
        """
        came = self.work.given_back + len(self.repellers)
        for count in self.watched:
            came += count.moves
        for count in self.repellers.values():
            came += count.moves
        return came

    def fits(self, rows: slice = EVERY_ROW) -> Bools:
        """Return which of the rows fit; the caller's own array."""
        fits = self.allowed[rows].copy()
        for index, amount in self.amounts:
            if index is None:
                fits[:] = False
            else:
                fits &= self.work.free[index, rows] >= amount
        if self.is_plain and not self.repellers:
            return fits
        for each in FILTERS:
            if each is not fits_resources:
                for check in each(self.shape, self.work, rows):
                    fits &= ~check.fails
        return fits

    def scores(self, strategy: Strategy, rows: slice = EVERY_ROW) -> Floats:
        """Return the score of each of the rows; the caller's own array."""
        return total_of(self.shape, self.work, strategy, rows, self.preferred, self.local)


def ask_of(shape: Shape, work: Work) -> Ask:
    fleet, preferred, local = work.fleet, preference(shape.place, work), locality(shape, work)
    return Ask(
        shape,
        work,
        allowed(shape.place, fleet),
        tuple([(fleet.resources.get(name), amount) for name, amount in shape.requests if amount]),
        tuple([work.count(term) for term in _watched_by(shape.company)]),
        work.repelling(shape.labels),
        preferred,
        local,
        is_plain(shape),
        preferred is not None or local is not None or prefers_company(shape),
    )


def _watched_by(company: Company) -> tuple[TaskTerm, ...]:
    """Return whose numbers decide where a task fits."""
    if company is ALONE:
        return ()
    hard = (spread.term for spread in company.spreads if spread.is_hard)
    return (*company.near, *company.repels, *(cap.term for cap in company.caps), *hard)


class Placer:
    """Places on the working copy of one cycle. Ties are broken by `seed`."""

    def __init__(self, work: Work, seed: int) -> None:
        self._work = work
        self._ties = work.fleet.ties(seed)
        self._asks: Memo[Shape, Ask] = Memo(lambda shape: ask_of(shape, work))
        self._start = 0  # of the window: where the last task was placed

    def ask(self, shape: Shape) -> Ask:
        return self._asks.of(shape)

    def best(self, shape: Shape, strategy: Strategy, without: Collection[int] = ()) -> int | None:
        """Return the row of the best node that fits, None if none does."""
        ask = self._asks.of(shape)
        stamp = ask.stamp()
        if ask.out_at == stamp:
            return None
        row = self._search(ask, strategy, without)
        if row is None and not without:
            ask.out_at = stamp
        return row

    def _search(self, ask: Ask, strategy: Strategy, without: Collection[int]) -> int | None:
        """Look at one window after the other; who is choosy, and a small cluster, at all nodes at once."""
        size = self._work.fleet.size
        if size <= WINDOW or ask.is_choosy:
            return self._best_of(ask, strategy, EVERY_ROW, without)
        for first, end in self._windows(size):
            found = self._best_of(ask, strategy, slice(first, end), without)
            if found is not None:
                self._start = first if strategy == "binpack" else end % size
                return found
        return None

    def _windows(self, size: int) -> Iterator[tuple[int, int]]:
        """Yield windows that cover every row once, from where the search before this one came to."""
        for begin, last in ((self._start, size), (0, self._start)):
            for first in range(begin, last, WINDOW):
                yield first, min(first + WINDOW, last)

    def _best_of(self, ask: Ask, strategy: Strategy, rows: slice, without: Collection[int]) -> int | None:
        fits = ask.fits(rows)
        first = rows.start or 0
        for row in without:
            if 0 <= row - first < fits.shape[0]:
                fits[row - first] = False
        if not np.count_nonzero(fits):
            return None
        scores = np.where(fits, ask.scores(strategy, rows), -np.inf)
        best = (scores == scores[scores.argmax()]).nonzero()[0]
        return first + int(best[0] if best.size == 1 else best[self._ties[rows][best].argmin()])

    def run(self, shape: Shape, strategy: Strategy, most: int) -> Iterator[Taken]:
        """Place up to `most` equal tasks, each on the best node, until none fits.

        What one placement changes for a plain shape is its own node only, so only that one is scored again: the
        result is that of placing one by one. For a few tasks that is quicker.
        """
        size, devices = self._work.fleet.size, self._work.fleet.devices
        is_long = most * min(size, WINDOW) > size
        if (
            is_long
            and is_plain(shape)
            and devices.isdisjoint(name for name, asked in shape.requests if asked)
        ):
            yield from self._fill(self._asks.of(shape), strategy, most)
            return
        for _ in range(most):
            row = self.best(shape, strategy)
            if row is None:
                return
            yield self._work.take(row, shape)

    def _fill(self, ask: Ask, strategy: Strategy, most: int) -> Iterator[Taken]:
        rooms = self._rooms(ask, most)
        rows = np.flatnonzero(rooms)
        if strategy == "binpack":
            yield from self._fill_up(ask, rows, rooms, most)
        else:
            yield from self._fill_by_turns(ask, strategy, rows, rooms, most)

    def _rooms(self, ask: Ask, most: int) -> Ints:
        """Return how many of a plain shape fit on each row, at most `most`."""
        rooms: Ints = np.where(ask.fits(), most, 0)
        for index, asked in ask.amounts:
            if index is not None:
                np.minimum(rooms, self._work.free[index] // asked, out=rooms)
        return np.maximum(rooms, 0, out=rooms)

    def _fill_up(self, ask: Ask, rows: Ints, rooms: Ints, most: int) -> Iterator[Taken]:
        """The best node stays the best while it fills up, so the nodes are filled one after the other."""
        scores = ask.scores("binpack")[rows]
        for row in rows[np.lexsort((self._ties[rows], -scores))]:
            count = min(most, int(rooms[row]))
            yield from repeat(self._work.take_equal(int(row), ask.shape, count), count)
            most -= count
            if not most:
                return

    def _fill_by_turns(
        self, ask: Ask, strategy: Strategy, rows: Ints, rooms: Ints, most: int
    ) -> Iterator[Taken]:
        """Each node gets worse with each task: a heap of what the next task would score on each."""
        work, shape, ties = self._work, ask.shape, self._ties
        levels = [ask.scores(strategy)]
        firsts = (-levels[0][rows]).tolist(), ties[rows].tolist(), rows.tolist()
        heap = list(zip(*firsts, repeat(0)))
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
    return ask_of(shape, work).fits(rows)
