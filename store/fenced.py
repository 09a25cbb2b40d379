"""A store whose every transaction carries a fence: for code that writes as anybody does, on behalf of a leader.

Once the fence is gone nothing is written any more, whatever the code believes. Reads are those of the store below.
"""

from collections.abc import Callable

from store.api import (
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
)
from store.errors import Deposed, InvalidRequest
from store.fence import Fence


class FencedStore:
    """`store`, as long as `fence` holds. Leases and compaction are not for who writes under another's fence."""

    def __init__(self, store: Store, fence: Fence) -> None:
        self._store = store
        self._fence = fence

    @property
    def highest_revision(self) -> int:
        return self._store.highest_revision

    def get(self, key: str) -> Lookup:
        return self._store.get(key)

    def list(self, prefix: str, revision: int = 0) -> Listing:
        return self._store.list(prefix, revision)

    def page(self, start: str, end: str, *, limit: int, revision: int = 0) -> Listing:
        return self._store.page(start, end, limit=limit, revision=revision)

    def txn(self, txn: Txn) -> TxnResult:
        """Run `txn` if the fence holds. Raises Deposed if not, and InvalidRequest for what writes on a failure.

        The comparison stands beside those of `txn`, so that it takes no operation of the 128; on failure the
        fence is read along, which tells whose comparison failed.
        """
        if not all(isinstance(op, Get) for op in txn.failure):
            raise InvalidRequest("a transaction under a fence writes nothing when its comparisons fail")
        fenced = Txn(
            (self._fence.compare(), *txn.compares), txn.success, (*txn.failure, Get(self._fence.key))
        )
        result = self._store.txn(fenced)
        if result.succeeded:
            return result
        *others, held = result.results
        if not isinstance(held, KeyValue) or held.create_revision != self._fence.create_revision:
            raise Deposed("this controller leads no more; nothing was written")
        return TxnResult(False, result.revision, tuple(others))

    def watch(self, prefixes: tuple[str, ...], start_revision: int, notify: Callable[[], None]) -> Watch:
        return self._store.watch(prefixes, start_revision, notify)

    def grant_lease(self, ttl_s: int) -> int:
        raise InvalidRequest("leases are granted to who holds the fence")

    def keep_alive(self, lease_id: int) -> int:
        raise InvalidRequest("leases are kept by who holds the fence")

    def revoke_lease(self, lease_id: int) -> None:
        raise InvalidRequest("leases are revoked by who holds the fence")

    def compact(self, revision: int) -> None:
        raise InvalidRequest("history is compacted by who holds the fence")

    def status(self) -> StoreStatus:
        return self._store.status()

    def access(self, user: str) -> Access | None:
        return self._store.access(user)

    def close(self) -> None:
        """The store is its owner's."""
