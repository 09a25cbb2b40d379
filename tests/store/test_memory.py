"""What only the memory store can do: go back in time, be wiped, serve many clients without threads."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from store.api import Delete, KeyValue, Put, Store, Txn
from store.errors import Rewound, StoreError, WatchLost
from store.memory import MemoryStore
from tests.store.harness import ManualClock


def put(store: Store, key: str, value: bytes = b"v", lease_id: int = 0) -> int:
    return store.txn(Txn((), (Put(key, value, lease_id),))).revision


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def store(clock: ManualClock) -> MemoryStore:
    return MemoryStore(clock)


def test_a_rewound_store_is_as_it_was(store: MemoryStore) -> None:
    put(store, "/a", b"1")
    then = put(store, "/b", b"1")
    before = store.list("/").kvs
    put(store, "/a", b"2")
    store.txn(Txn((), (Delete("/b"), Put("/c", b"1"))))
    store.rewind(then)
    fresh = store.another_client()
    assert fresh.list("/").kvs == before
    assert put(fresh, "/d") == then + 1


@pytest.mark.parametrize("call", ["get", "list", "txn"])
def test_every_client_notices_that_history_was_rewound(store: MemoryStore, call: str) -> None:
    then = put(store, "/a")
    other = store.another_client()
    put(other, "/a")
    store.rewind(then)
    asked = {"get": lambda: other.get("/a"), "list": lambda: other.list("/"), "txn": lambda: other.txn(Txn())}
    with pytest.raises(Rewound) as caught:
        asked[call]()
    assert (caught.value.seen, caught.value.now) == (then + 1, then)
    store.get("/a")  # who saw nothing newer notices nothing


def test_a_revision_remembered_from_an_earlier_life_counts(clock: ManualClock) -> None:
    with pytest.raises(Rewound):
        MemoryStore(clock, highest_revision=7).get("/a")


def test_rewinding_and_wiping_end_the_watches(store: MemoryStore) -> None:
    rings = []
    for misfortune in (lambda: store.rewind(1), store.wipe):
        put(store.another_client(), "/a/1")
        watch = store.watch(("/a/",), 2, lambda: rings.append(1))
        misfortune()
        with pytest.raises(WatchLost):
            watch.poll()
    assert len(rings) == 4


def test_a_watch_of_rewound_history_is_silent_and_then_starts_in_the_middle(store: MemoryStore) -> None:
    for _ in range(5):
        last = put(store, "/a/1")
    store.rewind(last - 3)
    fresh = store.another_client()
    watch = fresh.watch(("/a/",), last + 1, lambda: None)
    while put(fresh, "/a/1") <= last:
        assert not watch.poll()
    events = watch.poll()
    assert events is not None
    assert [event.mod_revision for event in events] == [last + 1]


def test_leases_come_back_with_their_keys_and_their_full_time(store: MemoryStore, clock: ManualClock) -> None:
    lease = store.grant_lease(10)
    then = put(store, "/a", b"v", lease)
    clock.now += 10
    store.expire_leases()
    assert store.get("/a").kv is None
    store.rewind(then)
    fresh = store.another_client()
    assert fresh.get("/a").kv is not None
    assert fresh.keep_alive(lease) == 10
    assert store.next_expiry() == clock.now + 10


def test_an_ended_lease_stays_ended_if_it_was_so_then(store: MemoryStore) -> None:
    lease = store.grant_lease(10)
    put(store, "/a", b"v", lease)
    store.revoke_lease(lease)
    then = put(store, "/b")
    put(store, "/b")
    store.rewind(then)
    with pytest.raises(StoreError):
        store.keep_alive(lease)


def test_leases_expire_only_when_told(store: MemoryStore, clock: ManualClock) -> None:
    lease = store.grant_lease(10)
    put(store, "/a", b"v", lease)
    clock.now += 100
    assert store.get("/a").kv is not None
    store.expire_leases()
    assert store.get("/a").kv is None


def test_a_wiped_store_is_empty(store: MemoryStore) -> None:
    put(store, "/a")
    store.wipe()
    assert store.another_client().list("").kvs == ()


def test_notify_may_use_the_store(store: MemoryStore) -> None:
    seen = []
    store.watch(("/a/",), 2, lambda: seen.append(store.get("/a/1").kv))
    put(store, "/a/1")
    assert [kv.value for kv in seen if kv] == [b"v"]


writes = st.lists(
    st.one_of(
        st.tuples(st.just("put"), st.integers(0, 4)),
        st.tuples(st.just("delete"), st.integers(0, 4)),
        st.tuples(st.just("swap"), st.integers(0, 4)),
    ),
    min_size=1,
    max_size=30,
)


@settings(max_examples=200, deadline=None)
@given(writes, st.data())
def test_every_past_state_can_be_listed_and_returned_to(
    sequence: list[tuple[str, int]], data: st.DataObject
) -> None:
    store = MemoryStore(ManualClock())
    states: dict[int, tuple[KeyValue, ...]] = {1: ()}
    for action, number in sequence:
        key, other = f"/{number}", f"/{number + 1}"
        ops = {"put": (Put(key, b"v"),), "delete": (Delete(key),), "swap": (Delete(key), Put(other, b"s"))}
        revision = store.txn(Txn((), ops[action])).revision
        states[revision] = store.list("/").kvs
    for revision, kvs in states.items():
        assert store.list("/", revision=revision).kvs == kvs
    target = data.draw(st.sampled_from(sorted(states)))
    store.rewind(target)
    assert store.another_client().list("/").kvs == states[target]
