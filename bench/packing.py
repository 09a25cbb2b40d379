"""How well tasks are packed: nodes used by the scheduler, by the optimiser in some seconds, and the least possible.

    rows(instances(), seconds=(1.0, 10.0)) -> one Row an instance

Pure but for the solver's clock: the same instances, made from their seeds, for all. The bound is what HiGHS proves in
the longest of the times, or counting amounts, whichever is higher.
"""

import random
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from controller.scheduler.fleet import Fleet
from controller.scheduler.node_view import NodeView
from controller.scheduler.optimise import Packing, counted_bound, pack
from controller.scheduler.program import Limits
from controller.scheduler.schedule import Policy, schedule
from controller.scheduler.shape import Shape
from controller.scheduler.snapshot import Snapshot, TaskView
from schemas.keys import task_ref

SECONDS = (1.0, 10.0)
NODE = {"cpu": 16_000, "memory": 64 * 2**30}
MIB = 2**20
SEED = 5


@dataclass(frozen=True, slots=True)
class Instance:
    """Tasks that wait in an empty cluster. shapes: how many different ones there are."""

    name: str
    tasks: int
    shapes: int
    nodes: int
    seed: int = SEED


@dataclass(frozen=True, slots=True)
class Solve:
    """What the optimiser made of an instance in so many seconds. gap: of nodes used to the bound, as a share."""

    budget_s: float
    nodes_used: int
    bound: int
    gap: float
    verdict: str
    seconds: float
    searched: int


@dataclass(frozen=True, slots=True)
class Row:
    """One instance. greedy: nodes used by the scheduler alone, all tasks placed. bound: no packing uses fewer."""

    instance: Instance
    placed: int
    greedy: int
    solves: tuple[Solve, ...]
    bound: int

    @property
    def best(self) -> int:
        return min([self.greedy, *(each.nodes_used for each in self.solves)])


def instances() -> tuple[Instance, ...]:
    """Return what is measured: from what is solved to proof to what is too large to be tried."""
    return (
        Instance("40 tasks, all different", 40, 40, 20),
        Instance("100 tasks, all different", 100, 100, 40),
        Instance("200 tasks of 10 shapes", 200, 10, 120),
        Instance("1,000 tasks of 20 shapes", 1000, 20, 500),
        Instance("10,000 tasks, all different", 10_000, 10_000, 4000),
    )


def rows(given: Iterable[Instance], seconds: Sequence[float] = SECONDS) -> Iterator[Row]:
    """Yield a row an instance, as it is done."""
    for each in given:
        yield row(each, snapshot_of(each), seconds)


def row(instance: Instance, snapshot: Snapshot, seconds: Sequence[float] = SECONDS) -> Row:
    """Return how well a snapshot of anybody's is packed. instance: only what it is called."""
    decisions = schedule(snapshot, Policy(), 0.0, SEED)
    solves = tuple(_solve(snapshot, budget_s) for budget_s in seconds)
    greedy = len({each.node for each in decisions.placed})
    bounds = [counted_bound(snapshot, decisions.placed), *(each.bound for each in solves)]
    return Row(instance, len(decisions.placed), greedy, solves, max(bounds))


def snapshot_of(instance: Instance) -> Snapshot:
    """Return tasks of some shapes, drawn from the seed, and more equal nodes than they need."""
    rng = random.Random(instance.seed)
    shapes = [_shape(rng) for _ in range(instance.shapes)]
    tasks = (
        TaskView(task_ref("default", f"t{n}"), f"u{n}", shapes[n % len(shapes)], 0, n)
        for n in range(instance.tasks)
    )
    return Snapshot(Fleet(_node(number) for number in range(instance.nodes)), tuple(tasks))


def _shape(rng: random.Random) -> Shape:
    """Ask for 1/16 to 1/2 of a node, of cpu and memory apart."""
    cpu, memory = rng.randrange(1000, 8000, 100), rng.randrange(4 * 1024, 32 * 1024, 64) * MIB
    return Shape((("cpu", cpu), ("memory", memory)))


def _node(number: int) -> NodeView:
    return NodeView(f"n{number:05}", True, False, {}, (), NODE, NODE, frozenset(), (31000, 32767), {})


def _solve(snapshot: Snapshot, budget_s: float) -> Solve:
    found: Packing = pack(snapshot, Policy(), 0.0, SEED, Limits(budget_s))
    bound = int(found.bound)
    return Solve(budget_s, found.objective, bound, found.gap, found.verdict, found.seconds, found.searched)
