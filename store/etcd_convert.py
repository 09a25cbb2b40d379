"""Between the values of `store.api` and etcd's protobuf messages; pure."""

from typing import Any, assert_never

from pyetcd.etcdrpc import rpc_pb2 as pb

from store.api import (
    Delete,
    Get,
    KeyValue,
    Op,
    OpResult,
    Put,
    Txn,
    TxnResult,
    WatchEvent,
    prefix_end,
)

Message = Any  # pyetcd's generated messages carry no types that mypy could follow

_RESULTS = {
    "=": pb.Compare.EQUAL,
    "!=": pb.Compare.NOT_EQUAL,
    "<": pb.Compare.LESS,
    ">": pb.Compare.GREATER,
}
_TARGETS = {  # our name -> (etcd's target, field of the value)
    "version": (pb.Compare.VERSION, "version"),
    "create": (pb.Compare.CREATE, "create_revision"),
    "mod": (pb.Compare.MOD, "mod_revision"),
    "value": (pb.Compare.VALUE, "value"),
    "lease": (pb.Compare.LEASE, "lease"),
}
EVERYTHING = b"\0"  # as key and range_end: all keys


def range_of(prefix: str) -> tuple[bytes, bytes]:
    """Return key and range_end of all keys that start with `prefix`."""
    return (prefix.encode(), prefix_end(prefix)) if prefix else (EVERYTHING, EVERYTHING)


def txn_to_pb(txn: Txn) -> Message:
    message = pb.TxnRequest()
    _fill_txn(message, txn)
    return message


def txn_from_pb(txn: Txn, reply: Message, revision: int) -> TxnResult:
    """Read the reply to `txn`; nested replies have no header of their own."""
    ops = txn.success if reply.succeeded else txn.failure
    results = (_result_from_pb(op, each, revision) for op, each in zip(ops, reply.responses, strict=True))
    return TxnResult(reply.succeeded, revision, tuple(results))


def kv_from_pb(kv: Message) -> KeyValue:
    return KeyValue(key_from_pb(kv.key), kv.value, kv.create_revision, kv.mod_revision, kv.version, kv.lease)


def key_from_pb(key: bytes) -> str:
    """Return a key as text; one that is no UTF-8 (not ours) must not break a whole list."""
    return key.decode(errors="backslashreplace")


def event_from_pb(event: Message) -> WatchEvent:
    kv = event.kv
    if event.type == event.DELETE:
        return WatchEvent(key_from_pb(kv.key), None, kv.mod_revision)
    found = kv_from_pb(kv)
    return WatchEvent(found.key, found, found.mod_revision)


def lease_ids(txn: Txn) -> set[int]:
    """Return the leases that a transaction puts keys under."""
    found: set[int] = set()
    for op in (*txn.success, *txn.failure):
        if isinstance(op, Txn):
            found |= lease_ids(op)
        elif isinstance(op, Put) and op.lease_id:
            found.add(op.lease_id)
    return found


def _fill_txn(message: Message, txn: Txn) -> None:
    """Write into a message that is there: one that is made apart is copied at each level that it is put into."""
    for compare in txn.compares:
        target, field = _TARGETS[compare.target]
        start, end = range_of(compare.key) if compare.is_prefix else (compare.key.encode(), b"")
        message.compare.add(
            key=start, range_end=end, target=target, result=_RESULTS[compare.op], **{field: compare.value}
        )
    for op in txn.success:
        _fill_op(message.success.add(), op)
    for op in txn.failure:
        _fill_op(message.failure.add(), op)


def _fill_op(message: Message, op: Op) -> None:
    match op:
        case Put(key, value, lease_id):
            put = message.request_put
            put.key, put.value, put.lease = key.encode(), value, lease_id
        case Delete(key, is_prefix):
            start, end = range_of(key) if is_prefix else (key.encode(), b"")
            delete = message.request_delete_range
            delete.key, delete.range_end = start, end
        case Get(key):
            message.request_range.key = key.encode()
        case Txn():
            message.request_txn.SetInParent()  # also if it is empty
            _fill_txn(message.request_txn, op)
        case _:
            assert_never(op)


def _result_from_pb(op: Op, reply: Message, revision: int) -> OpResult:
    match op:
        case Put():
            return None
        case Delete():
            return int(reply.response_delete_range.deleted)
        case Get():
            kvs = reply.response_range.kvs
            return kv_from_pb(kvs[0]) if kvs else None
        case Txn():
            return txn_from_pb(op, reply.response_txn, revision)
        case _:
            assert_never(op)
