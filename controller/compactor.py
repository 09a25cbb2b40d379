"""The actor that keeps etcd small: history older than a window is compacted, by the leader only.

A compare-and-swap record first, then compaction to the revision of the record before: so that whatever was written
within the last window can still be watched from, whoever leads.
"""

import logging
from collections.abc import Callable

from schemas.keys import Keys
from schemas.timestamps import format_time
from store.api import Lookup, Put, Store, Txn, unchanged
from store.codec import decode, encode
from store.errors import Compacted, Rewound, StoreError
from store.fence import Fence

log = logging.getLogger(__name__)

COMPACT_EVERY_S = 300.0  # as in Kubernetes
QUOTA_BYTES = 2 * 2**30  # etcd's default
QUOTA_WARN = 0.7


class Compactor:
    """Compacts every five minutes while this controller leads. Quiet clusters are left alone."""

    name = "compactor"

    def __init__(self, store: Store, keys: Keys, fence: Callable[[], Fence | None]) -> None:
        self._store = store
        self._key = keys.compaction
        self._fence = fence
        self._next = 0.0

    def step(self, now: float) -> float | None:
        """Compact if it is due. Raises Rewound."""
        if now < self._next:
            return self._next
        self._next = now + COMPACT_EVERY_S
        fence = self._fence()
        if fence is not None:
            try:
                self._compact(fence, now)
                self._warn_of_quota()
            except Rewound:
                raise
            except StoreError as error:
                log.warning("compaction failed error=%s", error)
        return self._next

    def _compact(self, fence: Fence, now: float) -> None:
        found = self._store.get(self._key)
        before = _recorded_revision(found)
        if found.kv is not None and found.revision == found.kv.mod_revision:
            return  # nothing was written since the last record
        record = encode({"kind": "Compaction", "revision": found.revision, "at": format_time(now)})
        mod_revision = found.kv.mod_revision if found.kv else 0
        compares = (fence.compare(), unchanged(self._key, mod_revision))
        if not self._store.txn(Txn(compares, (Put(self._key, record),))).succeeded:
            return  # another controller did it
        if before:
            try:
                self._store.compact(before)
                log.info("history compacted revision=%d", before)
            except Compacted:
                return

    def _warn_of_quota(self) -> None:
        status = self._store.status()
        if status.alarms or status.db_size_bytes > QUOTA_WARN * QUOTA_BYTES:
            log.warning(
                "etcd is filling up size_bytes=%d alarms=%s; defragment it or raise its quota",
                status.db_size_bytes,
                ",".join(status.alarms) or "none",
            )


def _recorded_revision(found: Lookup) -> int:
    raw = decode(found.kv) if found.kv else None
    revision = raw.get("revision") if isinstance(raw, dict) else 0
    return revision if isinstance(revision, int) else 0
