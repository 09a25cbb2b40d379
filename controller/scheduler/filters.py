"""Filters: each yields what can be in the way of a shape, as a column over all nodes, or over some rows.

They run in the order of `FILTERS`; the first that fails is the node's reason, so that counts by reason add up to
the number of nodes. What doesn't depend on what runs (`PLACE_FILTERS`) is kept for all shapes that ask the same.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from controller.scheduler.columns import ABSENT, EVERY_ROW, Bools, Floats, Ints
from controller.scheduler.fleet import PROTOCOLS, Fleet
from controller.scheduler.reasons import Code
from controller.scheduler.shape import NODE, Expression, NodeTerm, Place, Shape, TaskTerm
from controller.scheduler.work import TermCount, Work
from schemas.node import Taint
from schemas.owned import UNSCHEDULABLE
from schemas.task import Toleration


@dataclass(slots=True)
class Check:
    """One thing that can be in the way; fails: by row. short_by: by row, in base units of `resource`."""

    fails: Bools
    code: Code
    detail: str = ""
    resource: str = ""
    short_by: Ints | None = None


PlaceFilter = Callable[[Place, Fleet], Iterator[Check]]
Filter = Callable[[Shape, Work, slice], Iterator[Check]]


# What depends on the node alone


def is_the_node(place: Place, fleet: Fleet) -> Iterator[Check]:
    """A task may name the only node that it goes to, as those of a DaemonSet do."""
    if place.node_name is not None:
        others = np.ones(fleet.size, np.bool_)
        is_known = place.node_name in fleet.row_of
        if is_known:
            others[fleet.row_of[place.node_name]] = False
        yield Check(others, Code.OTHER_NODE if is_known else Code.NO_SUCH_NODE, place.node_name)


def is_readable(place: Place, fleet: Fleet) -> Iterator[Check]:
    """A spec that can't be read is not absent: the node may be cordoned or tainted."""
    yield Check(~fleet.flags[1, : fleet.size], Code.NODE_UNREADABLE)


def is_ready(place: Place, fleet: Fleet) -> Iterator[Check]:
    yield Check(~fleet.flags[2, : fleet.size], Code.NODE_NOT_READY)


def is_not_cordoned(place: Place, fleet: Fleet) -> Iterator[Check]:
    cordoned, draining = fleet.flags[3, : fleet.size].copy(), fleet.flags[4, : fleet.size]
    if any(each.key == UNSCHEDULABLE for each in place.tolerations):
        cordoned &= draining
        if place.node_name in fleet.row_of:
            cordoned[fleet.row_of[place.node_name]] = False
    yield Check(cordoned, Code.NODE_CORDONED)


def tolerates_taints(place: Place, fleet: Fleet) -> Iterator[Check]:
    taints = fleet.taints[: fleet.size]
    for number, taint_set in enumerate(fleet.taint_sets):
        for taint in taint_set:
            if taint.effect != "PreferNoSchedule" and not tolerated(place.tolerations, taint):
                value = f"={taint.value}" if taint.value else ""
                detail = f"{taint.key}{value}:{taint.effect}"
                yield Check(taints == number, Code.TAINT_NOT_TOLERATED, detail)
                break


def tolerated(tolerations: tuple[Toleration, ...], taint: Taint) -> bool:
    return any(tolerates(each, taint) for each in tolerations)


def tolerates(toleration: Toleration, taint: Taint) -> bool:
    """Say whether one toleration covers one taint, by Kubernetes' rules."""
    if toleration.effect and toleration.effect != taint.effect:
        return False
    if toleration.operator == "Exists":
        return toleration.key in ("", taint.key)
    return toleration.key == taint.key and toleration.value == taint.value


def matches_selector(place: Place, fleet: Fleet) -> Iterator[Check]:
    for key, value in place.selector:
        book, codes = fleet.label(key)
        yield Check(
            codes != book.find(value) if book.find(value) != ABSENT else fleet.exists,
            Code.SELECTOR_MISMATCH,
            f"{key}={value}",
        )


def matches_affinity(place: Place, fleet: Fleet) -> Iterator[Check]:
    if place.affinity:
        fits = np.zeros(fleet.size, np.bool_)
        for term in place.affinity:
            fits |= rows_of(term, fleet)
        yield Check(~fits, Code.AFFINITY_MISMATCH)


def rows_of(term: NodeTerm, fleet: Fleet) -> Bools:
    """Return the rows whose labels meet all demands of a term."""
    fits = np.ones(fleet.size, np.bool_)
    for expression in term:
        fits &= _meets(expression, fleet)
    return fits


def _meets(expression: Expression, fleet: Fleet) -> Bools:
    """Ask each value once, then each row by its code."""
    book, codes = fleet.label(expression.key)
    answers = [expression.matches({expression.key: value}) for value in book.values]
    by_code = np.array([*answers, expression.matches({})], np.bool_)  # ABSENT = -1 is the last
    found: Bools = by_code[codes]
    return found


PLACE_FILTERS: tuple[PlaceFilter, ...] = (
    is_the_node,
    is_readable,
    is_ready,
    is_not_cordoned,
    tolerates_taints,
    matches_selector,
    matches_affinity,
)


# What depends on what runs


def fits_resources(shape: Shape, work: Work, rows: slice) -> Iterator[Check]:
    """Integers only: millicores, bytes, counts. Of devices no more are free than there are free ids."""
    for name, asked in shape.requests:
        index = work.fleet.resources.get(name)
        free = work.free[index, rows] if index is not None else np.zeros(work.fleet.size, np.int64)[rows]
        if asked:
            yield Check(free < asked, Code.INSUFFICIENT, resource=name, short_by=asked - free)


def shortages(shape: Shape, work: Work) -> Floats:
    """Return by row the largest share of a request that is missing; 0 where there is enough."""
    shares = np.zeros(work.fleet.size)
    for name, asked in shape.requests:
        if asked and name in work.fleet.resources:
            np.maximum(shares, (asked - work.free[work.fleet.resources[name]]) / asked, out=shares)
    return shares


def has_ports(shape: Shape, work: Work, rows: slice) -> Iterator[Check]:
    """Ports that are asked for are free, and enough others for those that are allotted."""
    if not shape.ports:
        return
    for ask in shape.ports:
        if ask.host_port is not None:
            taken = np.zeros(work.fleet.size, np.bool_)
            taken[list(work.holders(ask.protocol, ask.host_port))] = True
            yield Check(taken[rows], Code.PORT_TAKEN, str(ask.host_port))
    for index, protocol in enumerate(PROTOCOLS):
        wanted = sum(1 for ask in shape.ports if ask.protocol == protocol and ask.host_port is None)
        if wanted:
            fixed = [ask.host_port for ask in shape.ports if ask.protocol == protocol and ask.host_port]
            free = work.ports_free[index]
            if fixed:
                free = free - _in_range(fixed, work)
            yield Check((free < wanted)[rows], Code.NO_FREE_PORT, protocol)


def _in_range(ports: list[int], work: Work) -> Ints:
    """Return by row how many of the ports are in the range from which others are allotted."""
    ranges = [view.port_range if view else (1, 0) for view in work.fleet.views]
    return np.array([sum(low <= port <= high for port in ports) for low, high in ranges], np.int64)


def keeps_apart(shape: Shape, work: Work, rows: slice) -> Iterator[Check]:
    """Caps and anti-affinities of its own, and the anti-affinities of those who are there."""
    for term in shape.company.repels:
        yield Check(work.count(term).around(rows) > 0, Code.ANTI_AFFINITY, _told(term))
    for cap in shape.company.caps:
        count = work.count(cap.term)
        yield Check(count.around(rows) >= cap.most, Code.TOO_MANY_THERE, _told(cap.term))
        if cap.needs_label and cap.term.topology != NODE:
            yield Check(count.domains[rows] == ABSENT, Code.LABEL_MISSING, cap.term.topology)
    for term, holders in work.repelling(shape.labels).items():
        yield Check(holders.around(rows) > 0, Code.REPELLED, _told(term))


def keeps_near(shape: Shape, work: Work, rows: slice) -> Iterator[Check]:
    """Where none of them is anywhere, the first of a group that is near to itself may begin."""
    for term in shape.company.near:
        count = work.count(term)
        if term.matches(shape.labels) and not count.by_row.any():
            yield Check(count.domains[rows] == ABSENT, Code.LABEL_MISSING, term.topology)
        else:
            yield Check(count.around(rows) == 0, Code.NOBODY_NEAR, _told(term))


def keeps_skew(shape: Shape, work: Work, rows: slice) -> Iterator[Check]:
    """Only domains with a node that the task may go to count for the least."""
    for spread in shape.company.spreads:
        if spread.is_hard:
            count = work.count(spread.term)
            is_outside = count.domains[rows] == ABSENT
            yield Check(is_outside, Code.LABEL_MISSING, spread.term.topology)
            own = int(spread.term.matches(shape.labels))
            most = spread.max_skew - own + _least_in_reach(spread.term.topology, count, shape.place, work)
            yield Check((count.around(rows) > most) & ~is_outside, Code.SKEWED, _told(spread.term))


def _least_in_reach(topology: str, count: TermCount, place: Place, work: Work) -> int:
    """Return the smallest number in any domain with a node that a place admits; which they are stays for a cycle."""
    known = work.reach.of(place)
    reach = known.get(topology)
    if reach is None:
        inside = count.domains[allowed(place, work.fleet) & (count.domains != ABSENT)]
        reach = known[topology] = np.unique(inside)
    return int(count.by_domain[reach].min()) if reach.size else 0


def _told(term: TaskTerm) -> str:
    demands = [f"{each.key} {each.operator} {','.join(each.values)}".strip() for each in term.expressions]
    return f"{' and '.join(demands) or 'any task'} by {term.topology}"


FILTERS: tuple[Filter, ...] = (fits_resources, has_ports, keeps_apart, keeps_near, keeps_skew)


def allowed(place: Place, fleet: Fleet) -> Bools:
    """Return the rows that a place admits whatever runs there; kept until a node changes."""
    known = fleet.allowed.get(place)
    if known is None:
        fits = fleet.exists.copy()
        for each in PLACE_FILTERS:
            for check in each(place, fleet):
                fits &= ~check.fails
        known = fleet.allowed[place] = fits
    return known


def checks(shape: Shape, work: Work) -> Iterator[Check]:
    """Yield all that can be in the way, in order."""
    for place_filter in PLACE_FILTERS:
        yield from place_filter(shape.place, work.fleet)
    for each in FILTERS:
        yield from each(shape, work, EVERY_ROW)
