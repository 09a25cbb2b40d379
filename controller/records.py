"""What the view holds, one record an object: decoded values with their revisions, or Unreadable."""

from dataclasses import dataclass, field
from typing import TypeVar

from controller.usage import NodeUsage
from schemas.binding import Binding
from schemas.gitsource_status import GitSourceStatus
from schemas.keys import ObjectRef
from schemas.meta import Model
from schemas.node import Node
from schemas.owned import Owned, OwnerReference
from schemas.report import Heartbeat, NodeReport, TaskReport
from schemas.request import DeleteRequest, EvictRequest, FenceRequest
from schemas.secret import Secret
from schemas.status import NodeStatus, ObjectStatus, TaskStatus
from schemas.task import Task
from schemas.versioned import Versioned
from store.codec import Unreadable

M = TypeVar("M", bound=Model)
Slot = Versioned[M] | Unreadable | None

Site = tuple[str, str]
"""(node name, task uid): where a binding and its report live."""


@dataclass(slots=True)
class TaskRecord:
    """All that is stored about the task of one name; bindings and reports may be of older uids of that name.

    written: what a person wrote. owned: what its owner wrote. spec: what is written, else what is composed of the
    owned key and its kept template; Unreadable when that template is missing. derived: what was last made of this
    record for its owner's planner; dropped with each change.
    """

    ref: ObjectRef
    written: Slot[Task] = None
    owned: Slot[Owned] = None
    spec: Slot[Task] = None
    status: Slot[TaskStatus] = None
    delete: Slot[DeleteRequest] = None
    evict: Slot[EvictRequest] = None
    bindings: dict[Site, Versioned[Binding]] = field(default_factory=dict)
    reports: dict[Site, Versioned[TaskReport]] = field(default_factory=dict)
    derived: object = field(default=None, compare=False)

    @property
    def is_empty(self) -> bool:
        return not (
            self.written
            or self.owned
            or self.status
            or self.delete
            or self.evict
            or self.bindings
            or self.reports
        )

    @property
    def is_frozen(self) -> bool:
        """Something about it can't be read: nothing is decided about it until that is repaired."""
        return (
            isinstance(self.spec, Unreadable)
            or isinstance(self.owned, Unreadable)
            or isinstance(self.status, Unreadable)
            or isinstance(self.delete, Unreadable)
        )

    @property
    def is_owned(self) -> bool:
        """Its spec is composed; a person's task of the same name goes before."""
        return self.written is None and self.owned is not None

    @property
    def owner(self) -> OwnerReference | None:
        """Who made it, also once its owned key is gone and only its end is under way."""
        if self.written is not None:
            return None
        if isinstance(self.owned, Versioned):
            return self.owned.value.owner
        return self.status.value.owner if isinstance(self.status, Versioned) else None


@dataclass(slots=True)
class ObjectRecord:
    """All that is stored about a workload, a ConfigMap or a budget; the fields are those of TaskRecord."""

    ref: ObjectRef
    written: Slot[Model] = None
    owned: Slot[Owned] = None
    spec: Slot[Model] = None
    status: Slot[Model] = None
    delete: Slot[DeleteRequest] = None

    @property
    def is_empty(self) -> bool:
        return not any((self.written, self.owned, self.status, self.delete))

    @property
    def is_frozen(self) -> bool:
        """Something about it can't be read: nothing is decided about it until that is repaired."""
        slots = (self.spec, self.owned, self.status, self.delete)
        return any(isinstance(slot, Unreadable) for slot in slots)

    @property
    def is_owned(self) -> bool:
        return self.written is None and self.owned is not None

    @property
    def owner(self) -> OwnerReference | None:
        """Who made it; of jobs that a CronJob made."""
        return self.owned.value.owner if self.written is None and isinstance(self.owned, Versioned) else None


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

    @property
    def is_empty(self) -> bool:
        return self.spec is None and self.delete is None


@dataclass(slots=True)
class PolicyRecord:
    """A namespace, queue, priority class or source, and the wish to delete it. status: of a queue or source."""

    ref: ObjectRef
    spec: Slot[Model] = None
    delete: Slot[DeleteRequest] = None
    status: Slot[ObjectStatus | GitSourceStatus] = None

    @property
    def is_empty(self) -> bool:
        return self.spec is None and self.delete is None and self.status is None
