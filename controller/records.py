"""What the view holds, one record an object: decoded values with their revisions, or Unreadable."""

from dataclasses import dataclass, field
from typing import TypeVar

from controller.usage import NodeUsage
from schemas.binding import Binding
from schemas.keys import ObjectRef
from schemas.meta import Model
from schemas.node import Node
from schemas.report import Heartbeat, NodeReport, TaskReport
from schemas.request import DeleteRequest, FenceRequest
from schemas.secret import Secret
from schemas.status import NodeStatus, TaskStatus
from schemas.task import Task
from schemas.versioned import Versioned
from store.codec import Unreadable

M = TypeVar("M", bound=Model)
Slot = Versioned[M] | Unreadable | None

Site = tuple[str, str]
"""(node name, task uid): where a binding and its report live."""


@dataclass(slots=True)
class TaskRecord:
    """All that is stored about the task of one name; bindings and reports may be of older uids of that name."""

    ref: ObjectRef
    spec: Slot[Task] = None
    status: Slot[TaskStatus] = None
    delete: Slot[DeleteRequest] = None
    bindings: dict[Site, Versioned[Binding]] = field(default_factory=dict)
    reports: dict[Site, Versioned[TaskReport]] = field(default_factory=dict)

    @property
    def is_empty(self) -> bool:
        return not (self.spec or self.status or self.delete or self.bindings or self.reports)

    @property
    def is_frozen(self) -> bool:
        """Something about it can't be read: nothing is decided about it until that is repaired."""
        return any(isinstance(slot, Unreadable) for slot in (self.spec, self.status, self.delete))


@dataclass(slots=True)
class NodeRecord:
    """All that is stored about one node, and what its bindings use."""

    name: str
    spec: Slot[Node] = None
    report: Slot[NodeReport] = None
    heartbeat: Slot[Heartbeat] = None
    status: Slot[NodeStatus] = None
    delete: Slot[DeleteRequest] = None
    fence: Slot[FenceRequest] = None
    usage: NodeUsage = field(default_factory=NodeUsage)
    reported: set[str] = field(default_factory=set)  # task uids
    unreadable: set[str] = field(default_factory=set)  # task uids whose binding here can't be read


@dataclass(slots=True)
class SecretRecord:
    """A Secret, and the wish to delete it."""

    ref: ObjectRef
    spec: Slot[Secret] = None
    delete: Slot[DeleteRequest] = None


@dataclass(slots=True)
class PolicyRecord:
    """A namespace, queue or priority class, and the wish to delete it."""

    ref: ObjectRef
    spec: Slot[Model] = None
    delete: Slot[DeleteRequest] = None
