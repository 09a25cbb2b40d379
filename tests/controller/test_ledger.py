"""Read your writes: what was written is not planned again before the cache has seen it."""

from controller.ledger import Ledger
from schemas.keys import task_ref

A, B = task_ref("default", "a"), task_ref("default", "b")


def test_an_object_without_writes_is_free() -> None:
    ledger = Ledger()
    assert not ledger.blocks(A)
    assert ledger.is_empty


def test_a_write_under_way_blocks_and_comes_back_when_it_was_seen() -> None:
    ledger = Ledger()
    ledger.sent(A)
    assert ledger.blocks(A)
    ledger.settled(A, 7)
    assert ledger.blocks(A)
    assert ledger.reached(6) == ([], [])
    assert ledger.reached(7) == ([A], [A])
    assert not ledger.blocks(A)


def test_a_write_that_did_not_happen_blocks_no_longer() -> None:
    ledger = Ledger()
    ledger.sent(A)
    assert ledger.blocks(A)
    ledger.settled(A, None)
    assert ledger.reached(0) == ([], [A])
    assert ledger.is_empty


def test_the_last_of_several_writes_decides() -> None:
    ledger = Ledger()
    ledger.sent(A)
    ledger.sent(A)
    ledger.settled(A, 5)
    assert ledger.reached(5) == ([A], [])
    assert ledger.blocks(A), "the second is still under way"
    ledger.settled(A, 9)
    assert ledger.reached(8) == ([], [])
    assert ledger.reached(9) == ([A], [A])


def test_only_who_was_turned_away_comes_back() -> None:
    ledger = Ledger()
    for ref in (A, B):
        ledger.sent(ref)
        ledger.settled(ref, 3)
    assert ledger.blocks(B)
    assert ledger.reached(3) == ([A, B], [B])


def test_a_write_that_the_cache_has_seen_before_its_answer_is_free_at_once() -> None:
    ledger = Ledger()
    ledger.sent(A)
    ledger.reached(10)
    ledger.settled(A, 8)
    assert ledger.reached(10) == ([A], [])
    assert ledger.is_empty
