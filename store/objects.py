"""The one function that writes an object of the API: identity is stamped here and nowhere else.

A create (the key must be absent) gives `metadata.uid` and `metadata.creationTimestamp`; an update keeps
both, whatever the caller says. The time is for people to read; nothing is ordered by it. A lost reply is
followed by a read: on create the random uid in the value answers "was it mine", on update its bytes do.
"""

import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from store import codec
from store.api import Compare, Get, KeyValue, Op, Put, Store, Txn, absent, unchanged
from store.errors import OutcomeUnknown, RequestTooLarge

MAX_VALUE_BYTES = 1_048_576  # 1 MiB: leaves room in etcd's 1.5 MiB request for what is written along


@dataclass(frozen=True, slots=True)
class Written:
    """The object as stored, with its uid."""

    key: str
    obj: codec.Json
    uid: str
    mod_revision: int


@dataclass(frozen=True, slots=True)
class Conflict:
    """Nothing was written: the key is not at the revision expected, or another comparison failed."""

    key: str
    current: KeyValue | None


def utc_now() -> datetime:
    return datetime.now(UTC)


def random_uid() -> str:
    return str(uuid.uuid4())


def write(
    store: Store,
    key: str,
    obj: codec.Json,
    *,
    expect_mod_revision: int | None,
    extra: tuple[Op, ...] = (),
    compares: tuple[Compare, ...] = (),
    new_uid: Callable[[], str] = random_uid,
    now: Callable[[], datetime] = utc_now,
) -> Written | Conflict:
    """Create `key` (expect_mod_revision None or 0), or replace what was written at that revision.

    `extra` operations happen, and `compares` are asked, in the same transaction. Raises OutcomeUnknown when
    a lost reply can't be cleared up by reading: sending the same write again is then safe, as its
    comparisons let it happen once at most.
    """
    if expect_mod_revision:
        current = store.get(key).kv
        if current is None or current.mod_revision != expect_mod_revision:
            return Conflict(key, current)
        stamped = _keep_identity(obj, codec.decode(current), new_uid, now)
        condition = unchanged(key, expect_mod_revision)
    else:
        stamped = _with_identity(obj, new_uid(), timestamp(now()))
        condition = absent(key)
    value = _encode(key, stamped)
    txn = Txn((condition, *compares), (Put(key, value), *extra), (Get(key),))
    try:
        result = store.txn(txn)
    except OutcomeUnknown as lost:
        return _clear_up(store, key, stamped, expect_mod_revision or 0, lost)
    if result.succeeded:
        return Written(key, stamped, stamped["metadata"]["uid"], result.revision)
    found = result.results[0]
    return Conflict(key, found if isinstance(found, KeyValue) else None)


def timestamp(moment: datetime) -> str:
    """Return RFC 3339 in UTC, to the second."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _keep_identity(
    obj: codec.Json,
    stored: codec.Json | codec.Unreadable,
    new_uid: Callable[[], str],
    now: Callable[[], datetime],
) -> codec.Json:
    """Give `obj` the identity of what it replaces; an unreadable one has none and gets a new one."""
    uid = None if isinstance(stored, codec.Unreadable) else codec.uid_of(stored)
    if isinstance(stored, codec.Unreadable) or uid is None:
        return _with_identity(obj, new_uid(), timestamp(now()))
    return _with_identity(obj, uid, stored["metadata"].get("creationTimestamp", codec.REMOVED))


def _with_identity(obj: codec.Json, uid: str, created: Any) -> codec.Json:
    return codec.patch(obj, {("metadata", "uid"): uid, ("metadata", "creationTimestamp"): created})


def _encode(key: str, obj: codec.Json) -> bytes:
    value = codec.encode(obj)
    if len(value) > MAX_VALUE_BYTES:
        raise RequestTooLarge(
            f"{key}: the object takes {len(value)} bytes of JSON, over the limit of {MAX_VALUE_BYTES} (1 MiB): "
            "move large data out of it"
        )
    return value


def _clear_up(
    store: Store, key: str, sent: codec.Json, expected: int, lost: OutcomeUnknown
) -> Written | Conflict:
    """Answer by reading whether a write with a lost reply happened."""
    current = store.get(key).kv
    if (current.mod_revision if current else 0) == expected:
        raise lost  # not yet, but it may still be on its way
    uid = sent["metadata"]["uid"]
    if current is not None:
        parsed = codec.decode(current)
        was_created_by_it = not expected and isinstance(parsed, dict) and codec.uid_of(parsed) == uid
        if was_created_by_it or current.value == codec.encode(sent):
            return Written(key, sent, uid, current.mod_revision)
    return Conflict(key, current)
