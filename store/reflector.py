"""One prefix of a cache, kept equal to the store.

    list at R -> watch from R + 1 -> events ... -> lost, silent or compacted: list again, diff against the cache

A watch is never resumed: what answers now may be a restored backup that has caught up in revisions meanwhile,
and a list shows that, key by key. A watch starts after the revision of the list itself: that of any other
reply may be ahead of what was listed.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from store.api import KeyValue, Listing, Store, Watch, WatchEvent
from store.errors import Compacted, Rewound, StoreError, WatchLost
from store.keyindex import KeyIndex

BACKOFF_S = 0.5  # first wait after a failure; doubles ...
MAX_BACKOFF_S = 15.0  # ... up to this, so that a returning store is found within seconds
MAX_POLLS = 1000  # replies taken in one step, so that a flood of events does not keep a step for ever


class Change(NamedTuple):
    """A key that differs from before: `old` None for a new key, `new` None for a deleted one."""

    key: str
    old: KeyValue | None
    new: KeyValue | None


class Observer(Protocol):
    """Is told all that is learnt of the store, in its order: each event once, and where events may be missing.

    A change that a list showed before its event came is told when the event comes. So a list is told only where a
    watch begins after it: what happened between the last call and that list was not seen, but for its result.
    """

    def listed(self, kvs: tuple[KeyValue, ...], revision: int) -> None: ...

    def saw(self, events: tuple[WatchEvent, ...]) -> None: ...


class Cache:
    """Keys and values in key order."""

    def __init__(self) -> None:
        self._kvs: dict[str, KeyValue] = {}
        self._index = KeyIndex()

    def __len__(self) -> int:
        return len(self._kvs)

    def get(self, key: str) -> KeyValue | None:
        return self._kvs.get(key)

    def items(self, prefix: str) -> tuple[KeyValue, ...]:
        return tuple(self._kvs[key] for key in self._index.under(prefix))

    def replace(self, key: str, new: KeyValue | None) -> Change | None:
        """Change one key: the only place that writes. Returns None if it is as before."""
        old = self._kvs.get(key)
        if old == new:
            return None
        if new is None:
            del self._kvs[key]
            self._index.discard(key)
        else:
            if old is None:
                self._index.add(key)
            self._kvs[key] = new
        return Change(key, old, new)


@dataclass(frozen=True, slots=True)
class Timing:
    """How a reflector deals with time."""

    idle_timeout_s: float  # silence after which a watch is taken for dead
    resync_every_s: float  # between full lists, the safety net
    jitter: Callable[[], float]  # 0 to 1, drawn a failure: stretches the wait by as much


class Reflector:
    """Keeps the keys under one prefix of `cache`; `revision` is 0 before the first list."""

    def __init__(
        self,
        store: Store,
        prefix: str,
        cache: Cache,
        *,
        notify: Callable[[], None],
        timing: Timing,
        observer: Observer | None = None,
    ) -> None:
        self._store = store
        self._cache = cache
        self._notify = notify
        self._timing = timing
        self._observer = observer
        self._watch: Watch | None = None
        self._resync_at = 0.0
        self._last_life = 0.0
        self._failures = 0
        self._written: dict[str, int] = {}  # key -> revision of an own write that the cache does not show yet
        self.prefix = prefix
        self.revision = 0
        self.retry_at: float | None = None
        self.last_error: StoreError | None = None

    def covers(self, key: str) -> bool:
        return key.startswith(self.prefix) if self.prefix.endswith("/") else key == self.prefix

    def step(self, now: float) -> list[Change]:
        """List, watch or drain, whichever is next. What changed before a failure is not lost."""
        changes: list[Change] = []
        if self.retry_at is not None and now < self.retry_at:
            return changes
        try:
            self._advance(now, changes)
        except Rewound:
            self.close()
            raise
        except Compacted as error:
            self._fail(error, now)
        except StoreError as error:
            self._fail(error, now)
        else:
            self.retry_at = self.last_error = None
        return changes

    def next_step_at(self, now: float) -> float:
        """Return when to step if nothing wakes the owner earlier: thrice until silence counts as death.

        A step polls, and that is what asks the store for a sign of life.
        """
        if self.retry_at is not None:
            return self.retry_at
        if self.is_behind:
            return 0.0
        third_s = self._timing.idle_timeout_s / 3
        passed = int(max(0.0, now - self._last_life) / third_s)
        return min(self._last_life + (passed + 1) * third_s, self._resync_at)

    @property
    def is_behind(self) -> bool:
        """There is something to do at once: nothing has been listed, or it is to be listed again."""
        return self._watch is None and self.retry_at is None

    def wrote(self, key: str, revision: int) -> None:
        """Note an own write that was answered: whatever is listed later shows it, or something newer."""
        self._written[key] = revision

    def close(self) -> None:
        if self._watch is not None:
            self._watch.close()
            self._watch = None

    def _advance(self, now: float, changes: list[Change]) -> None:
        if self._watch is not None:
            self._drain(self._watch, now, changes)
            if now - self._last_life >= self._timing.idle_timeout_s:
                self.close()
        if self._watch is None or now >= self._resync_at:
            self._list(now, changes)
        if self._watch is None:
            self._watch = self._store.watch((self.prefix,), self.revision + 1, self._notify)
            self._last_life = now
            self._drain(self._watch, now, changes)

    def _list(self, now: float, changes: list[Change]) -> None:
        """Read everything and let the cache follow, with synthetic puts and deletes."""
        listing = self._fetch()
        found = {kv.key: kv for kv in listing.kvs}
        self._check_history(listing.revision, found)
        gone = [kv.key for kv in self._known() if kv.key not in found]
        for key in (*gone, *found):
            self._apply(key, found.get(key), changes)
        if self._watch is None and self._observer is not None:
            self._observer.listed(listing.kvs, listing.revision)
        self.revision = listing.revision
        self._resync_at = now + self._timing.resync_every_s

    def _fetch(self) -> Listing:
        """List the prefix; a single key is read alone, as its reader may have no right to more."""
        if self.prefix.endswith("/"):
            return self._store.list(self.prefix)
        found = self._store.get(self.prefix)
        return Listing(() if found.kv is None else (found.kv,), found.revision)

    def _known(self) -> tuple[KeyValue, ...]:
        return tuple(kv for kv in self._cache.items(self.prefix) if self.covers(kv.key))

    def _check_history(self, revision: int, found: dict[str, KeyValue]) -> None:
        """Raise Rewound if the store went back in time, as a watch of rewound history is silent at best.

        It did if a linearizable reply is below what the cache reflects; and, when it has caught up since, if a
        key is older than the cache knows it, or than an own write of it, or another at the same revision.
        """
        if revision < self.revision:
            raise Rewound(self.revision, revision)
        for key, kv in found.items():
            known = self._cache.get(key)
            if known is not None and (kv.mod_revision < known.mod_revision or _contradict(kv, known)):
                raise Rewound(known.mod_revision, kv.mod_revision)
        for key, written_at in self._written.copy().items():
            if key in found and found[key].mod_revision < written_at <= revision:
                raise Rewound(written_at, found[key].mod_revision)

    def _drain(self, watch: Watch, now: float, changes: list[Change]) -> None:
        for _ in range(MAX_POLLS):
            events = watch.poll()
            if events is None:
                return
            self._last_life, self._failures = now, 0
            self._take(events, changes)
        self._notify()  # there may be more

    def _take(self, events: tuple[WatchEvent, ...], changes: list[Change]) -> None:
        """Apply whole revisions; those that a list showed already are skipped."""
        floor = self.revision
        if self._observer is not None:
            self._observer.saw(events)
        for event in events:
            if event.mod_revision > floor:
                self._apply(event.key, event.kv, changes)
                self.revision = event.mod_revision

    def _apply(self, key: str, kv: KeyValue | None, changes: list[Change]) -> None:
        if kv is None or kv.mod_revision >= self._written.get(key, 0):
            self._written.pop(key, None)
        change = self._cache.replace(key, kv)
        if change is not None:
            changes.append(change)

    def _fail(self, error: StoreError, now: float) -> None:
        """Keep the cache, drop the watch, and wait before the next attempt."""
        self.close()
        wait_s = min(BACKOFF_S * 2**self._failures, MAX_BACKOFF_S) if self._wants_wait(error) else 0.0
        self.last_error = error
        self._failures = min(self._failures + 1, 10)
        self.retry_at = now + wait_s * (1 + self._timing.jitter())
        if not wait_s:
            self._notify()

    def _wants_wait(self, error: StoreError) -> bool:
        """The first loss, and the first word that history is compacted, are no reason to wait."""
        if isinstance(error, Compacted):
            return isinstance(self.last_error, Compacted)
        return self._failures > 0 or not isinstance(error, WatchLost)


def _contradict(one: KeyValue, other: KeyValue) -> bool:
    """One revision of a key can't be two things."""
    return one.mod_revision == other.mod_revision and one != other
