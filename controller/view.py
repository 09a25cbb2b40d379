"""The leader's view: what the cache holds, decoded, indexed, and kept up to date change by change.

Owned by the controller's core loop. Fed by `apply`, which returns the objects to look at again. What can't be
parsed is kept as Unreadable and freezes what it names; it is never taken for absent.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TypeVar, cast

from pydantic import ValidationError

from controller.records import NodeRecord, PolicyRecord, SecretRecord, Site, Slot, TaskRecord
from controller.workloads import MODELS, STATUSES, Workloads
from schemas.binding import Binding
from schemas.cluster import AccessToken, Cluster
from schemas.configmap import ConfigMap
from schemas.gang import GangCommit
from schemas.gitsource import GitSource
from schemas.gitsource_status import GitSourceStatus
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
    task_ref,
)
from schemas.meta import CLUSTER_NAMESPACE, Model, ObjectMeta
from schemas.namespace import BUILTIN_NAMESPACE, Namespace
from schemas.node import Node
from schemas.priority import PriorityClass
from schemas.queue import BUILTIN_QUEUE, Queue
from schemas.report import Heartbeat, NodeReport, TaskReport
from schemas.request import DeleteRequest, EvictRequest, FenceRequest
from schemas.secret import Secret
from schemas.state import FINISHED, ContainerState
from schemas.status import NodeStatus, ObjectStatus, TaskStatus
from schemas.task import Task
from schemas.versioned import Versioned
from store.api import KeyValue
from store.codec import RawJson, Unreadable, decode, decode_object, uid_of
from store.reflector import Change

M = TypeVar("M", bound=Model)


@dataclass(frozen=True, slots=True)
class _Expected:
    """A value that this leader writes, and what it says."""

    value: bytes
    model: Model
    settles: bool


MAX_EXPECTED = (
    50_000  # writes that failed never come; the oldest goes, and costs a parse if it comes after all
)


class View:
    """Decoded state by object. `revision` is that of the cache it was fed from."""

    def __init__(self, keys: Keys) -> None:
        self._keys = keys
        self.cluster: Slot[Cluster] = None
        self.tasks: dict[ObjectRef, TaskRecord] = {}
        self.nodes: dict[str, NodeRecord] = {}
        self.policies: dict[ObjectRef, PolicyRecord] = {}
        self.secrets: dict[ObjectRef, SecretRecord] = {}
        self.workloads = Workloads(keys, self._read_matching, self.tasks)
        self.access: dict[str, Slot[AccessToken]] = {}
        self.gangs: dict[str, Slot[GangCommit]] = {}  # by the uid of the attempt
        self.unreadable: dict[str, Unreadable] = {}
        self._expected: dict[str, _Expected] = {}
        self._site_ref: dict[tuple[str, Site], ObjectRef] = {}
        self._placed: dict[Site, tuple[ObjectRef, TaskStatus]] = {}
        self._place_of: dict[ObjectRef, Site] = {}
        self._frozen_uids: dict[str, frozenset[str]] = {}  # task uid -> its keys that can't be read
        self.touched: set[Site] | None = (
            None  # sites that may differ since somebody emptied it; None: nobody does
        )

    def task(self, ref: ObjectRef) -> TaskRecord:
        return self.tasks.get(ref) or TaskRecord(ref)

    def tasks_on(self, node: str) -> list[ObjectRef]:
        """Return the tasks that have a binding on `node`, ended or not, or a report of it."""
        record = self.nodes.get(node)
        if record is None:
            return []
        places = [("binding", uid) for uid in record.usage.sites] + [
            ("report", uid) for uid in record.reported
        ]
        found = {self._site_ref.get((what, (node, uid))) for what, uid in places}
        return sorted(ref for ref in found if ref is not None)

    def reports_on(self, node: str) -> Iterator[TaskReport]:
        """Return what was last reported of the tasks of a node."""
        record = self.nodes.get(node)
        for uid in record.reported if record is not None else ():
            report = self.report_at((node, uid))
            if report is not None:
                yield report

    @property
    def has_unread_sites(self) -> bool:
        """Say whether any binding or report can't be read."""
        return bool(self._frozen_uids)

    def is_frozen(self, record: TaskRecord) -> bool:
        """Say whether anything about the task can't be read, bindings and reports of its uid included."""
        return record.is_frozen or self.has_unread_site(record)

    def has_unread_site(self, record: TaskRecord) -> bool:
        """Say whether a binding or report of the task can't be read."""
        return bool(self._frozen_uids) and not self._frozen_uids.keys().isdisjoint(_uids_of(record))

    def apply(self, change: Change) -> tuple[ObjectRef, ...]:
        """Take one change of the cache in and return the objects to look at again."""
        key = self._keys.parse(change.key)
        if change.new is None:
            self.unreadable.pop(change.key, None)
            self._expected.pop(change.key, None)
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
                return self._set_policy_status(ref, kv)
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
                return self._touched(record)
            case RequestKey(ref, "fence") if ref.plural == "nodes":
                self._node(ref.name).fence = self._read(FenceRequest, kv)
                return (ref,)
            case BindingKey(node, uid):
                return self._set_binding((node, uid), text, kv)
            case TaskReportKey(node, uid):
                return self._set_report((node, uid), text, kv)
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

    def _read(self, model: type[M], kv: KeyValue | None, decoder: Callable[..., object] = decode) -> Slot[M]:
        """Decode one value; what can't be decoded is noted as Unreadable."""
        if kv is None:
            return None
        expected = self._expected.pop(kv.key, None)
        if expected is not None and expected.value == kv.value and isinstance(expected.model, model):
            return self._readable(expected.model, kv)
        raw = decoder(kv)
        if isinstance(raw, dict):
            try:
                return self._readable(model.parse_stored(raw), kv)
            except ValidationError as error:
                first = error.errors(include_url=False)[0]
                where = ".".join(str(part) for part in first["loc"])
                raw = Unreadable(kv.key, None, f"{where}: {first['msg']}", kv.mod_revision)
        assert isinstance(raw, Unreadable)
        self.unreadable[kv.key] = raw
        return raw

    def _read_matching(
        self, model: type[M], kv: KeyValue | None, matches: Callable[[M], bool] | None = None
    ) -> Slot[M]:
        slot = self._read(model, kv)
        return self._matching(kv, slot, matches) if matches else slot

    def _readable(self, value: M, kv: KeyValue) -> Versioned[M]:
        self.unreadable.pop(kv.key, None)
        return Versioned(value, RawJson(kv.value), kv.create_revision, kv.mod_revision, kv.version)

    def expect(self, key: str, value: bytes, model: Model, *, settles: bool = False) -> None:
        """Note what `value`, on its way to `key`, says: if the store shows these very bytes, they need no parsing.

        settles: nor is there anything left to plan for the object, as far as this value goes.
        """
        self._expected.pop(key, None)
        self._expected[key] = _Expected(value, model, settles)
        if len(self._expected) > MAX_EXPECTED:
            del self._expected[next(iter(self._expected))]

    def _is_settled_by(self, kv: KeyValue | None) -> bool:
        expected = self._expected.get(kv.key) if kv is not None else None
        return expected is not None and kv is not None and expected.settles and expected.value == kv.value

    def _record(self, ref: ObjectRef) -> TaskRecord:
        """Return the record of a task that is about to change."""
        record = self.tasks.get(ref)
        if record is None:
            record = self.tasks[ref] = TaskRecord(ref)
        record.derived = None
        return record

    def _touched(self, record: TaskRecord) -> tuple[ObjectRef, ...]:
        return (record.ref, *self._owners(record))

    def _owners(self, record: TaskRecord) -> tuple[ObjectRef, ...]:
        """Drop a record of which nothing is left; return the owners that a change of it concerns."""
        if record.is_empty:
            self.tasks.pop(record.ref, None)
        return self.workloads.owners_of(record)

    def _node(self, name: str) -> NodeRecord:
        record = self.nodes.get(name)
        if record is None:
            record = self.nodes[name] = NodeRecord(name)
        return record

    def _set_spec(self, ref: ObjectRef, kv: KeyValue | None) -> tuple[ObjectRef, ...]:
        if ref.plural == "tasks":
            record = self._record(ref)
            record.written = self._matching(
                kv, self._read(Task, kv, decode_object), lambda v: _names(v.metadata, ref)
            )
            self.workloads.compose_task(record)
            return self._touched(record)
        if ref.plural in MODELS:
            slot = self._read(MODELS[ref.plural], kv, decode_object)
            dirty = self.workloads.set_spec(ref, self._matching(kv, slot, lambda v: _is_named(v, ref)))
            return (*dirty, *self.workloads.takers.of(ref)) if ref.plural == "configmaps" else dirty
        if ref.plural == "secrets":
            return self._set_secret(ref, kv)
        if ref.namespace != CLUSTER_NAMESPACE:
            return ()
        if ref.plural == "nodes":
            node = self._matching(kv, self._read(Node, kv, decode_object), lambda v: _names(v.metadata, ref))
            self._node(ref.name).spec = node
            return (ref,)
        model = _POLICY_MODELS.get(ref.plural)
        if model is None:
            return ()
        policy = self.policies.setdefault(ref, PolicyRecord(ref))
        policy.spec = self._matching(kv, self._read(model, kv, decode_object), lambda v: _is_named(v, ref))
        if policy.is_empty:
            del self.policies[ref]
        return (ref,)

    def _set_policy_status(self, ref: ObjectRef, kv: KeyValue | None) -> tuple[ObjectRef, ...]:
        policy = self.policies.setdefault(ref, PolicyRecord(ref))
        policy.status = self._read(GitSourceStatus if ref.plural == "gitsources" else ObjectStatus, kv)
        if policy.is_empty:
            del self.policies[ref]
        return ()  # who writes it knows it; it is read because an object goes together with its status

    def _set_owned(self, ref: ObjectRef, kv: KeyValue | None) -> tuple[ObjectRef, ...]:
        """Take in what an owner wrote of something that it made."""
        if ref.plural == "jobs":
            return self.workloads.set_owned_job(ref, kv)
        record = self._record(ref)
        record.owned = self.workloads.read_owned(ref, kv)
        self.workloads.compose_task(record)
        return self._touched(record)

    def _set_gang(self, uid: str, kv: KeyValue | None) -> tuple[ObjectRef, ...]:
        if kv is None:
            self.gangs.pop(uid, None)
        else:
            self.gangs[uid] = self._matching(kv, self._read(GangCommit, kv), lambda v: v.uid == uid)
        return (gang_ref(uid),)

    def _set_secret(self, ref: ObjectRef, kv: KeyValue | None) -> tuple[ObjectRef, ...]:
        """Take a Secret in; it concerns itself and the tasks that name it."""
        secret = self.secrets.setdefault(ref, SecretRecord(ref))
        secret.spec = self._matching(kv, self._read(Secret, kv, decode_object), lambda v: _is_named(v, ref))
        if secret.spec is None and secret.delete is None:
            del self.secrets[ref]
        return (ref, *self.workloads.takers.of(ref))

    def config_map(self, ref: ObjectRef) -> Slot[ConfigMap]:
        """Return what is stored of a ConfigMap."""
        record = self.workloads.objects.get(ref)
        slot = record.written if record is not None else None
        if slot is None or isinstance(slot, Unreadable):
            return slot
        return cast(Versioned[ConfigMap], slot)  # its plural says so

    def _set_status(self, ref: ObjectRef, kv: KeyValue | None) -> tuple[ObjectRef, ...]:
        record = self._record(ref)
        is_settled = self._is_settled_by(kv)
        slot = self._read(TaskStatus, kv)
        if isinstance(slot, Unreadable):
            record.status = slot  # it goes on to hold the room that it held
            return self._touched(record)
        before, record.status = self._place_of.get(ref), slot
        after = _placed_at(slot)
        if before is not None:
            self._placed.pop(before, None)
        self._place_of.pop(ref, None)
        if after is not None and isinstance(slot, Versioned):
            self._placed[after], self._place_of[ref] = (ref, slot.value), after
        for site in {before, after} - {None}:
            assert site is not None
            self._account(site)
        return self._owners(record) if is_settled else self._touched(record)

    def _matching(self, kv: KeyValue | None, slot: Slot[M], matches: Callable[[M], bool]) -> Slot[M]:
        """A value that names another object than its key does is somebody's mistake: unreadable."""
        if not isinstance(slot, Versioned) or kv is None or matches(slot.value):
            return slot
        wrong = Unreadable(
            kv.key, uid_of(slot.raw), "the value names another object than the key", kv.mod_revision
        )
        self.unreadable[kv.key] = wrong
        return wrong

    def _set_delete(self, ref: ObjectRef, kv: KeyValue | None) -> tuple[ObjectRef, ...]:
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
            secret = self.secrets.setdefault(ref, SecretRecord(ref))
            secret.delete = slot
            if secret.spec is None and secret.delete is None:
                del self.secrets[ref]
        elif ref.plural in _POLICY_MODELS:
            policy = self.policies.setdefault(ref, PolicyRecord(ref))
            policy.delete = slot
            if policy.is_empty:
                del self.policies[ref]
        return (ref,)

    def _set_binding(self, site: Site, text: str, kv: KeyValue | None) -> Iterable[ObjectRef]:
        slot = self._matching(kv, self._read(Binding, kv), lambda v: (v.node, v.task_uid) == site)
        is_unreadable = isinstance(slot, Unreadable)
        thawed = self._freeze(site[1], text, frozen=is_unreadable)
        readable = slot if isinstance(slot, Versioned) else None
        ref = task_ref(readable.value.namespace, readable.value.name) if readable else None
        record, dirty = self._move("binding", site, ref)
        if record is not None and readable is not None:
            record.bindings[site] = readable
        node = self._node(site[0])
        had_sites = bool(node.usage.sites)
        node.unreadable.add(site[1]) if is_unreadable else node.unreadable.discard(site[1])
        self._account(site)
        if had_sites != bool(node.usage.sites):
            dirty += (cluster_ref("nodes", node.name),)
        return dirty + thawed

    def _set_report(self, site: Site, text: str, kv: KeyValue | None) -> Iterable[ObjectRef]:
        slot = self._matching(kv, self._read(TaskReport, kv), lambda v: v.task_uid == site[1])
        thawed = self._freeze(site[1], text, frozen=isinstance(slot, Unreadable))
        readable = slot if isinstance(slot, Versioned) else None
        ref = task_ref(readable.value.namespace, readable.value.name) if readable else None
        record, dirty = self._move("report", site, ref)
        if record is not None and readable is not None:
            record.reports[site] = readable
        reported = self._node(site[0]).reported
        reported.discard(site[1]) if readable is None else reported.add(site[1])
        self._account(site)
        if record is not None and readable is not None and readable.value.final:
            dirty += self._owners(record)
        return dirty + thawed

    def _freeze(self, uid: str, text: str, *, frozen: bool) -> tuple[ObjectRef, ...]:
        """Note whether the key `text` freezes the task of `uid`; return the tasks for which that differs."""
        keys = self._frozen_uids.get(uid, frozenset())
        if frozen == (text in keys):
            return ()
        left = keys | {text} if frozen else keys - {text}
        if left:
            self._frozen_uids[uid] = left
        else:
            del self._frozen_uids[uid]
        return tuple(ref for ref, record in self.tasks.items() if uid in _uids_of(record))

    def _move(
        self, what: str, site: Site, ref: ObjectRef | None
    ) -> tuple[TaskRecord | None, tuple[ObjectRef, ...]]:
        """Take the binding or report of `site` out of the record that had it; return that of `ref`."""
        old_ref = self._site_ref.get((what, site))
        dirty: list[ObjectRef] = []
        if old_ref is not None and old_ref != ref:
            old = self._record(old_ref)
            (old.bindings if what == "binding" else old.reports).pop(site, None)
            dirty.extend(self._touched(old))
        if ref is None:
            self._site_ref.pop((what, site), None)
            return None, tuple(dirty)
        self._site_ref[(what, site)] = ref
        dirty.append(ref)
        return self._record(ref), tuple(dirty)

    def _account(self, site: Site) -> None:
        """Count what `site` uses on its node: the binding's grants until the final report for that bindingUid."""
        node, uid = site
        binding = self.binding_at(site)
        report = self.report_at(site)
        usage, has_key = self._node(node).usage, binding is not None or uid in self._node(node).unreadable
        if binding is not None:
            ended = report is not None and report.final and report.binding_uid == binding.binding_uid
            usage.set(uid, None if ended else binding.grants)
        elif site in self._placed:
            usage.set(uid, self._placed[site][1].grants)  # its binding's key is missing and will be put back
        elif report is not None and report.unbound and not _is_over(report):
            usage.set_unbound(uid, report.grants_resources, report.ports)
        else:
            usage.set(uid, None)
        usage.note_site(uid, has_key)
        if self.touched is not None:
            self.touched.add(site)

    def binding_at(self, site: Site) -> Binding | None:
        """Return the binding of a site, None if there is none, or none that can be read."""
        ref = self._site_ref.get(("binding", site))
        found = self.tasks[ref].bindings.get(site) if ref in self.tasks and ref else None
        return found.value if found else None

    def placed_at(self, site: Site) -> ObjectRef | None:
        """Return the task whose status places it at a site, whether its binding is there or not."""
        found = self._placed.get(site)
        return found[0] if found is not None else None

    def report_at(self, site: Site) -> TaskReport | None:
        """Return the report of a site, None if there is none, or none that can be read."""
        ref = self._site_ref.get(("report", site))
        found = self.tasks[ref].reports.get(site) if ref in self.tasks and ref else None
        return found.value if found else None

    def namespaces(self) -> dict[str, Namespace]:
        """Return namespace name -> Namespace, the built-in one included."""
        return {BUILTIN_NAMESPACE.metadata.name: BUILTIN_NAMESPACE, **self._policies("namespaces", Namespace)}

    def queues(self) -> dict[str, Queue]:
        """Return queue name -> Queue, the built-in one included."""
        return {BUILTIN_QUEUE.metadata.name: BUILTIN_QUEUE, **self._policies("queues", Queue)}

    def priority_classes(self) -> dict[str, PriorityClass]:
        return self._policies("priorityclasses", PriorityClass)

    def _policies(self, plural: str, model: type[M]) -> dict[str, M]:
        return {
            ref.name: record.spec.value
            for ref, record in self.policies.items()
            if ref.plural == plural
            and isinstance(record.spec, Versioned)
            and isinstance(record.spec.value, model)
        }


def _is_over(report: TaskReport) -> bool:
    return all(c.state is ContainerState.EXITED for c in report.containers)


def _placed_at(status: Slot[TaskStatus]) -> Site | None:
    """Return the site that a status places its task at; a finished task needs no room."""
    if not isinstance(status, Versioned) or not status.value.node or status.value.state in FINISHED:
        return None
    return status.value.node, status.value.uid


def _names(metadata: ObjectMeta, ref: ObjectRef) -> bool:
    namespace = metadata.namespace if ref.namespace != CLUSTER_NAMESPACE else ref.namespace
    return (metadata.name, namespace) == (ref.name, ref.namespace)


def _is_named(value: Model, ref: ObjectRef) -> bool:
    metadata = getattr(value, "metadata", None)
    return isinstance(metadata, ObjectMeta) and _names(metadata, ref)


def _uids_of(record: TaskRecord) -> set[str]:
    """Return every uid that the task of this name has or had."""
    uids = {uid for _, uid in (*record.bindings, *record.reports)}
    if isinstance(record.spec, Versioned):
        uids.add(record.spec.value.metadata.uid)
    if isinstance(record.status, Versioned):
        uids.add(record.status.value.uid)
    return uids


_POLICY_MODELS: dict[str, type[Model]] = {
    "namespaces": Namespace,
    "queues": Queue,
    "priorityclasses": PriorityClass,
    "gitsources": GitSource,
}
