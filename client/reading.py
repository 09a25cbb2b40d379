"""Reads: everything that one answer shows is of one revision, so that a table never mixes two moments.

The first listing fixes the revision, the others are asked for at that one. If it is compacted in between,
the whole read starts again.
"""

from collections.abc import Callable, Iterable
from typing import TypeVar

from client.composing import OWNED_PLURALS, Templates, template_key
from client.views import ObjectView, build_view, build_views
from schemas.event import Event
from schemas.keys import AppliedKey, Family, Keys, ObjectRef, StatusKey
from schemas.kinds import Kind
from schemas.meta import CLUSTER_NAMESPACE
from store import codec
from store.api import MAX_TXN_OPS, Get, KeyValue, Store, Txn
from store.errors import Compacted

READ_TRIES = 4
T = TypeVar("T")


class Reading:
    """Listings at one revision; 0: at that of the first one."""

    def __init__(self, store: Store, revision: int = 0) -> None:
        self._store = store
        self.revision = revision

    def complete(self, found: dict[str, KeyValue], keys: Keys) -> dict[str, KeyValue]:
        """Return `found` and the templates that its owned keys name. Raises Compacted."""
        return Templates(self._store, keys).complete(found, self.revision)

    def kvs(self, prefix: str) -> tuple[KeyValue, ...]:
        """Return all keys under `prefix`, in key order. Raises Compacted."""
        listing = self._store.list(prefix, self.revision)
        self.revision = self.revision or listing.revision
        return listing.kvs


def at_one_revision(store: Store, read: Callable[[Reading], T]) -> T:
    """Run `read`, again from the start when its revision was compacted meanwhile."""
    for _ in range(READ_TRIES - 1):
        try:
            return read(Reading(store))
        except Compacted:
            continue
    return read(Reading(store))


def prefixes_of(kind: Kind, keys: Keys, namespace: str | None) -> tuple[str, ...]:
    """Return the ranges that concern a kind; namespace None means all of them."""
    place = namespace if kind.namespaced else CLUSTER_NAMESPACE
    families = (Family.SPEC, Family.STATUS, Family.REQUESTS)
    ranges = tuple(keys.objects_range(family, place, kind.plural) for family in families)
    if kind.name == "Node":
        return (*ranges, keys.family_range(Family.HEARTBEATS))
    if kind.plural in OWNED_PLURALS:
        return (*ranges, keys.objects_range(Family.OWNED, place, kind.plural))
    return ranges


def keys_of(ref: ObjectRef, keys: Keys) -> tuple[str, ...]:
    """Return the keys that one view is built from; what is owned names one more, of its template."""
    own = (keys.spec(ref), keys.status(ref), keys.request(ref, "delete"))
    if ref.plural == "nodes":
        return (*own, keys.node_report(ref.name), keys.heartbeat(ref.name))
    return (*own, keys.owned(ref)) if ref.plural in OWNED_PLURALS else own


def read_objects(reading: Reading, kind: Kind, keys: Keys, namespace: str | None) -> tuple[ObjectView, ...]:
    """Return all objects of a kind in a namespace (None: in all), by namespace and name."""
    found = {kv.key: kv for prefix in prefixes_of(kind, keys, namespace) for kv in reading.kvs(prefix)}
    if kind.name == "Node":
        for name in sorted(_node_names(keys, found)):
            found.update({kv.key: kv for kv in reading.kvs(keys.node_report(name))})
    return build_views(kind, keys, reading.complete(found, keys))


def _node_names(keys: Keys, found: Iterable[str]) -> set[str]:
    """Names of nodes: from their specs, their status, their heartbeats."""
    start = keys.heartbeat("")
    beating = {key.removeprefix(start) for key in found if key.startswith(start)}
    known = {parsed.ref.name for key in found if isinstance(parsed := keys.parse(key), StatusKey)}
    written = keys.objects_range(Family.SPEC, CLUSTER_NAMESPACE, "nodes")
    return beating | known | {key.removeprefix(written) for key in found if key.startswith(written)}


def read_object(store: Store, kind: Kind, ref: ObjectRef, keys: Keys) -> ObjectView | None:
    """Return one object, None where it does not exist."""
    return build_view(kind, ref, keys, read_with_template(store, keys_of(ref, keys), keys))


def read_with_template(store: Store, wanted: Iterable[str], keys: Keys) -> dict[str, KeyValue]:
    """Return what `read_keys` does, and the templates that owned keys name.

    A template that is gone went after what named it: then all is read again.
    """
    templates = Templates(store, keys)
    asked = tuple(wanted)
    found = templates.complete(read_keys(store, asked))
    if any((name := template_key(keys, key, kv)) and name not in found for key, kv in found.items()):
        found = templates.complete(read_keys(store, asked))
    return found


def read_keys(store: Store, wanted: Iterable[str]) -> dict[str, KeyValue]:
    """Return key -> value of those that exist; of one revision as long as they are at most 128."""
    remaining, found = list(wanted), {}
    while remaining:
        chunk, remaining = remaining[:MAX_TXN_OPS], remaining[MAX_TXN_OPS:]
        for kv in store.txn(Txn((), tuple(Get(key) for key in chunk))).results:
            if isinstance(kv, KeyValue):
                found[kv.key] = kv
    return found


def read_events(
    reading: Reading, keys: Keys, namespace: str | None, uid: str | None = None
) -> tuple[Event, ...]:
    """Return the events of a namespace or of one object, oldest first; unreadable ones are passed over."""
    found = (parse_event(kv) for kv in reading.kvs(keys.events_range(namespace, uid)))
    return tuple(sorted(filter(None, found), key=lambda event: event.last_timestamp))


def parse_event(kv: KeyValue) -> Event | None:
    """Return the event, None for one that can't be read: it is a convenience, and hides nothing that matters."""
    raw = codec.decode(kv)
    try:
        return None if isinstance(raw, codec.Unreadable) else Event.parse_stored(raw)
    except ValueError:
        return None


def read_applied(store: Store, keys: Keys, ref: ObjectRef) -> dict[str, codec.Json]:
    """Return manager -> its last applied form of an object; a record that can't be read is passed over."""
    found = {}
    for kv in store.list(keys.applied_range(ref)).kvs:
        parsed, raw = keys.parse(kv.key), codec.decode(kv)
        if isinstance(parsed, AppliedKey) and not isinstance(raw, codec.Unreadable):
            found[parsed.manager] = raw
    return found
