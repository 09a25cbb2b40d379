"""The store on etcd. This module and its `etcd_*` siblings alone import gRPC and the client's stubs.

Flow: a method -> `Connection.call` (endpoint, token, deadline, errors) -> pyetcd's generated stubs. Every reply
to a linearizable request is held against the highest revision seen before the request was sent: if it
is below, history went back. No process may be forked after this module was imported (gRPC's threads).
"""

import builtins
import threading
from collections.abc import Callable

from pyetcd.etcdrpc import rpc_pb2 as pb

from store.api import Access, KeyValue, Listing, Lookup, StoreStatus, Txn, TxnResult, Watch
from store.errors import InvalidRequest, LeaseExpired, Rewound
from store.etcd_access import read_access
from store.etcd_connection import Connection, EtcdOptions, Reply, Stubs
from store.etcd_convert import kv_from_pb, lease_ids, range_of, txn_from_pb, txn_to_pb
from store.etcd_errors import Effect
from store.etcd_watch import WatchHub

FIRST_PAGE_KEYS = 64  # nothing is known about the size of values yet
MAX_PAGE_KEYS = 10_000
PAGE_BYTES = 2_097_152  # 2 MiB: half of what gRPC takes by default, and little to hold at once

__all__ = ["EtcdOptions", "EtcdStore"]


class EtcdStore:
    """`store.api.Store` on an etcd of version 3.4 or newer. Any thread may use it."""

    def __init__(self, options: EtcdOptions) -> None:
        self._connection = Connection(options)
        self._hub = WatchHub(self._connection)
        self._lock = threading.Lock()
        self._highest = options.highest_revision

    @property
    def highest_revision(self) -> int:
        with self._lock:
            return self._highest

    def get(self, key: str) -> Lookup:
        reply = self._linearizable(f"get {key}", _range, pb.RangeRequest(key=key.encode()))
        return Lookup(kv_from_pb(reply.kvs[0]) if reply.kvs else None, reply.header.revision)

    def list(self, prefix: str, revision: int = 0) -> Listing:
        key, end = range_of(prefix)
        limit = FIRST_PAGE_KEYS
        kvs: builtins.list[KeyValue] = []
        while True:
            request = pb.RangeRequest(key=key, range_end=end, limit=limit, revision=revision)
            reply = self._page(prefix, request, revision)
            revision = revision or reply.header.revision
            kvs += map(kv_from_pb, reply.kvs)
            if not reply.more:
                return Listing(tuple(kvs), revision)
            key = reply.kvs[-1].key + b"\0"
            limit = next_page_keys(len(reply.kvs), reply.ByteSize())

    def page(self, start: str, end: str, *, limit: int, revision: int = 0) -> Listing:
        request = pb.RangeRequest(key=start.encode(), range_end=end.encode(), limit=limit, revision=revision)
        reply = self._page(start, request, revision)
        return Listing(tuple(map(kv_from_pb, reply.kvs)), revision or reply.header.revision)

    def txn(self, txn: Txn) -> TxnResult:
        reply = self._linearizable(
            f"transaction on {first_key(txn)}",
            lambda stubs: stubs.kv.Txn,
            txn_to_pb(txn),
            effect=Effect.WRITE,
            lease_id=min(lease_ids(txn), default=0),
        )
        return txn_from_pb(txn, reply, reply.header.revision)

    def watch(self, prefixes: tuple[str, ...], start_revision: int, notify: Callable[[], None]) -> Watch:
        return self._hub.open(prefixes, start_revision, notify)

    def grant_lease(self, ttl_s: int) -> int:
        reply = self._connection.call(
            "grant a lease",
            lambda stubs: stubs.lease.LeaseGrant,
            pb.LeaseGrantRequest(TTL=ttl_s),
            effect=Effect.WRITE,
        )
        return int(reply.ID)

    def keep_alive(self, lease_id: int) -> int:
        reply = self._connection.call(
            f"keep lease {lease_id:x} alive",
            lambda stubs: stubs.keep_alive,
            pb.LeaseKeepAliveRequest(ID=lease_id),
            lease_id=lease_id,
        )
        if reply.TTL <= 0:  # etcd's answer for a lease that is gone
            raise LeaseExpired(lease_id)
        return int(reply.TTL)

    def revoke_lease(self, lease_id: int) -> None:
        self._connection.call(
            f"revoke lease {lease_id:x}",
            lambda stubs: stubs.lease.LeaseRevoke,
            pb.LeaseRevokeRequest(ID=lease_id),
            effect=Effect.WRITE,
            lease_id=lease_id,
        )

    def compact(self, revision: int) -> None:
        self._connection.call(
            f"compact to revision {revision}",
            lambda stubs: stubs.kv.Compact,
            pb.CompactionRequest(revision=revision),
            effect=Effect.WRITE,
            revision=revision,
        )

    def status(self) -> StoreStatus:
        """Ask the current endpoint; its revision may lag behind the cluster's, so it proves nothing."""
        status = self._connection.call("status", lambda stubs: stubs.maintenance.Status, pb.StatusRequest())
        alarms = self._connection.call("alarms", lambda stubs: stubs.maintenance.Alarm, pb.AlarmRequest())
        names = (pb.AlarmType.Name(alarm.alarm) for alarm in alarms.alarms)
        alarmed = tuple(sorted(set(names)))
        header = status.header
        return StoreStatus(
            status.version, status.dbSize, header.revision, alarmed, header.member_id, status.leader
        )

    def access(self, user: str) -> Access | None:
        return read_access(self._connection, user)

    def close(self) -> None:
        """Close all watches and channels, and wait for their threads."""
        self._hub.close()
        self._connection.close()

    def _page(self, prefix: str, request: Reply, revision: int) -> Reply:
        try:
            # At revision R "is compacted" means that R + 1, at least, is the oldest revision kept.
            return self._linearizable(f"list {prefix}", _range, request, revision=revision + 1)
        except InvalidRequest:
            if revision and revision <= self.highest_revision:
                self.get(prefix or "\0")  # a revision that was there is in the future: raises Rewound
            raise

    def _linearizable(
        self,
        what: str,
        method: Callable[[Stubs], Reply],
        request: Reply,
        *,
        effect: Effect = Effect.READ,
        lease_id: int = 0,
        revision: int = 0,
    ) -> Reply:
        """Call, and raise Rewound if the reply is older than what was seen before the request was sent."""
        seen = self.highest_revision
        reply = self._connection.call(
            what, method, request, effect=effect, lease_id=lease_id, revision=revision
        )
        found = int(reply.header.revision)
        with self._lock:
            self._highest = max(self._highest, found)
        if found < seen:
            raise Rewound(seen, found)
        return reply


def next_page_keys(keys: int, size_bytes: int) -> int:
    """Return how many keys to ask for next, given how large the page before was."""
    return max(1, min(MAX_PAGE_KEYS, PAGE_BYTES * keys // max(size_bytes, 1)))


def first_key(txn: Txn) -> str:
    """Return a key that a transaction is about, for messages: what it writes or reads first."""
    for op in (*txn.success, *txn.failure):
        found = first_key(op) if isinstance(op, Txn) else op.key
        if found:
            return found
    return txn.compares[0].key if txn.compares else ""


def _range(stubs: Stubs) -> Reply:
    return stubs.kv.Range
