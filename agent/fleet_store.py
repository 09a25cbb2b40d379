"""One store for all agents of a fleet: one watch that is dealt out, and reads that are asked for together.

To each agent it is a `store.api.Store` like any other. A thousand agents with three watches each would have etcd
send one message for each of them; here one watch covers all bindings, all reports and the cluster's key, and every
event goes to whose prefix it is of. Owned by the fleet's loop: no lock, `pump` is what moves events.
"""

from collections import deque
from collections.abc import Callable, Iterable

from schemas.keys import Family, Keys
from store.api import (
    MAX_TXN_OPS,
    Access,
    Get,
    KeyValue,
    Listing,
    Lookup,
    Store,
    StoreStatus,
    Txn,
    TxnResult,
    Watch,
    WatchEvent,
)
from store.errors import Rewound, StoreError, WatchLost

KEPT_EVENTS = 20_000  # for agents whose list is a little older than what was dealt out already


class DealtWatch:
    """`store.api.Watch` of one agent: its share of the fleet's watch."""

    def __init__(
        self, deal: "FleetStore", prefix: str, start_revision: int, notify: Callable[[], None]
    ) -> None:
        self._deal = deal
        self._notify = notify
        self._inbox: deque[tuple[WatchEvent, ...]] = deque()
        self._error: StoreError | None = None
        self._life_seen = -1
        self.born_at_life = deal.life
        self.prefix = prefix
        self.start_revision = start_revision

    def poll(self, timeout_s: float = 0.0) -> tuple[WatchEvent, ...] | None:
        if self._inbox:
            return self._inbox.popleft()
        if self._error is not None:
            raise self._error
        if self._life_seen != self._deal.life:
            self._life_seen = self._deal.life
            return ()
        return None

    def close(self) -> None:
        self._deal.leave(self)

    def give(self, events: Iterable[WatchEvent]) -> None:
        """Take events of this prefix in revision order."""
        fresh = tuple(event for event in events if event.mod_revision >= self.start_revision)
        if fresh:
            self._inbox.append(fresh)
            self._notify()

    def fail(self, error: StoreError) -> None:
        self._error = error
        self._notify()


class FleetStore:
    """`store.api.Store` over `inner` for many agents of one loop."""

    def __init__(self, inner: Store, keys: Keys, notify: Callable[[], None]) -> None:
        """notify: called, from any thread, when `pump` has something to do."""
        self._inner = inner
        self._notify = notify
        self._prefixes = (keys.family_range(Family.BINDINGS), keys.family_range(Family.REPORTS), keys.cluster)
        self._watch: Watch | None = None
        self._shares: dict[str, list[DealtWatch]] = {}
        self._kept: deque[WatchEvent] = deque()
        self._floor = 0  # no event at or below this revision is kept
        self._asked: dict[str, Lookup] = {}
        self.life = 0  # counts signs of life of the watch

    # One watch for all

    def watch(self, prefixes: tuple[str, ...], start_revision: int, notify: Callable[[], None]) -> Watch:
        (prefix,) = prefixes
        share = DealtWatch(self, prefix, start_revision, notify)
        if self._watch is None:
            self._watch = self._inner.watch(self._prefixes, start_revision, self._notify)
            self._kept.clear()
            self._floor = start_revision - 1
        if start_revision <= self._floor:
            raise WatchLost(f"the fleet's watch began after revision {start_revision}: list again")
        share.give(event for event in self._kept if prefix in _ranges_of(event.key))
        self._shares.setdefault(prefix, []).append(share)
        return share

    def leave(self, share: DealtWatch) -> None:
        """End one share; the watch itself goes on, unless it was silent for the whole life of that share.

        An agent leaves a silent watch after a while and lists again: the second time that shows who is silent.
        """
        if share.born_at_life == self.life and self._watch is not None:
            self._watch.close()
            self._lose(WatchLost("the fleet's watch was silent: list again"))
        shares = self._shares.get(share.prefix, [])
        if share in shares:
            shares.remove(share)
        if not shares:
            self._shares.pop(share.prefix, None)

    def pump(self) -> None:
        """Deal out what the watch has brought. When it is lost, so are all shares: each agent lists again."""
        if self._watch is None:
            return
        try:
            while (events := self._watch.poll()) is not None:
                self.life += 1
                self._deal(events)
        except StoreError as error:
            self._lose(error)

    def _lose(self, error: StoreError) -> None:
        self._watch = None
        shares, self._shares = self._shares, {}
        for share in [each for group in shares.values() for each in group]:
            share.fail(error)

    def _deal(self, events: tuple[WatchEvent, ...]) -> None:
        dealt: dict[str, list[WatchEvent]] = {}
        for event in events:
            for prefix in _ranges_of(event.key):
                if prefix in self._shares:
                    dealt.setdefault(prefix, []).append(event)
        for prefix, share in dealt.items():
            for each in self._shares[prefix]:
                each.give(share)
        self._kept.extend(events)
        while len(self._kept) > KEPT_EVENTS:
            self._floor = max(self._floor, self._kept.popleft().mod_revision)

    # Reads that are asked for together

    def ask_ahead(self, keys: Iterable[str]) -> None:
        """Read `keys` now; until `forget_answers`, or a write, `get` of each has the answer.

        What could not be read now is read again one by one. Raises Rewound.
        """
        wanted = tuple(dict.fromkeys(keys))
        try:
            for start in range(0, len(wanted), MAX_TXN_OPS):
                self._ask(wanted[start : start + MAX_TXN_OPS])
        except Rewound:
            raise
        except StoreError:
            return

    def forget_answers(self) -> None:
        self._asked.clear()

    def _ask(self, keys: tuple[str, ...]) -> None:
        result = self._inner.txn(Txn((), tuple(map(Get, keys))))
        for key, found in zip(keys, result.results, strict=True):
            self._asked[key] = Lookup(found if isinstance(found, KeyValue) else None, result.revision)

    def get(self, key: str) -> Lookup:
        return self._asked.get(key) or self._inner.get(key)

    def keep_alive(self, lease_id: int) -> int:
        return self._inner.keep_alive(lease_id)

    # As the store itself

    @property
    def highest_revision(self) -> int:
        return self._inner.highest_revision

    def list(self, prefix: str, revision: int = 0) -> Listing:
        return self._inner.list(prefix, revision)

    def page(self, start: str, end: str, *, limit: int, revision: int = 0) -> Listing:
        return self._inner.page(start, end, limit=limit, revision=revision)

    def txn(self, txn: Txn) -> TxnResult:
        self._asked.clear()  # who writes reads anew
        return self._inner.txn(txn)

    def grant_lease(self, ttl_s: int) -> int:
        return self._inner.grant_lease(ttl_s)

    def revoke_lease(self, lease_id: int) -> None:
        self._inner.revoke_lease(lease_id)

    def compact(self, revision: int) -> None:
        self._inner.compact(revision)

    def status(self) -> StoreStatus:
        return self._inner.status()

    def access(self, user: str) -> Access | None:
        return self._inner.access(user)

    def close(self) -> None:
        """Close the watch; the store itself is its owner's."""
        if self._watch is not None:
            self._watch.close()
            self._watch = None


def _ranges_of(key: str) -> tuple[str, ...]:
    """Return every prefix that an agent may watch `key` by: itself, and the folders that it is in."""
    ranges, end = [key], len(key)
    while (end := key.rfind("/", 0, end)) > 0:
        ranges.append(key[: end + 1])
    return tuple(ranges)
