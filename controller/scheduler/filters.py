"""Filters: each says why a shape does not fit a node, or None. They run in the order of `FILTERS`, cheap first;
the first reason is the node's reason, so that counts by reason add up to the number of nodes."""

from collections.abc import Callable

from controller.scheduler.reasons import Code, Reason
from controller.scheduler.snapshot import Room, Shape
from schemas.node import Taint
from schemas.owned import UNSCHEDULABLE
from schemas.task import Toleration

Filter = Callable[[Shape, Room], Reason | None]


def is_readable(shape: Shape, room: Room) -> Reason | None:
    """A spec that can't be read is not absent: the node may be cordoned or tainted."""
    return None if room.view.readable else Reason(Code.NODE_UNREADABLE)


def is_ready(shape: Shape, room: Room) -> Reason | None:
    return None if room.view.ready else Reason(Code.NODE_NOT_READY)


def is_the_node(shape: Shape, room: Room) -> Reason | None:
    """A task may name the only node that it goes to, as those of a DaemonSet do."""
    return None if shape.node_name in (None, room.view.name) else Reason(Code.OTHER_NODE)


def is_not_cordoned(shape: Shape, room: Room) -> Reason | None:
    if not room.view.cordoned:
        return None
    is_for_it = shape.node_name == room.view.name or not room.view.draining
    if is_for_it and any(each.key == UNSCHEDULABLE for each in shape.tolerations):
        return None
    return Reason(Code.NODE_CORDONED)


def tolerates_taints(shape: Shape, room: Room) -> Reason | None:
    for taint in room.view.taints:
        if taint.effect != "PreferNoSchedule" and not any(
            tolerates(toleration, taint) for toleration in shape.tolerations
        ):
            value = f"={taint.value}" if taint.value else ""
            return Reason(Code.TAINT_NOT_TOLERATED, detail=f"{taint.key}{value}:{taint.effect}")
    return None


def tolerates(toleration: Toleration, taint: Taint) -> bool:
    """Say whether one toleration covers one taint, by Kubernetes' rules."""
    if toleration.effect and toleration.effect != taint.effect:
        return False
    if toleration.operator == "Exists":
        return toleration.key in ("", taint.key)
    return toleration.key == taint.key and toleration.value == taint.value


def matches_selector(shape: Shape, room: Room) -> Reason | None:
    for key, value in shape.selector:
        if room.view.labels.get(key) != value:
            return Reason(Code.SELECTOR_MISMATCH, detail=f"{key}={value}")
    return None


def has_ports(shape: Shape, room: Room) -> Reason | None:
    allotted: dict[str, int] = {}
    for ask in shape.ports:
        if ask.host_port is None:
            allotted[ask.protocol] = allotted.get(ask.protocol, 0) + 1
        elif (ask.protocol, ask.host_port) in room.ports_used:
            return Reason(Code.PORT_TAKEN, detail=str(ask.host_port))
    for protocol, wanted in allotted.items():
        low, high = room.view.port_range
        fixed = {ask.host_port for ask in shape.ports if ask.host_port and ask.protocol == protocol}
        used = sum(1 for other, port in room.ports_used if other == protocol and low <= port <= high)
        used += sum(1 for port in fixed if low <= port <= high)
        if high - low + 1 - used < wanted:
            return Reason(Code.NO_FREE_PORT, detail=protocol)
    return None


def fits_resources(shape: Shape, room: Room) -> Reason | None:
    """Free = allocatable minus granted and assumed; integers only (millicores, bytes, counts).

    Of devices with ids no more are free than there are free ids.
    """
    for name, asked in shape.requests:
        free = room.free.get(name, 0)
        if name in room.devices_free:
            free = min(free, len(room.devices_free[name]))
        short_by = asked - free
        if asked and short_by > 0:
            return Reason(Code.INSUFFICIENT, resource=name, short_by=short_by)
    return None


FILTERS: tuple[Filter, ...] = (
    is_the_node,
    is_readable,
    is_ready,
    is_not_cordoned,
    tolerates_taints,
    matches_selector,
    fits_resources,
    has_ports,
)


def first_reason(shape: Shape, room: Room) -> Reason | None:
    """Return why `shape` does not fit, or None if it does."""
    for check in FILTERS:
        reason = check(shape, room)
        if reason is not None:
            return reason
    return None
