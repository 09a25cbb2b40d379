"""Objects some at a time, all of one revision: ten thousand tasks are shown as they come and never held at once.

A page of specs brings the statuses of the same names; a page is as large as what came before it allows, so that
it stays below what one reply may hold. Delete requests are few, and are read at the start.
"""

from collections.abc import Callable, Iterator

from client.reading import at_one_revision, read_objects
from client.views import ObjectView, build_views
from schemas.keys import Family, Keys, SpecKey
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
    store: Store, kind: Kind, keys: Keys, namespace: str | None, say: Callable[[str], None]
) -> Iterator[tuple[ObjectView, ...]]:
    """Yield the objects of a kind in key order. A kind that also exists by reports is one page.

    If the revision is compacted meanwhile, the listing goes on at a newer one, which `say` is told.
    """
    if not kind.namespaced:
        yield at_one_revision(store, lambda reading: read_objects(reading, kind, keys, namespace))
        return
    walk, restarts = _Walk(store, kind, keys, namespace), 0
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
            yield views


class _Walk:
    """Goes through the specs of a kind. `revision` 0: the next page is of the newest one."""

    def __init__(self, store: Store, kind: Kind, keys: Keys, namespace: str | None) -> None:
        self._store, self._kind, self._keys = store, kind, keys
        place = namespace if kind.namespaced else CLUSTER_NAMESPACE
        self._ranges = [
            keys.objects_range(family, place, kind.plural) for family in (Family.SPEC, Family.REQUESTS)
        ]
        self._start = self._ranges[0]
        self._size = FIRST_PAGE_KEYS
        self._requests: Kvs = {}
        self.revision = 0
        self.is_done = False

    def next_page(self) -> tuple[ObjectView, ...]:
        """Return the next objects. Raises Compacted; then nothing was gone past."""
        end = _end(self._ranges[0])
        page = self._store.page(self._start, end, limit=self._size, revision=self.revision)
        if not self.revision:
            self._requests = self._read(self._ranges[1], _end(self._ranges[1]), page.revision)
            self.revision = page.revision
        specs = {kv.key: kv for kv in page.kvs if self._is_of_kind(kv.key)}
        views = build_views(
            self._kind, self._keys, {**self._requests, **specs, **self._statuses(list(specs))}
        )
        self.is_done = len(page.kvs) < self._size
        if page.kvs:
            self._start = page.kvs[-1].key + "\0"
            self._size = _next_size(page.kvs)
        return views

    def _is_of_kind(self, key: str) -> bool:
        parsed = self._keys.parse(key)
        return isinstance(parsed, SpecKey) and parsed.ref.plural == self._kind.plural

    def _statuses(self, spec_keys: list[str]) -> Kvs:
        """Return the statuses from the first to the last of these names; the families have the same order."""
        refs = [parsed.ref for key in spec_keys if isinstance(parsed := self._keys.parse(key), SpecKey)]
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
