"""The scheduler alone: how many placements a second, what one task costs in a full cluster, and what grows how.

    make bench-scheduler          # writes docs/scheduler-performance.md; needs neither etcd nor Docker

Rates are of processor time: deciding is one thread that never waits, so on a machine with nothing else to do that is
the wall clock. Each round also times a fixed piece of numpy, `kernel`, which tells what the machine was like.
"""

import argparse
import logging
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from bench import machine, packing_page, page, plots, scheduler_cases
from bench.harness import Comparison, Goal, Pair, Reading, RowResult, Table, rounds
from bench.lab import Lab, LabError
from bench.page import number
from bench.scheduler_live import FullCluster
from bench.scheduler_reference import Reference
from bench.stats import median
from controller.scheduler.schedule import Policy, schedule
from controller.scheduler.snapshot import Snapshot
from tools import CLONE

ROUNDS = 7
SEED = 1
KERNEL_PASSES = 1000
REFERENCE_TASKS = 20  # each takes milliseconds
MANY = 10_000
MIXED = 50_000
FULL_NODES = 5000
INCREMENTAL = 20  # cycles a measurement: one takes a millisecond
PAGE = CLONE / "docs" / "scheduler-performance.md"
FIGURES = CLONE / "docs" / "performance"


@dataclass(slots=True)
class Timed:
    """Something that is measured again and again: what it does and how many placements that is.

    cpu_s, wall_s: of each run, the first being the warm-up.
    """

    what: str
    run: Callable[[], object]
    count: int
    cpu_s: list[float] = field(default_factory=list)
    wall_s: list[float] = field(default_factory=list)

    def __call__(self) -> float:
        begin, cpu_begin = time.perf_counter(), time.process_time()
        self.run()
        self.cpu_s.append(time.process_time() - cpu_begin)
        self.wall_s.append(time.perf_counter() - begin)
        return self.cpu_s[-1]

    @property
    def rates(self) -> tuple[float, ...]:
        """Return placements a second of processor time."""
        return tuple(self.count / each for each in self.cpu_s[1:])

    @property
    def wall_rates(self) -> tuple[float, ...]:
        return tuple(self.count / each for each in self.wall_s[1:])


class Scheduler:
    name = "scheduler"
    title = "The scheduler alone"
    goal = (
        "placements a second: 50,000 of equal tasks and 10,000 of tasks that are all different, on 1,000 nodes; half "
        "of the latter on 10,000 nodes; 5,000 of 50,000 tasks with affinity, spread and taints, in 20 queues, on 5,000 "
        "nodes. One task that arrives at a full cluster of 5,000 nodes: 10 ms"
    )

    def run(self, lab: Lab, pairs: int) -> RowResult:
        return measure(max(pairs, ROUNDS), lab.say)


def measure(count: int, say: Callable[[str], None]) -> RowResult:
    """Return what was found in `count` rounds."""
    equal = _deciding("10,000 equal tasks on 1,000 nodes", scheduler_cases.equal(1000, MANY))
    different = _deciding("10,000 different tasks on 1,000 nodes", scheduler_cases.different(1000, MANY))
    large = _deciding("10,000 different tasks on 10,000 nodes", scheduler_cases.different(10_000, MANY))
    mixed = _deciding(
        "50,000 mixed tasks in 20 queues on 5,000 nodes", scheduler_cases.mixed(FULL_NODES, MIXED)
    )
    plain = _referring("the obvious scheduler, equal tasks", scheduler_cases.equal(1000, REFERENCE_TASKS))
    varied = _referring(
        "the obvious scheduler, different tasks", scheduler_cases.different(1000, REFERENCE_TASKS)
    )
    kernel = Timed("the numpy kernel", _kernel(), KERNEL_PASSES)
    rejected, placed = _arriving(0), _arriving(1)
    sides = (kernel, equal, different, large, mixed, plain, varied, rejected, placed)
    rounds(sides, count, say)
    live = _live(count, say)
    growing = tuple(_growth(name, make, count, say) for name, make in scheduler_cases.GROWING.items())
    return RowResult(
        Scheduler.name,
        Scheduler.title,
        Scheduler.goal,
        (
            _compared("equal tasks, 1,000 nodes", equal, plain, "the obvious scheduler"),
            _compared("different tasks, 1,000 nodes", different, varied, "the obvious scheduler"),
            _compared("different tasks, 10,000 nodes", large, different, "itself on 1,000 nodes", 0.5),
        ),
        (
            Reading(equal.what, "placements/s", equal.rates, Goal("at least", 50_000)),
            Reading(different.what, "placements/s", different.rates, Goal("at least", 10_000)),
            Reading(mixed.what, "placements/s", mixed.rates, Goal("at least", 5000)),
            *(Reading(each.what, "ms", _each_ms(each), Goal("at most", 10)) for each in (rejected, placed)),
            *live,
        ),
        (_relative((equal, different, large, mixed), kernel), _grown(growing)),
        NOTES,
    )


# What is measured


def _deciding(what: str, snapshot: Snapshot) -> Timed:
    """One cycle in which everything has to be placed."""

    def run() -> None:
        found = len(schedule(snapshot, Policy(), 0.0, SEED).placed)
        if found != len(snapshot.pending):
            raise LabError(f"{what}: only {found} were placed")

    return Timed(what, run, len(snapshot.pending))


def _referring(what: str, snapshot: Snapshot) -> Timed:
    def run() -> None:
        reference = Reference(view for view in snapshot.fleet.views if view is not None)
        for task in snapshot.pending:
            reference.place(task.shape)

    return Timed(what, run, len(snapshot.pending))


def _kernel() -> Callable[[], object]:
    """10^x of 1,000 numbers, a comparison, and the largest of those that pass."""
    shares = np.linspace(0.0, 1.0, 1000)

    def run() -> None:
        for step in range(KERNEL_PASSES):
            powers = np.power(10.0, shares)
            np.where(shares >= step / KERNEL_PASSES, powers, -np.inf).argmax()

    return run


def _arriving(free: int) -> Timed:
    """Cycles over one task, in a cluster in which that many nodes are free, and ten tasks run on each other."""
    nodes, standing = scheduler_cases.full(FULL_NODES, 10, free=free)
    snapshot = scheduler_cases.arrival(nodes, standing)

    def run() -> None:
        for _ in range(INCREMENTAL):
            if len(schedule(snapshot, Policy(), 0.0, SEED).placed) != free:
                raise LabError("a task that arrives was decided wrongly")

    fate = "fits on one node" if free else "fits nowhere"
    return Timed(f"a cycle: one task arrives at 5,000 full nodes and {fate}", run, INCREMENTAL)


def _each_ms(timed: Timed) -> tuple[float, ...]:
    return tuple(1000 / rate for rate in timed.rates)


def _live(count: int, say: Callable[[str], None]) -> tuple[Reading, ...]:
    """The same with all that a leader does: from the event to the write of the decision."""
    say(f"filling {FULL_NODES} nodes through a leader")
    cluster = FullCluster(FULL_NODES)
    try:
        nowhere = [cluster.arrive(f"late-{number}", "1")[1] for number in range(count + 1)]
        somewhere = []
        for number in range(count + 1):
            cluster.free(number)
            somewhere.append(cluster.arrive(f"next-{number}", "8")[1])
    finally:
        cluster.close()
    fates = (("fits nowhere", nowhere), ("fits on one node", somewhere))
    return tuple(
        Reading(
            f"a whole step of the leader: one task arrives at 5,000 full nodes and {fate}",
            "ms",
            tuple(1000 * each for each in found[1:]),
            Goal("at most", 10),
        )
        for fate, found in fates
    )


@dataclass(frozen=True, slots=True)
class _Growth:
    what: str
    count: int
    once_s: float
    twice_s: float


def _growth(what: str, make: Callable[[int], Snapshot], count: int, say: Callable[[str], None]) -> _Growth:
    """Measure a cycle over so many tasks, and over twice as many."""
    small, large = make(1), make(2)
    sides = [
        Timed(what, lambda snapshot=each: schedule(snapshot, Policy(), 0.0, SEED), len(each.pending))  # type: ignore[misc]  # mypy infers no lambda with defaults
        for each in (small, large)
    ]
    rounds(sides, count, lambda text: None)
    say(f"{what}: measured")
    return _Growth(what, len(small.pending), *(median(side.cpu_s[1:]) for side in sides))


# What is told


def _compared(what: str, ours: Timed, theirs: Timed, name: str, least: float | None = None) -> Comparison:
    pairs = tuple(Pair(*rates) for rates in zip(ours.rates, theirs.rates, strict=True))
    goal = Goal("at least", least) if least is not None else None
    return Comparison(what, "the scheduler", name, "placements/s", pairs, goal)


def _relative(sides: Sequence[Timed], kernel: Timed) -> Table:
    """Rates by wall clock too, and in the time that one pass of the kernel takes."""
    pass_s = median(kernel.cpu_s[1:]) / KERNEL_PASSES
    rows = tuple(
        (
            side.what,
            number(median(side.rates)),
            number(median(side.wall_rates)),
            number(median(side.rates) * pass_s),
        )
        for side in sides
    )
    return Table(
        f"Rates, and relative to the kernel, of which one pass took {number(1e6 * pass_s)} µs",
        ("what", "placements/s of processor time", "by wall clock", "placements a pass of the kernel"),
        rows,
    )


def _grown(found: Sequence[_Growth]) -> Table:
    rows = tuple(
        (
            each.what,
            f"{each.count:,}",
            f"{number(1000 * each.once_s)} ms",
            f"{number(1000 * each.twice_s)} ms",
            number(each.twice_s / each.once_s),
        )
        for each in found
    )
    return Table(
        "What must not be quadratic: one cycle, and one with twice as many tasks",
        ("what", "tasks", "processor time", "for twice as many", "ratio"),
        rows,
    )


NOTES = (
    "The reference is `bench/scheduler_reference.py`: one task at a time looks at one node at a time, in plain Python. "
    "Its best fit is the same; that the real one decides as its definition does is what "
    "`tests/controller/scheduler/` checks, not this page.",
    "The mixed tasks come in random order, so that hardly two of a shape follow each other, and 20 queues with weights "
    "1 to 3 take turns: each placement is a turn of its own.",
    "What bounds it: about half of the time of a task that has to be placed by itself goes into some 20 operations on "
    "columns of at most 1,000 nodes, which cost their calls more than their numbers, so that a smaller window gains "
    "little; the other half is Python around them: its turn, its grants, the journal. Placements of equal tasks as a "
    "run cost little more than the values that are returned.",
    "A whole step of the leader is measured over a store in memory: the event through the cache, planning the task, "
    "the cycle, the record of the decision, and handing over the write.",
)


# On its own


def main(arguments: Sequence[str]) -> int:
    """Measure, and write the page of the scheduler."""
    parser = argparse.ArgumentParser(prog="python -m bench.scheduler", description=__doc__)
    parser.add_argument("--rounds", type=int, default=ROUNDS, help=f"runs a row, {ROUNDS} unless told")
    options = parser.parse_args(arguments)
    logging.disable(logging.WARNING)
    here, begin = machine.look(), time.monotonic()
    results = [replace(each, seconds=time.monotonic() - begin) for each in _results(options.rounds)]
    PAGE.write_text(_page(results, here))
    print(f"written: {PAGE.relative_to(CLONE)}")
    return 0


def _results(count: int) -> Iterator[RowResult]:
    """Yield what each section of the page found, in their order."""

    def say(text: str) -> None:
        print(f"{time.strftime('%H:%M:%S')} {text}", flush=True)

    yield measure(count, say)
    yield packing_page.measure(say)


def _page(results: Sequence[RowResult], here: machine.Machine) -> str:
    parts = [INTRO, page.machine_table(here)]
    for result in results:
        figures = plots.figures_of(result, FIGURES)
        parts.append(page.section(result, *(f"{FIGURES.name}/{name}" for name in figures)))
    return "\n".join(parts).rstrip() + "\n"


INTRO = """# Performance of the scheduler

This page is written by `make bench-scheduler`, which needs neither etcd nor Docker. Each row is measured in at least
seven rounds, all rows in turns, and its figure is the median. Rates are of processor time. Nothing is left out: a goal
that was not reached says so. Packing is done once, as it says the same each time but for how far a search comes.
"""


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit(130)
