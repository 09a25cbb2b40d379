"""Which key ranges a verb needs, and whether a user's roles cover them. Pure; see the layout in docs/design.

etcd knows no verbs and no kinds: who may read or write what is a matter of ranges, so a `can-i` is answered by the
ranges that the command itself would touch.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal

from client.composing import OWNED_PLURALS
from client.errors import BadOption
from schemas.keys import Family, Keys, ObjectRef
from schemas.kinds import KINDS, Kind
from schemas.meta import CLUSTER_NAMESPACE
from store.api import Access, Grant, prefix_end

Right = Literal["read", "write"]
TO_THE_END = b"\0"  # as a range's end


@dataclass(frozen=True, slots=True)
class Need:
    """A right to a key, or to all keys that start with it if it ends in "/"."""

    right: Right
    key: str

    @property
    def range(self) -> tuple[bytes, bytes]:
        """The first key, and the first one behind the range."""
        start = self.key.encode()
        return (start, prefix_end(self.key)) if self.key.endswith("/") else (start, start + b"\0")


@dataclass(frozen=True, slots=True)
class Scope:
    """What is asked about: a kind, in a namespace (None: in all), of one name or of any ("")."""

    keys: Keys
    kind: Kind
    namespace: str | None
    name: str = ""

    def own(self, family: Family) -> str:
        """Return the key, or the range, of these objects in a family."""
        place = self.namespace if self.kind.namespaced else CLUSTER_NAMESPACE
        if self.name and place is not None:
            return _key_in(self.keys, family, ObjectRef(self.kind.plural, place, self.name))
        return self.keys.objects_range(family, place, self.kind.plural)


def _key_in(keys: Keys, family: Family, ref: ObjectRef) -> str:
    match family:
        case Family.SPEC:
            return keys.spec(ref)
        case Family.STATUS:
            return keys.status(ref)
        case Family.APPLIED:
            return keys.applied_range(ref)
        case _:
            return keys.requests_range(ref)


Needs = Callable[[Scope], tuple[Need, ...]]


def _reading(scope: Scope) -> tuple[Need, ...]:
    needs = tuple(Need("read", scope.own(family)) for family in (Family.SPEC, Family.STATUS, Family.REQUESTS))
    if scope.kind.plural in OWNED_PLURALS:
        place = scope.namespace
        owned = scope.keys.objects_range(Family.OWNED, place, scope.kind.plural)
        kept = scope.keys.family_range(Family.REVISIONS) + (f"{place}/" if place else "")
        needs = (*needs, Need("read", owned), Need("read", kept))
    if scope.kind.name != "Node":
        return needs
    keys, name = scope.keys, scope.name
    reports = keys.node_report(name) if name else keys.family_range(Family.REPORTS)
    beats = keys.heartbeat(name) if name else keys.family_range(Family.HEARTBEATS)
    return (*needs, Need("read", reports), Need("read", beats))


def _planning(scope: Scope) -> tuple[Need, ...]:
    """What admission asks about, besides the object itself."""
    policy = ("namespaces", "queues", "priorityclasses")
    families = (Family.SPEC, Family.STATUS, Family.REQUESTS)
    asked = (scope.keys.objects_range(each, CLUSTER_NAMESPACE, kind) for kind in policy for each in families)
    return (*_reading(scope), *(Need("read", key) for key in asked))


def _writing(scope: Scope) -> tuple[Need, ...]:
    return (*_planning(scope), Need("write", scope.own(Family.SPEC)))


def _diffing(scope: Scope) -> tuple[Need, ...]:
    return (*_planning(scope), Need("read", scope.own(Family.APPLIED)))


def _applying(scope: Scope) -> tuple[Need, ...]:
    """Secrets are sealed with the cluster's public key."""
    sealing = (Need("read", scope.keys.cluster),) if scope.kind.name == "Secret" else ()
    applied = scope.own(Family.APPLIED)
    return (*_writing(scope), *sealing, Need("read", applied), Need("write", applied))


def _deleting(scope: Scope) -> tuple[Need, ...]:
    return (*_reading(scope), Need("write", scope.own(Family.REQUESTS)))


def _rolling(scope: Scope) -> tuple[Need, ...]:
    """History and undo read the kept templates."""
    kept = scope.keys.family_range(Family.REVISIONS) + (f"{scope.namespace}/" if scope.namespace else "")
    return (*_writing(scope), Need("read", kept))


def _marking(scope: Scope) -> tuple[Need, ...]:
    return (*_reading(scope), Need("write", scope.own(Family.SPEC)))


def _reaching(scope: Scope) -> tuple[Need, ...]:
    """Agents demand the token of the namespace."""
    place = scope.namespace
    tokens = scope.keys.family_range(Family.ACCESS) if place is None else scope.keys.access(place)
    return (*_reading(scope), Need("read", tokens))


def _telling(scope: Scope) -> tuple[Need, ...]:
    place = scope.namespace if scope.kind.namespaced else CLUSTER_NAMESPACE
    return (Need("read", scope.keys.events_range(place)),)


ANY_KIND: dict[str, Needs] = {
    "get": _reading,
    "list": _reading,
    "watch": _reading,
    "describe": _reading,
    "events": _telling,
    "apply": _applying,
    "create": _applying,
    "diff": _diffing,
    "edit": _writing,
    "patch": _writing,
    "update": _writing,
    "label": _writing,
    "annotate": _writing,
    "delete": _deleting,
}
OF_TASKS: dict[str, Needs] = {
    **dict.fromkeys(("logs", "exec", "attach", "cp", "port-forward", "top"), _reaching),
    "evict": _deleting,
}
OF_OWNERS: dict[str, Needs] = {"scale": _writing, "set": _writing, "rollout": _rolling}
_OWNER_VERBS = {
    "Deployment": ("scale", "set", "rollout"),
    "DaemonSet": ("set", "rollout"),
    "CronJob": ("set",),
    "Task": ("set",),
}
OF_NODES: dict[str, Needs] = {
    "cordon": _marking,
    "uncordon": _marking,
    "drain": _marking,
    "fence": _deleting,
    "top": _reading,
}


def verbs_of(kind: Kind) -> dict[str, Needs]:
    """Return verb -> what it needs, of a kind."""
    more = {"Task": OF_TASKS, "Node": OF_NODES}.get(kind.name, {})
    owners = {verb: OF_OWNERS[verb] for verb in _OWNER_VERBS.get(kind.name, ())}
    return {**ANY_KIND, **more, **owners}


def needs_of(verb: str, scope: Scope) -> tuple[Need, ...]:
    """Return what a verb needs. Raises BadOption for a verb that the kind does not have."""
    needs = verbs_of(scope.kind).get(verb)
    if needs is None:
        known = ", ".join(verbs_of(scope.kind))
        raise BadOption(f"there is no verb {verb!r} for {scope.kind.plural}; known verbs: {known}")
    return tuple(dict.fromkeys(needs(scope)))


def missing(access: Access | None, needs: Iterable[Need]) -> tuple[Need, ...]:
    """Return what the user's roles do not cover; with no authentication nothing is missing."""
    if access is None:
        return ()
    return tuple(need for need in needs if not _covers(access.grants, need))


def _covers(grants: Iterable[Grant], need: Need) -> bool:
    """Say whether the ranges with that right, put together, hold all of what is needed."""
    at, end = need.range
    for start, stop in sorted(_range(grant) for grant in grants if grant.right in (need.right, "readwrite")):
        if start > at:
            break
        if stop is _ENDLESS or stop > at:
            at = stop
        if at is _ENDLESS or at >= end:
            return True
    return False


_ENDLESS = b"\xff" * 64  # behind every key of Berth


def _range(grant: Grant) -> tuple[bytes, bytes]:
    if grant.end == b"":
        return grant.start, grant.start + b"\0"
    return grant.start, _ENDLESS if grant.end == TO_THE_END else grant.end


def allowed_verbs(
    access: Access | None, keys: Keys, namespace: str | None
) -> tuple[tuple[Kind, tuple[str, ...]], ...]:
    """Return, of each kind, the verbs that the user may use in a namespace (None: in all)."""
    return tuple(
        (
            kind,
            tuple(
                verb
                for verb in verbs_of(kind)
                if not missing(access, needs_of(verb, Scope(keys, kind, namespace)))
            ),
        )
        for kind in KINDS
    )
