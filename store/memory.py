"""A store in memory with etcd's semantics: for tests, `plan` and simulation, never for production.

    store = MemoryStore(clock)       # a server and its first client
    other = store.another_client()   # one more client, with its own highest revision

It starts no thread and never waits. `expire_leases`, `rewind`, `wipe` and `end_watches` are what time and
misfortune do to a real store; the simulator calls them. A watch that ended keeps raising its error.
"""

from collections.abc import Callable
from itertools import islice

from store import limits
from store.api import Access, Listing, Lookup, StoreStatus, Txn, TxnResult, WatchEvent
from store.errors import Rewound, StoreError, WatchLost
from store.mvcc import Feed, Mvcc


class MemoryStore:
    """One client of a server in memory; a server of its own unless one is given."""

    def __init__(
        self, clock: Callable[[], float], *, server: Mvcc | None = None, highest_revision: int = 0
    ) -> None:
        self._clock = clock
        self._server = server if server is not None else Mvcc(clock)
        self._highest = highest_revision

    def another_client(self, highest_revision: int = 0) -> "MemoryStore":
        """Return a client of the same server that has seen what `highest_revision` says."""
        return MemoryStore(self._clock, server=self._server, highest_revision=highest_revision)

    @property
    def highest_revision(self) -> int:
        return self._highest

    def get(self, key: str) -> Lookup:
        with self._server.lock:
            return Lookup(self._server.get(key), self._saw(self._server.revision))

    def list(self, prefix: str, revision: int = 0) -> Listing:
        with self._server.lock:
            newest = self._saw(self._server.revision)
            return Listing(self._server.list(prefix, revision), revision or newest)

    def page(self, start: str, end: str, *, limit: int, revision: int = 0) -> Listing:
        listing = self.list("", revision)
        found = (kv for kv in listing.kvs if start <= kv.key < end)
        return Listing(tuple(islice(found, limit)), listing.revision)

    def txn(self, txn: Txn) -> TxnResult:
        limits.check(txn)
        with self._server.lock:
            result = self._server.txn(txn)
            woken = self._server.take_woken()
            seen, self._highest = self._highest, max(self._highest, result.revision)
        _notify(woken)
        if result.revision < seen:
            raise Rewound(seen, result.revision)
        return result

    def watch(
        self, prefixes: tuple[str, ...], start_revision: int, notify: Callable[[], None]
    ) -> "MemoryWatch":
        with self._server.lock:
            try:
                feed = self._server.open_feed(prefixes, start_revision, notify)
            except StoreError as error:  # etcd, too, answers on the stream
                feed = Feed(prefixes, start_revision, notify, error=error)
        notify()
        return MemoryWatch(self._server, feed)

    def grant_lease(self, ttl_s: int) -> int:
        with self._server.lock:
            return self._server.grant_lease(ttl_s)

    def keep_alive(self, lease_id: int) -> int:
        with self._server.lock:
            return self._server.keep_alive(lease_id)

    def revoke_lease(self, lease_id: int) -> None:
        with self._server.lock:
            self._server.revoke_lease(lease_id)
            woken = self._server.take_woken()
        _notify(woken)

    def compact(self, revision: int) -> None:
        with self._server.lock:
            self._server.compact(revision)

    def access(self, user: str) -> Access | None:
        return None

    def status(self) -> StoreStatus:
        with self._server.lock:
            return StoreStatus("memory", self._server.size_bytes(), self._server.revision, ())

    def close(self) -> None:
        """Nothing is open."""

    # What time and misfortune do

    def expire_leases(self) -> None:
        """Delete the keys of every lease whose time has passed by the clock."""
        with self._server.lock:
            self._server.expire_leases()
            woken = self._server.take_woken()
        _notify(woken)

    def next_expiry(self) -> float | None:
        """Return when the next lease expires by the clock, None without leases."""
        with self._server.lock:
            return self._server.next_expiry()

    def end_watches(self) -> None:
        """Lose every watch of every client, as a restarting server does."""
        with self._server.lock:
            ended = self._server.end_feeds("the stream ended")
        _notify(ended)

    def rewind(self, revision: int) -> None:
        """Go back to `revision`, as a restored backup does; watches end, and clients see it by themselves."""
        with self._server.lock:
            ended = self._server.end_feeds("the stream ended")
            self._server.rewind(revision)
        _notify(ended)

    def wipe(self) -> None:
        """Become an empty store, as one with a new data folder."""
        with self._server.lock:
            ended = self._server.end_feeds("the stream ended")
            self._server.wipe()
        _notify(ended)

    def _saw(self, revision: int) -> int:
        if revision < self._highest:
            raise Rewound(self._highest, revision)
        self._highest = revision
        return revision


class MemoryWatch:
    """The client's side of one watch. `poll` never waits, whatever its timeout.

    The first sign of life is the server's word that the watch was created, as from etcd.
    """

    def __init__(self, server: Mvcc, feed: Feed) -> None:
        self._server = server
        self._feed = feed
        self._was_polled = False

    def poll(self, timeout_s: float = 0.0) -> tuple[WatchEvent, ...] | None:
        with self._server.lock:
            if self._feed.error is not None:
                raise self._feed.error
            was_polled, self._was_polled = self._was_polled, True
            if not self._feed.ready:
                return None if was_polled else ()
            events = tuple(self._feed.ready)
            self._feed.ready.clear()
            return events

    def close(self) -> None:
        with self._server.lock:
            self._server.close_feed(self._feed)
            self._feed.error = self._feed.error or WatchLost("the watch was closed by its owner")


def _notify(feeds: tuple[Feed, ...]) -> None:
    """Tell whoever has something to read; without the lock, so that they may ask at once."""
    for feed in feeds:
        feed.notify()
