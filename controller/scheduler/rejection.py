"""Why a task was placed nowhere: counts by first failing reason that add up to the number of nodes, or its queue."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from controller.scheduler.columns import Ints
from controller.scheduler.filters import checks
from controller.scheduler.reasons import PHRASES, QUEUE_PHRASES, Code
from controller.scheduler.shape import Shape
from controller.scheduler.work import Work
from schemas.quantity import show_shortfall


@dataclass(frozen=True, slots=True)
class Group:
    """Nodes with the same first failing reason. least_short: the smallest amount missing, in base units."""

    code: Code
    nodes: tuple[str, ...]
    detail: str = ""
    resource: str = ""
    least_short: int = 0

    @property
    def count(self) -> int:
        return len(self.nodes)


@dataclass(frozen=True, slots=True)
class Rejection:
    """groups: the most nodes first. queue: why the queue lets it wait whatever the nodes, empty if it doesn't."""

    nodes: int
    groups: tuple[Group, ...]
    queue: Code | None = None
    queue_detail: str = ""

    @property
    def is_complete(self) -> bool:
        """Say whether each node has its reason: otherwise the shape fits there, and the task was not let."""
        return sum(group.count for group in self.groups) == self.nodes

    @property
    def codes(self) -> frozenset[Code]:
        """Return all codes that keep it waiting; those of nodes count for nothing while its queue does."""
        if self.queue is not None:
            return frozenset({self.queue})
        return frozenset(group.code for group in self.groups) or frozenset({Code.NO_NODES})


def first_reasons(shape: Shape, work: Work) -> tuple[tuple[Group, Ints], ...]:
    """Return the groups of nodes by their first failing reason, with their rows; fitting nodes are in none."""
    left = work.fleet.exists.copy()
    found = []
    for check in checks(shape, work):
        rows = np.flatnonzero(left & check.fails)
        if rows.size:
            least = int(check.short_by[rows].min()) if check.short_by is not None else 0
            names = work.names_of(rows)
            found.append((Group(check.code, names, check.detail, check.resource, least), rows))
            left[rows] = False
    return tuple(found)


def rejection_of(shape: Shape, work: Work) -> Rejection:
    """Return why a shape fits nowhere."""
    groups = sorted(
        (group for group, _ in first_reasons(shape, work)), key=lambda group: (-group.count, group.code)
    )
    return Rejection(int(work.fleet.exists.sum()), tuple(groups))


def with_left_out(rejection: Rejection, left_out: Mapping[str, Code]) -> Rejection:
    """Return a rejection in which the nodes that fit, but were left out, have that as their reason.

    left_out: node name -> why; those among them that do not fit keep their first reason.
    """
    told = {name for group in rejection.groups for name in group.nodes}
    by_code: dict[Code, list[str]] = {}
    for name, code in sorted(left_out.items()):
        if name not in told:
            by_code.setdefault(code, []).append(name)
    more = (Group(code, tuple(names)) for code, names in sorted(by_code.items()))
    return replace(rejection, groups=(*rejection.groups, *more))


def summarize(rejection: Rejection) -> str:
    """Return one sentence; what it counts adds up to the number of nodes."""
    if rejection.queue is not None:
        detail = f": {rejection.queue_detail}" if rejection.queue_detail else ""
        return QUEUE_PHRASES[rejection.queue] + detail
    if not rejection.nodes:
        return "there are no nodes; start one with: berth agent"
    groups = sorted(rejection.groups, key=lambda each: (-each.count, each.code, each.resource, each.detail))
    return f"0 of {rejection.nodes} nodes fit: " + ", ".join(
        f"{group.count} {_phrase(group)}" for group in groups
    )


def _phrase(group: Group) -> str:
    if group.code is Code.INSUFFICIENT:
        amount = show_shortfall(group.resource, group.least_short)
        return f"short of {group.resource} by {amount}" + (" or more" if group.count > 1 else "")
    detail = f" ({group.detail})" if group.detail else ""
    return PHRASES[group.code] + detail
