"""etcd's data model in memory: revisions, versions, history, leases, nested transactions, watches.

`Mvcc` is the server behind `store.memory`: one of it, many clients. It starts no thread and reads no
clock by itself: leases expire when `expire_leases` is called. The present is a dict, the past is one
log of changes with what each replaced; an older state is the present with the log undone from its end,
so nothing is ever copied. The facts of etcd's behaviour are those of 3.4's `mvcc` and `apply.go`.
"""

from bisect import bisect_left, bisect_right
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from threading import RLock

from store.api import Compare, Delete, Get, KeyValue, OpResult, Put, Txn, TxnResult, WatchEvent
from store.errors import Compacted, InvalidRequest, LeaseExpired, StoreError, WatchLost
from store.keyindex import KeyIndex


@dataclass(frozen=True, slots=True)
class _Change:
    """One entry of the log: `old` is what the key was before (None: absent)."""

    revision: int
    key: str
    new: KeyValue | None
    old: KeyValue | None


@dataclass(slots=True)
class _Lease:
    ttl_s: int
    granted_at_revision: int
    deadline: float
    ended_at_revision: int | None = None


@dataclass(eq=False, slots=True)
class Feed:
    """The server's side of one watch: what is ready for it, or why it ended."""

    prefixes: tuple[str, ...]
    start_revision: int
    notify: Callable[[], None]
    ready: deque[WatchEvent] = field(default_factory=deque)
    error: StoreError | None = None


class Mvcc:
    """The server's state. Its clients (`store.memory`) hold `lock` around every call."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self.lock = RLock()
        self._clock = clock
        self._next_lease_id = 0x1000
        self._woken: list[Feed] = []
        self.wipe()

    def wipe(self) -> None:
        """Begin as an empty store; lease ids go on, so that none means two leases."""
        self.revision = 1  # as etcd, whose first write is revision 2
        self.compacted_at = 0
        self._present: dict[str, KeyValue] = {}
        self._index = KeyIndex()
        self._log: list[_Change] = []
        self._leases: dict[int, _Lease] = {}
        self._lease_keys: dict[int, set[str]] = {}
        self._feeds: dict[str, list[Feed]] = {}

    # Reads

    def get(self, key: str) -> KeyValue | None:
        return self._present.get(key)

    def list(self, prefix: str, revision: int) -> tuple[KeyValue, ...]:
        """List a prefix as it was at `revision` (0: now)."""
        if revision > self.revision:
            raise InvalidRequest(f"revision {revision} is in the future: the store is at {self.revision}")
        if revision and revision < self.compacted_at:
            raise Compacted(self.compacted_at)
        if not revision or revision == self.revision:
            return tuple(self._present[key] for key in self._index.under(prefix))
        past: dict[str, KeyValue | None] = {key: self._present[key] for key in self._index.under(prefix)}
        for change in self._undo(revision):
            if change.key.startswith(prefix):
                past[change.key] = change.old
        return tuple(kv for _, kv in sorted(past.items()) if kv is not None)

    def size_bytes(self) -> int:
        return sum(len(key) + len(kv.value) for key, kv in self._present.items())

    def _undo(self, revision: int) -> Iterator[_Change]:
        """Return the changes after `revision`, newest first."""
        start = bisect_right(self._log, revision, key=lambda change: change.revision)
        return reversed(self._log[start:])

    # Transactions

    def txn(self, txn: Txn) -> TxnResult:
        """Apply a checked transaction. All comparisons see the state before it, as in etcd."""
        chosen = self._choose(txn)
        self._require_leases(chosen)
        revision = self.revision + 1
        logged = len(self._log)
        results = self._apply(chosen, revision)
        changed = len(self._log) > logged
        if changed:
            self.revision = revision
        return _with_revision(results, self.revision)

    def _choose(self, txn: Txn) -> "_Branch":
        succeeded = all(self._holds(compare) for compare in txn.compares)
        ops = txn.success if succeeded else txn.failure
        return _Branch(succeeded, tuple(self._choose(op) if isinstance(op, Txn) else op for op in ops))

    def _holds(self, compare: Compare) -> bool:
        """A range of which no key is there is compared as one missing key, as in etcd's `applyCompares`."""
        if not compare.is_prefix:
            return self._holds_for(compare, self._present.get(compare.key))
        found = [self._present[key] for key in self._index.under(compare.key)]
        return all(self._holds_for(compare, kv) for kv in found or (None,))

    @staticmethod
    def _holds_for(compare: Compare, kv: KeyValue | None) -> bool:
        match compare.target:
            case "version":
                found: int | bytes = kv.version if kv else 0
            case "create":
                found = kv.create_revision if kv else 0
            case "mod":
                found = kv.mod_revision if kv else 0
            case "lease":
                found = kv.lease_id if kv else 0
            case "value":
                if kv is None:  # etcd: a comparison of the value of a missing key fails, whatever it asks
                    return False
                found = kv.value
        return _compare(found, compare.op, compare.value)

    def _require_leases(self, branch: "_Branch") -> None:
        """Refuse the whole transaction if a put on the chosen path names an unknown lease."""
        for op in branch.ops:
            if isinstance(op, _Branch):
                self._require_leases(op)
            elif isinstance(op, Put) and op.lease_id:
                self._live_lease(op.lease_id)

    def _apply(self, branch: "_Branch", revision: int) -> TxnResult:
        results: list[OpResult] = []
        for op in branch.ops:
            match op:
                case _Branch():
                    results.append(self._apply(op, revision))
                case Put():
                    self._put(op, revision)
                    results.append(None)
                case Delete():
                    results.append(self._delete(op, revision))
                case Get():
                    results.append(self._present.get(op.key))
        return TxnResult(branch.succeeded, revision, tuple(results))

    def _put(self, put: Put, revision: int) -> None:
        old = self._present.get(put.key)
        created = old.create_revision if old else revision
        version = old.version + 1 if old else 1
        self._change(
            put.key, KeyValue(put.key, put.value, created, revision, version, put.lease_id), revision
        )

    def _delete(self, delete: Delete, revision: int) -> int:
        keys = self._index.under(delete.key) if delete.is_prefix else [delete.key]
        doomed = [key for key in keys if key in self._present]
        for key in doomed:
            self._change(key, None, revision)
        return len(doomed)

    def _change(self, key: str, new: KeyValue | None, revision: int) -> None:
        """Change one key: the only place that writes the present and the log."""
        old = self._present.get(key)
        self._replace(key, old, new)
        self._log.append(_Change(revision, key, new, old))
        event = WatchEvent(key, new, revision)
        for feed in self._feeds_of(key):
            if revision >= feed.start_revision:
                feed.ready.append(event)
                self._woken.append(feed)

    def _replace(self, key: str, old: KeyValue | None, new: KeyValue | None) -> None:
        if old is not None and old.lease_id:
            self._lease_keys.get(old.lease_id, set()).discard(key)
        if new is None:
            del self._present[key]
            self._index.discard(key)
            return
        if old is None:
            self._index.add(key)
        self._present[key] = new
        if new.lease_id:
            self._lease_keys.setdefault(new.lease_id, set()).add(key)

    # Watches

    def open_feed(self, prefixes: tuple[str, ...], start_revision: int, notify: Callable[[], None]) -> Feed:
        """Open a watch; a start in the future is silent until it is reached, as in etcd."""
        if start_revision <= self.compacted_at:
            raise Compacted(self.compacted_at)
        feed = Feed(prefixes, start_revision, notify)
        start = bisect_left(self._log, start_revision, key=lambda change: change.revision)
        for change in self._log[start:]:
            if any(_matches(prefix, change.key) for prefix in prefixes):
                feed.ready.append(WatchEvent(change.key, change.new, change.revision))
        for prefix in prefixes:
            self._feeds.setdefault(prefix, []).append(feed)
        return feed

    def close_feed(self, feed: Feed) -> None:
        for prefix in feed.prefixes:
            feeds = self._feeds.get(prefix, [])
            if feed in feeds:
                feeds.remove(feed)
            if not feeds:
                self._feeds.pop(prefix, None)

    def end_feeds(self, reason: str) -> tuple[Feed, ...]:
        """End every watch, as a lost connection does; return them."""
        ended = tuple(dict.fromkeys(feed for feeds in self._feeds.values() for feed in feeds))
        for feed in ended:
            feed.ready.clear()
            feed.error = WatchLost(reason)
            self.close_feed(feed)
        return ended

    def take_woken(self) -> tuple[Feed, ...]:
        """Return the watches that got something since the last call, each once."""
        woken, self._woken = tuple(dict.fromkeys(self._woken)), []
        return woken

    def _feeds_of(self, key: str) -> tuple[Feed, ...]:
        """Return the watches of a key: those of the key itself and of each folder above it."""
        found = list(self._feeds.get(key, ())) if not key.endswith("/") else []
        cut = key.find("/")
        while cut >= 0:
            found += self._feeds.get(key[: cut + 1], ())
            cut = key.find("/", cut + 1)
        return tuple(dict.fromkeys(found))

    # Leases

    def grant_lease(self, ttl_s: int) -> int:
        lease_id = self._next_lease_id
        self._next_lease_id += 1
        self._leases[lease_id] = _Lease(ttl_s, self.revision, self._clock() + ttl_s)
        return lease_id

    def keep_alive(self, lease_id: int) -> int:
        lease = self._live_lease(lease_id)
        lease.deadline = self._clock() + lease.ttl_s
        return lease.ttl_s

    def revoke_lease(self, lease_id: int) -> None:
        """End a lease; all its keys go in one revision, in key order."""
        lease = self._leases.get(lease_id)
        if lease is None or lease.ended_at_revision is not None:
            raise LeaseExpired(lease_id)
        keys = sorted(self._lease_keys.get(lease_id, ()))
        if keys:
            self.revision += 1
        lease.ended_at_revision = self.revision
        for key in keys:
            self._change(key, None, self.revision)

    def expire_leases(self) -> None:
        """Revoke every lease whose deadline has passed, oldest deadline first."""
        now = self._clock()
        due = [(lease.deadline, lease_id) for lease_id, lease in self._running() if lease.deadline <= now]
        for _, lease_id in sorted(due):
            self.revoke_lease(lease_id)

    def next_expiry(self) -> float | None:
        """Return when the next lease expires, for a simulator that jumps from event to event."""
        return min((lease.deadline for _, lease in self._running()), default=None)

    def _running(self) -> Iterator[tuple[int, _Lease]]:
        return ((i, lease) for i, lease in self._leases.items() if lease.ended_at_revision is None)

    def _live_lease(self, lease_id: int) -> _Lease:
        lease = self._leases.get(lease_id)
        if lease is None or lease.ended_at_revision is not None or lease.deadline <= self._clock():
            raise LeaseExpired(lease_id)
        return lease

    # History

    def compact(self, revision: int) -> None:
        if revision > self.revision:
            raise InvalidRequest(f"revision {revision} is in the future: the store is at {self.revision}")
        if revision <= self.compacted_at:
            raise Compacted(self.compacted_at)
        self.compacted_at = revision
        del self._log[: bisect_right(self._log, revision, key=lambda change: change.revision)]

    def rewind(self, revision: int) -> None:
        """Go back to how everything was at `revision`, as a restored backup does.

        Leases of that time are back, with their full time to live; watches have ended.
        """
        if not max(self.compacted_at, 1) <= revision <= self.revision:
            raise ValueError(f"revision {revision} is not in the history of this store")
        undone = list(self._undo(revision))
        for change in undone:
            self._replace(change.key, self._present.get(change.key), change.old)
        del self._log[len(self._log) - len(undone) :]
        self.revision = revision
        self._rewind_leases(revision)

    def _rewind_leases(self, revision: int) -> None:
        now = self._clock()
        for lease_id, lease in list(self._leases.items()):
            if lease.granted_at_revision > revision:
                del self._leases[lease_id]
            elif lease.ended_at_revision is None or lease.ended_at_revision > revision:
                lease.ended_at_revision, lease.deadline = None, now + lease.ttl_s


@dataclass(frozen=True, slots=True)
class _Branch:
    """The branch that a transaction takes, chosen before anything is applied."""

    succeeded: bool
    ops: tuple["Put | Delete | Get | _Branch", ...]


def _with_revision(result: TxnResult, revision: int) -> TxnResult:
    """Give a transaction that changed nothing, and those inside it, the revision at which it was read."""
    if result.revision == revision:
        return result
    inner: tuple[OpResult, ...] = tuple(
        _with_revision(each, revision) if isinstance(each, TxnResult) else each for each in result.results
    )
    return TxnResult(result.succeeded, revision, inner)


def _compare(found: int | bytes, op: str, wanted: int | bytes) -> bool:
    if op == "=":
        return found == wanted
    if op == "!=":
        return found != wanted
    if isinstance(found, bytes) and isinstance(wanted, bytes):
        return found < wanted if op == "<" else found > wanted
    if isinstance(found, int) and isinstance(wanted, int):
        return found < wanted if op == "<" else found > wanted
    raise InvalidRequest("a comparison of a number with bytes")


def _matches(prefix: str, key: str) -> bool:
    return key.startswith(prefix) if prefix.endswith("/") else key == prefix
