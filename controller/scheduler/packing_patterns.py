"""Packing by patterns, where nodes are equal and tasks ask for plain amounts: what goes together, how often.

    the fewest rows that cover all tasks by patterns that are known      a linear program
    a pattern that would be worth more than it costs, by its prices      a knapsack a group of equal rows; until none is
    so often each pattern as a whole number                              an integer program over the patterns

Of a hundred equal nodes the program of `packing_model` knows a hundred, and which is which is most of its search. Here
they are one. And its bound is sharper, as no part of a node is ever used twice. Source: Gilmore and Gomory, A linear
programming approach to the cutting-stock problem (1961).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import ceil

from controller.scheduler.columns import Bools, Floats
from controller.scheduler.packing_model import Item
from controller.scheduler.place import is_plain
from controller.scheduler.program import EXACT, Limits, Program, Solved, minimise, relax, shared
from controller.scheduler.work import Work

MAX_ITEMS = 150  # rows of the master program; with more one round takes too long
MAX_GROUPS = 60  # knapsacks a round
MAX_ROUNDS = 300
ALIKE = 3  # tasks of an item, on average; of fewer a pattern is hardly ever used twice
FINDING_SHARE = 0.7  # of the time; the rest is for choosing among what was found
WORTH = 1e-6  # a pattern that saves less is none

Counts = Mapping[tuple[int, int], int]
"""(item, row) -> how many tasks."""

Pattern = tuple[tuple[int, int], ...]
"""(item, how many) on one row."""


@dataclass(frozen=True, slots=True)
class Packed:
    """bound: how many of the empty rows are needed at least; 0 if that is not known."""

    counts: Counts
    bound: float


def suits(items: Sequence[Item], groups: Sequence[Sequence[int]]) -> bool:
    """Say whether patterns are worth a try: few shapes, few kinds of nodes, and only amounts count."""
    is_small = len(items) <= MAX_ITEMS and len(groups) <= MAX_GROUPS
    are_alike = sum(len(item.tasks) for item in items) >= ALIKE * len(items)
    return is_small and are_alike and all(is_plain(item.shape) for item in items)


def by_patterns(
    work: Work,
    items: Sequence[Item],
    groups: Sequence[Sequence[int]],
    empty: Bools,
    start: Counts,
    limits: Limits,
    steps: list[Solved],
) -> Packed:
    """Place all tasks of all items on as few empty rows as can be. start: how they are all placed already."""
    search = _Search(work, items, groups, empty, limits, steps)
    search.learn(start)
    bound = search.find_patterns()
    return Packed(search.choose(start), bound)


@dataclass(slots=True)
class _Search:
    work: Work
    items: Sequence[Item]
    groups: Sequence[Sequence[int]]
    empty: Bools
    limits: Limits
    steps: list[Solved]
    patterns: list[tuple[int, Pattern]] = field(default_factory=list)  # of which group
    _begun: int = 0

    def __post_init__(self) -> None:
        self._begun = len(self.steps)

    def learn(self, counts: Counts) -> None:
        """Begin with the patterns of an answer."""
        group_of = {row: number for number, rows in enumerate(self.groups) for row in rows}
        by_row: dict[int, list[tuple[int, int]]] = {}
        for (item, row), count in sorted(counts.items()):
            if count:
                by_row.setdefault(row, []).append((item, count))
        found = {(group_of[row], tuple(each)) for row, each in by_row.items()}
        self.patterns = sorted(found)

    def find_patterns(self) -> float:
        """Add patterns until none would help; return the best bound."""
        bound = 0.0
        for _ in range(MAX_ROUNDS):
            if self._left(FINDING_SHARE).seconds <= 0:
                break
            relaxed = relax(self._master(is_integer=False), self._costs(), self._left(FINDING_SHARE))
            if relaxed is None:
                break
            self.steps.append(relaxed.solved)
            prices, rents = relaxed.duals[: len(self.items)], relaxed.duals[len(self.items) :]
            new, worths = self._priced(prices, rents)
            if len(worths) == len(self.groups):
                bound = max(bound, ceil(self._bound(prices, worths) - EXACT))
            if not new:
                break
            self.patterns += new
        return float(bound)

    def _bound(self, prices: Floats, worths: Sequence[float]) -> float:
        """Return how many rows are needed at least, by prices at which no pattern is worth more than its row.

        worths: the most that a row of each group can hold by these prices. Source: Farley, A note on bounding a class
        of linear programming problems, including cutting stock problems, Operations Research 38 (1990).
        """
        wanted = sum(price * len(item.tasks) for price, item in zip(prices, self.items, strict=True))
        empties = [worth for worth, rows in zip(worths, self.groups, strict=True) if self.empty[rows[0]]]
        used = sum(
            worth * len(rows)
            for worth, rows in zip(worths, self.groups, strict=True)
            if not self.empty[rows[0]]
        )
        return float((wanted - used) / max(1.0, *empties)) if empties else 0.0

    def choose(self, start: Counts) -> Counts:
        """Return how many go where, by whole patterns; the start itself if nothing better is found."""
        program = self._master(is_integer=True)
        group_of = {row: number for number, rows in enumerate(self.groups) for row in rows}
        by_row: dict[int, list[tuple[int, int]]] = {}
        for (item, row), count in sorted(start.items()):
            if count:
                by_row.setdefault(row, []).append((item, count))
        column = {pattern: number for number, pattern in enumerate(self.patterns)}
        known: dict[int, float] = {}
        for row, each in by_row.items():
            number = column[group_of[row], tuple(each)]
            known[number] = known.get(number, 0.0) + 1.0
        limits = self._left()
        if limits.seconds <= 0:
            return start
        solved = minimise(program, self._costs(), program.complete(known), limits)
        self.steps.append(solved)
        return self._counts([round(each) for each in solved.values]) if len(solved.values) else start

    def _left(self, share: float = 1.0) -> Limits:
        limits = replace(self.limits, seconds=self.limits.seconds * share)
        return shared(limits, self.steps[self._begun :])

    def _costs(self) -> dict[int, float]:
        return {
            number: 1.0
            for number, (group, _) in enumerate(self.patterns)
            if self.empty[self.groups[group][0]]
        }

    def _master(self, *, is_integer: bool) -> Program:
        program = Program()
        covers: list[dict[int, float]] = [{} for _ in self.items]
        takes: list[dict[int, float]] = [{} for _ in self.groups]
        for group, pattern in self.patterns:
            column = program.add_column(float(len(self.groups[group])), is_integer=is_integer)
            takes[group][column] = 1.0
            for item, count in pattern:
                covers[item][column] = float(count)
        for number, one in enumerate(self.items):
            program.add_row(covers[number], low=float(len(one.tasks)))
        for number, rows in enumerate(self.groups):
            program.add_row(takes[number], high=float(len(rows)))
        return program

    def _priced(self, prices: Floats, rents: Floats) -> tuple[list[tuple[int, Pattern]], list[float]]:
        """Return a pattern of each group that is worth more than it costs; and the most that any can be worth."""
        new: list[tuple[int, Pattern]] = []
        worths: list[float] = []
        for group, rows in enumerate(self.groups):
            cost = (1.0 if self.empty[rows[0]] else 0.0) - rents[group]
            if self._left(FINDING_SHARE).seconds <= 0:
                break
            solved, columns = self._knapsack(rows[0], prices)
            worths.append(-solved.bound)
            if len(solved.values) and -solved.objective > cost + WORTH:
                counts = ((item, round(solved.values[column])) for item, column in columns.items())
                new.append((group, tuple((item, count) for item, count in counts if count)))
        return [each for each in new if each not in self.patterns], worths

    def _knapsack(self, row: int, prices: Floats) -> tuple[Solved, dict[int, int]]:
        program, columns = Program(), dict[int, int]()
        amounts: dict[str, dict[int, int]] = {}
        for number, item in enumerate(self.items):
            most = next((int(m) for r, m in zip(item.rows, item.most, strict=True) if r == row), 0)
            if most and prices[number] > WORTH:
                column = columns[number] = program.add_column(float(most))
                for name, amount in item.shape.requests:
                    if amount:
                        amounts.setdefault(name, {})[column] = amount
        for name, each in amounts.items():
            program.add_amounts(each, int(self.work.free[self.work.fleet.resources[name], row]))
        if not columns:
            return Solved("Optimal", program.complete({}), 0.0, 0.0, 0, 0.0), {}
        terms = {column: -float(prices[number]) for number, column in columns.items()}
        solved = minimise(program, terms, program.complete({}), self._left(FINDING_SHARE))
        self.steps.append(solved)
        return solved, columns

    def _counts(self, times: Sequence[int]) -> Counts:
        """Deal the patterns out to the rows of their groups; what covers more than there is is left out."""
        left = [len(item.tasks) for item in self.items]
        rows = [iter(rows) for rows in self.groups]
        found: dict[tuple[int, int], int] = {}
        for (group, pattern), often in zip(self.patterns, times, strict=True):
            for _ in range(often):
                row = next(rows[group])
                for item, count in pattern:
                    taken = min(count, left[item])
                    left[item] -= taken
                    if taken:
                        found[item, row] = taken
        return found
