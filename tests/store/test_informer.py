"""The informer against the memory store: whatever happens, the cache ends up equal to the store."""

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from store.api import Delete, KeyValue, Put, Store, Txn
from store.errors import PermissionDenied, Rewound, Unavailable
from store.informer import Informer
from store.memory import MemoryStore
from store.reflector import MAX_BACKOFF_S, Change
from tests.store.faulty import FaultyStore
from tests.store.harness import Bell, ManualClock


def put(store: Store, key: str, value: bytes = b"v") -> int:
    return store.txn(Txn((), (Put(key, value),))).revision


def delete(store: Store, key: str) -> int:
    return store.txn(Txn((), (Delete(key),))).revision


@pytest.fixture
def memory() -> MemoryStore:
    return MemoryStore(ManualClock())


@pytest.fixture
def store(memory: MemoryStore) -> FaultyStore:
    return FaultyStore(memory)


def make_informer(store: Store, *prefixes: str, **options: float) -> Informer:
    return Informer(store, prefixes or ("/b/",), lambda: None, **options)


def keys(informer: Informer, prefix: str = "/b/") -> list[str]:
    return [kv.key for kv in informer.items(prefix)]


def test_first_step_lists_and_later_ones_follow(store: FaultyStore) -> None:
    listed = put(store, "/b/1")
    put(store, "/other/1")
    informer = make_informer(store)
    assert not informer.synced
    (first,) = informer.step(0)
    assert (first.key, first.old, first.new) == ("/b/1", None, informer.get("/b/1"))
    assert (informer.synced, informer.healthy, informer.revision) == (True, True, listed + 1)
    assert informer.step(1) == ()
    gone = delete(store, "/b/1")
    assert informer.step(2) == (Change("/b/1", first.new, None),)
    assert (keys(informer), informer.revision) == ([], gone)


def test_it_is_notified_of_news(store: FaultyStore) -> None:
    bell = Bell()
    informer = Informer(store, ("/b/",), bell)
    informer.step(0)
    before = bell.rings
    put(store, "/b/1")
    assert bell.rings == before + 1


def test_a_lost_watch_is_followed_by_a_list_and_nothing_is_missed(
    store: FaultyStore, memory: MemoryStore
) -> None:
    informer = make_informer(store)
    informer.step(0)
    put(store, "/b/1")
    memory.end_watches()
    put(store, "/b/2")
    informer.step(1)
    assert [change.key for change in informer.step(1)] == ["/b/1", "/b/2"]
    assert store.calls.count("list") == 2


def test_events_before_a_loss_are_told(store: FaultyStore, memory: MemoryStore) -> None:
    """Changes drained in the very step that meets the loss must reach the owner."""
    informer = make_informer(store)
    informer.step(0)
    put(store, "/b/1")
    watch = informer._reflectors[0]._watch
    assert watch is not None
    original = watch.poll

    def poll_once_then_lose(timeout_s: float = 0.0):
        events = original(timeout_s)
        memory.end_watches()
        return events

    watch.poll = poll_once_then_lose  # type: ignore[method-assign]
    assert [change.key for change in informer.step(1)] == ["/b/1"]
    assert informer.last_error is not None


def test_compaction_while_away_gives_synthetic_changes(store: FaultyStore, memory: MemoryStore) -> None:
    for name in ("stays", "goes", "changes"):
        put(store, f"/b/{name}", b"old")
    informer = make_informer(store)
    informer.step(0)
    memory.end_watches()
    put(store, "/b/comes", b"new")
    put(store, "/b/changes", b"new")
    gone = delete(store, "/b/goes")
    memory.compact(gone)
    changes = [change for _ in range(3) for change in informer.step(1)]
    told = {c.key: (c.old and c.old.value, c.new and c.new.value) for c in changes}
    assert told == {
        "/b/goes": (b"old", None),
        "/b/comes": (None, b"new"),
        "/b/changes": (b"old", b"new"),
    }
    assert informer.healthy


def test_an_unreachable_store_leaves_the_cache_and_is_asked_less_and_less(store: FaultyStore) -> None:
    put(store, "/b/1")
    informer = make_informer(store)
    informer.step(0)
    store.behind.end_watches()
    store.calls.clear()
    store.fail_before(*[Unavailable("down")] * 1000)
    attempts = []
    for second in range(200):
        before = len(store.calls)
        assert informer.step(float(second)) == ()
        if len(store.calls) > before:
            attempts.append(second)
    assert keys(informer) == ["/b/1"]
    assert informer.synced
    assert not informer.healthy
    gaps = [b - a for a, b in pairwise(attempts)]
    assert gaps == sorted(gaps)
    assert max(gaps) == MAX_BACKOFF_S
    store._before.clear()
    put(store, "/b/2")
    changes = [c.key for c in informer.step(300.0)]
    assert changes == ["/b/2"]
    assert informer.healthy


def test_a_refusal_is_reported_and_tried_again(store: FaultyStore) -> None:
    informer = make_informer(store)
    store.fail_before(PermissionDenied("no"))
    assert informer.step(0) == ()
    assert isinstance(informer.last_error, PermissionDenied)
    assert informer.next_step_at(0) > 0
    informer.step(informer.next_step_at(0))
    assert informer.healthy


def test_a_refusal_from_the_start_is_told_apart_from_a_later_one(store: FaultyStore) -> None:
    informer = make_informer(store)
    store.fail_before(PermissionDenied("no right"))
    informer.step(0)
    assert isinstance(informer.refusal, PermissionDenied)
    informer.step(100)
    assert informer.refusal is None
    informer.relist()
    store.fail_before(PermissionDenied("the right was taken"))
    informer.step(200)
    assert (informer.refusal, type(informer.last_error)) == (None, PermissionDenied)


def test_what_is_to_be_read_again_is_due_at_once(store: FaultyStore) -> None:
    informer = make_informer(store)
    assert informer.is_behind
    informer.step(0)
    assert (informer.is_behind, informer.next_step_at(1) > 1) == (False, True)
    informer.relist()
    assert (informer.is_behind, informer.next_step_at(1)) == (True, 1)
    store.fail_before(Unavailable("away"))
    informer.step(1)
    assert (informer.is_behind, informer.next_step_at(1) > 1) == (False, True)


def test_silence_reopens_the_watch(store: FaultyStore) -> None:
    informer = make_informer(store, idle_timeout_s=30)
    informer.step(0)
    informer.step(29)
    assert store.calls.count("watch") == 1
    assert informer.next_step_at(0) == 10
    assert informer.next_step_at(12) == 20
    informer.step(30)
    assert store.calls[-2:] == ["list", "watch"]
    put(store, "/b/1")
    informer.step(59)
    informer.step(88)
    assert store.calls.count("watch") == 2


def test_resync_finds_what_no_watch_told(store: FaultyStore, memory: MemoryStore) -> None:
    informer = make_informer(store, resync_every_s=600)
    informer.step(0)
    informer.step(1)
    watch = informer._reflectors[0]._watch
    assert watch is not None
    watch.poll = lambda timeout_s=0.0: ()  # type: ignore[method-assign,assignment,misc]
    put(store, "/b/1")
    informer.step(599)
    assert keys(informer) == []
    assert [change.key for change in informer.step(601)] == ["/b/1"]


def test_a_watch_that_lags_behind_a_list_does_not_take_the_cache_back(store: FaultyStore) -> None:
    informer = make_informer(store, resync_every_s=600)
    informer.step(0)
    watch = informer._reflectors[0]._watch
    assert watch is not None
    watch.poll = lambda timeout_s=0.0: None  # type: ignore[method-assign,assignment,misc]
    put(store, "/b/1", b"old")
    put(store, "/b/1", b"new")
    delete(store, "/b/1")
    last = put(store, "/b/1", b"newest")
    informer._reflectors[0]._last_life = 600
    assert [change.new and change.new.value for change in informer.step(600)] == [b"newest"]
    del watch.poll
    assert informer.step(601) == ()
    assert informer.revision == last


@pytest.mark.parametrize("prefix", ["/b/", "/b/1"])
def test_rewound_history_is_raised(memory: MemoryStore, prefix: str) -> None:
    put(memory, "/b/1")
    then = put(memory, "/b/2")
    put(memory, "/b/3")
    informer = make_informer(memory.another_client(), prefix)
    informer.step(0)
    memory.rewind(then)
    informer.step(1)
    with pytest.raises(Rewound):
        informer.step(1)


def test_a_relist_below_the_cache_is_rewound_even_for_a_client_that_saw_nothing(memory: MemoryStore) -> None:
    writer = memory.another_client()
    then = put(writer, "/b/1")
    informer = make_informer(memory)
    informer.step(0)
    put(writer, "/b/2")
    informer.step(1)
    memory.rewind(then)
    memory.compact(then)
    memory._highest = 0  # seen by the watch only: no unary reply carried it
    informer.step(2)
    with pytest.raises(Rewound):
        informer.step(2)


def test_rewound_history_that_caught_up_is_raised_too(memory: MemoryStore) -> None:
    """The watch ended, and before it is opened again the restored store has passed the revision seen."""
    put(memory, "/b/1", b"kept")
    informer = make_informer(memory.another_client())
    informer.step(0)
    put(memory, "/b/1", b"lost")
    informer.step(1)
    back = memory.another_client()
    back.rewind(informer.revision - 1)
    writer = back.another_client()
    for _ in range(5):
        put(writer, "/b/2", b"new history")
    informer.step(2)
    with pytest.raises(Rewound):
        informer.step(2)


def test_rewound_history_that_lacks_an_own_write_is_raised_though_the_cache_never_saw_that_write(
    memory: MemoryStore,
) -> None:
    put(memory, "/b/1", b"before")
    informer = make_informer(memory.another_client())
    informer.step(0)
    informer.wrote("/b/1", put(memory, "/b/1", b"the last word"))
    back = memory.another_client()
    back.rewind(informer.revision)
    for _ in range(5):
        put(back.another_client(), "/b/2", b"new history")
    informer.step(1)
    with pytest.raises(Rewound):
        informer.step(1)


def test_an_own_write_that_is_there_or_was_written_over_tells_of_nothing(memory: MemoryStore) -> None:
    put(memory, "/b/1")
    informer = make_informer(memory.another_client())
    informer.step(0)
    informer.wrote("/b/1", put(memory, "/b/1"))
    informer.wrote("/b/2", put(memory, "/b/2"))
    put(memory, "/b/2", b"somebody else's")
    informer.relist()
    assert {change.key for change in informer.step(1)} == {"/b/1", "/b/2"}


def test_a_single_key_is_read_alone(store: FaultyStore) -> None:
    put(store, "/cluster")
    put(store, "/cluster2")
    informer = make_informer(store, "/cluster", "/b/")
    assert [change.key for change in informer.step(0)] == ["/cluster"]
    put(store, "/cluster3")
    put(store, "/b/1")
    assert [change.key for change in informer.step(1)] == ["/b/1"]
    assert informer.revision_of("/b/1") == informer.revision
    assert informer.revision_of("/cluster") < informer.revision
    assert informer.revision_of("/cluster2") == 0


def test_several_prefixes_resume_each_at_its_own_place(memory: MemoryStore) -> None:
    """Events of one prefix may come before older ones of another; none may be lost with the stream."""
    informer = make_informer(memory, "/a/", "/b/")
    informer.step(0)
    put(memory, "/a/1")
    put(memory, "/b/1")
    slow = informer._reflectors[0]._watch
    assert slow is not None
    slow.poll = lambda timeout_s=0.0: None  # type: ignore[method-assign,assignment,misc]
    assert [change.key for change in informer.step(1)] == ["/b/1"]
    del slow.poll
    memory.end_watches()
    assert [change.key for _ in range(2) for change in informer.step(2)] == ["/a/1"]


def test_items_are_those_of_the_prefix_in_order(store: FaultyStore) -> None:
    for name in ("x/2", "x/1", "y", "x", "x/10"):
        put(store, "/b/" + name)
    informer = make_informer(store)
    informer.step(0)
    assert keys(informer, "/b/x/") == ["/b/x/1", "/b/x/10", "/b/x/2"]
    assert len(informer) == 5


actions = st.one_of(
    st.tuples(st.just("put"), st.integers(0, 7), st.binary(max_size=2)),
    st.tuples(st.just("delete"), st.integers(0, 7), st.none()),
    st.tuples(st.just("many"), st.integers(0, 7), st.binary(max_size=2)),
    st.tuples(st.just("foreign"), st.integers(0, 7), st.none()),
    st.tuples(st.just("lose"), st.none(), st.none()),
    st.tuples(st.just("compact"), st.integers(0, 5), st.none()),
    st.tuples(st.just("fail"), st.integers(1, 3), st.none()),
    st.tuples(st.just("step"), st.sampled_from([0, 1, 20, 40, 700]), st.none()),
)


def act(store: FaultyStore, action: tuple[str, int, bytes], informer: Informer, now: float) -> list[Change]:
    memory = store.behind
    match action:
        case ("put", number, value):
            put(memory, f"/b/{number}", value)
        case ("delete", number, _):
            delete(memory, f"/b/{number}")
        case ("many", number, value):
            other = f"/b/{(number + 1) % 8}"
            memory.txn(Txn((), (Put(f"/b/{number}", value), Delete(other))))
        case ("foreign", number, _):
            put(memory, f"/c/{number}")
        case ("lose", *_):
            memory.end_watches()
        case ("compact", back, _):
            revision = memory.status().revision - back
            if revision > memory._server.compacted_at:
                memory.compact(revision)
        case ("fail", count, _):
            store.fail_before(*[Unavailable("down")] * count)
        case ("step", _, _):
            return list(informer.step(now))
    return []


@settings(max_examples=300, deadline=None)
@given(st.lists(actions, max_size=40))
def test_cache_equals_store_whatever_happens(sequence: list[tuple[str, int, bytes]]) -> None:
    store = FaultyStore(MemoryStore(ManualClock()))
    informer = make_informer(store)
    now, replayed = 0.0, {}

    def follow(changes: list[Change]) -> None:
        """Replaying the changes gives the cache at every point, and each names what was there."""
        for change in changes:
            assert replayed.get(change.key) == change.old
            assert change.old != change.new
            replayed[change.key] = change.new
        assert {key: kv for key, kv in replayed.items() if kv} == {kv.key: kv for kv in informer.items("/b/")}

    last_revision = 0
    for action in sequence:
        now += action[1] or 0 if action[0] == "step" else 0
        follow(act(store, action, informer, now))
        assert informer.revision >= last_revision
        last_revision = informer.revision
        assert_cache_was_true(store.behind, informer)
    store._before.clear()
    for _ in range(4):
        now += 60
        follow(list(informer.step(now)))
    assert informer.healthy
    assert informer.items("/b/") == store.behind.list("/b/").kvs


def assert_cache_was_true(memory: MemoryStore, informer: Informer) -> None:
    """The cache is what the store was at `informer.revision`, as far as that is still known."""
    if informer.revision < max(memory._server.compacted_at, 1):
        return
    then: tuple[KeyValue, ...] = memory._server.list("/b/", informer.revision)
    assert informer.items("/b/") == then
