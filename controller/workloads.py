"""The part of the view that is about owners: workloads, what they made, ConfigMaps, budgets, ready addresses.

Tasks themselves stay with the view; here is what their owners wrote about them. Each method takes one change in and
returns the objects to look at again.
"""

from collections.abc import Callable, Iterator
from typing import Protocol, TypeVar

from controller.addresses import Addresses
from controller.composing import missing
from controller.made import Made, owner_ref
from controller.records import ObjectRecord, Slot, TaskRecord
from controller.shelves import Refs
from controller.takers import Takers
from schemas.budget import DisruptionBudget
from schemas.configmap import ConfigMap
from schemas.job import CronJob, Job
from schemas.keys import Keys, ObjectRef, RevisionKey
from schemas.kinds import OWNERS
from schemas.meta import Model
from schemas.owned import Endpoints, Owned, Revision
from schemas.request import DeleteRequest
from schemas.task import Task
from schemas.versioned import Versioned
from schemas.workload import DaemonSet, Deployment
from schemas.workload_status import (
    CronJobStatus,
    DaemonSetStatus,
    DeploymentStatus,
    DisruptionBudgetStatus,
    JobStatus,
)
from store.api import KeyValue
from store.codec import Unreadable

M = TypeVar("M", bound=Model)

MODELS: dict[str, type[Model]] = {
    "deployments": Deployment,
    "daemonsets": DaemonSet,
    "jobs": Job,
    "cronjobs": CronJob,
    "configmaps": ConfigMap,
    "disruptionbudgets": DisruptionBudget,
}
STATUSES: dict[str, type[Model]] = {
    "deployments": DeploymentStatus,
    "daemonsets": DaemonSetStatus,
    "jobs": JobStatus,
    "cronjobs": CronJobStatus,
    "disruptionbudgets": DisruptionBudgetStatus,
}


class Reader(Protocol):
    """How the view decodes values; what does not fit its key is Unreadable."""

    def __call__(
        self, model: type[M], kv: KeyValue | None, matches: Callable[[M], bool] | None = None
    ) -> Slot[M]: ...


class Workloads:
    """Records of owners and of what they name; `tasks` is the view's."""

    def __init__(self, keys: Keys, read: Reader, tasks: dict[ObjectRef, TaskRecord]) -> None:
        self._keys = keys
        self._read = read
        self._tasks = tasks
        self.objects: dict[ObjectRef, ObjectRecord] = {}
        self.addresses = Addresses()
        self.takers = Takers()
        self.made = Made()
        self._lost: dict[ObjectRef, str] = {}  # owned by somebody, and why it can't be read by whom

    def of(self, *plurals: str) -> Iterator[ObjectRecord]:
        """Return the records of some kinds."""
        return (record for ref, record in self.objects.items() if ref.plural in plurals)

    def record(self, ref: ObjectRef) -> ObjectRecord:
        found = self.objects.get(ref)
        if found is None:
            found = self.objects[ref] = ObjectRecord(ref)
        return found

    def set_spec(self, ref: ObjectRef, slot: Slot[Model]) -> Refs:
        record = self.record(ref)
        record.written = slot
        self._compose_job(record)
        return self._touched(record)

    def set_status(self, ref: ObjectRef, kv: KeyValue | None) -> Refs:
        record = self.record(ref)
        record.status = self._read(STATUSES[ref.plural], kv)
        return self._touched(record)

    def set_delete(self, ref: ObjectRef, slot: Slot[DeleteRequest]) -> Refs:
        record = self.record(ref)
        record.delete = slot
        return self._touched(record)

    def set_owned_job(self, ref: ObjectRef, kv: KeyValue | None) -> Refs:
        record = self.record(ref)
        record.owned = self.read_owned(ref, kv)
        self._compose_job(record)
        return self._touched(record)

    def read_owned(self, ref: ObjectRef, kv: KeyValue | None) -> Slot[Owned]:
        kind = "Job" if ref.plural == "jobs" else "Task"
        place = (kind, ref.namespace, ref.name)
        return self._read(
            Owned, kv, lambda each: (each.kind, each.metadata.namespace, each.metadata.name) == place
        )

    def set_revision(self, key: RevisionKey, kv: KeyValue | None) -> Refs:
        """Take a kept template in; it concerns what names it, and its owner."""
        place = (key.namespace, key.owner_uid, key.number)
        slot = self._read(Revision, kv, lambda each: (each.owner.uid, each.number) == place[1:])
        dirty = list(self.made.set_revision(*place, slot))
        for owner in dict.fromkeys(dirty):
            for record in tuple(self.made.of(owner, key.owner_uid).records):
                dirty.extend(self._composed_anew(record, key.number))
        return tuple(dict.fromkeys(dirty))

    def _composed_anew(self, record: TaskRecord | ObjectRecord, number: int) -> Refs:
        if not isinstance(record.owned, Versioned) or record.owned.value.revision != number:
            return ()
        if isinstance(record, ObjectRecord):
            self._compose_job(record)
            return self._touched(record)
        self.compose_task(record)
        return (record.ref, *self.owners_of(record))

    def set_endpoints(self, ref: ObjectRef, kv: KeyValue | None) -> Refs:
        """Take a deployment's list of addresses in; it concerns the tasks that have it as files, too."""
        self.addresses.set(ref, self._read(Endpoints, kv))
        return (ref, *self.takers.of(ref))

    def compose_task(self, record: TaskRecord) -> None:
        """Make the task's spec of what is stored now: what a person wrote goes before."""
        record.derived = None
        record.spec = self._composed_task(record)
        readable = record.spec.value.spec if isinstance(record.spec, Versioned) else None
        self.takers.note(record.ref, readable)

    def _composed_task(self, record: TaskRecord) -> Slot[Task]:
        if record.written is not None or not isinstance(record.owned, Versioned):
            return record.written or record.owned  # type: ignore[return-value]  # Unreadable or None
        owned = record.owned.value
        kept = self.made.kept(record.ref.namespace, owned.owner.uid, owned.revision)
        key = self._keys.owned(record.ref)
        return kept.task(record.owned, key) if kept else missing(record.owned, key)

    def shared_template(self, record: TaskRecord) -> Versioned[Revision] | None:
        """Return the kept template that is all of the task's spec, as it is of others; None if there is more to it."""
        if not record.is_owned or not isinstance(record.owned, Versioned):
            return None
        owned = record.owned.value
        kept = self.made.kept(record.ref.namespace, owned.owner.uid, owned.revision)
        if kept is None or owned.node_name is not None or owned.index is not None:
            return None
        return kept.slot if isinstance(kept.slot, Versioned) else None

    def task_template_hash(self, record: TaskRecord) -> str:
        """Return the hash of what a change of would replace an owned task, empty for others."""
        if not record.is_owned or not isinstance(record.owned, Versioned):
            return ""
        owned = record.owned.value
        kept = self.made.kept(record.ref.namespace, owned.owner.uid, owned.revision)
        return kept.task_template_hash(record.owned) if kept and isinstance(kept.slot, Versioned) else ""

    def _compose_job(self, record: ObjectRecord) -> None:
        if record.written is not None or not isinstance(record.owned, Versioned):
            record.spec = record.written or record.owned
            return
        owned = record.owned.value
        kept = self.made.kept(record.ref.namespace, owned.owner.uid, owned.revision)
        key = self._keys.owned(record.ref)
        record.spec = kept.job(record.owned, key) if kept else missing(record.owned, key)

    def _touched(self, record: ObjectRecord) -> Refs:
        if record.is_empty:
            self.objects.pop(record.ref, None)
        return (record.ref, *self.owners_of(record))

    def owners_of(self, record: TaskRecord | ObjectRecord) -> Refs:
        """Note who owns something now; return the owners that a change of it concerns.

        While what would tell can't be read, its owner stays who it was.
        """
        owner = record.owner
        if owner is None and record.is_frozen and record.written is None:
            owner = self.made.owner_of(record.ref)
        if owner is None and isinstance(record.owned, Unreadable):
            self._lost[record.ref] = record.owned.error
        else:
            self._lost.pop(record.ref, None)
        return tuple(self.made.note(record, owner))

    def may_have_lost(self, owner: ObjectRef) -> tuple[tuple[ObjectRef, str], ...]:
        """Return what can't be read, and why, and may be of this owner: its name begins with the owner's."""
        return tuple(
            (ref, self._lost[ref])
            for ref in sorted(self._lost)
            if ref.namespace == owner.namespace and ref.name.startswith(f"{owner.name}-")
        )

    def owner_ref(self, record: TaskRecord | ObjectRecord) -> ObjectRef | None:
        owner = self.made.owner_of(record.ref)
        return owner_ref(owner, record.ref.namespace) if owner is not None else None

    def owners(self) -> list[ObjectRef]:
        """Return every owner that is there, or that something is left of."""
        found = {ref for ref in self.objects if ref.plural in OWNERS}
        return sorted(found | self.made.owners() | set(self.addresses))
