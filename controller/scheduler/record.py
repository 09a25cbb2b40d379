"""Why each task was placed where it was, small enough to be kept in its status: the best nodes, and counts by reason.

Made afterwards, by taking the placements once more in their order: deciding stays as quick as it is. Of a run of equal
tasks the record is that of its first: what the nodes were like when the run began.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from controller.scheduler.columns import Floats
from controller.scheduler.filters import checks
from controller.scheduler.fleet import Fleet
from controller.scheduler.schedule import Placed
from controller.scheduler.scores import Strategy, score_terms
from controller.scheduler.shape import Shape
from controller.scheduler.snapshot import TaskView
from controller.scheduler.work import Work
from schemas.status import TOP_NODES, Decision, ScoredNode

MAX_RUNS = 256  # in one cycle; of what comes after them only the node is recorded, so that the cycle goes on

StrategyOf = Callable[[TaskView], Strategy]


@dataclass(slots=True)
class _Run:
    """How all nodes looked to a shape when the first of its run was placed."""

    shape: Shape
    strategy: Strategy
    scores: Floats
    top: tuple[ScoredNode, ...]
    rejected: dict[str, int]


def records(fleet: Fleet, placed: Iterable[Placed], strategy_of: StrategyOf, at: str) -> dict[str, Decision]:
    """Return task uid -> record. fleet: as it was before these were placed. at: the time, as text."""
    work, run, runs = Work.of(fleet), None, 0
    found = {}
    for each in placed:
        shape, strategy = each.task.shape, strategy_of(each.task)
        if run is None or run.shape != shape or run.strategy != strategy:
            runs += 1
            run = _look(shape, strategy, work) if runs <= MAX_RUNS else None
        found[each.task.uid] = _record(each, run, fleet, at)
        work.take(each.taken.row, shape)
    return found


def _record(placed: Placed, run: _Run | None, fleet: Fleet, at: str) -> Decision:
    if run is None:
        return Decision(node=placed.node, at=at)
    return Decision(
        node=placed.node,
        score=_rounded(run.scores[placed.taken.row]),
        top=run.top,
        rejected=run.rejected,
        considered=int(fleet.exists.sum()),
        at=at,
    )


def _look(shape: Shape, strategy: Strategy, work: Work) -> _Run:
    left, rejected = work.fleet.exists.copy(), dict[str, int]()
    for check in checks(shape, work):
        count = int((left & check.fails).sum())
        if count:
            rejected[str(check.code)] = rejected.get(str(check.code), 0) + count
            left &= ~check.fails
    parts = score_terms(shape, work, strategy)
    scores: Floats = np.sum(list(parts.values()), axis=0)
    rows = np.flatnonzero(left)
    best = rows[np.lexsort((rows, -scores[rows]))][:TOP_NODES]
    return _Run(
        shape, strategy, scores, tuple(_scored(int(row), scores, parts, work) for row in best), rejected
    )


def _scored(row: int, scores: Floats, parts: Mapping[str, Floats], work: Work) -> ScoredNode:
    told = {name: _rounded(values[row]) for name, values in parts.items()}
    return ScoredNode(node=work.fleet.view(row).name, score=_rounded(scores[row]), terms=told)


def _rounded(value: float) -> float:
    return round(float(value), 4)
