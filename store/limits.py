"""The limits that etcd puts on a transaction, as pure functions.

`store.memory` refuses what etcd refuses, and `store.batch` stays below. The rules are those of
`checkTxnRequest` and `checkIntervals` in etcd 3.4's `etcdserver/api/v3rpc/key.go`.
"""

from collections.abc import Iterable

from store.api import MAX_REQUEST_BYTES, MAX_TXN_OPS, Compare, Delete, Op, Put, Txn
from store.errors import InvalidRequest, RequestTooLarge

COMPARE_BYTES = 32  # framing and numbers of one comparison in protobuf, rounded up
OP_BYTES = 40  # framing and numbers of one operation in protobuf, rounded up


def width(txn: Txn) -> int:
    """Return how many operations etcd counts for `txn`: its widest part, plus that of its widest child."""
    own = max(len(txn.compares), len(txn.success), len(txn.failure))
    children = [width(op) for op in (*txn.success, *txn.failure) if isinstance(op, Txn)]
    return own + max(children, default=0)


def size_bytes(op: Op | Compare) -> int:
    """Return an upper bound of what an operation or comparison takes in a request."""
    if isinstance(op, Txn):
        parts: tuple[Op | Compare, ...] = (*op.compares, *op.success, *op.failure)
        return OP_BYTES + sum(map(size_bytes, parts))
    key_bytes = len(op.key) if op.key.isascii() else len(op.key.encode())
    if isinstance(op, Compare):
        ends = 2 if op.is_prefix else 1
        return COMPARE_BYTES + ends * key_bytes + (len(op.value) if isinstance(op.value, bytes) else 0)
    return OP_BYTES + (key_bytes + len(op.value) if isinstance(op, Put) else 2 * key_bytes)


def check(txn: Txn) -> None:
    """Raise RequestTooLarge or InvalidRequest where etcd would refuse `txn`."""
    if (count := width(txn)) > MAX_TXN_OPS:
        raise RequestTooLarge(
            f"a transaction of {count} operations; etcd takes {MAX_TXN_OPS}: send it in parts"
        )
    if (size := size_bytes(txn)) > MAX_REQUEST_BYTES:
        raise RequestTooLarge(f"a request of {size} bytes; etcd takes {MAX_REQUEST_BYTES}: send it in parts")
    for key in _keys(txn):
        if not key:
            raise InvalidRequest("the store takes no empty key")
    _check_overlaps(txn.success)
    _check_overlaps(txn.failure)


def _keys(txn: Txn) -> Iterable[str]:
    yield from (compare.key for compare in txn.compares)
    for op in (*txn.success, *txn.failure):
        if isinstance(op, Txn):
            yield from _keys(op)
        else:
            yield op.key


def _check_overlaps(ops: tuple[Op, ...]) -> tuple[set[str], list[Delete]]:
    """Refuse a key that is put twice, or put and deleted, in one branch; return its puts and deletes.

    A nested transaction takes one branch only, so its two branches may name the same key. As in etcd,
    deletes of a nested transaction are held against what comes after it.
    """
    deletes = [op for op in ops if isinstance(op, Delete)]
    puts: set[str] = set()
    for op in ops:
        if isinstance(op, Txn):
            then_puts, then_deletes = _check_overlaps(op.success)
            else_puts, else_deletes = _check_overlaps(op.failure)
            _refuse_overlap(then_puts | else_puts, puts, deletes)
            puts |= then_puts | else_puts
            deletes += then_deletes + else_deletes
    for op in ops:
        if isinstance(op, Put):
            _refuse_overlap({op.key}, puts, deletes)
            puts.add(op.key)
    return puts, deletes


def _refuse_overlap(keys: set[str], puts: set[str], deletes: list[Delete]) -> None:
    for key in keys:
        if key in puts or any(covers(delete, key) for delete in deletes):
            raise InvalidRequest(f"key {key} is written twice in one transaction: send the newest write only")


def covers(delete: Delete, key: str) -> bool:
    """Return whether `delete` removes `key`."""
    return key.startswith(delete.key) if delete.is_prefix else key == delete.key
