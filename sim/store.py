"""A process's view of the memory store, with the faults of a network between them.

Every call may fail before it is sent, or lose its reply after it took effect; watches are late, repeat themselves
or end; a partition cuts everything off. A crash is an exception in the middle of whatever the process does.
"""

import random
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from store.api import (
    Access,
    Delete,
    Listing,
    Lookup,
    Put,
    Store,
    StoreStatus,
    Txn,
    TxnResult,
    Watch,
    WatchEvent,
)
from store.errors import OutcomeUnknown, Rewound, Unavailable, WatchLost


class Crashed(BaseException):
    """The process dies here. Not an Exception: no loop of the code under test may swallow it."""


@dataclass(slots=True)
class Faults:
    """How bad the network of one process is; probabilities per call."""

    partitioned: bool = False
    fail: float = 0.0  # not sent
    lose_reply: float = 0.0  # took effect, but the caller does not know
    late: float = 0.0  # a batch of watch events waits up to `late_s`
    late_s: float = 3.0
    repeat: float = 0.0  # a batch of watch events is delivered twice
    end_watch: float = 0.0
    crash_at: int = 0  # the process dies at its n-th call from now; 0: never


class NetworkStore:
    """`store.api.Store` of one simulated process."""

    def __init__(
        self,
        inner: Store,
        process: str,
        rng: random.Random,
        clock: Callable[[], float],
        observe: "Observer",
    ) -> None:
        self.faults = Faults()
        self._inner = inner
        self._process = process
        self._rng = rng
        self._clock = clock
        self._observe = observe

    @property
    def highest_revision(self) -> int:
        return self._inner.highest_revision

    def _call(self) -> None:
        """One call begins: it may find the process dying or the network down."""
        if self.faults.crash_at:
            self.faults.crash_at -= 1
            if self.faults.crash_at == 0:
                raise Crashed(self._process)
        if self.faults.partitioned or self._rng.random() < self.faults.fail:
            raise Unavailable("simulated: not reachable")

    def _reply(self) -> None:
        """A call took effect: its reply may be lost, or the process dies before it reads it."""
        if self._rng.random() < self.faults.lose_reply:
            self._observe.reply_lost(self._process)
            raise OutcomeUnknown("simulated: the reply was lost")

    def get(self, key: str) -> Lookup:
        self._call()
        return self._inner.get(key)

    def list(self, prefix: str, revision: int = 0) -> Listing:
        self._call()
        return self._inner.list(prefix, revision)

    def page(self, start: str, end: str, *, limit: int, revision: int = 0) -> Listing:
        self._call()
        return self._inner.page(start, end, limit=limit, revision=revision)

    def txn(self, txn: Txn) -> TxnResult:
        self._call()
        before = self._observe.before_txn(self._process)
        try:
            result = self._inner.txn(txn)
        except (
            Rewound
        ) as error:  # it was carried out all the same: only its reply tells that history went back
            self._observe.landed_on_rewound(self._process, txn, error.now)
            raise
        self._observe.after_txn(self._process, txn, result, before)
        self._reply()
        return result

    def watch(self, prefixes: tuple[str, ...], start_revision: int, notify: Callable[[], None]) -> Watch:
        self._call()
        return _NetworkWatch(self._inner.watch(prefixes, start_revision, notify), self)

    def grant_lease(self, ttl_s: int) -> int:
        self._call()
        lease = self._inner.grant_lease(ttl_s)
        self._reply()
        return lease

    def keep_alive(self, lease_id: int) -> int:
        self._call()
        ttl = self._inner.keep_alive(lease_id)
        self._reply()
        return ttl

    def revoke_lease(self, lease_id: int) -> None:
        self._call()
        self._inner.revoke_lease(lease_id)
        self._reply()

    def compact(self, revision: int) -> None:
        self._call()
        self._inner.compact(revision)

    def access(self, user: str) -> Access | None:
        return None

    def status(self) -> StoreStatus:
        self._call()
        return self._inner.status()

    def close(self) -> None:
        self._inner.close()

    def roll(self, probability: float) -> bool:
        return self._rng.random() < probability

    def delay_s(self) -> float:
        return self._rng.random() * self.faults.late_s

    @property
    def now(self) -> float:
        return self._clock()


class Observer:
    """What the invariants want to know of every transaction; the default looks away."""

    def before_txn(self, process: str) -> object:
        return None

    def after_txn(self, process: str, txn: Txn, result: TxnResult, before: object) -> None:
        return

    def landed_on_rewound(self, process: str, txn: Txn, revision: int) -> None:
        """A transaction that was planned before history went back was sent after it; it got this revision."""
        return

    def reply_lost(self, process: str) -> None:
        return


class _NetworkWatch:
    """A watch over a bad network: order is kept, but batches come late or twice, and streams end."""

    def __init__(self, inner: Watch, store: NetworkStore) -> None:
        self._inner = inner
        self._store = store
        self._held: deque[tuple[float, tuple[WatchEvent, ...]]] = deque()

    def poll(self, timeout_s: float = 0.0) -> tuple[WatchEvent, ...] | None:
        faults = self._store.faults
        if faults.partitioned:
            return None  # a silent stream, as of a paused server
        if self._store.roll(faults.end_watch):
            self._inner.close()
            raise WatchLost("simulated: the stream ended")
        events = self._inner.poll()
        if events is not None:
            self._hold(events)
        if not self._held or self._held[0][0] > self._store.now:
            return None
        return self._held.popleft()[1]

    def _hold(self, events: tuple[WatchEvent, ...]) -> None:
        """Queue a batch; what comes later never overtakes it."""
        due = self._held[-1][0] if self._held else self._store.now
        if self._store.roll(self._store.faults.late):
            due = max(due, self._store.now + self._store.delay_s())
        self._held.append((due, events))
        if events and self._store.roll(self._store.faults.repeat):
            self._held.append((due, events))

    def close(self) -> None:
        self._inner.close()


def applied_ops(txn: Txn, result: TxnResult) -> tuple[Put | Delete, ...]:
    """Return the puts and deletes of `txn` that took effect."""
    found: list[Put | Delete] = []
    branch = txn.success if result.succeeded else txn.failure
    for op, answer in zip(branch, result.results, strict=True):
        if isinstance(op, Txn):
            assert isinstance(answer, TxnResult)
            found.extend(applied_ops(op, answer))
        elif isinstance(op, Put | Delete):
            found.append(op)
    return tuple(found)


def puts_of(txn: Txn) -> Iterator[Put]:
    """Return every put that `txn` would do, whichever way its comparisons go."""
    for op in (*txn.success, *txn.failure):
        if isinstance(op, Txn):
            yield from puts_of(op)
        elif isinstance(op, Put):
            yield op


def failed_txns(txn: Txn, result: TxnResult) -> tuple[Txn, ...]:
    """Return the nested transactions whose comparisons failed."""
    found = []
    for op, answer in zip(txn.success, result.results, strict=False):
        if isinstance(op, Txn) and isinstance(answer, TxnResult) and not answer.succeeded:
            found.append(op)
    return tuple(found)
