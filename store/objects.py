"""The one function that writes an object of the API: identity is stamped here and nowhere else.

A create (the key must be absent) gives `metadata.uid` and `metadata.creationTimestamp`; an update keeps
both, whatever the caller says. The time is for people to read; nothing is ordered by it. A lost reply is
followed by a read: on create the random uid in the value answers "was it mine", on update its bytes do.
"""

import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from schemas.secret import has_clear_values
from store import codec
from store.api import Compare, Get, KeyValue, Op, Put, Store, Txn, absent, unchanged
from store.batch import Applied, Outcome, Unknown, Write, send
from store.errors import OutcomeUnknown, RequestTooLarge, Rewound, StoreError, Unavailable, ValuesInClear

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


@dataclass(frozen=True, slots=True)
class Prepared:
    """A write that is ready to be sent: the object with its identity, and the revision that it replaces.

    compares: what else must hold.
    """

    key: str
    obj: codec.Json
    value: bytes
    expected: int
    compares: tuple[Compare, ...] = ()

    @property
    def uid(self) -> str:
        return str(self.obj["metadata"]["uid"])

    @property
    def conditions(self) -> tuple[Compare, ...]:
        own = unchanged(self.key, self.expected) if self.expected else absent(self.key)
        return (own, *self.compares)

    @property
    def put(self) -> Put:
        return Put(self.key, self.value)

    def written(self, revision: int) -> Written:
        return Written(self.key, self.obj, self.uid, revision)


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
    current = store.get(key).kv if expect_mod_revision else None
    if expect_mod_revision and (current is None or current.mod_revision != expect_mod_revision):
        return Conflict(key, current)
    ready = prepare(key, obj, current, compares=compares, new_uid=new_uid, now=now)
    txn = Txn(ready.conditions, (ready.put, *extra), (Get(key),))
    try:
        result = store.txn(txn)
    except OutcomeUnknown as lost:
        return _clear_up(store, ready, lost)
    if result.succeeded:
        return ready.written(result.revision)
    found = result.results[0]
    return Conflict(key, found if isinstance(found, KeyValue) else None)


def prepare(
    key: str,
    obj: codec.Json,
    current: KeyValue | None,
    *,
    compares: tuple[Compare, ...] = (),
    new_uid: Callable[[], str] = random_uid,
    now: Callable[[], datetime] = utc_now,
) -> Prepared:
    """Return the write that creates `key`, or that replaces what it was found to be. Raises RequestTooLarge."""
    if current is None:
        stamped = _with_identity(obj, new_uid(), timestamp(now()))
    else:
        stamped = _keep_identity(obj, codec.decode(current), new_uid, now)
    expected = current.mod_revision if current else 0
    return Prepared(key, stamped, _encode(key, stamped), expected, compares)


def write_many(
    store: Store, wanted: Sequence[tuple[Prepared, tuple[Op, ...]]]
) -> tuple[Written | Conflict | StoreError, ...]:
    """Write objects in few transactions, each object with its extra operations alone; one answer an object.

    A StoreError says that it was not written, or, if OutcomeUnknown, that nobody knows. Raises Rewound.
    """
    writes = [Write(ready.key, ready.conditions, (ready.put, *extra)) for ready, extra in wanted]
    return tuple(_answers(store, [ready for ready, _ in wanted], send(store, None, writes)))


def _answers(
    store: Store, ready: Sequence[Prepared], outcomes: Sequence[Outcome]
) -> Iterator[Written | Conflict | StoreError]:
    """Yield what became of each. A store that is away is asked about one lost write only: each waits long."""
    away: StoreError | None = None
    for each, outcome in zip(ready, outcomes, strict=True):
        match outcome:
            case Applied(revision):
                yield each.written(revision)
            case Unknown(OutcomeUnknown() as lost):
                answer = away or _cleared_up(store, each, lost)
                if isinstance(answer, Unavailable) and answer is not lost:
                    away = answer
                yield answer
            case Unknown(error):
                yield error
            case _:
                yield Conflict(each.key, None)


def _cleared_up(store: Store, ready: Prepared, lost: OutcomeUnknown) -> Written | Conflict | StoreError:
    """As `_clear_up`, with its errors as values. Raises Rewound."""
    try:
        return _clear_up(store, ready, lost)
    except Rewound:
        raise
    except StoreError as error:
        return error


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
    if has_clear_values(obj):
        raise ValuesInClear(f"{key}: a secret is stored sealed only; nothing was written")
    value = codec.encode(obj)
    if len(value) > MAX_VALUE_BYTES:
        raise RequestTooLarge(
            f"{key}: the object takes {len(value)} bytes of JSON, over the limit of {MAX_VALUE_BYTES} (1 MiB): "
            "move large data out of it"
        )
    return value


def _clear_up(store: Store, ready: Prepared, lost: OutcomeUnknown) -> Written | Conflict:
    """Answer by reading whether a write with a lost reply happened.

    Raises `lost` when it did not happen yet, another OutcomeUnknown when the store can't be read.
    """
    try:
        current = store.get(ready.key).kv
    except Unavailable as error:
        raise OutcomeUnknown(f"{lost}; and it can't be read now: {error}") from None
    if (current.mod_revision if current else 0) == ready.expected:
        raise lost  # not yet, but it may still be on its way
    if current is not None:
        parsed = codec.decode(current)
        was_created_by_it = (
            not ready.expected and isinstance(parsed, dict) and codec.uid_of(parsed) == ready.uid
        )
        if was_created_by_it or current.value == ready.value:
            return ready.written(current.mod_revision)
    return Conflict(ready.key, current)
