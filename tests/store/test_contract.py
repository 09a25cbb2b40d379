"""What `store.api` promises, asked of memory and of a real etcd alike."""

import itertools

import pytest

from store.api import (
    MAX_REQUEST_BYTES,
    Compare,
    Delete,
    Get,
    KeyValue,
    Put,
    Store,
    Txn,
    TxnResult,
    absent,
    created_at,
    unchanged,
    untouched_since,
)
from store.errors import Compacted, InvalidRequest, LeaseExpired, RequestTooLarge, WatchLost
from tests.store.harness import Bell, Harness, events_of
from tests.support.wait import eventually


def put(store: Store, key: str, value: bytes = b"v", lease_id: int = 0) -> int:
    return store.txn(Txn((), (Put(key, value, lease_id),))).revision


def delete(store: Store, key: str) -> int:
    return store.txn(Txn((), (Delete(key),))).revision


def watch_from(store: Store, prefix: str, revision: int):
    return store.watch((prefix,), revision, lambda: None)


class TestReads:
    def test_missing_key_has_a_revision_all_the_same(self, store: Store, prefix: str) -> None:
        found = store.get(prefix + "none")
        assert found.kv is None
        assert found.revision >= 1

    def test_a_key_counts_its_versions_and_keeps_its_creation(self, store: Store, prefix: str) -> None:
        created = put(store, prefix + "a", b"1")
        changed = put(store, prefix + "a", b"2")
        assert store.get(prefix + "a").kv == KeyValue(prefix + "a", b"2", created, changed, 2)

    def test_a_deleted_key_starts_anew(self, store: Store, prefix: str) -> None:
        put(store, prefix + "a")
        delete(store, prefix + "a")
        created = put(store, prefix + "a")
        assert store.get(prefix + "a").kv == KeyValue(prefix + "a", b"v", created, created, 1)

    def test_list_is_in_key_order_and_of_the_prefix_only(self, store: Store, prefix: str) -> None:
        for name in ("x/b", "x/a", "x/a/1", "x0", "w/z", "x/ö", "x/~"):
            put(store, prefix + name)
        names = [kv.key.removeprefix(prefix) for kv in store.list(prefix + "x/").kvs]
        assert names == ["x/a", "x/a/1", "x/b", "x/~", "x/ö"]

    def test_an_empty_prefix_lists_everything(self, store: Store, prefix: str) -> None:
        put(store, prefix + "a")
        assert prefix + "a" in [kv.key for kv in store.list("").kvs]

    def test_list_at_a_revision_shows_the_past(self, store: Store, prefix: str) -> None:
        put(store, prefix + "a", b"1")
        then = put(store, prefix + "b", b"1")
        put(store, prefix + "a", b"2")
        delete(store, prefix + "b")
        put(store, prefix + "c", b"1")
        listing = store.list(prefix, revision=then)
        assert [(kv.key.removeprefix(prefix), kv.value) for kv in listing.kvs] == [("a", b"1"), ("b", b"1")]
        assert listing.revision == then

    def test_list_of_many_pages_is_one_revision(self, store: Store, prefix: str) -> None:
        for start in range(0, 300, 100):
            store.txn(Txn((), tuple(Put(f"{prefix}{i:03}", b"v") for i in range(start, start + 100))))
        listing = store.list(prefix)
        assert [kv.key for kv in listing.kvs] == [f"{prefix}{i:03}" for i in range(300)]
        assert listing.revision == store.get(prefix).revision

    def test_page_is_a_piece_of_a_range_at_a_revision(self, store: Store, prefix: str) -> None:
        for name in ("a", "b", "c", "d"):
            revision = put(store, prefix + name)
        put(store, prefix + "bb")
        page = store.page(prefix + "b", prefix + "d", limit=2)
        assert [kv.key.removeprefix(prefix) for kv in page.kvs] == ["b", "bb"]
        page = store.page(prefix + "b", prefix + "d", limit=2, revision=revision)
        assert [kv.key.removeprefix(prefix) for kv in page.kvs] == ["b", "c"]
        assert page.revision == revision

    def test_a_future_revision_is_refused(self, store: Store, prefix: str) -> None:
        with pytest.raises(InvalidRequest):
            store.list(prefix, revision=store.get(prefix).revision + 1000)

    def test_highest_revision_is_what_replies_carried(self, store: Store, prefix: str) -> None:
        assert put(store, prefix + "a") == store.highest_revision


class TestTransactions:
    def test_success_and_failure_branches(self, store: Store, prefix: str) -> None:
        txn = Txn((absent(prefix + "a"),), (Put(prefix + "a", b"1"),), (Get(prefix + "a"),))
        first, second = store.txn(txn), store.txn(txn)
        assert first == TxnResult(True, first.revision, (None,))
        assert second.succeeded is False
        assert second.revision == first.revision
        found = second.results[0]
        assert isinstance(found, KeyValue)
        assert found.value == b"1"

    @pytest.mark.parametrize(
        ("target", "value"), [("version", 2), ("create", -1), ("mod", -2), ("value", b"m"), ("lease", -3)]
    )
    def test_every_comparison_of_every_target(
        self, store: Store, prefix: str, target: str, value: int | bytes
    ) -> None:
        lease = store.grant_lease(60)
        created = put(store, prefix + "a", b"m", lease)
        changed = put(store, prefix + "a", b"m", lease)
        actual = {-1: created, -2: changed, -3: lease}.get(value, value)
        near = (b"a", b"z") if isinstance(actual, bytes) else (actual - 1, actual + 1)

        def holds(op: str, against: int | bytes) -> bool:
            compare = Compare(prefix + "a", target, op, against)  # type: ignore[arg-type]
            return store.txn(Txn((compare,))).succeeded

        below, above = near
        assert [holds("=", x) for x in (below, actual, above)] == [False, True, False]
        assert [holds("!=", x) for x in (below, actual, above)] == [True, False, True]
        assert [holds(">", x) for x in (below, actual, above)] == [True, False, False]
        assert [holds("<", x) for x in (below, actual, above)] == [False, False, True]

    def test_a_missing_key_has_zeros_and_no_value(self, store: Store, prefix: str) -> None:
        key = prefix + "none"
        zeros = (absent(key), unchanged(key, 0), created_at(key, 0), Compare(key, "lease", "=", 0))
        assert store.txn(Txn(zeros)).succeeded
        assert not store.txn(Txn((Compare(key, "value", "!=", b"x"),))).succeeded
        assert not store.txn(Txn((Compare(key, "value", "=", b""),))).succeeded

    def test_one_transaction_is_one_revision(self, store: Store, prefix: str) -> None:
        before = store.get(prefix).revision
        result = store.txn(Txn((), (Put(prefix + "a", b"1"), Txn((), (Put(prefix + "b", b"1"),)))))
        assert result.revision == before + 1
        assert {kv.mod_revision for kv in store.list(prefix).kvs} == {result.revision}

    def test_what_changes_nothing_raises_no_revision(self, store: Store, prefix: str) -> None:
        before = store.get(prefix).revision
        result = store.txn(Txn((), (Delete(prefix + "none"), Txn((), (Get(prefix + "none"),)))))
        assert result == TxnResult(True, before, (0, TxnResult(True, before, (None,))))

    def test_a_failing_inner_transaction_fails_alone(self, store: Store, prefix: str) -> None:
        put(store, prefix + "taken")
        inner = tuple(
            Txn((absent(prefix + name),), (Put(prefix + name, b"new"),)) for name in ("a", "taken", "b")
        )
        result = store.txn(Txn((absent(prefix + "fence"),), inner))
        assert result.succeeded
        assert [each.succeeded for each in result.results if isinstance(each, TxnResult)] == [
            True,
            False,
            True,
        ]
        assert {each.revision for each in result.results if isinstance(each, TxnResult)} == {result.revision}
        assert [kv.value for kv in store.list(prefix).kvs] == [b"new", b"new", b"v"]

    def test_inner_comparisons_see_the_state_before_the_transaction(self, store: Store, prefix: str) -> None:
        result = store.txn(
            Txn((), (Put(prefix + "a", b"1"), Txn((absent(prefix + "a"),), (Put(prefix + "b", b"1"),))))
        )
        inner = result.results[1]
        assert isinstance(inner, TxnResult)
        assert inner.succeeded

    def test_a_get_sees_what_came_before_it(self, store: Store, prefix: str) -> None:
        result = store.txn(Txn((), (Put(prefix + "a", b"1"), Get(prefix + "a"))))
        assert result.results[1] == KeyValue(prefix + "a", b"1", result.revision, result.revision, 1)

    @pytest.mark.parametrize("is_nested", [False, True])
    def test_a_comparison_of_a_prefix_must_hold_for_every_key(
        self, store: Store, prefix: str, is_nested: bool
    ) -> None:
        def holds(compare: Compare) -> bool:
            asked = Txn((compare,))
            (inner,) = store.txn(Txn((), (asked,))).results if is_nested else (store.txn(asked),)
            assert isinstance(inner, TxnResult)
            return inner.succeeded

        put(store, prefix + "a/1")
        revision = store.get(prefix).revision
        assert holds(untouched_since(prefix + "a/", revision))
        assert holds(untouched_since(prefix + "nothing/", revision))
        assert not holds(untouched_since(prefix + "a/", revision - 1))
        put(store, prefix + "a/2")
        put(store, prefix + "ab")
        assert not holds(untouched_since(prefix + "a/", revision))
        assert holds(untouched_since(prefix + "a/1", revision))

    def test_delete_counts_keys(self, store: Store, prefix: str) -> None:
        for name in ("a/1", "a/2", "b"):
            put(store, prefix + name)
        result = store.txn(
            Txn((), (Delete(prefix + "a/", is_prefix=True), Delete(prefix + "b"), Delete(prefix + "c")))
        )
        assert result.results == (2, 1, 0)
        assert store.list(prefix).kvs == ()


class TestLimits:
    def test_128_comparisons_are_taken_and_129_refused(self, store: Store, prefix: str) -> None:
        compares = tuple(absent(f"{prefix}{i}") for i in range(129))
        assert store.txn(Txn(compares[:128])).succeeded
        with pytest.raises(RequestTooLarge):
            store.txn(Txn(compares))

    @pytest.mark.parametrize(
        ("outer", "inner", "fits"), [(126, 2, True), (127, 1, True), (126, 3, False), (128, 1, False)]
    )
    def test_outer_count_plus_widest_inner_is_at_most_128(
        self, store: Store, prefix: str, outer: int, inner: int, fits: bool
    ) -> None:
        numbers = itertools.count()
        nested = tuple(
            Txn((), tuple(Put(f"{prefix}{next(numbers)}", b"v") for _ in range(inner if i == 0 else 1)))
            for i in range(outer)
        )
        if fits:
            assert store.txn(Txn((absent(prefix),), nested)).succeeded
        else:
            with pytest.raises(RequestTooLarge):
                store.txn(Txn((absent(prefix),), nested))

    @pytest.mark.parametrize("branch", ["compares", "success", "failure"])
    def test_inner_width_is_that_of_its_widest_part(self, store: Store, prefix: str, branch: str) -> None:
        parts = {
            "compares": tuple(absent(f"{prefix}{i}") for i in range(128)),
            "success": tuple(Put(f"{prefix}{i}", b"v") for i in range(128)),
            "failure": tuple(Get(f"{prefix}{i}") for i in range(128)),
        }
        with pytest.raises(RequestTooLarge):
            store.txn(Txn((), (Txn()._replace(**{branch: parts[branch]}),)))
        narrow = parts[branch][:127]
        assert store.txn(Txn((), (Txn()._replace(**{branch: narrow}),))).succeeded

    def test_a_request_over_the_limit_is_refused(self, store: Store, prefix: str) -> None:
        put(store, prefix + "a", b"x" * (MAX_REQUEST_BYTES - 1000))
        with pytest.raises(RequestTooLarge):
            put(store, prefix + "b", b"x" * (MAX_REQUEST_BYTES + 1))
        with pytest.raises(RequestTooLarge):
            put(store, prefix + "c", b"x" * (4 * MAX_REQUEST_BYTES))

    def overlapping(self, prefix: str) -> dict[str, tuple[Txn, bool]]:
        a, b = Put(prefix + "a", b"1"), Put(prefix + "b", b"1")
        wipe = Delete(prefix, is_prefix=True)
        return {
            "put twice": (Txn((), (a, a)), False),
            "put, put inside": (Txn((), (a, Txn((), (a,)))), False),
            "put in two inner ones": (Txn((), (Txn((), (a,)), Txn((), (a,)))), False),
            "put in both branches": (Txn((absent(a.key),), (a,), (a,)), True),
            "put in both inner branches": (Txn((), (Txn((absent(a.key),), (a,), (a,)),)), True),
            "put and delete": (Txn((), (a, Delete(a.key))), False),
            "put and delete another": (Txn((), (a, Delete(b.key))), True),
            "put and delete its prefix": (Txn((), (wipe, a)), False),
            "delete, put inside": (Txn((), (wipe, Txn((), (a,)))), False),
            "delete inside, then put": (Txn((), (Txn((), (wipe,)), a)), False),
            "delete inside, then put inside": (Txn((), (Txn((), (wipe,)), Txn((), (a,)))), False),
            "put inside, then delete inside": (Txn((), (Txn((), (a,)), Txn((), (wipe,)))), True),
            "delete twice": (Txn((), (Delete(a.key), Delete(a.key), wipe)), True),
            "put in the branch not taken": (Txn((absent(b.key),), (a,), (a, b)), True),
            "twice in the branch not taken": (Txn((absent(b.key),), (), (a, a)), False),
        }

    @pytest.mark.parametrize("case", range(15))
    def test_a_key_is_written_once_at_most(self, store: Store, prefix: str, case: int) -> None:
        name, (txn, is_fine) = list(self.overlapping(prefix).items())[case]
        if is_fine:
            assert store.txn(txn).succeeded, name
        else:
            with pytest.raises(InvalidRequest):
                store.txn(txn)

    def test_an_empty_key_is_refused(self, store: Store) -> None:
        with pytest.raises(InvalidRequest):
            store.txn(Txn((), (Put("", b"v"),)))


class TestWatches:
    def test_events_from_now_on(self, store: Store, prefix: str) -> None:
        bell = Bell()
        start = store.get(prefix).revision + 1
        watch = store.watch((prefix,), start, bell)
        created = put(store, prefix + "a", b"1")
        gone = delete(store, prefix + "a")
        put(store, prefix[:-1] + "-other/x")
        first, second = events_of(watch, 2)
        assert (first.key, first.kv, first.mod_revision) == (
            prefix + "a",
            KeyValue(prefix + "a", b"1", created, created, 1),
            created,
        )
        assert (second.key, second.kv, second.mod_revision) == (prefix + "a", None, gone)
        assert bell.rings >= 1
        watch.close()

    def test_events_from_the_past(self, store: Store, prefix: str) -> None:
        revisions = [put(store, prefix + "a", str(i).encode()) for i in range(5)]
        watch = watch_from(store, prefix, revisions[2])
        assert [event.mod_revision for event in events_of(watch, 3)] == revisions[2:]
        watch.close()

    def test_a_start_in_the_future_is_silent_until_then(self, store: Store, prefix: str) -> None:
        watch = watch_from(store, prefix, store.get(prefix).revision + 2)
        put(store, prefix + "a", b"too early")
        second = put(store, prefix + "b", b"in time")
        assert [event.mod_revision for event in events_of(watch, 1)] == [second]
        watch.close()

    def test_creation_is_a_sign_of_life(self, store: Store, prefix: str) -> None:
        watch = watch_from(store, prefix, store.get(prefix).revision + 1)
        eventually(lambda: watch.poll() == ())
        assert watch.poll() is None
        watch.close()

    def test_a_revision_comes_in_one_piece(self, store: Store, prefix: str) -> None:
        start = store.get(prefix).revision + 1
        watch = watch_from(store, prefix, start)
        store.txn(Txn((), tuple(Put(f"{prefix}{i}", b"v") for i in range(100))))
        batch = eventually(watch.poll)
        assert len(batch) == 100
        watch.close()

    def test_without_a_slash_it_is_one_key(self, store: Store, prefix: str) -> None:
        watch = watch_from(store, prefix + "one", store.get(prefix).revision + 1)
        put(store, prefix + "one-more")
        put(store, prefix + "one/deeper")
        wanted = put(store, prefix + "one")
        assert [event.mod_revision for event in events_of(watch, 1)] == [wanted]
        watch.close()

    def test_several_prefixes(self, store: Store, prefix: str) -> None:
        watch = store.watch((prefix + "a/", prefix + "b"), store.get(prefix).revision + 1, lambda: None)
        for name in ("a/1", "b", "c", "a/2", "b2"):
            put(store, prefix + name)
        assert {event.key.removeprefix(prefix) for event in events_of(watch, 3)} == {"a/1", "b", "a/2"}
        watch.close()

    def test_a_start_before_compaction_is_compacted(self, store: Store, prefix: str) -> None:
        first = put(store, prefix + "a")
        second = put(store, prefix + "a")
        store.compact(second)
        for start in (first, second):
            watch = watch_from(store, prefix, start)
            with pytest.raises(Compacted) as caught:
                eventually(lambda watch=watch: watch.poll() and None)
            assert caught.value.compact_revision == second
            watch.close()

    def test_a_delete_at_the_compacted_revision_is_not_missed(self, store: Store, prefix: str) -> None:
        """etcd 3.4 opens such a watch without a word and leaves the delete out."""
        put(store, prefix + "a")
        gone = delete(store, prefix + "a")
        put(store, prefix + "b")
        store.compact(gone)
        watch = watch_from(store, prefix, gone)
        with pytest.raises(Compacted):
            eventually(lambda: watch.poll() and None)

    def test_right_after_compaction_it_goes_on(self, store: Store, prefix: str) -> None:
        first = put(store, prefix + "a")
        second = put(store, prefix + "a")
        store.compact(first)
        watch = watch_from(store, prefix, second)
        assert [event.mod_revision for event in events_of(watch, 1)] == [second]
        watch.close()

    def test_a_closed_watch_stays_closed(self, store: Store, prefix: str) -> None:
        watch = watch_from(store, prefix, 1 + store.get(prefix).revision)
        watch.close()
        watch.close()
        put(store, prefix + "a")
        for _ in range(2):
            with pytest.raises(WatchLost):
                watch.poll()


class TestCompaction:
    def test_the_past_is_gone_and_the_present_is_not(self, store: Store, prefix: str) -> None:
        first = put(store, prefix + "a", b"1")
        second = put(store, prefix + "a", b"2")
        third = put(store, prefix + "b", b"3")
        store.compact(second)
        with pytest.raises(Compacted):
            store.list(prefix, revision=first)
        assert [kv.value for kv in store.list(prefix, revision=second).kvs] == [b"2"]
        assert [kv.value for kv in store.list(prefix, revision=third).kvs] == [b"2", b"3"]
        assert [kv.value for kv in store.list(prefix).kvs] == [b"2", b"3"]

    def test_twice_is_compacted_and_the_future_refused(self, store: Store, prefix: str) -> None:
        revision = put(store, prefix + "a")
        store.compact(revision)
        with pytest.raises(Compacted):
            store.compact(revision)
        with pytest.raises(InvalidRequest):
            store.compact(revision + 1000)


class TestLeases:
    def test_keys_go_with_their_lease_in_one_revision(self, harness: Harness) -> None:
        store, prefix = harness.store, harness.prefix
        lease = store.grant_lease(60)
        put(store, prefix + "a", b"v", lease)
        last = put(store, prefix + "b", b"v", lease)
        put_free = put(store, prefix + "c", b"v", lease)
        put(store, prefix + "c", b"v")  # without the lease it is free again
        watch = watch_from(store, prefix, put_free + 2)
        assert store.get(prefix + "a").kv.lease_id == lease  # type: ignore[union-attr]
        store.revoke_lease(lease)
        events = events_of(watch, 2)
        assert [event.key for event in events] == [prefix + "a", prefix + "b"]
        assert len({event.mod_revision for event in events}) == 1
        assert [kv.key for kv in store.list(prefix).kvs] == [prefix + "c"]
        assert last
        watch.close()

    def test_an_unknown_lease_refuses_everything(self, store: Store, prefix: str) -> None:
        lease = store.grant_lease(60)
        store.revoke_lease(lease)
        with pytest.raises(LeaseExpired) as caught:
            store.txn(Txn((), (Put(prefix + "a", b"v"), Put(prefix + "b", b"v", lease))))
        assert caught.value.lease_id == lease
        assert store.list(prefix).kvs == ()
        with pytest.raises(LeaseExpired):
            store.keep_alive(lease)
        with pytest.raises(LeaseExpired):
            store.revoke_lease(lease)

    def test_a_lease_that_is_kept_lives_and_one_that_is_not_expires(self, harness: Harness) -> None:
        store, prefix = harness.store, harness.prefix
        kept, left = store.grant_lease(2), store.grant_lease(2)
        put(store, prefix + "kept", b"v", kept)
        put(store, prefix + "left", b"v", left)
        for _ in range(4):
            harness.let_pass(1)
            assert store.keep_alive(kept) == 2
        eventually(lambda: [kv.key for kv in store.list(prefix).kvs] == [prefix + "kept"])
        with pytest.raises(LeaseExpired):
            store.keep_alive(left)


def test_status_knows_size_and_revision(store: Store, prefix: str) -> None:
    revision = put(store, prefix + "a")
    status = store.status()
    assert status.revision >= revision
    assert status.db_size_bytes > 0
    assert status.alarms == ()


def test_everybody_may_do_everything_where_nobody_is_asked_who_he_is(store: Store) -> None:
    assert store.access("") is None
    assert store.access("somebody") is None
