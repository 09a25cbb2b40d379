"""Views: a stored object joined with its status, requests and reports, all of one revision.

Pure: built from keys and values, whoever read them (a listing, or an informer's cache). The raw JSON stays
as it is stored; models are parsed where a caller asks for them. What can't be read is a view, too.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, TypeVar

from pydantic import ValidationError

from client.composing import Composed, Composer
from client.errors import ObjectUnreadable
from schemas.keys import (
    HeartbeatKey,
    Keys,
    NodeReportKey,
    ObjectRef,
    OwnedKey,
    RequestKey,
    RevisionKey,
    SpecKey,
    StatusKey,
    cluster_ref,
)
from schemas.kinds import BY_NAME, KINDS, Kind, WrittenObject
from schemas.meta import CLUSTER_NAMESPACE, Model
from schemas.namespace import BUILTIN_NAMESPACE
from schemas.node import Node
from schemas.queue import BUILTIN_QUEUE
from schemas.report import NodeReport
from schemas.request import DeleteRequest
from schemas.secret import has_clear_values
from schemas.status import NodeStatus, ObjectStatus, TaskStatus
from schemas.task import Task
from store import codec
from store.api import KeyValue
from store.codec import Json

if TYPE_CHECKING:
    from schemas.owned import OwnerReference

BUILTINS = {
    cluster_ref("namespaces", BUILTIN_NAMESPACE.metadata.name): BUILTIN_NAMESPACE,
    cluster_ref("queues", BUILTIN_QUEUE.metadata.name): BUILTIN_QUEUE,
}
"""Objects that exist without being written; writing one of that name replaces it."""

IN_CLEAR = (
    "it holds values in clear, and they are not shown; change them where they are in use, and seal it anew"
)

_STATUS_MODELS: dict[str, type[Model]] = {"tasks": TaskStatus, "nodes": NodeStatus}
_STATUS_ELSEWHERE = {
    "deployments": ("schemas.workload_status", "DeploymentStatus"),
    "daemonsets": ("schemas.workload_status", "DaemonSetStatus"),
    "jobs": ("schemas.workload_status", "JobStatus"),
    "cronjobs": ("schemas.workload_status", "CronJobStatus"),
    "disruptionbudgets": ("schemas.workload_status", "DisruptionBudgetStatus"),
    "gitsources": ("schemas.gitsource_status", "GitSourceStatus"),
}
"""Plural -> (module, name) of the model of its status; imported when one is read."""


@dataclass(frozen=True, slots=True)
class ObjectView:
    """One object at one revision.

    `spec_kv` is None for what exists without being written: built-in objects, and nodes that only report.
    `error` says why it can't be read; then `raw` is {}. What an owner made is composed: `owner` says who made it, and
    `spec_kv` is its owned key.
    """

    kind: Kind
    ref: ObjectRef
    raw: Json
    spec_kv: KeyValue | None = None
    status: Json | None = None
    request: DeleteRequest | None = None
    report: NodeReport | None = None
    is_beating: bool = False
    error: str = ""
    parsed_status: Model | None = None
    owner: "OwnerReference | None" = None

    @property
    def name(self) -> str:
        return self.ref.name

    @property
    def namespace(self) -> str:
        """The namespace, or "" for kinds without one."""
        return "" if self.ref.namespace == CLUSTER_NAMESPACE else self.ref.namespace

    @property
    def is_unreadable(self) -> bool:
        return bool(self.error)

    @property
    def is_terminating(self) -> bool:
        """Somebody asked to delete this very object (not an earlier one of its name)."""
        return self.request is not None and self.request.uid in ("", self.uid)

    @property
    def generation(self) -> int:
        """The etcd version: how often the object was written."""
        return self.spec_kv.version if self.spec_kv else 0

    @property
    def mod_revision(self) -> int:
        """The resourceVersion: the revision of the last write, 0 for what is not stored."""
        return self.spec_kv.mod_revision if self.spec_kv else 0

    @property
    def uid(self) -> str:
        return codec.uid_of(self.raw) or ""

    @property
    def created_at(self) -> str:
        """RFC 3339, or "" where it is not known."""
        return str(_metadata(self.raw).get("creationTimestamp") or "")

    @property
    def labels(self) -> dict[str, str]:
        """The labels; a node's own ones lie below those that people gave it."""
        written = _metadata(self.raw).get("labels") or {}
        return {**(self.report.labels if self.report else {}), **written}

    @property
    def annotations(self) -> dict[str, str]:
        return dict(_metadata(self.raw).get("annotations") or {})

    @property
    def parsed(self) -> WrittenObject:
        """The object as people wrote it, as a model. Raises ObjectUnreadable."""
        if not self.raw:
            raise ObjectUnreadable(f"{self.ref} can't be read: {self.error}")
        return self.kind.model.parse_stored(self.raw)

    @property
    def task(self) -> Task:
        """The task as people wrote it. Raises ObjectUnreadable, and TypeError for an object of another kind."""
        return _checked(self.parsed, Task)

    @property
    def node(self) -> Node:
        """The node as people wrote it; what its agent says is in `report`. Raises as `task` does."""
        return _checked(self.parsed, Node)

    @property
    def task_status(self) -> TaskStatus | None:
        """The status of a task, or None where there is none of this very task (yet)."""
        status = self.parsed_status
        if not isinstance(status, TaskStatus) or (self.uid and status.uid != self.uid):
            return None
        return status

    @property
    def node_status(self) -> NodeStatus | None:
        return self.parsed_status if isinstance(self.parsed_status, NodeStatus) else None


M = TypeVar("M", bound=Model)


def status_of(view: ObjectView, model: type[M]) -> M | None:
    """Return the status as `model`, None where there is none of this very object (yet)."""
    status = view.parsed_status
    if not isinstance(status, model) or (view.uid and getattr(status, "uid", "") != view.uid):
        return None
    return status


def _checked(found: WrittenObject, wanted: type[M]) -> M:
    if not isinstance(found, wanted):
        raise TypeError(f"{found.kind} {found.metadata.name} is no {wanted.__name__}")
    return found


def _metadata(raw: Json) -> Json:
    metadata = raw.get("metadata")
    return metadata if isinstance(metadata, dict) else {}


def parse_object(kind: Kind, ref: ObjectRef, kv: KeyValue) -> Json | codec.Unreadable:
    """Return the stored JSON of an object, or why it is not an object of that kind and name."""
    raw = codec.decode_object(kv)
    if isinstance(raw, codec.Unreadable):
        return raw
    try:
        kind.model.parse_stored(raw)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        return codec.Unreadable(kv.key, codec.uid_of(raw), f"{where}: {first['msg']}", kv.mod_revision)
    if raw["metadata"]["name"] != ref.name:
        told = f"metadata.name is {raw['metadata']['name']!r}, but the key says {ref.name!r}"
        return codec.Unreadable(kv.key, codec.uid_of(raw), told, kv.mod_revision)
    if has_clear_values(raw):
        return codec.Unreadable(kv.key, codec.uid_of(raw), IN_CLEAR, kv.mod_revision)
    return raw


def build_views(kind: Kind, keys: Keys, kvs: Mapping[str, KeyValue]) -> tuple[ObjectView, ...]:
    """Return the views of a kind, ordered by namespace and name, from all keys that concern it.

    kvs: key -> its value; keys of other kinds are passed over.
    """
    pile = _sort_by_object(kind, keys, kvs)
    refs = {*pile.specs, *pile.owned, *pile.reports, *(ref for ref in BUILTINS if ref.plural == kind.plural)}
    if kind.name == "Node":
        refs |= pile.statuses.keys()  # a node that was seen before, and whose report is gone
    composer = Composer(keys, pile.templates)
    return tuple(_build_view(kind, ref, pile, composer) for ref in sorted(refs))


def build_view(kind: Kind, ref: ObjectRef, keys: Keys, kvs: Mapping[str, KeyValue]) -> ObjectView | None:
    """Return the view of one object, None where it does not exist."""
    found = build_views(kind, keys, kvs)
    return next((view for view in found if view.ref == ref), None)


@dataclass(slots=True)
class _Pile:
    """Values by object, one mapping a family."""

    specs: dict[ObjectRef, KeyValue] = field(default_factory=dict)
    statuses: dict[ObjectRef, KeyValue] = field(default_factory=dict)
    requests: dict[ObjectRef, KeyValue] = field(default_factory=dict)
    reports: dict[ObjectRef, KeyValue] = field(default_factory=dict)
    beating: set[str] = field(default_factory=set)
    owned: dict[ObjectRef, KeyValue] = field(default_factory=dict)
    templates: dict[str, KeyValue] = field(default_factory=dict)  # by key


def _sort_by_object(kind: Kind, keys: Keys, kvs: Mapping[str, KeyValue]) -> _Pile:
    pile = _Pile()
    for key, kv in kvs.items():
        match keys.parse(key):
            case SpecKey(ref) if ref.plural == kind.plural:
                pile.specs[ref] = kv
            case OwnedKey(ref) if ref.plural == kind.plural:
                pile.owned[ref] = kv
            case RevisionKey():
                pile.templates[key] = kv
            case StatusKey(ref) if ref.plural == kind.plural:
                pile.statuses[ref] = kv
            case RequestKey(ref, "delete") if ref.plural == kind.plural:
                pile.requests[ref] = kv
            case NodeReportKey(node) if kind.name == "Node":
                pile.reports[cluster_ref("nodes", node)] = kv
            case HeartbeatKey(node):
                pile.beating.add(node)
            case _:
                pass
    return pile


def _build_view(kind: Kind, ref: ObjectRef, pile: _Pile, composer: Composer) -> ObjectView:
    kv = pile.specs.get(ref) or pile.owned.get(ref)
    found = _object(kind, ref, pile, composer)
    status, parsed_status, status_error = _parse_status(kind, pile.statuses.get(ref))
    report, report_error = _parse_report(pile.reports.get(ref))
    return ObjectView(
        kind,
        ref,
        found.raw,
        kv,
        status,
        _parse_request(pile.requests.get(ref)),
        report,
        ref.plural == "nodes" and ref.name in pile.beating,
        found.error or status_error or report_error,
        parsed_status,
        found.owner,
    )


def _object(kind: Kind, ref: ObjectRef, pile: _Pile, composer: Composer) -> Composed:
    """Return the object as written, as composed, or as it is without being written."""
    written, owned = pile.specs.get(ref), pile.owned.get(ref)
    if written is None and owned is not None:
        return composer.compose(ref, owned)
    parsed = _unwritten(kind, ref) if written is None else parse_object(kind, ref, written)
    return (
        Composed({}, None, parsed.error) if isinstance(parsed, codec.Unreadable) else Composed(parsed, None)
    )


def _unwritten(kind: Kind, ref: ObjectRef) -> Json:
    builtin = BUILTINS.get(ref)
    if builtin is not None:
        return builtin.model_dump(mode="json", by_alias=True, exclude_none=True, exclude_unset=True)
    return {"apiVersion": "berth/v1", "kind": kind.name, "metadata": {"name": ref.name}}


def _parse_status(kind: Kind, kv: KeyValue | None) -> tuple[Json | None, Model | None, str]:
    """Return the status as stored, as a model, and why it can't be read."""
    if kv is None:
        return None, None, ""
    raw = codec.decode(kv)
    if isinstance(raw, codec.Unreadable):
        return None, None, f"status is {raw.error}"
    try:
        return raw, status_model(kind.plural).parse_stored(raw), ""
    except ValidationError as error:
        return None, None, f"status: {error.errors(include_url=False)[0]['msg']}"


@cache
def status_model(plural: str) -> type[Model]:
    """Return the model of a kind's status, imported when it is first asked for."""
    module, name = _STATUS_ELSEWHERE.get(plural, ("", ""))
    if not module:
        return _STATUS_MODELS.get(plural, ObjectStatus)
    found: type[Model] = getattr(import_module(module), name)
    return found


def _parse_request(kv: KeyValue | None) -> DeleteRequest | None:
    """A request that can't be read is one all the same, for whatever object stands there."""
    if kv is None:
        return None
    raw = codec.decode(kv)
    try:
        return DeleteRequest(uid="") if isinstance(raw, codec.Unreadable) else DeleteRequest.parse_stored(raw)
    except ValidationError:
        return DeleteRequest(uid="")


def _parse_report(kv: KeyValue | None) -> tuple[NodeReport | None, str]:
    if kv is None:
        return None, ""
    raw = codec.decode(kv)
    if isinstance(raw, codec.Unreadable):
        return None, f"report is {raw.error}"
    try:
        return NodeReport.parse_stored(raw), ""
    except ValidationError as error:
        return None, f"report: {error.errors(include_url=False)[0]['msg']}"


def kind_of(ref: ObjectRef) -> Kind:
    """Return the kind of a reference."""
    return next(kind for kind in KINDS if kind.plural == ref.plural)


TASK, NODE = BY_NAME["Task"], BY_NAME["Node"]
