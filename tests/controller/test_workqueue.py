"""The queue: each key once, one worker a key, nothing lost, timers exact."""

import itertools
import random

from hypothesis import given
from hypothesis import strategies as st

from controller.workqueue import BACKOFF_MAX_S, WorkQueue


def make_queue() -> WorkQueue[str]:
    return WorkQueue(random.Random(1))


def drain(queue: WorkQueue[str], now: float = 0.0) -> list[str]:
    found = []
    while (key := queue.get(now)) is not None:
        found.append(key)
        queue.done(key)
    return found


def test_keys_come_in_order_of_arrival_and_once() -> None:
    queue = make_queue()
    for key in "bab":
        queue.add(key)
    assert drain(queue) == ["b", "a"]


def test_a_key_added_while_it_is_worked_on_comes_again_after_that() -> None:
    queue = make_queue()
    queue.add("a")
    assert queue.get(0.0) == "a"
    queue.add("a")
    assert queue.get(0.0) is None
    queue.done("a")
    assert drain(queue) == ["a"]


def test_a_timer_fires_at_its_time_and_not_before() -> None:
    queue = make_queue()
    queue.add_after("a", 5.0)
    assert queue.next_due() == 5.0
    assert drain(queue, 4.999) == []
    assert drain(queue, 5.0) == ["a"]
    assert drain(queue, 100.0) == []


def test_the_earlier_of_two_timers_wins_and_the_later_is_void() -> None:
    queue = make_queue()
    queue.add_after("a", 9.0)
    queue.add_after("a", 3.0)
    queue.add_after("a", 7.0)
    assert drain(queue, 3.0) == ["a"]
    assert drain(queue, 20.0) == []


def test_each_failure_in_a_row_doubles_the_wait_up_to_a_limit() -> None:
    queue, waits = make_queue(), []
    for _ in range(14):
        queue.retry("a", 0.0)
        due = queue.next_due()
        assert due is not None
        waits.append(due)
        assert drain(queue, due) == ["a"]
    assert all(before * 1.5 < after for before, after in itertools.pairwise(waits[:9]))
    assert BACKOFF_MAX_S <= waits[-1] <= BACKOFF_MAX_S * 1.2


def test_forgetting_starts_the_backoff_afresh() -> None:
    queue = make_queue()
    for _ in range(10):
        queue.retry("a", 0.0)
    queue.forget("a")
    drain(queue, 1e9)
    queue.retry("a", 0.0)
    due = queue.next_due()
    assert due is not None
    assert due < 0.1


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["add", "get", "done", "after", "pass"]), st.sampled_from("abc"), st.integers(0, 9)
    ),
    max_size=60,
)


@given(STEPS)
def test_nothing_is_lost_and_no_key_has_two_workers(steps: list[tuple[str, str, int]]) -> None:
    """Whatever was asked for after the last `get` of a key is still to come."""
    queue, now, working, owed, timers = make_queue(), 0.0, list[str](), set[str](), dict[str, float]()

    def fire() -> None:
        for key in [key for key, due in timers.items() if due <= now]:
            owed.add(key)
            del timers[key]

    for action, key, number in steps:
        if action == "add":
            queue.add(key)
            owed.add(key)
        elif action == "after":
            queue.add_after(key, now + number)
            timers[key] = min(timers.get(key, now + number), now + number)
        elif action == "pass":
            now += number
        elif action == "done" and working:
            queue.done(working.pop(0))
        elif action == "get":
            fire()
            taken = queue.get(now)
            assert (taken is not None) == bool(owed - set(working))
            if taken is not None:
                assert taken not in working
                owed.discard(taken)
                working.append(taken)
    for key in working:
        queue.done(key)
    now += 10
    fire()
    assert sorted(drain(queue, now)) == sorted(owed)
    assert drain(queue, 1e9) == []
