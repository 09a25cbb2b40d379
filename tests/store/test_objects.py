"""Writing objects: identity, conflicts, size, and replies that get lost."""

from datetime import UTC, datetime
from typing import Any

import pytest

from store.api import Delete, Put, Txn, absent
from store.codec import decode
from store.errors import OutcomeUnknown, RequestTooLarge, Unavailable
from store.memory import MemoryStore
from store.objects import MAX_VALUE_BYTES, Conflict, Written, prepare, write, write_many
from tests.store.faulty import FaultyStore
from tests.store.harness import ManualClock

KEY = "/berth/spec/default/tasks/web"


@pytest.fixture
def store() -> FaultyStore:
    return FaultyStore(MemoryStore(ManualClock()))


def write_now(
    store: FaultyStore, obj: dict[str, Any], expected: int | None = None, **more: Any
) -> Written | Conflict:
    options = {"new_uid": lambda: "uid-1", "now": lambda: datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)} | more
    return write(store, KEY, obj, expect_mod_revision=expected, **options)


def stored(store: FaultyStore) -> Any:
    kv = store.get(KEY).kv
    assert kv is not None
    return decode(kv)


def test_create_stamps_identity(store: FaultyStore) -> None:
    obj = {"spec": {"a": 1}, "metadata": {"name": "web", "uid": "mine"}}
    done = write_now(store, obj)
    assert isinstance(done, Written)
    assert done.uid == "uid-1"
    assert done.obj == stored(store)
    assert done.obj == {
        "spec": {"a": 1},
        "metadata": {"name": "web", "uid": "uid-1", "creationTimestamp": "2026-01-02T03:04:05Z"},
    }
    assert obj["metadata"] == {"name": "web", "uid": "mine"}


@pytest.mark.parametrize("metadata", [{}, {"uid": "other", "creationTimestamp": "1970"}])
def test_update_keeps_identity_whatever_the_writer_says(store: FaultyStore, metadata: dict[str, str]) -> None:
    first = write_now(store, {"spec": 1})
    assert isinstance(first, Written)
    second = write_now(store, {"spec": 2, "metadata": metadata}, first.mod_revision, new_uid=lambda: "uid-2")
    assert isinstance(second, Written)
    assert second.obj["metadata"] == first.obj["metadata"]
    assert (stored(store)["spec"], second.mod_revision) == (2, first.mod_revision + 1)


def test_create_of_what_exists_is_a_conflict(store: FaultyStore) -> None:
    write_now(store, {"spec": 1})
    found = write_now(store, {"spec": 2})
    assert isinstance(found, Conflict)
    assert found.current == store.get(KEY).kv


@pytest.mark.parametrize("now_there", ["changed", "deleted"])
def test_update_of_what_changed_meanwhile_is_a_conflict(store: FaultyStore, now_there: str) -> None:
    first = write_now(store, {"spec": 1})
    assert isinstance(first, Written)
    store.txn(Txn((), (Put(KEY, b"{}") if now_there == "changed" else Delete(KEY),)))
    assert write_now(store, {"spec": 2}, first.mod_revision) == Conflict(KEY, store.get(KEY).kv)


def test_an_unreadable_value_can_be_repaired(store: FaultyStore) -> None:
    broken = store.txn(Txn((), (Put(KEY, b"{"),))).revision
    done = write_now(store, {"spec": 1}, broken)
    assert isinstance(done, Written)
    assert done.uid == "uid-1"


def test_extra_operations_share_its_fate(store: FaultyStore) -> None:
    extra = {"extra": (Put("/applied", b"1"),), "compares": (absent("/stop"),)}
    assert isinstance(write_now(store, {}, **extra), Written)
    assert store.get("/applied").kv is not None
    store.txn(Txn((), (Put("/stop", b""), Delete("/applied"), Delete(KEY))))
    assert write_now(store, {}, **extra) == Conflict(KEY, None)
    assert store.get("/applied").kv is None


def test_an_object_over_a_mebibyte_is_refused_by_name(store: FaultyStore) -> None:
    with pytest.raises(RequestTooLarge, match=KEY):
        write_now(store, {"data": "x" * MAX_VALUE_BYTES})


def test_a_lost_reply_is_cleared_up_by_reading(store: FaultyStore) -> None:
    store.lose_reply()
    first = write_now(store, {"spec": 1})
    assert isinstance(first, Written)
    store.lose_reply()
    second = write_now(store, {"spec": 2}, first.mod_revision)
    assert isinstance(second, Written)
    assert second.mod_revision == first.mod_revision + 1


def test_a_lost_reply_of_a_failed_comparison_is_a_conflict(store: FaultyStore) -> None:
    write_now(store, {"spec": 1}, new_uid=lambda: "theirs")
    store.lose_reply()
    assert isinstance(write_now(store, {"spec": 1}), Conflict)


@pytest.mark.parametrize("exists", [False, True])
def test_what_did_not_happen_yet_stays_unknown(store: FaultyStore, exists: bool) -> None:
    first = write_now(store, {"spec": 1}) if exists else None
    expected = first.mod_revision if isinstance(first, Written) else None
    store.fail_before(*[None] * exists, OutcomeUnknown("lost on its way"))
    with pytest.raises(OutcomeUnknown):
        write_now(store, {"spec": 2}, expected)
    assert isinstance(write_now(store, {"spec": 2}, expected), Written)


def test_an_unreachable_store_is_not_hidden(store: FaultyStore) -> None:
    store.fail_before(Unavailable("down"))
    with pytest.raises(Unavailable):
        write_now(store, {})


def test_a_lost_reply_that_can_not_be_cleared_up_stays_unknown(store: FaultyStore) -> None:
    store.lose_reply()
    store.fail_before(None, Unavailable("down"))
    with pytest.raises(OutcomeUnknown, match="the reply was lost; and it can't be read now: down"):
        write_now(store, {"spec": 1})


def test_of_many_lost_replies_one_is_asked_about_while_the_store_is_away(store: FaultyStore) -> None:
    store.lose_reply()
    store.fail_before(None, Unavailable("down"), *[Unavailable("asked again")] * 9)
    wanted = [(prepare(f"{KEY}-{number}", {"spec": number}, None), ()) for number in range(10)]
    answers = write_many(store, wanted)
    assert {type(answer) for answer in answers} == {OutcomeUnknown}
    assert store.calls == ["txn", "get"]


def test_many_lost_replies_are_cleared_up_each(store: FaultyStore) -> None:
    store.lose_reply()
    wanted = [(prepare(f"{KEY}-{number}", {"spec": number}, None), ()) for number in range(3)]
    assert [type(answer) for answer in write_many(store, wanted)] == [Written] * 3
