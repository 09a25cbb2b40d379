"""Forty containers at once on one node, against the bare SDK with its best number of workers, and Docker Swarm."""

from collections.abc import Callable, Sequence
from functools import partial
from itertools import count

from bench.bare import Bare
from bench.harness import Comparison, Goal, NotHere, Pair, Reading, RowResult, Table, rounds
from bench.lab import Lab
from bench.site import Meter, site
from bench.swarm import Swarm, swarm

COUNT = 40
WORKERS = (4, 8, 12, 16)


class FortyContainers:
    name = "forty"
    title = "Forty containers at once on one node"
    goal = (
        "at most 1.15 x the bare SDK with its best number of workers; at least 1.5 x faster than Docker Swarm"
    )

    def run(self, lab: Lab, pairs: int) -> RowResult:
        numbers = count()
        with site(lab, self.name) as ours:
            best, search = _search(lab, numbers)
            with Bare(lab.docker_host, best) as bare:
                meter = Meter(ours)
                sides = (partial(_ours, meter, numbers), partial(_bare, bare, numbers))
                found, note = _measure(lab, sides, numbers, pairs)
        return RowResult(
            self.name,
            self.title,
            self.goal,
            _comparisons(found, best),
            (meter.reading(COUNT), *_bound(found)),
            (search,),
            (*NOTES, note),
        )


def _measure(
    lab: Lab, sides: Sequence[Callable[[], float]], numbers: "count[int]", pairs: int
) -> tuple[tuple[tuple[float, ...], ...], str]:
    """Measure the sides and Docker Swarm in turns; without the latter where the engine knows no swarm mode."""
    try:
        with swarm(lab) as peer:
            return rounds([*sides, partial(_swarm, peer, numbers)], pairs, lab.say), SWARM_NOTE
    except NotHere as reason:
        return rounds(sides, pairs, lab.say), f"Docker Swarm was not measured: {reason}"


def _comparisons(found: tuple[tuple[float, ...], ...], workers: int) -> tuple[Comparison, ...]:
    """Return ours against the bare SDK and, if it was measured, against Swarm: both with the same runs of ours."""
    sdk = tuple(Pair(each[0], each[1]) for each in found)
    peer = tuple(Pair(each[0], each[2]) for each in found if len(each) > 2)
    what = "40 containers, until the last one runs"
    compared = Comparison(what, "Berth", f"Docker SDK, {workers} workers", "s", sdk, Goal("at most", 1.15))
    if not peer:
        return (compared,)
    faster = Goal("at least", 1.5)
    return compared, Comparison(what, "Berth", "Docker Swarm", "s", peer, faster, ratio="theirs/ours")


def _bound(found: tuple[tuple[float, ...], ...]) -> tuple[Reading, ...]:
    """Return how fast the bare SDK was beside Swarm in the same rounds: who also decides can't be much faster."""
    ratios = tuple(each[2] / each[1] for each in found if len(each) > 2)
    return (Reading("the bare SDK itself against Docker Swarm", "x as fast", ratios),) if ratios else ()


def _search(lab: Lab, numbers: "count[int]") -> tuple[int, Table]:
    """Return with how many workers the bare SDK is fastest, each tried once after a first round that warms up."""
    found: dict[int, float] = {}
    for workers in (WORKERS[0], *WORKERS):
        with Bare(lab.docker_host, workers) as bare:
            found[workers] = _bare(bare, numbers)
        lab.say(f"bare SDK with {workers} workers: {found[workers]:.2f} s")
    rows = tuple((str(workers), f"{seconds:.2f}") for workers, seconds in found.items())
    return min(found, key=lambda each: found[each]), Table(
        "The bare SDK's number of workers, tried once each", ("workers", "seconds"), rows
    )


def _names(numbers: "count[int]") -> list[str]:
    batch = next(numbers)
    return [f"f{batch}-{number}" for number in range(COUNT)]


def _ours(meter: Meter, numbers: "count[int]") -> float:
    names = _names(numbers)
    seconds = meter.run(names)
    meter.site.clear(names)
    return seconds


def _bare(bare: Bare, numbers: "count[int]") -> float:
    seconds = bare.run(_names(numbers))
    bare.clear()
    return seconds


def _swarm(peer: Swarm, numbers: "count[int]") -> float:
    name = f"f{next(numbers)}"
    seconds = peer.run(name, COUNT)
    peer.clear(name)
    return seconds


NOTES = (
    "Berth: from sending the one transaction that writes 40 specs to the watch event of the last status that "
    "says Running. Docker SDK: that many threads with a connection each, until the last start is answered. "
    "Same image, command, limits, log settings and network on all sides.",
)
SWARM_NOTE = (
    "Docker Swarm: one manager on the same engine, `docker service create --replicas 40 --detach` until the API "
    "shows 40 tasks as running, asked ten times a second; no published port, no overlay network. It keeps its "
    "state in a raft log of one member, on the same disk as etcd's."
)
