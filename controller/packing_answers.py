"""Packings as JSON: how the optimum compares with what the scheduler does by itself, and how sure that is. Pure."""

from collections.abc import Mapping
from math import inf
from typing import Any

from controller.scheduler.optimise import Packing
from controller.scheduler.program import Limits
from controller.scheduler.proposal import MICRO, Worth

Json = dict[str, Any]

MAX_BUDGET_S = 60.0  # of a question; whoever asks waits, and others who ask for optima wait behind
SEARCH_NODES = 2**31 - 1


def limits_of(asked: Json) -> Limits:
    """Return the limits of a question: {"seconds": 5, "searchNodes": 1000}. Raises ValueError, TypeError."""
    seconds, nodes = float(asked.get("seconds", 5.0)), int(asked.get("searchNodes", SEARCH_NODES))
    if not 0 <= seconds <= MAX_BUDGET_S:
        raise ValueError(f"a search may take from 0 to {MAX_BUDGET_S:g} s, not {seconds:g}")
    return Limits(seconds, max(0, min(nodes, SEARCH_NODES)))


def packing_answer(packing: Packing, waiting: int, of: Mapping[str, str]) -> Json:
    """Return a packing. waiting: how many tasks were to be placed. of: task uid -> the object that it is for."""
    return {
        "verdict": packing.verdict,
        "isBetter": packing.is_better,
        **certificate(packing.objective, packing.bound, packing.gap),
        "workBound": round(packing.work_bound / MICRO, 6) if packing.work_bound < inf else None,
        "seconds": round(packing.seconds, 3),
        "searched": packing.searched,
        "columns": packing.columns,
        "rows": packing.rows,
        "scheduler": _worth(packing.heuristic, waiting),
        "optimum": _worth(packing.worth, waiting),
        "placed": [
            {"of": of[each.task.uid], "name": each.task.ref.name, "node": each.node}
            for each in packing.placed
            if each.task.uid in of
        ],
    }


def certificate(objective: float, bound: float, gap: float) -> Json:
    """Return how good an answer is, and how good one can be; None where that is not known."""
    return {
        "objective": round(objective, 6),
        "bound": round(bound, 6) if abs(bound) < inf else None,
        "gap": round(gap, 6) if gap < inf else None,
    }


def _worth(worth: Worth, waiting: int) -> Json:
    return {
        "nodesUsed": worth.nodes_used,
        "placed": worth.placed,
        "waiting": waiting - worth.placed,
        "work": round(sum(worth.by_tier) / MICRO, 6),
    }
