"""What a row of the bench is and what it returns: values only, so that a page and JSON are made of them.

A row compares in *pairs*: ours and theirs one after the other, in turns of who begins, so that what else the
machine does meets both. The figure of a row is the median of the ratios of its pairs. What has no peer (memory,
cpu at rest) is a `Reading`.

    class Mine:
        name, title, goal = "mine", "Something against its limit", "at most 2 x the limit"
        def run(self, lab: Lab, pairs: int) -> RowResult: ...
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

from bench.lab import Lab

Sense = Literal["at most", "at least"]

MORE_PAIRS = 3  # where a pair takes a second: so many times the pairs asked for make the median steadier


@dataclass(frozen=True, slots=True)
class Goal:
    """A bound for one figure."""

    sense: Sense
    bound: float

    def is_met(self, value: float) -> bool:
        return value <= self.bound if self.sense == "at most" else value >= self.bound

    def share(self, value: float) -> float:
        """Return how much of the goal a figure takes up: up to 1 is reached, whatever the goal's sense."""
        return value / self.bound if self.sense == "at most" else self.bound / value


@dataclass(frozen=True, slots=True)
class Pair:
    """Two measurements made one right after the other, in the comparison's unit."""

    ours: float
    theirs: float


@dataclass(frozen=True, slots=True)
class Comparison:
    """Ours against a peer or a limit.

    ours, theirs: names for the table. unit: of the measurements (`s`, `tasks/s`). goal: for the ratio.
    ratio: which way round it is told: of times, ours/theirs is "so many times as long" and theirs/ours "so many
        times as fast"; of speeds, ours/theirs is the latter.
    """

    what: str
    ours: str
    theirs: str
    unit: str
    pairs: tuple[Pair, ...]
    goal: Goal | None = None
    ratio: Literal["ours/theirs", "theirs/ours"] = "ours/theirs"

    @property
    def ratios(self) -> tuple[float, ...]:
        if self.ratio == "ours/theirs":
            return tuple(pair.ours / pair.theirs for pair in self.pairs)
        return tuple(pair.theirs / pair.ours for pair in self.pairs)


@dataclass(frozen=True, slots=True)
class Reading:
    """A figure without a peer, measured once or several times; the goal is for the median."""

    what: str
    unit: str
    values: tuple[float, ...]
    goal: Goal | None = None


@dataclass(frozen=True, slots=True)
class Table:
    """More detail, printed as it is."""

    title: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True, slots=True)
class Bars:
    """A plot of groups of bars. series: (name, a value for each of the labels)."""

    unit: str
    labels: tuple[str, ...]
    series: tuple[tuple[str, tuple[float, ...]], ...]


@dataclass(frozen=True, slots=True)
class RowResult:
    """What a row found. notes: sentences for the page: what the sides share, where they differ, what bounds ours.

    skipped: why nothing was measured, empty if something was.
    """

    name: str
    title: str
    goal: str
    comparisons: tuple[Comparison, ...] = ()
    readings: tuple[Reading, ...] = ()
    tables: tuple[Table, ...] = ()
    notes: tuple[str, ...] = ()
    skipped: str = ""
    bars: tuple[Bars, ...] = ()
    seconds: float = field(default=0.0, compare=False)  # how long the row took, filled in by the runner


class Row(Protocol):
    """One row of the bench. `run` may raise NotHere when this machine lacks what it needs."""

    name: str
    title: str
    goal: str

    def run(self, lab: Lab, pairs: int) -> RowResult: ...


class NotHere(Exception):
    """A row can't be measured on this machine; the text says why."""


def rounds(
    sides: Sequence[Callable[[], float]], count: int, say: Callable[[str], None]
) -> tuple[tuple[float, ...], ...]:
    """Measure all sides `count` times, each round beginning with another one; return a tuple a round, in their order.

    Before that each side is run once unmeasured, to warm up.
    """
    for side in sides:
        side()
    found = []
    for number in range(count):
        measured = [0.0] * len(sides)
        for step in range(len(sides)):
            turn = (number + step) % len(sides)
            measured[turn] = sides[turn]()
        found.append(tuple(measured))
        say(f"round {number + 1} of {count}: " + ", ".join(f"{each:.3f}" for each in measured))
    return tuple(found)


def interleaved(
    ours: Callable[[], float], theirs: Callable[[], float], pairs: int, say: Callable[[str], None]
) -> tuple[Pair, ...]:
    """Measure in pairs, taking turns in who begins."""
    return tuple(Pair(*each) for each in rounds((ours, theirs), pairs, say))
