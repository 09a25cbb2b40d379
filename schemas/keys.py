"""The etcd layout: every key is built here and parsed here. See docs/design, section 2.

Ranges end in "/", so that a role for node `a` never covers node `ab`. Names are parts of keys as they are, but for
those of queues: `eng/backend` is `eng:backend` in a key.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from schemas.meta import CLUSTER_NAMESPACE

DEFAULT_PREFIX = "/berth"
_QUEUES = "queues"
_SLASH = ":"  # stands for the "/" in the name of a queue: a part of a key has none, and no name has a ":"
_SECRETS = (
    "secrets"  # the one kind whose objects have a family of their own, so that rights to it are given apart
)


class Family(StrEnum):
    """First part of a key after the prefix: one writer each."""

    CLUSTER = "cluster"
    SPEC = "spec"
    OWNED = "owned"
    REVISIONS = "revisions"
    ENDPOINTS = "endpoints"
    APPLIED = "applied"
    REQUESTS = "requests"
    STATUS = "status"
    BINDINGS = "bindings"
    REPORTS = "reports"
    HEARTBEATS = "heartbeats"
    ELECTION = "election"
    META = "meta"
    ACCESS = "access"
    GANGS = "gangs"
    SECRETS = "secrets"


class ObjectRef(NamedTuple):
    """Which object: plural kind, namespace (`_cluster` for kinds without one), name.

    A tuple, as refs are made, ordered and looked up a hundred times a task, which no other class does as fast.
    """

    plural: str
    namespace: str
    name: str

    def __str__(self) -> str:
        singular = "priorityclass" if self.plural == "priorityclasses" else self.plural.removesuffix("s")
        return f"{singular}/{self.name}"


@dataclass(frozen=True, slots=True)
class SpecKey:
    ref: ObjectRef


@dataclass(frozen=True, slots=True)
class OwnedKey:
    ref: ObjectRef


@dataclass(frozen=True, slots=True)
class StatusKey:
    ref: ObjectRef


@dataclass(frozen=True, slots=True)
class AppliedKey:
    ref: ObjectRef
    manager: str


@dataclass(frozen=True, slots=True)
class RequestKey:
    ref: ObjectRef
    verb: str


@dataclass(frozen=True, slots=True)
class BindingKey:
    node: str
    task_uid: str


@dataclass(frozen=True, slots=True)
class TaskReportKey:
    node: str
    task_uid: str


@dataclass(frozen=True, slots=True)
class NodeReportKey:
    node: str


@dataclass(frozen=True, slots=True)
class HeartbeatKey:
    node: str


@dataclass(frozen=True, slots=True)
class AccessKey:
    namespace: str


@dataclass(frozen=True, slots=True)
class RevisionKey:
    """`number` of the kept templates of the owner with that uid."""

    namespace: str
    owner_uid: str
    number: int


@dataclass(frozen=True, slots=True)
class EndpointsKey:
    """Ready addresses of the tasks of a deployment."""

    namespace: str
    name: str


@dataclass(frozen=True, slots=True)
class GangKey:
    """The record that starts the gang that was held in one attempt."""

    uid: str


@dataclass(frozen=True, slots=True)
class ClusterKey:
    pass


@dataclass(frozen=True, slots=True)
class OtherKey:
    """A key under the prefix that this version does not know, or that a stranger wrote."""

    key: str


ParsedKey = (
    SpecKey
    | OwnedKey
    | StatusKey
    | AppliedKey
    | RequestKey
    | BindingKey
    | TaskReportKey
    | NodeReportKey
    | HeartbeatKey
    | AccessKey
    | RevisionKey
    | EndpointsKey
    | GangKey
    | ClusterKey
    | OtherKey
)


@dataclass(frozen=True, slots=True)
class Keys:
    """Builds and parses the keys below one prefix."""

    prefix: str = DEFAULT_PREFIX

    @property
    def root(self) -> str:
        """The range that one watch covers."""
        return f"{self.prefix}/"

    @property
    def cluster(self) -> str:
        return f"{self.prefix}/cluster"

    def _object(self, family: Family, ref: ObjectRef) -> str:
        name = ref.name.replace("/", _SLASH) if ref.plural == _QUEUES else ref.name
        return f"{self.prefix}/{family}/{ref.namespace}/{ref.plural}/{name}"

    def spec(self, ref: ObjectRef) -> str:
        if ref.plural == _SECRETS:
            return f"{self.prefix}/{Family.SECRETS}/{ref.namespace}/{ref.name}"
        return self._object(Family.SPEC, ref)

    def owned(self, ref: ObjectRef) -> str:
        return self._object(Family.OWNED, ref)

    def status(self, ref: ObjectRef) -> str:
        return self._object(Family.STATUS, ref)

    def applied(self, ref: ObjectRef, manager: str) -> str:
        return f"{self._object(Family.APPLIED, ref)}/{manager}"

    def applied_range(self, ref: ObjectRef) -> str:
        return f"{self._object(Family.APPLIED, ref)}/"

    def request(self, ref: ObjectRef, verb: str) -> str:
        return f"{self._object(Family.REQUESTS, ref)}/{verb}"

    def requests_range(self, ref: ObjectRef) -> str:
        return f"{self._object(Family.REQUESTS, ref)}/"

    def objects_range(self, family: Family, namespace: str | None, plural: str) -> str:
        """All objects of a kind in a namespace; with None the whole family (filter by parsing)."""
        if family == Family.SPEC and plural == _SECRETS:
            return f"{self.prefix}/{Family.SECRETS}/" + (f"{namespace}/" if namespace else "")
        if namespace is None:
            return f"{self.prefix}/{family}/"
        return f"{self.prefix}/{family}/{namespace}/{plural}/"

    def family_range(self, family: Family) -> str:
        return f"{self.prefix}/{family}/"

    def binding(self, node: str, task_uid: str) -> str:
        return f"{self.prefix}/bindings/{node}/{task_uid}"

    def bindings_range(self, node: str) -> str:
        return f"{self.prefix}/bindings/{node}/"

    def reports_range(self, node: str) -> str:
        return f"{self.prefix}/reports/{node}/"

    def node_report(self, node: str) -> str:
        return f"{self.prefix}/reports/{node}/node"

    def task_report(self, node: str, task_uid: str) -> str:
        return f"{self.prefix}/reports/{node}/tasks/{task_uid}"

    def heartbeat(self, node: str) -> str:
        return f"{self.prefix}/heartbeats/{node}"

    @property
    def election(self) -> str:
        return f"{self.prefix}/election/controller/"

    @property
    def compaction(self) -> str:
        return f"{self.prefix}/meta/compaction"

    def access(self, namespace: str) -> str:
        return f"{self.prefix}/access/{namespace}"

    def revision(self, namespace: str, owner_uid: str, number: int) -> str:
        return f"{self.prefix}/{Family.REVISIONS}/{namespace}/{owner_uid}/{number}"

    def revisions_range(self, namespace: str, owner_uid: str) -> str:
        return f"{self.prefix}/{Family.REVISIONS}/{namespace}/{owner_uid}/"

    def gang(self, uid: str) -> str:
        return f"{self.prefix}/{Family.GANGS}/{uid}"

    def endpoints(self, namespace: str, name: str) -> str:
        return f"{self.prefix}/{Family.ENDPOINTS}/{namespace}/{name}"

    def endpoints_range(self, namespace: str | None) -> str:
        return f"{self.prefix}/{Family.ENDPOINTS}/" + (f"{namespace}/" if namespace else "")

    def events_range(self, namespace: str | None = None, uid: str | None = None) -> str:
        """Events live outside the watched root, so that they cost no informer anything."""
        root = f"{self.prefix}-events/"
        if namespace is None:
            return root
        return f"{root}{namespace}/" if uid is None else f"{root}{namespace}/{uid}/"

    def event(self, namespace: str, uid: str, source: str, digest: str) -> str:
        return f"{self.prefix}-events/{namespace}/{uid}/{source}/{digest}"

    def parse(self, key: str) -> ParsedKey:
        """Return what `key` names; OtherKey when nothing known does."""
        root = self.root
        if not key.startswith(root):
            return OtherKey(key)
        family, _, rest = key[len(root) :].partition("/")
        parts = rest.split("/") if rest else []
        if not all(parts):
            return OtherKey(key)
        return _parse_parts(key, family, parts)


def _parse_parts(key: str, family: str, parts: list[str]) -> ParsedKey:
    match family, parts:
        case "spec", [namespace, plural, name]:
            return SpecKey(_ref(plural, namespace, name))
        case "secrets", [namespace, name]:
            return SpecKey(ObjectRef(_SECRETS, namespace, name))
        case "status", [namespace, plural, name]:
            return StatusKey(_ref(plural, namespace, name))
        case "owned", [namespace, plural, name]:
            return OwnedKey(_ref(plural, namespace, name))
        case "bindings", [node, task_uid]:
            return BindingKey(node, task_uid)
        case "reports", [node, "tasks", task_uid]:
            return TaskReportKey(node, task_uid)
        case "reports", [node, "node"]:
            return NodeReportKey(node)
        case "heartbeats", [node]:
            return HeartbeatKey(node)
        case "requests", [namespace, plural, name, verb]:
            return RequestKey(_ref(plural, namespace, name), verb)
        case "applied", [namespace, plural, name, manager]:
            return AppliedKey(_ref(plural, namespace, name), manager)
        case "access", [namespace]:
            return AccessKey(namespace)
        case "revisions", [namespace, owner_uid, number] if number.isdecimal():
            return RevisionKey(namespace, owner_uid, int(number))
        case "endpoints", [namespace, name]:
            return EndpointsKey(namespace, name)
        case "gangs", [uid]:
            return GangKey(uid)
        case "cluster", []:
            return ClusterKey()
        case _:
            return OtherKey(key)


def _ref(plural: str, namespace: str, name: str) -> ObjectRef:
    """Return which object a key names; `eng:backend` is the queue eng/backend."""
    return ObjectRef(plural, namespace, name.replace(_SLASH, "/") if plural == _QUEUES else name)


def cluster_ref(plural: str, name: str) -> ObjectRef:
    """Return the reference of an object without namespace."""
    return ObjectRef(plural, CLUSTER_NAMESPACE, name)


def task_ref(namespace: str, name: str) -> ObjectRef:
    return ObjectRef("tasks", namespace, name)


def gang_ref(uid: str) -> ObjectRef:
    """Return by what the controller knows an attempt to start a gang; people never see it."""
    return ObjectRef("gangs", CLUSTER_NAMESPACE, uid)
