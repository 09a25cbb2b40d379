"""What says who may do what: namespaces, queues, priority classes, and sources with them. A part of the view."""

from typing import TypeVar

from controller.records import PolicyRecord, Slot
from controller.shelves import Refs
from controller.slots import SlotReader, is_named
from schemas.gitsource import GitSource
from schemas.gitsource_status import GitSourceStatus
from schemas.keys import ObjectRef
from schemas.meta import Model
from schemas.namespace import BUILTIN_NAMESPACE, Namespace
from schemas.priority import PriorityClass
from schemas.queue import BUILTIN_QUEUE, Queue
from schemas.request import DeleteRequest
from schemas.status import ObjectStatus
from schemas.versioned import Versioned
from store.api import KeyValue
from store.codec import decode_object

M = TypeVar("M", bound=Model)

POLICY_MODELS: dict[str, type[Model]] = {
    "namespaces": Namespace,
    "queues": Queue,
    "priorityclasses": PriorityClass,
    "gitsources": GitSource,
}


class Policies:
    """records: one an object, as long as anything is stored about it."""

    def __init__(self, slots: SlotReader) -> None:
        self._slots = slots
        self.records: dict[ObjectRef, PolicyRecord] = {}

    def set_spec(self, ref: ObjectRef, kv: KeyValue | None) -> Refs:
        slot = self._slots.read(POLICY_MODELS[ref.plural], kv, decode_object)
        record = self._record(ref)
        record.spec = self._slots.matching(kv, slot, lambda v: is_named(v, ref))
        return self._kept(record)

    def set_status(self, ref: ObjectRef, kv: KeyValue | None) -> Refs:
        """Who writes it knows it; it is read because an object goes together with its status."""
        record = self._record(ref)
        record.status = self._slots.read(GitSourceStatus if ref.plural == "gitsources" else ObjectStatus, kv)
        self._kept(record)
        return ()

    def set_delete(self, ref: ObjectRef, slot: Slot[DeleteRequest]) -> Refs:
        record = self._record(ref)
        record.delete = slot
        return self._kept(record)

    def _record(self, ref: ObjectRef) -> PolicyRecord:
        return self.records.setdefault(ref, PolicyRecord(ref))

    def _kept(self, record: PolicyRecord) -> Refs:
        if record.is_empty:
            del self.records[record.ref]
        return (record.ref,)

    def namespaces(self) -> dict[str, Namespace]:
        """Return namespace name -> Namespace, the built-in one included."""
        return {BUILTIN_NAMESPACE.metadata.name: BUILTIN_NAMESPACE, **self._of("namespaces", Namespace)}

    def queues(self) -> dict[str, Queue]:
        """Return queue name -> Queue, the built-in one included."""
        return {BUILTIN_QUEUE.metadata.name: BUILTIN_QUEUE, **self._of("queues", Queue)}

    def priority_classes(self) -> dict[str, PriorityClass]:
        return self._of("priorityclasses", PriorityClass)

    def _of(self, plural: str, model: type[M]) -> dict[str, M]:
        return {
            ref.name: record.spec.value
            for ref, record in self.records.items()
            if ref.plural == plural
            and isinstance(record.spec, Versioned)
            and isinstance(record.spec.value, model)
        }
