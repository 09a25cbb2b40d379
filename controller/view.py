"""The leader's view: what the cache holds, decoded, indexed, and kept up to date change by change.

Owned by the controller's core loop. Fed by `apply`, which returns the objects to look at again. What can't be
parsed is kept as Unreadable and freezes what it names; it is never taken for absent.
"""

from collections.abc import Iterable
from dataclasses import replace
from typing import cast

from controller.policies import POLICY_MODELS, Policies
from controller.records import SecretRecord, Slot, TaskRecord
from controller.shelves import Refs, Shelves
from controller.sites import Sites
from controller.slots import SlotReader, is_named, names
from controller.workloads import MODELS, STATUSES, Workloads
from schemas.cluster import AccessToken, Cluster
from schemas.configmap import ConfigMap
from schemas.gang import GangCommit
from schemas.keys import (
    AccessKey,
    AppliedKey,
    BindingKey,
    ClusterKey,
    EndpointsKey,
    GangKey,
    HeartbeatKey,
    Keys,
    NodeReportKey,
    ObjectRef,
    OtherKey,
    OwnedKey,
    ParsedKey,
    RequestKey,
    RevisionKey,
    SpecKey,
    StatusKey,
    TaskReportKey,
    cluster_ref,
    gang_ref,
)
from schemas.meta import CLUSTER_NAMESPACE, Model
from schemas.namespace import Namespace
from schemas.node import Node
from schemas.priority import PriorityClass
from schemas.queue import Queue
from schemas.report import Heartbeat, NodeReport
from schemas.request import DeleteRequest, EvictRequest, FenceRequest
from schemas.secret import Secret
from schemas.status import NodeStatus, TaskStatus
from schemas.task import Task
from schemas.versioned import Versioned
from store.api import KeyValue
from store.codec import Unreadable, decode_object
from store.reflector import Change


class View:
    """Decoded state by object. `revision` is that of the cache it was fed from."""

    def __init__(self, keys: Keys) -> None:
        self._keys = keys
        self._slots = SlotReader()
        self._read, self._matching = self._slots.read, self._slots.matching
        self.tasks: dict[ObjectRef, TaskRecord] = {}
        self.workloads = Workloads(keys, self._slots.read_matching, self.tasks)
        self._shelves = Shelves(self.tasks, self.workloads.owners_of)
        self._record, self._touched, self._node = (
            self._shelves.record,
            self._shelves.touched,
            self._shelves.node,
        )
        self._policies = Policies(self._slots)
        self.sites = Sites(self._slots, self._shelves)
        self.cluster: Slot[Cluster] = None
        self.nodes = self._shelves.nodes
        self.policies = self._policies.records
        self.secrets: dict[ObjectRef, SecretRecord] = {}
        self.access: dict[str, Slot[AccessToken]] = {}
        self.gangs: dict[str, Slot[GangCommit]] = {}  # by the uid of the attempt
        self.unreadable = self._slots.unreadable
        self.wished: set[ObjectRef] = set()  # tasks that somebody wants evicted

    def task(self, ref: ObjectRef) -> TaskRecord:
        return self.tasks.get(ref) or TaskRecord(ref)

    def is_frozen(self, record: TaskRecord) -> bool:
        """Say whether anything about the task can't be read, bindings and reports of its uid included."""
        return record.is_frozen or self.sites.has_unread_of(record)

    def expect(
        self, key: str, value: bytes, model: Model, *, settles: bool = False, is_whole: bool = False
    ) -> None:
        """Note what `value`, on its way to `key`, says; see `SlotReader.expect`."""
        self._slots.expect(key, value, model, settles=settles, is_whole=is_whole)

    def apply(self, change: Change) -> Refs:
        """Take one change of the cache in and return the objects to look at again."""
        key = self._keys.parse(change.key)
        if change.new is None:
            self._slots.forget(change.key)
        return tuple(self._apply(key, change.key, change.new))

    def _apply(self, key: ParsedKey, text: str, kv: KeyValue | None) -> Iterable[ObjectRef]:
        match key:
            case SpecKey(ref):
                return self._set_spec(ref, kv)
            case StatusKey(ref) if ref.plural == "tasks":
                return self._set_status(ref, kv)
            case StatusKey(ref) if ref.plural == "nodes":
                self._node(ref.name).status = self._read(NodeStatus, kv)
                return (ref,)
            case StatusKey(ref) if ref.plural in STATUSES:
                return self.workloads.set_status(ref, kv)
            case StatusKey(ref) if ref.plural in ("queues", "gitsources"):
                return self._policies.set_status(ref, kv)
            case OwnedKey(ref) if ref.plural in ("tasks", "jobs"):
                return self._set_owned(ref, kv)
            case RevisionKey():
                return self.workloads.set_revision(key, kv)
            case EndpointsKey(namespace, name):
                ref = ObjectRef("deployments", namespace, name)
                return self.workloads.set_endpoints(ref, kv)
            case RequestKey(ref, "delete"):
                return self._set_delete(ref, kv)
            case RequestKey(ref, "evict") if ref.plural == "tasks":
                record = self._record(ref)
                record.evict = self._read(EvictRequest, kv)
                self.wished.discard(ref) if record.evict is None else self.wished.add(ref)
                return self._touched(record)
            case RequestKey(ref, "fence") if ref.plural == "nodes":
                self._node(ref.name).fence = self._read(FenceRequest, kv)
                return (ref,)
            case BindingKey(node, uid):
                return self.sites.set_binding((node, uid), text, kv)
            case TaskReportKey(node, uid):
                return self.sites.set_report((node, uid), text, kv)
            case NodeReportKey(node):
                self._node(node).report = self._matching(
                    kv, self._read(NodeReport, kv), lambda v: v.node == node
                )
                return (cluster_ref("nodes", node),)
            case HeartbeatKey(node):
                self._node(node).heartbeat = self._read(Heartbeat, kv)
                return (cluster_ref("nodes", node),)
            case AccessKey(namespace):
                self.access[namespace] = self._read(AccessToken, kv)
            case GangKey(uid):
                return self._set_gang(uid, kv)
            case ClusterKey():
                self.cluster = self._read(Cluster, kv)
            case AppliedKey() | OwnedKey() | OtherKey() | StatusKey() | RequestKey():
                pass
        return ()

    def _set_spec(self, ref: ObjectRef, kv: KeyValue | None) -> Refs:
        if ref.plural == "tasks":
            record = self._record(ref)
            record.written = self._matching(
                kv, self._read(Task, kv, decode_object), lambda v: names(v.metadata, ref)
            )
            self.workloads.compose_task(record)
            return self._touched(record)
        if ref.plural in MODELS:
            slot = self._read(MODELS[ref.plural], kv, decode_object)
            dirty = self.workloads.set_spec(ref, self._matching(kv, slot, lambda v: is_named(v, ref)))
            return (*dirty, *self.workloads.takers.of(ref)) if ref.plural == "configmaps" else dirty
        if ref.plural == "secrets":
            return self._set_secret(ref, kv)
        if ref.namespace != CLUSTER_NAMESPACE:
            return ()
        if ref.plural == "nodes":
            node = self._matching(kv, self._read(Node, kv, decode_object), lambda v: names(v.metadata, ref))
            self._node(ref.name).spec = node
            return (ref,)
        return self._policies.set_spec(ref, kv) if ref.plural in POLICY_MODELS else ()

    def _set_owned(self, ref: ObjectRef, kv: KeyValue | None) -> Refs:
        """Take in what an owner wrote of something that it made."""
        if ref.plural == "jobs":
            return self.workloads.set_owned_job(ref, kv)
        record = self._record(ref)
        record.owned = self.workloads.read_owned(ref, kv)
        self.workloads.compose_task(record)
        return self._touched(record)

    def _set_gang(self, uid: str, kv: KeyValue | None) -> Refs:
        if kv is None:
            self.gangs.pop(uid, None)
        else:
            self.gangs[uid] = self._matching(kv, self._read(GangCommit, kv), lambda v: v.uid == uid)
        return (gang_ref(uid),)

    def config_map(self, ref: ObjectRef) -> Slot[ConfigMap]:
        """Return what is stored of a ConfigMap."""
        record = self.workloads.objects.get(ref)
        slot = record.written if record is not None else None
        if slot is None or isinstance(slot, Unreadable):
            return slot
        return cast(Versioned[ConfigMap], slot)  # its plural says so

    def _set_status(self, ref: ObjectRef, kv: KeyValue | None) -> Refs:
        record = self._record(ref)
        is_settled = self._slots.is_settled_by(kv)
        slot = self._read(TaskStatus, kv)
        if isinstance(slot, Unreadable):
            record.status = slot  # it goes on to hold the room that it held
            return self._touched(record)
        record.status = slot
        self.sites.place(ref, slot)
        return self._shelves.owners(record) if is_settled else self._touched(record)

    def _set_delete(self, ref: ObjectRef, kv: KeyValue | None) -> Refs:
        slot = self._read(DeleteRequest, kv)
        if ref.plural == "tasks":
            record = self._record(ref)
            record.delete = slot
            return self._touched(record)
        if ref.plural in MODELS:
            return self.workloads.set_delete(ref, slot)
        if ref.plural == "nodes":
            self._node(ref.name).delete = slot
        elif ref.plural == "secrets":
            self._keep_secret(replace(self._secret(ref), delete=slot))
        elif ref.plural in POLICY_MODELS:
            return self._policies.set_delete(ref, slot)
        return (ref,)

    def _set_secret(self, ref: ObjectRef, kv: KeyValue | None) -> Refs:
        """Take a Secret in; it concerns itself and the tasks that name it."""
        slot = self._matching(kv, self._read(Secret, kv, decode_object), lambda v: is_named(v, ref))
        self._keep_secret(replace(self._secret(ref), spec=slot))
        return (ref, *self.workloads.takers.of(ref))

    def _secret(self, ref: ObjectRef) -> SecretRecord:
        return self.secrets.get(ref) or SecretRecord(ref)

    def _keep_secret(self, record: SecretRecord) -> None:
        if record.is_empty:
            self.secrets.pop(record.ref, None)
        else:
            self.secrets[record.ref] = record

    def namespaces(self) -> dict[str, Namespace]:
        """Return namespace name -> Namespace, the built-in one included."""
        return self._policies.namespaces()

    def queues(self) -> dict[str, Queue]:
        """Return queue name -> Queue, the built-in one included."""
        return self._policies.queues()

    def priority_classes(self) -> dict[str, PriorityClass]:
        return self._policies.priority_classes()
