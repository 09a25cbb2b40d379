"""A cache of some prefixes, kept equal to the store by list and watch, and the changes it went through.

Level-triggered: a `Change` says "look at this key again". The cache never holds, of one prefix, a state that
the store did not have, and it never goes back: history that was rewound is raised, not followed. `step`
never waits for the watch; its owner runs it whenever `notify` was called, and about once a second. One
thread owns it: no lock in here. How one prefix is followed is told in `store.reflector`.
"""

from collections.abc import Callable

from store.api import KeyValue, Store
from store.errors import PermissionDenied, StoreError, Unavailable
from store.reflector import Cache, Change, Observer, Reflector, Timing

IDLE_TIMEOUT_S = 30.0  # three times what `store.etcd` waits before it asks a silent stream for a sign of life
RESYNC_EVERY_S = 600.0  # a safety net only: it finds what no watch told


class Informer:
    """The cache of `prefixes`, which must not overlap; one that does not end in "/" is a single key."""

    def __init__(
        self,
        store: Store,
        prefixes: tuple[str, ...],
        notify: Callable[[], None],
        *,
        idle_timeout_s: float = IDLE_TIMEOUT_S,
        resync_every_s: float = RESYNC_EVERY_S,
        jitter: Callable[[], float] = lambda: 0.0,
        observer: Observer | None = None,
    ) -> None:
        """jitter: a number from 0 to 1, drawn a failure, that stretches the wait after it by as much.

        observer: is told of each event and of each gap between them; for an informer of one prefix.
        """
        self._cache = Cache()
        self._synced = False
        timing = Timing(idle_timeout_s, resync_every_s, jitter)
        self._reflectors = tuple(
            Reflector(store, prefix, self._cache, notify=notify, timing=timing, observer=observer)
            for prefix in prefixes
        )

    def step(self, now: float) -> tuple[Change, ...]:
        """Bring the cache up to date and return what changed.

        Raises Rewound only; other errors are in `last_error`, the cache stays, and a later step tries again.
        A store that does not answer costs one call's deadline a step, not one a prefix.
        """
        changes: list[Change] = []
        for reflector in self._reflectors:
            tried_before = reflector.retry_at
            changes += reflector.step(now)
            if isinstance(reflector.last_error, Unavailable) and reflector.retry_at != tried_before:
                break
        return tuple(changes)

    def get(self, key: str) -> KeyValue | None:
        return self._cache.get(key)

    def items(self, prefix: str) -> tuple[KeyValue, ...]:
        """Return the keys that start with `prefix`, in key order, at the cost of these keys only."""
        return self._cache.items(prefix)

    def __len__(self) -> int:
        return len(self._cache)

    @property
    def synced(self) -> bool:
        """Every prefix has been listed at least once."""
        self._synced = self._synced or all(reflector.revision for reflector in self._reflectors)
        return self._synced

    @property
    def revision(self) -> int:
        """The highest revision that the cache reflects; with several prefixes, ask `revision_of` a key."""
        return max((reflector.revision for reflector in self._reflectors), default=0)

    def revision_of(self, key: str) -> int:
        """Return the revision that the cache reflects for `key`, 0 if it is not watched."""
        return next((each.revision for each in self._reflectors if each.covers(key)), 0)

    @property
    def last_error(self) -> StoreError | None:
        """Why the cache may be behind, None when all is well."""
        return next((each.last_error for each in self._reflectors if each.last_error is not None), None)

    @property
    def refusal(self) -> PermissionDenied | None:
        """Why nothing can be read at all: the store's user has no right to it, and had none since the start."""
        error = self.last_error
        return error if isinstance(error, PermissionDenied) and not self.synced else None

    @property
    def healthy(self) -> bool:
        return self.synced and self.last_error is None

    @property
    def is_behind(self) -> bool:
        """The next step has something to read, and need not wait for anything."""
        return any(each.is_behind for each in self._reflectors)

    def next_step_at(self, now: float) -> float:
        """Return when to step again if nothing notifies earlier: to retry, to notice silence, to resync."""
        return max(now, min((each.next_step_at(now) for each in self._reflectors), default=now))

    def wrote(self, key: str, revision: int) -> None:
        """Note a write of this process that was answered, from any thread: a list that lacks it tells of a rewind."""
        for reflector in self._reflectors:
            if reflector.covers(key):
                reflector.wrote(key, revision)

    def relist(self) -> None:
        """Have the next step list again: for an owner that must know more than its watch has told."""
        for reflector in self._reflectors:
            reflector.close()

    def close(self) -> None:
        """Close the watches; the cache stays readable."""
        for reflector in self._reflectors:
            reflector.close()
