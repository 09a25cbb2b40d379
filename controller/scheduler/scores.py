"""Scores: how good a node is for a shape that fits it, each in 0..1, summed by weight."""

from collections.abc import Callable
from typing import Literal

from controller.scheduler.filters import tolerates
from controller.scheduler.snapshot import Room, Shape

Score = Callable[[Shape, Room], float]
Strategy = Literal["binpack", "spread"]


def best_fit(shape: Shape, room: Room) -> float:
    """Google's best fit v3 as Nomad uses it: 20 - (10^free_cpu + 10^free_memory), scaled to 0..1.

    Free shares are those after placing. It falls steeply with what stays free, so that full nodes are
    filled first. Source: hashicorp/nomad, nomad/structs/funcs.go, ScoreFitBinPack.
    """
    total = sum(10 ** _free_share_after(name, shape, room) for name in ("cpu", "memory"))
    return min(1.0, max(0.0, (20 - total) / 18))


def spread_out(shape: Shape, room: Room) -> float:
    """The opposite: the emptier the node stays, the better."""
    return 1.0 - best_fit(shape, room)


def _free_share_after(name: str, shape: Shape, room: Room) -> float:
    capacity = room.view.allocatable.get(name, 0)
    if capacity <= 0:
        return 1.0
    asked = next((amount for other, amount in shape.requests if other == name), 0)
    return max(0.0, min(1.0, (room.free.get(name, 0) - asked) / capacity))


def avoids_soft_taints(shape: Shape, room: Room) -> float:
    """1 without PreferNoSchedule taints that the task does not tolerate, else 0."""
    soft = (taint for taint in room.view.taints if taint.effect == "PreferNoSchedule")
    return float(all(any(tolerates(toleration, taint) for toleration in shape.tolerations) for taint in soft))


SCORES: dict[Strategy, tuple[tuple[Score, float], ...]] = {
    "binpack": ((best_fit, 1.0), (avoids_soft_taints, 10.0)),
    "spread": ((spread_out, 1.0), (avoids_soft_taints, 10.0)),
}


def score(shape: Shape, room: Room, strategy: Strategy) -> float:
    """Return the weighted sum of the scores of a strategy."""
    return sum(weight * function(shape, room) for function, weight in SCORES[strategy])
