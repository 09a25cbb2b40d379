"""Which objects to look at next: each key once, one worker a key, nothing lost.

As in Kubernetes' client-go: a queue and two sets. A key added while it is being worked on is queued again when the
work is done. `add_after` is an exact timer; `retry` waits longer with each failure in a row until `forget`.
Time comes in as an argument, so that it runs under virtual time.
"""

import heapq
import random
from collections import OrderedDict
from collections.abc import Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)

BACKOFF_FIRST_S = 0.05
BACKOFF_MAX_S = 30.0


class WorkQueue(Generic[K]):
    """Keys waiting to be reconciled, in order of arrival."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self._ready: OrderedDict[K, None] = OrderedDict()
        self._processing: set[K] = set()
        self._dirty: set[K] = set()  # added while being processed
        self._timers: list[tuple[float, int, K]] = []
        self._due: dict[K, float] = {}  # the earliest timer of each key; others in the heap are stale
        self._failures: dict[K, int] = {}
        self._count = 0

    def __len__(self) -> int:
        return len(self._ready)

    def add(self, key: K) -> None:
        """Queue `key` unless it is queued already."""
        if key in self._processing:
            self._dirty.add(key)
        else:
            self._ready.setdefault(key)

    def add_after(self, key: K, due: float) -> None:
        """Queue `key` at the time `due`, or earlier if it was asked for earlier."""
        if due < self._due.get(key, float("inf")):
            self._count += 1
            self._due[key] = due
            heapq.heappush(self._timers, (due, self._count, key))

    def retry(self, key: K, now: float) -> None:
        """Queue `key` after a backoff that doubles with each failure in a row, with up to 20 % of jitter."""
        failures = self._failures.get(key, 0)
        self._failures[key] = failures + 1
        delay = min(BACKOFF_MAX_S, BACKOFF_FIRST_S * 2 ** min(failures, 20))
        self.add_after(key, now + delay * (1 + 0.2 * self._rng.random()))

    def forget(self, key: K) -> None:
        """Start the backoff of `key` afresh."""
        self._failures.pop(key, None)

    def get(self, now: float) -> K | None:
        """Take the next key, or None; `done` must follow."""
        self._fire(now)
        if not self._ready:
            return None
        key, _ = self._ready.popitem(last=False)
        self._processing.add(key)
        return key

    def done(self, key: K) -> None:
        """End the work on `key`; it is queued again if it was added meanwhile."""
        self._processing.discard(key)
        if key in self._dirty:
            self._dirty.discard(key)
            self._ready.setdefault(key)

    def next_due(self) -> float | None:
        """Return when the next timer fires, or None."""
        return self._timers[0][0] if self._timers else None

    def _fire(self, now: float) -> None:
        while self._timers and self._timers[0][0] <= now:
            due, _, key = heapq.heappop(self._timers)
            if self._due.get(key) == due:
                del self._due[key]
                self.add(key)
