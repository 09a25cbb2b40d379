"""Objects some at a time, all of one revision: ten thousand tasks are shown as they come and never held at once.

A page of specs brings the statuses of the same names; a page is as large as what came before it allows, so that
it stays below what one reply may hold. Delete requests are few, and are read at the start.
"""

from collections.abc import Callable, Iterable, Iterator

from client.composing import OWNED_PLURALS, Templates
from client.reading import Reading, read_objects
from client.views import ObjectView, build_views
from schemas.keys import Family, Keys, ObjectRef, OwnedKey, SpecKey
from schemas.kinds import Kind
from schemas.meta import CLUSTER_NAMESPACE
from store.api import KeyValue, Store, prefix_end
from store.errors import Compacted

FIRST_PAGE_KEYS = 64  # little, so that the first rows come at once
MAX_PAGE_KEYS = 500  # as kubectl's chunks
PAGE_BYTES = 1_048_576  # 1 MiB
MAX_RESTARTS = 3  # of a listing whose revision is compacted under it

Kvs = dict[str, KeyValue]


def object_pages(
    store: Store, kinds: Iterable[Kind], keys: Keys, namespace: str | None, say: Callable[[str], None]
) -> Iterator[tuple[Kind, tuple[ObjectView, ...]]]:
    """Yield the objects of one kind after the other in key order. A kind without namespace is one page.

    If the revision is compacted meanwhile, the listing goes on at a newer one, which `say` is told.
    """
    revision, restarts = 0, 0
    for kind in kinds:
        walk = (_Walk if kind.namespaced else _Leap)(store, kind, keys, namespace)
        walk.revision = revision
        while not walk.is_done:
            try:
                views = walk.next_page()
            except Compacted:
                restarts += 1
                if restarts > MAX_RESTARTS:
                    raise
                say("etcd was compacted during the listing: the rows from here on are of a newer revision")
                walk.revision = 0
                continue
            if views:
                yield kind, views
        revision = walk.revision


class _Leap:
    """Reads all objects of a kind at once, as a kind needs that also exists by reports; like `_Walk`."""

    def __init__(self, store: Store, kind: Kind, keys: Keys, namespace: str | None) -> None:
        self._store, self._kind, self._keys, self._namespace = store, kind, keys, namespace
        self.revision = 0
        self.is_done = False

    def next_page(self) -> tuple[ObjectView, ...]:
        """Return the objects. Raises Compacted."""
        reading = Reading(self._store, self.revision)
        views = read_objects(reading, self._kind, self._keys, self._namespace)
        self.revision, self.is_done = reading.revision, True
        return views


class _Source:
    """One family of keys, read in pages and kept until they are shown. Keys end in the same names in each family."""

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix
        self._start = prefix
        self._size = FIRST_PAGE_KEYS
        self.kvs: tuple[KeyValue, ...] = ()
        self.is_read = False

    def fill(self, store: Store, revision: int) -> int:
        """Read the next page if nothing is left of the one before; return the revision. Raises Compacted."""
        if self.kvs or self.is_read:
            return revision
        page = store.page(self._start, _end(self._prefix), limit=self._size, revision=revision)
        self.is_read = len(page.kvs) < self._size
        if page.kvs:
            self._start = page.kvs[-1].key + "\0"
            self._size = _next_size(page.kvs)
        self.kvs = page.kvs
        return revision or page.revision

    @property
    def reaches(self) -> str | None:
        """The last name up to which all keys are known; None for all that there are."""
        return None if self.is_read else self.kvs[-1].key.removeprefix(self._prefix)

    def up_to(self, name: str | None) -> tuple[KeyValue, ...]:
        """Return the keys whose names are not behind `name`."""
        cut = len(self._prefix)
        return tuple(kv for kv in self.kvs if name is None or kv.key[cut:] <= name)


class _Walk:
    """Goes through the objects of a kind, as written and as made by owners. `revision` 0: the next page is of the
    newest one."""

    def __init__(self, store: Store, kind: Kind, keys: Keys, namespace: str | None) -> None:
        self._store, self._kind, self._keys = store, kind, keys
        place = namespace if kind.namespaced else CLUSTER_NAMESPACE
        families = (Family.SPEC, Family.OWNED) if kind.plural in OWNED_PLURALS else (Family.SPEC,)
        self._sources = [_Source(keys.objects_range(each, place, kind.plural)) for each in families]
        self._asked_for = keys.objects_range(Family.REQUESTS, place, kind.plural)
        self._requests: Kvs | None = None
        self._templates = Templates(store, keys)
        self.revision = 0
        self.is_done = False

    def next_page(self) -> tuple[ObjectView, ...]:
        """Return the next objects. Raises Compacted; then nothing was gone past."""
        if not self.revision:
            self._requests = None
        for source in self._sources:
            self.revision = source.fill(self._store, self.revision)
        if self._requests is None:
            self._requests = self._read(self._asked_for, _end(self._asked_for), self.revision)
        reach = min((each.reaches for each in self._sources if each.reaches is not None), default=None)
        taken = [source.up_to(reach) for source in self._sources]
        objects = {kv.key: kv for kvs in taken for kv in kvs if self._ref(kv.key)}
        found = {**self._requests, **objects, **self._statuses(list(objects))}
        views = build_views(self._kind, self._keys, self._templates.complete(found, self.revision))
        for source, kvs in zip(self._sources, taken, strict=True):
            source.kvs = source.kvs[len(kvs) :]
        self.is_done = all(each.is_read and not each.kvs for each in self._sources)
        return views

    def _ref(self, key: str) -> ObjectRef | None:
        """Return the object that a key stands for, None for another kind's."""
        match self._keys.parse(key):
            case SpecKey(ref) | OwnedKey(ref) if ref.plural == self._kind.plural:
                return ref
            case _:
                return None

    def _statuses(self, object_keys: list[str]) -> Kvs:
        """Return the statuses from the first to the last of these names; the families have the same order."""
        refs = sorted((ref for key in object_keys if (ref := self._ref(key))), key=self._keys.status)
        if not refs:
            return {}
        first, last = self._keys.status(refs[0]), self._keys.status(refs[-1])
        return self._read(first, last + "\0", self.revision)

    def _read(self, start: str, end: str, revision: int) -> Kvs:
        found: Kvs = {}
        size = FIRST_PAGE_KEYS
        while True:
            kvs = self._store.page(start, end, limit=size, revision=revision).kvs
            found |= {kv.key: kv for kv in kvs}
            if len(kvs) < size:
                return found
            start, size = kvs[-1].key + "\0", _next_size(kvs)


def _end(prefix: str) -> str:
    return prefix_end(prefix).decode()


def _next_size(kvs: tuple[KeyValue, ...]) -> int:
    """Return how many keys to ask for next, given how large these are."""
    size_bytes = sum(len(kv.value) for kv in kvs)
    return max(1, min(MAX_PAGE_KEYS, PAGE_BYTES * len(kvs) // max(1, size_bytes)))
