"""The port to the store: what Berth needs of etcd, and nothing more.

`store.etcd` serves production, `store.memory` serves tests, `plan` and simulation; both pass the
contract suite in `tests/store/`. Keys are text, values are bytes, revisions and lease ids are etcd's.
All reads are linearizable. No call retries by itself; each has a deadline and raises `store.errors`.

What goes through here by the thousand are named tuples, which are made in half the time of a frozen dataclass.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, NamedTuple, Protocol

MAX_TXN_OPS = 128  # operations of the outer transaction plus the largest inner count; etcd's default
MAX_REQUEST_BYTES = 1_572_864  # 1.5 MiB, etcd's default --max-request-bytes


class KeyValue(NamedTuple):
    """One key at one revision. `version` counts its puts since creation, starting at 1."""

    key: str
    value: bytes
    create_revision: int
    mod_revision: int
    version: int
    lease_id: int = 0


class Compare(NamedTuple):
    """A condition of a transaction on one key; a missing key has version, create and mod revision 0.

    is_prefix: it must hold for every key that starts with `key`; where there is none, as for a missing key.
    """

    key: str
    target: Literal["version", "create", "mod", "value", "lease"]
    op: Literal["=", "!=", "<", ">"]
    value: int | bytes
    is_prefix: bool = False


def absent(key: str) -> Compare:
    """The key does not exist."""
    return Compare(key, "version", "=", 0)


def unchanged(key: str, mod_revision: int) -> Compare:
    """The key was last written at `mod_revision` (0: it does not exist)."""
    return Compare(key, "mod", "=", mod_revision)


def untouched_since(prefix: str, revision: int) -> Compare:
    """No key that starts with `prefix` was written after `revision`. One that was deleted since is not seen."""
    return Compare(prefix, "mod", "<", revision + 1, is_prefix=True)


def created_at(key: str, create_revision: int) -> Compare:
    """The key is the very one that was created at `create_revision`: the fence of its owner."""
    return Compare(key, "create", "=", create_revision)


class Put(NamedTuple):
    key: str
    value: bytes
    lease_id: int = 0


class Delete(NamedTuple):
    """Delete one key, or every key that starts with it when `is_prefix`."""

    key: str
    is_prefix: bool = False


class Get(NamedTuple):
    key: str


class Txn(NamedTuple):
    """If all compares hold, run `success`, else `failure`; operations may be transactions themselves."""

    compares: tuple[Compare, ...] = ()
    success: tuple["Op", ...] = ()
    failure: tuple["Op", ...] = ()


Op = Put | Delete | Get | Txn


class TxnResult(NamedTuple):
    """One result per operation of the branch taken.

    Put -> None, Delete -> number of keys deleted, Get -> KeyValue or None, Txn -> TxnResult (whose
    revision is that of the outer transaction).
    """

    succeeded: bool
    revision: int
    results: tuple["OpResult", ...]


OpResult = None | int | KeyValue | TxnResult


class Lookup(NamedTuple):
    kv: KeyValue | None
    revision: int


@dataclass(frozen=True, slots=True)
class Listing:
    """All keys under a prefix, in key order, at one revision."""

    kvs: tuple[KeyValue, ...]
    revision: int


class WatchEvent(NamedTuple):
    """One change. `kv` is None when the key was deleted (also by an expired lease)."""

    key: str
    kv: KeyValue | None
    mod_revision: int


@dataclass(frozen=True, slots=True)
class StoreStatus:
    version: str
    db_size_bytes: int
    revision: int
    alarms: tuple[str, ...]
    member_id: int = 0  # of the server that answered ...
    leader_id: int = 0  # ... and of the one that leads, 0 if there is none


@dataclass(frozen=True, slots=True)
class Grant:
    """A right of a role to the keys from `start` on and before `end`; an empty `end` means the one key, a zero
    byte all that follow."""

    role: str
    right: str  # "read", "write" or "readwrite"
    start: bytes
    end: bytes


@dataclass(frozen=True, slots=True)
class Access:
    """What the store's own users and roles say of one user."""

    user: str
    roles: tuple[str, ...]
    grants: tuple[Grant, ...]


class Watch(Protocol):
    """An open watch over some prefixes; events come in revision order, whole revisions at a time.

    That order holds within each prefix; several prefixes are not ordered among each other, so who must
    resume after a loss remembers the last event of each prefix, or opens one watch a prefix.
    """

    def poll(self, timeout_s: float = 0.0) -> tuple[WatchEvent, ...] | None:
        """Return the next events, `()` for a sign of life without events, None when there is nothing yet.

        Raises Compacted or WatchLost (PermissionDenied when that is why); the watch is then closed.
        """

    def close(self) -> None: ...


class Store(Protocol):
    """A linearizable key-value store with revisions, transactions, watches and leases."""

    @property
    def highest_revision(self) -> int:
        """The highest revision that any unary reply carried so far."""

    def get(self, key: str) -> Lookup: ...

    def list(self, prefix: str, revision: int = 0) -> Listing:
        """List a prefix in pages at one revision (0: the newest)."""

    def page(self, start: str, end: str, *, limit: int, revision: int = 0) -> Listing:
        """Return the first `limit` keys from `start` on and before `end`: for who does not want all at once."""

    def txn(self, txn: Txn) -> TxnResult: ...

    def watch(self, prefixes: tuple[str, ...], start_revision: int, notify: Callable[[], None]) -> Watch:
        """Watch `prefixes` from `start_revision` on; `notify` is called, from any thread, when poll has news.

        A prefix that does not end in "/" is a single key. Events of the last compacted revision are
        incomplete, so a start at or before it is Compacted.
        """

    def grant_lease(self, ttl_s: int) -> int:
        """Return the id of a new lease."""

    def keep_alive(self, lease_id: int) -> int:
        """Refresh a lease and return its TTL in seconds. Raises LeaseExpired (etcd itself says TTL 0)."""

    def revoke_lease(self, lease_id: int) -> None: ...

    def compact(self, revision: int) -> None: ...

    def status(self) -> StoreStatus: ...

    def access(self, user: str) -> Access | None:
        """Return what `user` may do, None where everybody may do everything. Raises PermissionDenied."""

    def close(self) -> None: ...


def prefix_end(prefix: str) -> bytes:
    """Return the first key after all keys that start with `prefix` (etcd's range_end)."""
    raw = bytearray(prefix.encode())
    raw[-1] += 1  # prefixes end in an ASCII character below 0xff
    return bytes(raw)
