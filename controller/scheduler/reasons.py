"""Why a task does not fit a node: stable codes, and which changes could cure each.

A task that fits nowhere waits until one of the changes happens that could cure one of its reasons; it is not polled.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from schemas.quantity import format_quantity


class Code(StrEnum):
    """Public, stable: tools match on them."""

    NODE_UNREADABLE = "NodeUnreadable"
    NODE_NOT_READY = "NodeNotReady"
    NODE_CORDONED = "NodeCordoned"
    OTHER_NODE = "OtherNode"
    NO_SUCH_NODE = "NoSuchNode"
    TAINT_NOT_TOLERATED = "TaintNotTolerated"
    SELECTOR_MISMATCH = "SelectorMismatch"
    OLD_COPY_ENDING = "OldCopyEnding"
    PORT_TAKEN = "PortTaken"
    NO_FREE_PORT = "NoFreePort"
    INSUFFICIENT = "Insufficient"
    NO_NODES = "NoNodes"


class Cure(StrEnum):
    """A change of the cluster that could make a rejected task fit."""

    NODE_CHANGED = "NodeChanged"  # new, ready, uncordoned, other labels, taints, capacity
    RESOURCES_FREED = "ResourcesFreed"  # a binding ended


CURES: Mapping[Code, frozenset[Cure]] = {
    Code.NODE_UNREADABLE: frozenset({Cure.NODE_CHANGED}),
    Code.NODE_NOT_READY: frozenset({Cure.NODE_CHANGED}),
    Code.NODE_CORDONED: frozenset({Cure.NODE_CHANGED}),
    Code.OTHER_NODE: frozenset({Cure.NODE_CHANGED}),
    Code.NO_SUCH_NODE: frozenset({Cure.NODE_CHANGED}),
    Code.TAINT_NOT_TOLERATED: frozenset({Cure.NODE_CHANGED}),
    Code.SELECTOR_MISMATCH: frozenset({Cure.NODE_CHANGED}),
    Code.OLD_COPY_ENDING: frozenset({Cure.RESOURCES_FREED}),
    Code.PORT_TAKEN: frozenset({Cure.RESOURCES_FREED, Cure.NODE_CHANGED}),
    Code.NO_FREE_PORT: frozenset({Cure.RESOURCES_FREED, Cure.NODE_CHANGED}),
    Code.INSUFFICIENT: frozenset({Cure.RESOURCES_FREED, Cure.NODE_CHANGED}),
    Code.NO_NODES: frozenset({Cure.NODE_CHANGED}),
}


@dataclass(frozen=True, slots=True)
class Reason:
    """One node's first failing filter. `short_by` is in base units of `resource`."""

    code: Code
    detail: str = ""
    resource: str = ""
    short_by: int = 0


_PHRASES = {
    Code.NODE_UNREADABLE: "has a spec that can't be read",
    Code.NODE_NOT_READY: "not ready",
    Code.NODE_CORDONED: "cordoned",
    Code.OTHER_NODE: "not the node that the task names",
    Code.NO_SUCH_NODE: "that has never reported",
    Code.TAINT_NOT_TOLERATED: "with a taint that the task does not tolerate",
    Code.SELECTOR_MISMATCH: "not matching the node selector",
    Code.OLD_COPY_ENDING: "still ending an older copy",
    Code.PORT_TAKEN: "with the host port taken",
    Code.NO_FREE_PORT: "without a free host port",
}


def summarize(reasons: Mapping[str, Reason]) -> str:
    """Return one sentence whose counts add up to the number of nodes (node name -> first failing reason)."""
    if not reasons:
        return "there are no nodes; start one with: berth agent"
    groups: dict[tuple[Code, str, str], list[Reason]] = {}
    for reason in reasons.values():
        groups.setdefault((reason.code, reason.resource, reason.detail), []).append(reason)
    phrases = [
        f"{len(found)} {_phrase(found)}"
        for _, found in sorted(groups.items(), key=lambda item: (-len(item[1]), item[0]))
    ]
    return f"0 of {len(reasons)} nodes fit: " + ", ".join(phrases)


def _phrase(found: list[Reason]) -> str:
    first = found[0]
    if first.code is Code.INSUFFICIENT:
        least = min(reason.short_by for reason in found)
        amount = format_quantity(first.resource, least)
        return f"short of {first.resource} by {amount}" + (" or more" if len(found) > 1 else "")
    detail = f" ({first.detail})" if first.detail else ""
    return _PHRASES[first.code] + detail
