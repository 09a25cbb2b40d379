"""Many small writes in few transactions, each item succeeding or failing alone, all behind one fence.

A chunk is one outer transaction: its only comparison is the fence, its operations are one nested
transaction a `Write`. Measured against etcd 3.4: outer operations plus the widest inner part are at most
128; a key may be put only once in a transaction; all comparisons see the state before the transaction.
"""

from collections.abc import Hashable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from store import limits
from store.api import MAX_REQUEST_BYTES, MAX_TXN_OPS, Compare, Delete, Op, Put, Store, Txn, TxnResult
from store.errors import InvalidRequest, RequestTooLarge, Rewound, StoreError, Unavailable
from store.fence import Fence

CHUNK_BYTES = MAX_REQUEST_BYTES * 9 // 10  # margin for what is not counted exactly


class Write(NamedTuple):
    """All or nothing: if `compares` hold, do `ops`. `subject` names what it is about, for its sender.

    `touches`: what else it writes about, by the same names.
    """

    subject: Hashable
    compares: tuple[Compare, ...]
    ops: tuple[Op, ...]
    touches: tuple[Hashable, ...] = ()


class Applied(NamedTuple):
    revision: int


@dataclass(frozen=True, slots=True)
class Conflict:
    """A comparison of the write failed: read again, plan again."""


@dataclass(frozen=True, slots=True)
class FencedOff:
    """The sender is no longer entitled to write; nothing of this chunk or of any later one was written."""


@dataclass(frozen=True, slots=True)
class Unknown:
    """No answer. After OutcomeUnknown it may have happened; after any other error it did not."""

    error: StoreError


Outcome = Applied | Conflict | FencedOff | Unknown


class _Item:
    """A write with what is asked of it more than once."""

    __slots__ = ("asked", "deletes", "nested", "ranges", "size_bytes", "width", "write", "written")

    def __init__(self, write: Write) -> None:
        flat = tuple(_flat(write.ops))
        self.write = write
        self.nested = Txn(write.compares, write.ops)
        self.width = limits.width(self.nested)
        self.size_bytes = limits.size_bytes(self.nested)
        self.written = {op.key for op in flat}
        self.asked = self.written.union([compare.key for compare in write.compares])
        self.deletes = [op for op in flat if isinstance(op, Delete) and op.is_prefix]
        self.ranges = [compare.key for compare in write.compares if compare.is_prefix]


@dataclass(slots=True)
class _Chunk:
    """A chunk in the making, with what it may not exceed."""

    items: list[_Item] = field(default_factory=list)
    size_bytes: int = 0
    inner_width: int = 0
    touched: set[str] = field(default_factory=set)
    deletes: list[Delete] = field(default_factory=list)

    def takes(self, item: _Item) -> bool:
        """Whether `item` still fits; an empty chunk takes anything, for the store to refuse."""
        if not self.items:
            return True
        return (
            len(self.items) + 1 + max(self.inner_width, item.width) <= MAX_TXN_OPS
            and self.size_bytes + item.size_bytes <= CHUNK_BYTES
            and not self._meets(item)
        )

    def add(self, item: _Item) -> None:
        self.items.append(item)
        self.size_bytes += item.size_bytes
        self.inner_width = max(self.inner_width, item.width)
        self.deletes += item.deletes
        self.touched |= item.written

    def _meets(self, item: _Item) -> bool:
        """Whether `item` touches, or asks about, a key that this chunk writes.

        Asking counts as well: comparisons see the state before the whole transaction, so that a write
        which asks about an earlier one must come in a later transaction.
        """
        return (
            not item.asked.isdisjoint(self.touched)
            or any(limits.covers(delete, key) for delete in self.deletes for key in item.asked)
            or any(limits.covers(delete, key) for delete in item.deletes for key in self.touched)
            or any(key.startswith(prefix) for prefix in item.ranges for key in self.touched)
        )

    def sealed(self, fence: Fence | None) -> tuple[tuple[Write, ...], Txn]:
        compares = (fence.compare(),) if fence is not None else ()
        return tuple(each.write for each in self.items), Txn(
            compares, tuple(each.nested for each in self.items)
        )


def chunks(writes: Iterable[Write], fence: Fence | None) -> Iterator[tuple[tuple[Write, ...], Txn]]:
    """Divide `writes`, in their order, into transactions that etcd takes: (what is in it, transaction)."""
    chunk = _Chunk()
    for write in writes:
        item = _Item(write)
        if not chunk.takes(item):
            yield chunk.sealed(fence)
            chunk = _Chunk()
        chunk.add(item)
    if chunk.items:
        yield chunk.sealed(fence)


def send(store: Store, fence: Fence | None, writes: Iterable[Write]) -> tuple[Outcome, ...]:
    """Write everything and return one outcome a write, in order. Raises Rewound only.

    After a fenced-off chunk, or one without an answer, nothing more is sent. A lost reply is not retried:
    the next reconcile reads and plans again. A chunk that the store refuses does not stop the next.
    Without `fence` each write must bring what it depends on, such as a fence of its own, among its compares.
    """
    outcomes: list[Outcome] = []
    stopped_by: FencedOff | Unknown | None = None
    for inside, txn in chunks(writes, fence):
        found = _send_one(store, txn, len(inside)) if stopped_by is None else (stopped_by,) * len(inside)
        stopped_by = stopped_by or _reason_to_stop(found[0])
        outcomes += found
    return tuple(outcomes)


def _send_one(store: Store, txn: Txn, count: int) -> tuple[Outcome, ...]:
    try:
        result = store.txn(txn)
    except Rewound:
        raise
    except (InvalidRequest, RequestTooLarge) as error:
        return _send_apart(store, txn) if count > 1 else (Unknown(error),)
    except StoreError as error:
        return (Unknown(error),) * count
    if not result.succeeded:
        return (FencedOff(),) * count
    return tuple(
        Applied(result.revision) if isinstance(each, TxnResult) and each.succeeded else Conflict()
        for each in result.results
    )


def _send_apart(store: Store, txn: Txn) -> tuple[Outcome, ...]:
    """One item of a refused chunk is bad, and nothing was written: send each alone, so that only that one fails."""
    alone = (Txn(txn.compares, (nested,)) for nested in txn.success)
    return tuple(outcome for each in alone for outcome in _send_one(store, each, 1))


def _reason_to_stop(outcome: Outcome) -> FencedOff | Unknown | None:
    """Return the outcome of what comes after `outcome`, None to go on sending."""
    match outcome:
        case FencedOff():
            return outcome
        case Unknown(Unavailable() as error):
            return Unknown(Unavailable(f"not sent, because a write before it failed: {error}"))
        case _:
            return None


def _flat(ops: tuple[Op, ...]) -> Iterator[Put | Delete]:
    """Return the puts and deletes of all branches."""
    for op in ops:
        if isinstance(op, Txn):
            yield from _flat(op.success + op.failure)
        elif isinstance(op, Put | Delete):
            yield op
