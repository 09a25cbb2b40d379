"""How packings are printed: the optimum beside what the scheduler does by itself, and how sure that is."""

from collections import Counter
from typing import Any

from cli.durations import parse_seconds
from cli.tables import format_table
from client.errors import BadOption

Json = dict[str, Any]

VERDICTS = {
    "Optimal": "proved: nothing is better",
    "Feasible": "the best that was found in time",
    "TooLarge": "too large to be searched, so that nothing better is known",
    "Unsolved": "nothing was found in time",
    "Refused": "what was found is not possible task by task, so that the scheduler's stands",
    "Nothing": "there is nothing to pack",
    "NotWorthIt": "what is better gains less than was asked for",
}
HEADER = ("PACKING", "NODES USED", "PLACED", "WAITING", "WORK")


def packing_lines(packing: Json) -> list[str]:
    """Return the optimum beside the scheduler's answer, and where tasks would be under it."""
    rows = [_row(name, packing[name]) for name in ("scheduler", "optimum")]
    return [
        *format_table(HEADER, rows),
        certificate_line(packing, f"objective {packing['objective']:g} nodes"),
        *(_where(packing) if packing["isBetter"] else ["Nothing better than the scheduler's was found."]),
    ]


def certificate_line(answer: Json, objective: str) -> str:
    """Return objective, bound, gap, time, and how large the search was."""
    bound = "unknown" if answer["bound"] is None else f"{answer['bound']:g}"
    gap = "unknown" if answer["gap"] is None else f"{answer['gap'] * 100:.1f}%"
    return (
        f"{objective}, bound {bound}, gap {gap}: {VERDICTS[answer['verdict']]} "
        f"({answer['seconds']:.2f}s, {answer['searched']} search nodes, "
        f"{answer['columns']} columns, {answer['rows']} rows)"
    )


def _row(name: str, worth: Json) -> tuple[str, ...]:
    counts = (str(worth[each]) for each in ("nodesUsed", "placed", "waiting"))
    return (name, *counts, f"{worth['work'] * 100:.1f}%")


def _where(packing: Json) -> list[str]:
    places = Counter((one["of"], one["node"]) for one in packing["placed"])
    lines = [f"optimum of {of}: {count} on node {node}" for (of, node), count in sorted(places.items())]
    return [*lines, "It comes about with placement: optimal, in the tasks or in their queue."]


def parse_budget(text: str) -> float:
    """Return seconds. Raises BadOption."""
    seconds = parse_seconds("--budget", text, "write it as in 5s")
    if not 0 < seconds <= 60:
        raise BadOption(f"--budget {text}: a search may take 60s at most, and more than nothing")
    return seconds
