"""Chunks stay within etcd's limits and keep their order; each write succeeds or fails alone."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from store import limits
from store.api import (
    MAX_REQUEST_BYTES,
    MAX_TXN_OPS,
    Compare,
    Delete,
    Get,
    Put,
    Txn,
    absent,
    unchanged,
    untouched_since,
)
from store.batch import Applied, Conflict, FencedOff, Outcome, Unknown, Write, chunks, send
from store.errors import OutcomeUnknown, RequestTooLarge, Rewound, Unavailable
from store.fence import Fence
from store.memory import MemoryStore
from tests.store.faulty import FaultyStore
from tests.store.harness import ManualClock

NO_FENCE = Fence("/fence", 0)  # holds while the key does not exist


@pytest.fixture
def store() -> FaultyStore:
    return FaultyStore(MemoryStore(ManualClock()))


def make_write(number: int, value: bytes = b"v", *, expected: int = 0) -> Write:
    key = f"/w/{number}"
    return Write(number, (unchanged(key, expected),), (Put(key, value),))


def test_most_items_of_one_transaction_are_127(store: FaultyStore) -> None:
    outcomes = send(store, NO_FENCE, [make_write(i) for i in range(300)])
    assert len(outcomes) == 300
    assert all(isinstance(outcome, Applied) for outcome in outcomes)
    assert store.calls.count("txn") == 3


def test_stale_items_fail_alone(store: FaultyStore) -> None:
    send(store, NO_FENCE, [make_write(1)])
    outcomes = send(store, NO_FENCE, [make_write(i) for i in range(3)])
    assert [type(outcome) for outcome in outcomes] == [Applied, Conflict, Applied]


def test_a_fence_that_fell_stops_everything(store: FaultyStore) -> None:
    store.txn(Txn((), (Put("/fence", b"other"),)))
    outcomes = send(store, NO_FENCE, [make_write(i) for i in range(300)])
    assert set(outcomes) == {FencedOff()}
    assert store.list("/w/").kvs == ()
    assert store.calls.count("txn") == 2  # the put of the fence, and one chunk


@pytest.mark.parametrize("error", [OutcomeUnknown("lost"), Unavailable("down")])
def test_nothing_is_sent_after_no_answer(store: FaultyStore, error: Unavailable) -> None:
    store.fail_before(error)
    outcomes = send(store, NO_FENCE, [make_write(i) for i in range(200)])
    assert outcomes[0] == Unknown(error)
    last = outcomes[-1]
    assert isinstance(last, Unknown)
    assert type(last.error) is Unavailable
    assert store.calls.count("txn") == 1


def test_a_refused_chunk_does_not_stop_the_next(store: FaultyStore) -> None:
    outcomes = send(store, NO_FENCE, [make_write(0, b"x" * MAX_REQUEST_BYTES), make_write(1)])
    assert isinstance(outcomes[0], Unknown)
    assert isinstance(outcomes[0].error, RequestTooLarge)
    assert isinstance(outcomes[1], Applied)


def test_rewound_history_is_raised(store: FaultyStore) -> None:
    store.behind.another_client()
    store.txn(Txn((), (Put("/a", b""),)))
    store.behind._server.rewind(1)
    store.behind._highest = 99
    with pytest.raises(Rewound):
        send(store, NO_FENCE, [make_write(0)])


def test_later_writes_of_a_key_come_later(store: FaultyStore) -> None:
    outcomes = send(store, NO_FENCE, [Write(i, (), (Put("/w/1", str(i).encode()),)) for i in range(3)])
    assert sorted(o.revision for o in outcomes if isinstance(o, Applied)) == [2, 3, 4]
    kv = store.get("/w/1").kv
    assert kv is not None
    assert kv.value == b"2"


def test_nothing_to_send_sends_nothing(store: FaultyStore) -> None:
    assert send(store, NO_FENCE, []) == ()
    assert store.calls == []


names = st.sampled_from(["/w/a", "/w/b", "/w/c", "/x/a", "/x/b"])
ops = st.one_of(
    st.builds(Put, names, st.binary(max_size=3), st.just(0)),  # of named tuples all is drawn that is not said
    st.builds(Delete, names, st.just(False)),
    st.builds(Delete, st.just("/w/"), st.just(True)),
    st.builds(Get, names),
)
flat = st.lists(ops, max_size=3).map(tuple).filter(lambda found: is_legal(found))
compares = st.one_of(
    st.builds(absent, names),
    st.builds(Compare, names, st.just("version"), st.just("="), st.just(1), st.just(False)),
)
write_lists = st.lists(
    st.builds(Write, st.integers(), st.lists(compares, max_size=2).map(tuple), flat, st.just(())),
    max_size=40,
)


def is_legal(found: tuple[Put | Delete | Get, ...]) -> bool:
    try:
        limits.check(Txn((), found))
    except Exception:
        return False
    return True


@settings(max_examples=300, deadline=None)
@given(write_lists)
def test_chunks_mean_the_same_as_one_write_at_a_time(writes: list[Write]) -> None:
    together, alone = MemoryStore(ManualClock()), MemoryStore(ManualClock())
    outcomes = send(together, NO_FENCE, writes)
    expected: list[type[Outcome]] = []
    for write in writes:
        done = alone.txn(Txn(write.compares, write.ops)).succeeded
        expected.append(Applied if done else Conflict)
    assert [type(outcome) for outcome in outcomes] == expected
    assert [(kv.key, kv.value) for kv in together.list("/").kvs] == [
        (kv.key, kv.value) for kv in alone.list("/").kvs
    ]


@settings(max_examples=200, deadline=None)
@given(write_lists)
def test_no_key_is_written_by_two_writes_of_a_chunk(writes: list[Write]) -> None:
    for inside, _ in chunks(writes, NO_FENCE):
        written: list[set[str]] = [reach(write) for write in inside]
        assert sum(map(len, written)) == len(set().union(*written))


def reach(write: Write) -> set[str]:
    """Return which of all keys of these tests a write may change."""
    keys = {"/w/a", "/w/b", "/w/c", "/x/a", "/x/b"}
    puts = {op.key for op in write.ops if isinstance(op, Put)}
    deletes = [op for op in write.ops if isinstance(op, Delete)]
    return puts | {key for key in keys for delete in deletes if limits.covers(delete, key)}


sized = st.builds(
    lambda number, count, size: Write(
        number, (absent(f"/w/{number}"),), tuple(Put(f"/w/{number}/{i}", b"x" * size) for i in range(count))
    ),
    st.integers(0, 10_000),
    st.integers(1, 60),
    st.sampled_from([1, 500, 20_000]),
)


@settings(max_examples=100, deadline=None)
@given(st.lists(sized, max_size=200, unique_by=lambda write: write.subject))
def test_chunks_stay_within_the_limits_and_lose_nothing(writes: list[Write]) -> None:
    found = list(chunks(writes, NO_FENCE))
    assert [write for inside, _ in found for write in inside] == writes
    for inside, txn in found:
        assert txn.compares == (NO_FENCE.compare(),)
        assert limits.width(txn) <= MAX_TXN_OPS
        assert len(txn.success) == len(inside)
        assert limits.size_bytes(txn) <= MAX_REQUEST_BYTES or len(inside) == 1


def test_write_that_asks_about_a_range_comes_after_what_was_written_into_it(store: FaultyStore) -> None:
    asking = Write("asks", (untouched_since("/w/", 1),), (Put("/seen", b"v"),))
    outcomes = send(store, NO_FENCE, [make_write(1), asking, make_write(2)])
    assert [type(outcome) for outcome in outcomes] == [Applied, Conflict, Applied]
