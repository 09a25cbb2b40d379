"""Why a task does not fit a node: stable codes, and which changes could cure each.

A task that fits nowhere waits until one of the changes happens that could cure one of its reasons; it is not polled.
"""

from collections.abc import Mapping
from enum import StrEnum


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
    AFFINITY_MISMATCH = "AffinityMismatch"
    LABEL_MISSING = "TopologyLabelMissing"
    TOO_MANY_THERE = "TooManyThere"
    ANTI_AFFINITY = "AntiAffinity"
    REPELLED = "AntiAffinityOfOther"
    NOBODY_NEAR = "NobodyNear"
    SKEWED = "TopologySkew"
    QUEUE_LIMIT = "QueueLimit"
    BEHIND_HEAD = "BehindHead"
    GANG_INCOMPLETE = "GangIncomplete"
    KEPT_FOR_OTHERS = "KeptForOthers"
    NO_NODES = "NoNodes"


class Cure(StrEnum):
    """A change of the cluster that could make a rejected task fit."""

    NODE_CHANGED = "NodeChanged"  # new, ready, uncordoned, other labels, taints, capacity
    RESOURCES_FREED = "ResourcesFreed"  # a binding ended, on its node or anywhere near it
    TASK_CAME = "TaskCame"  # a task was bound anywhere: somebody to be near, or one more in a domain
    QUEUE_CHANGED = "QueueChanged"  # its rules, or it holds less
    LINE_MOVED = "LineMoved"  # somebody for whom room was kept, or who stood before, waits no longer


_NODE = frozenset({Cure.NODE_CHANGED})
_ROOM = frozenset({Cure.NODE_CHANGED, Cure.RESOURCES_FREED})

CURES: Mapping[Code, frozenset[Cure]] = {
    Code.NODE_UNREADABLE: _NODE,
    Code.NODE_NOT_READY: _NODE,
    Code.NODE_CORDONED: _NODE,
    Code.OTHER_NODE: _NODE,
    Code.NO_SUCH_NODE: _NODE,
    Code.TAINT_NOT_TOLERATED: _NODE,
    Code.SELECTOR_MISMATCH: _NODE,
    Code.AFFINITY_MISMATCH: _NODE,
    Code.LABEL_MISSING: _NODE,
    Code.NO_NODES: _NODE,
    Code.OLD_COPY_ENDING: frozenset({Cure.RESOURCES_FREED}),
    Code.PORT_TAKEN: _ROOM,
    Code.NO_FREE_PORT: _ROOM,
    Code.INSUFFICIENT: _ROOM,
    Code.TOO_MANY_THERE: _ROOM,
    Code.ANTI_AFFINITY: _ROOM,
    Code.REPELLED: _ROOM,
    Code.NOBODY_NEAR: frozenset({Cure.NODE_CHANGED, Cure.TASK_CAME}),
    Code.SKEWED: _ROOM | {Cure.TASK_CAME},
    Code.QUEUE_LIMIT: frozenset({Cure.QUEUE_CHANGED}),
    Code.BEHIND_HEAD: frozenset({Cure.LINE_MOVED}),
    Code.KEPT_FOR_OTHERS: _ROOM | {Cure.LINE_MOVED},
    Code.GANG_INCOMPLETE: frozenset(Cure),
}

AROUND = frozenset({Code.TOO_MANY_THERE, Code.ANTI_AFFINITY, Code.REPELLED, Code.SKEWED})
"""Reasons that lie in the tasks around, so that the end of a task on one node may open another."""

PHRASES: Mapping[Code, str] = {
    Code.NODE_UNREADABLE: "has a spec that can't be read",
    Code.NODE_NOT_READY: "not ready",
    Code.NODE_CORDONED: "cordoned",
    Code.OTHER_NODE: "not the node that the task names",
    Code.NO_SUCH_NODE: "not the node that the task names and that has never reported",
    Code.TAINT_NOT_TOLERATED: "with a taint that the task does not tolerate",
    Code.SELECTOR_MISMATCH: "not matching the node selector",
    Code.AFFINITY_MISMATCH: "not matching the node affinity",
    Code.OLD_COPY_ENDING: "still ending an older copy",
    Code.PORT_TAKEN: "with the host port taken",
    Code.NO_FREE_PORT: "without a free host port",
    Code.LABEL_MISSING: "without the label that is asked for",
    Code.TOO_MANY_THERE: "with as many such tasks as may be there",
    Code.ANTI_AFFINITY: "with tasks that it is to be apart from",
    Code.REPELLED: "with tasks that keep it away",
    Code.NOBODY_NEAR: "without the tasks that it is to be near",
    Code.SKEWED: "that would have too many more than others",
    Code.KEPT_FOR_OTHERS: "kept for tasks that wait longer",
}
"""What is said of nodes after their number."""

QUEUE_PHRASES: Mapping[Code, str] = {
    Code.QUEUE_LIMIT: "its queue is at its limit",
    Code.BEHIND_HEAD: "its queue lets nobody pass one that waits",
    Code.GANG_INCOMPLETE: "its gang can't run in full",
}
"""What is said of a task that waits whatever the nodes are like."""
