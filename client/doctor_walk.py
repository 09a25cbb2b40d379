"""Goes once through all keys that our user may read, and keeps of each only what the checks need.

Pages at one revision, and no value is held longer than its page, so that ten thousand tasks cost little memory.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import TypeVar

from pydantic import ValidationError

from client.doctor_findings import Cluster, Task, Trouble
from client.views import kind_of, parse_object, status_model
from schemas.binding import Binding
from schemas.cluster import AccessToken, LeaderInfo
from schemas.cluster import Cluster as ClusterRecord
from schemas.keys import (
    AccessKey,
    BindingKey,
    ClusterKey,
    EndpointsKey,
    Family,
    HeartbeatKey,
    Keys,
    NodeReportKey,
    ObjectRef,
    OwnedKey,
    RequestKey,
    RevisionKey,
    SpecKey,
    StatusKey,
    TaskReportKey,
)
from schemas.kinds import KINDS, OWNERS
from schemas.meta import CLUSTER_NAMESPACE, Condition, Model, find_condition
from schemas.owned import Endpoints, Owned, Revision
from schemas.report import NodeReport, TaskReport
from schemas.request import DeleteRequest
from schemas.status import NodeStatus, TaskStatus
from schemas.timestamps import parse_time
from store import codec
from store.api import KeyValue, Store, prefix_end
from store.errors import PermissionDenied

PAGE_KEYS = 500
OF_NAMESPACES = (Family.SPEC, Family.SECRETS, Family.STATUS, Family.REQUESTS)
OF_OWNERS = (Family.OWNED, Family.REVISIONS, Family.ENDPOINTS)
TROUBLES = frozenset(
    {
        ("Admitted", "False"),
        ("ReplicaFailure", "True"),
        ("Progressing", "False"),
        ("Available", "False"),
        ("Guaranteed", "False"),
    }
)
"""Conditions of owners and queues, with the status that means trouble."""
OF_NODES = (Family.BINDINGS, Family.REPORTS, Family.HEARTBEATS)
M = TypeVar("M", bound=Model)
_PLURALS = frozenset(kind.plural for kind in KINDS)


@dataclass(slots=True)
class Walk:
    """What was kept. created_at, requested_at: object -> seconds since the epoch."""

    denied: list[str] = field(default_factory=list)
    unreadable: dict[str, str] = field(default_factory=dict)
    cluster: Cluster = field(default_factory=Cluster)
    leaders: list[tuple[int, LeaderInfo]] = field(default_factory=list)  # (create revision, who)
    created_at: dict[ObjectRef, float] = field(default_factory=dict)
    requested_at: dict[ObjectRef, float] = field(default_factory=dict)
    tasks: dict[ObjectRef, TaskStatus] = field(default_factory=dict)
    owners: list[Trouble] = field(default_factory=list)
    queues: list[Trouble] = field(default_factory=list)
    nodes: dict[str, NodeStatus] = field(default_factory=dict)
    node_reports: dict[str, NodeReport] = field(default_factory=dict)
    broken_nodes: dict[str, str] = field(default_factory=dict)
    beating: set[str] = field(default_factory=set)
    bindings: list[tuple[str, str]] = field(default_factory=list)  # (node, key)
    unbound: list[str] = field(default_factory=list)
    compacted_at: float = 0.0

    def task_refs(self) -> Iterator[ObjectRef]:
        return (ref for ref in self.created_at if ref.plural == "tasks")

    def owner_refs(self) -> Iterator[ObjectRef]:
        return (ref for ref in self.created_at if ref.plural in OWNERS)

    def node_names(self) -> set[str]:
        """Nodes are written, or report, or were seen."""
        written = {ref.name for ref in self.created_at if ref.plural == "nodes"}
        return (
            written | self.nodes.keys() | self.node_reports.keys() | self.beating | self.broken_nodes.keys()
        )

    def stray_bindings(self) -> tuple[str, ...]:
        known = self.node_names()
        return tuple(key for node, key in self.bindings if node not in known)


def walk(store: Store, keys: Keys, namespace: str) -> Walk:
    """Read everything; where the user may not, what he may of his namespace and of the cluster's families.

    Raises StoreError, but no PermissionDenied.
    """
    found = Walk()
    try:
        _range(found, store, keys, keys.root)
    except PermissionDenied:
        found = Walk()
        for each in _parts(keys, namespace):
            try:
                _range(found, store, keys, each)
            except PermissionDenied:
                found.denied.append(each)
    return found


def _parts(keys: Keys, namespace: str) -> tuple[str, ...]:
    places = (CLUSTER_NAMESPACE, namespace)
    return (
        keys.cluster,
        keys.election,
        *(f"{keys.family_range(family)}{place}/" for family in OF_NAMESPACES for place in places),
        *(f"{keys.family_range(family)}{namespace}/" for family in OF_OWNERS),
        *(keys.family_range(family) for family in OF_NODES),
    )


def _range(found: Walk, store: Store, keys: Keys, prefix: str) -> None:
    if not prefix.endswith("/"):
        kv = store.get(prefix).kv
        if kv is not None:
            _sift(found, keys, kv)
        return
    start, end, revision = prefix, prefix_end(prefix).decode(), 0
    while True:
        page = store.page(start, end, limit=PAGE_KEYS, revision=revision)
        revision = page.revision
        for kv in page.kvs:
            _sift(found, keys, kv)
        if len(page.kvs) < PAGE_KEYS:
            return
        start = page.kvs[-1].key + "\0"


def _sift(found: Walk, keys: Keys, kv: KeyValue) -> None:
    """Keep what matters of one key."""
    if kv.key.startswith(keys.election):
        leader = _parse(found, kv, LeaderInfo)
        if leader is not None:
            found.leaders.append((kv.create_revision, leader))
        return
    if kv.key == keys.compaction:
        raw = codec.decode(kv)
        found.compacted_at = 0.0 if isinstance(raw, codec.Unreadable) else _time(raw.get("at"))
        return
    match keys.parse(kv.key):
        case SpecKey(ref) if ref.plural in _PLURALS:
            _sift_object(found, ref, kv)
        case OwnedKey(ref):
            owned = _parse(found, kv, Owned)
            if owned is not None:
                found.created_at[ref] = _time(owned.metadata.creation_timestamp)
        case RevisionKey():
            _parse(found, kv, Revision)
        case EndpointsKey():
            _parse(found, kv, Endpoints)
        case StatusKey(ref):
            _sift_status(found, ref, kv)
        case RequestKey(ref, "delete"):
            request = _parse(found, kv, DeleteRequest)
            found.requested_at[ref] = _time(request.requested_at) if request else 0.0
        case BindingKey(node, _):
            _parse(found, kv, Binding)
            found.bindings.append((node, kv.key))
        case TaskReportKey():
            report = _parse(found, kv, TaskReport)
            if report is not None and report.unbound:
                found.unbound.append(kv.key)
        case NodeReportKey(node):
            _sift_node_report(found, node, kv)
        case HeartbeatKey(node):
            found.beating.add(node)
        case AccessKey():
            _parse(found, kv, AccessToken)
        case ClusterKey():
            found.cluster = _cluster(kv)
        case _:
            pass  # an applied form, or a stranger's key, which harms nothing


def _sift_object(found: Walk, ref: ObjectRef, kv: KeyValue) -> None:
    parsed = parse_object(kind_of(ref), ref, kv)
    if isinstance(parsed, codec.Unreadable):
        found.unreadable[kv.key] = parsed.error
        if ref.plural == "nodes":
            found.broken_nodes[ref.name] = parsed.error
        return
    found.created_at[ref] = _time(parsed["metadata"].get("creationTimestamp"))


def _sift_status(found: Walk, ref: ObjectRef, kv: KeyValue) -> None:
    if ref.plural == "tasks":
        status = _parse(found, kv, TaskStatus)
        if status is not None:
            found.tasks[ref] = status
    elif ref.plural == "nodes":
        node = _parse(found, kv, NodeStatus)
        if node is not None:
            found.nodes[ref.name] = node
    else:
        other = _parse(found, kv, status_model(ref.plural))
        if other is not None and ref.plural == "queues":
            found.queues += _troubles(ref, getattr(other, "conditions", ()))
        if other is not None and ref.plural in OWNERS:
            found.owners += _troubles(ref, getattr(other, "conditions", ()))


def _troubles(ref: ObjectRef, conditions: Iterable[Condition]) -> Iterator[Trouble]:
    for each in conditions:
        if (each.type, each.status) in TROUBLES:
            why, since = each.message or each.reason, _time(each.last_transition_time)
            yield Trouble(str(ref), ref.namespace, each.type, each.status, why, since)


def _sift_node_report(found: Walk, node: str, kv: KeyValue) -> None:
    report = _parse(found, kv, NodeReport)
    if report is None:
        found.broken_nodes[node] = found.unreadable[kv.key]
    else:
        found.node_reports[node] = report


def _cluster(kv: KeyValue) -> Cluster:
    raw = codec.decode(kv)
    try:
        if isinstance(raw, codec.Unreadable):
            raise ValueError(raw.error)
        record = ClusterRecord.parse_stored(raw)
    except ValueError as error:
        return Cluster(is_there=True, error=_first_line(error))
    return Cluster(True, "", record.recovering, record.incarnation)


def _parse(found: Walk, kv: KeyValue, model: type[M]) -> M | None:
    """Return the value as `model`; take note of one that can't be read."""
    raw = codec.decode(kv)
    try:
        if isinstance(raw, codec.Unreadable):
            raise ValueError(raw.error)
        return model.parse_stored(raw)
    except ValueError as error:
        found.unreadable[kv.key] = _first_line(error)
        return None


def _first_line(error: ValueError) -> str:
    if isinstance(error, ValidationError):
        first = error.errors(include_url=False)[0]
        return f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
    return str(error)


def _time(text: object) -> float:
    try:
        return parse_time(str(text))
    except ValueError:
        return 0.0


def trouble(found: Walk) -> tuple[Task, ...]:
    """Return the tasks that may be stuck: not placed, being deleted, or lost."""
    return tuple(task for ref in found.task_refs() if (task := _task(found, ref)) is not None)


def _task(found: Walk, ref: ObjectRef) -> Task | None:
    status = found.tasks.get(ref) or TaskStatus(uid="")
    why = status.message or status.reason
    if ref in found.requested_at:
        return Task(str(ref), ref.namespace, status.state, why, found.requested_at[ref], is_terminating=True)
    if status.node:
        return None
    scheduled = find_condition(status.conditions, "Scheduled")
    since = _time(scheduled.last_transition_time) if scheduled else 0.0
    return Task(str(ref), ref.namespace, status.state, why, since or found.created_at[ref])
