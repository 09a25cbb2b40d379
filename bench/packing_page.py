"""The section of packing: how many nodes the scheduler uses, the optimiser in some seconds, and the least possible."""

from collections.abc import Callable, Sequence

from bench.harness import Bars, RowResult, Table
from bench.packing import SECONDS, Instance, Row, instances, rows

NAME = "packing"
TITLE = "Packing"
GOAL = "nodes used by the scheduler, by HiGHS in 1 s and in 10 s, and the bound below which no packing comes"

NOTES = (
    "Tasks wait in an empty cluster of equal nodes; each asks for 1/16 to 1/2 of one, of cpu and of memory apart. The "
    "scheduler takes them as they came, best fit; the search begins with the largest first. The bound is what was "
    "proved in the longest of the times, or what counting amounts says. Everybody is placed by all of them.",
    "What is too large for a search is not searched: then the largest first is what is found, and the bound that of "
    "counting amounts.",
)


def measure(
    say: Callable[[str], None],
    given: Sequence[Instance] | None = None,
    seconds: Sequence[float] = SECONDS,
) -> RowResult:
    """Return how well each instance is packed within each of the times."""
    found = []
    for row in rows(instances() if given is None else given, seconds):
        say(f"packed {row.instance.name}: {row.greedy} nodes, {row.best} at best, bound {row.bound}")
        found.append(row)
    return RowResult(
        NAME, TITLE, GOAL, tables=(_table(found, seconds),), notes=NOTES, bars=(_bars(found, seconds),)
    )


def _table(found: Sequence[Row], seconds: Sequence[float]) -> Table:
    return Table(
        "Nodes used",
        (
            "tasks",
            "scheduler",
            *(f"HiGHS, {each:g} s" for each in seconds),
            "bound",
            *(f"gap after {each:g} s" for each in seconds),
            "took",
            "said",
        ),
        tuple(_cells(row) for row in found),
    )


def _cells(row: Row) -> tuple[str, ...]:
    solves = row.solves
    return (
        row.instance.name,
        f"{row.greedy:,}",
        *(f"{each.nodes_used:,}" for each in solves),
        f"{row.bound:,}",
        *(f"{100 * (each.nodes_used - row.bound) / row.bound:.1f}%" for each in solves),
        ", ".join(f"{each.seconds:.1f} s" for each in solves),
        ", ".join(dict.fromkeys(each.verdict for each in solves)),
    )


def _bars(found: Sequence[Row], seconds: Sequence[float]) -> Bars:
    """Show how far each is above the bound, as counts of nodes differ a hundredfold."""
    above = [
        ("scheduler", tuple(_above(row.greedy, row) for row in found)),
        *(
            (f"HiGHS, {each:g} s", tuple(_above(row.solves[n].nodes_used, row) for row in found))
            for n, each in enumerate(seconds)
        ),
    ]
    return Bars("nodes used beyond the bound, %", tuple(row.instance.name for row in found), tuple(above))


def _above(nodes: int, row: Row) -> float:
    return 100 * (nodes - row.bound) / row.bound
