"""Scores: how good a node is for a shape, as columns; each term is 0 to 1 (soft ones to a preference's weight).

    score = strategy + 10 x no soft taint + affinity + locality

A strategy is binpack (best fit), spread (its opposite) or balanced. Higher is better.
"""

from collections.abc import Callable
from typing import Literal

import numpy as np

from controller.scheduler.columns import ABSENT, EVERY_ROW, Floats
from controller.scheduler.filters import rows_of, tolerated
from controller.scheduler.shape import Place, Shape
from controller.scheduler.work import SCORED, Work

Strategy = Literal["binpack", "spread", "balanced"]

OPTIMAL = "optimal"
"""What tasks and queues may ask for besides: an optimiser looks at all of them at once; until it has, binpack."""

SOFT_TAINT_WEIGHT = 10.0
PREFERENCE_WEIGHT = 1.0 / 100  # preferences are written from 1 to 100
SPREAD_WEIGHT = 2.0
IMAGE_WEIGHT = 0.5


def best_fit(shape: Shape, work: Work, rows: slice) -> Floats:
    """Google's best fit v3 as Nomad uses it: 20 - (10^free_cpu + 10^free_memory), scaled to 0..1.

    Free shares are those after placing. It falls steeply with what stays free, so that full nodes are filled first.
    Source: hashicorp/nomad, nomad/structs/funcs.go, ScoreFitBinPack.
    """
    cpu, memory = _power_after(shape, work, 0, rows), _power_after(shape, work, 1, rows)
    cpu += memory
    fit: Floats = np.subtract(20.0, cpu, out=cpu)
    fit /= 18.0
    return np.minimum(1.0, np.maximum(0.0, fit, out=fit), out=fit)


def _power_after(shape: Shape, work: Work, place: int, rows: slice) -> Floats:
    """Return 10^(free / allocatable) of a scored resource as it is after placing; the caller's own array."""
    found: Floats = work.power[place, rows] * work.decay(place, shape.asks(SCORED[place]), rows)
    return found


def spread_out(shape: Shape, work: Work, rows: slice) -> Floats:
    """The opposite: the emptier the node stays, the better."""
    return 1.0 - best_fit(shape, work, rows)


def balanced(shape: Shape, work: Work, rows: slice) -> Floats:
    """1 where the same share of cpu and memory is used after placing, less by the difference of the two."""
    cpu, memory = (np.log10(_power_after(shape, work, place, rows)) for place in range(len(SCORED)))
    found: Floats = 1.0 - np.abs(cpu - memory)
    return found


STRATEGIES: dict[Strategy, Callable[[Shape, Work, slice], Floats]] = {
    "binpack": best_fit,
    "spread": spread_out,
    "balanced": balanced,
}


def score(shape: Shape, work: Work, strategy: Strategy, rows: slice = EVERY_ROW) -> Floats:
    """Return the score of each of the rows."""
    return total_of(shape, work, strategy, rows, preference(shape.place, work), locality(shape, work))


def total_of(
    shape: Shape, work: Work, strategy: Strategy, rows: slice, preferred: Floats | None, local: Floats | None
) -> Floats:
    """Return the score of each of the rows; preferred, local: what stays the same for the cycle, of all rows."""
    total = STRATEGIES[strategy](shape, work, rows)
    if preferred is not None:
        total += preferred[rows]
    if prefers_company(shape):
        total += _company(shape, work, rows)
    if local is not None:
        total += local[rows]
    return total


def prefers_company(shape: Shape) -> bool:
    """Say whether the tasks around make a node better or worse."""
    company = shape.company
    if not company.preferred and not company.spreads:
        return False
    return bool(company.preferred) or any(not spread.is_hard for spread in company.spreads)


def preference(place: Place, work: Work) -> Floats | None:
    """Return what a place prefers of nodes whatever runs there, None where it is the same for all."""
    fleet = work.fleet
    try:
        return fleet.preferred[place]
    except KeyError:
        total = np.zeros(fleet.size)
        for number, taints in enumerate(fleet.taint_sets):
            soft = (taint for taint in taints if taint.effect == "PreferNoSchedule")
            if any(not tolerated(place.tolerations, taint) for taint in soft):
                total[fleet.taints[: fleet.size] == number] -= SOFT_TAINT_WEIGHT
        for each in place.preferred:
            total[rows_of(each.term, fleet)] += each.weight * PREFERENCE_WEIGHT
        found = fleet.preferred[place] = total if total.any() else None
        return found


def _company(shape: Shape, work: Work, rows: slice) -> Floats:
    total = np.zeros(work.fleet.size)[rows]
    for each in shape.company.preferred:
        total += (work.count(each.term).around(rows) > 0) * (each.weight * PREFERENCE_WEIGHT)
    for spread in shape.company.spreads:
        if not spread.is_hard:
            count = work.count(spread.term)
            total -= SPREAD_WEIGHT * count.around(rows) / max(1, int(count.by_domain.max(initial=0)))
            total[count.domains[rows] == ABSENT] -= SPREAD_WEIGHT
    return total


def locality(shape: Shape, work: Work) -> Floats | None:
    """By the share of its images that the node has; None where it asks for none."""
    if not shape.images:
        return None
    total = np.zeros(work.fleet.size)
    for image in shape.images:
        total[list(work.fleet.image_holders.get(image, ()))] += IMAGE_WEIGHT / len(shape.images)
    return total


def score_terms(shape: Shape, work: Work, strategy: Strategy) -> dict[str, Floats]:
    """Return the parts of a score by name, each by row; they add up to `score`. For people: why this node."""
    found: dict[str, Floats] = {strategy: STRATEGIES[strategy](shape, work, EVERY_ROW)}
    standing = preference(shape.place, work)
    if standing is not None:
        found["nodes preferred"] = standing
    if prefers_company(shape):
        found["tasks around"] = _company(shape, work, EVERY_ROW)
    local = locality(shape, work)
    if local is not None:
        found["images there"] = local
    return found
