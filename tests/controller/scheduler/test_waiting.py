"""Who waits: a blocked head is never delayed by those who pass it, and nobody waits for ever."""

from dataclasses import replace

import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from controller.scheduler.fairness import QueueRule
from tests.controller.scheduler.builders import Life, node, waiting

coming = st.lists(
    st.tuples(st.integers(1, 4), st.integers(1, 20), st.integers(0, 6)), min_size=3, max_size=14
)  # cpu, seconds that it runs, seconds after the one before it


@pytest.mark.parametrize("backfill", ["easy", "conservative"])
@settings(max_examples=60, deadline=None)
@given(nodes=st.lists(st.integers(4, 6), min_size=1, max_size=3), tasks=coming)
def test_a_blocked_head_starts_by_the_time_that_it_was_promised(
    backfill: str, nodes: list[int], tasks: list[tuple[int, int, int]]
) -> None:
    """Estimates hold here. Its reservation is the first; later ones may be earlier, on another node."""
    rule = QueueRule("default", backfill=backfill)
    cluster = Life([node(f"n{number}", cpu=cpu) for number, cpu in enumerate(nodes)], (rule,))
    promised: dict[str, float] = {}
    passed, came_at, at = set(), {}, 0
    for number, (_, _, gap) in enumerate(tasks):
        at += gap
        came_at[number] = at
    while len(came_at) or cluster.tasks:
        for number in [number for number, when in came_at.items() if when <= cluster.now]:
            cpu, length, _ = tasks[number]
            cluster.come([waiting(f"t{number:02}", cpu, age=number, estimate=float(length))])
            del came_at[number]
        decisions = cluster.cycle()
        waits = sorted(uid for uid in cluster.tasks if uid not in cluster.where)
        for uid, (_, when) in decisions.reservations.items():
            promised.setdefault(uid, when)
        if waits:
            assert waits[0] in promised, "where all ends are known the head has a time"
            passed |= {each.task.uid for each in decisions.placed if each.task.uid > waits[0]}
        for uid in cluster.where:
            assert cluster.started[uid] <= promised.get(uid, cluster.now)
        cluster.advance(1)
        assert cluster.now < 1000
    event(f"passed the head: {min(3, len(passed))}")


def test_without_backfill_nobody_of_the_queue_passes_and_others_do() -> None:
    cluster = Life([node("n1", cpu=4)], (QueueRule("strict", backfill="none"), QueueRule("other")))
    cluster.come([waiting("there", 2, "strict")])
    cluster.cycle()
    cluster.come(
        [
            waiting("head", 4, "strict", age=2),
            waiting("small", 1, "strict", age=3),
            waiting("free", 1, "other"),
        ]
    )
    cluster.cycle()
    assert set(cluster.where) == {"there", "free"}


def test_without_backfill_one_that_no_node_could_hold_keeps_nobody_back() -> None:
    """Else a mistake in one task stops its whole queue."""
    cluster = Life([node("n1", cpu=4)], (QueueRule("strict", backfill="none"),))
    cluster.come([waiting("huge", 5, "strict", age=1), waiting("small", 1, "strict", age=2)])
    decisions = cluster.cycle()
    assert set(cluster.where) == {"small"}
    assert decisions.heads == frozenset()


def test_conservative_keeps_a_node_for_each_that_is_blocked_and_easy_for_the_first() -> None:
    """The second in line is delayed by the long one where only the first is looked after."""
    for backfill, runs in (("easy", {"a", "b", "long"}), ("conservative", {"a", "b"})):
        cluster = Life([node("n1", cpu=4), node("n2", cpu=4)], (QueueRule("default", backfill=backfill),))
        cluster.come([waiting("a", 3, estimate=10.0), waiting("b", 3, age=2, estimate=20.0)])
        cluster.cycle()
        assert len(set(cluster.where.values())) == 2
        cluster.come([waiting("first", 4, age=3, estimate=5.0), waiting("second", 4, age=4, estimate=5.0)])
        cluster.come([waiting("long", 1, age=5, estimate=100.0)])
        cluster.cycle()
        assert set(cluster.where) == runs


def test_who_makes_others_leave_takes_no_node_that_is_kept_for_one_before_it() -> None:
    """The old one waits for all of n1; what is urgent goes where it delays nobody."""
    rule = QueueRule("default", max_wait=10.0)
    cluster = Life([node("n1", cpu=4), node("n2", cpu=2)], (rule,))
    cluster.come([waiting("n1-low", 3, estimate=30.0), waiting("n2-low", 2, age=2, priority=1)])
    cluster.cycle()
    assert cluster.where == {"n1-low": "n1", "n2-low": "n2"}
    cluster.come([waiting("old", 4, age=3)])
    cluster.advance(11)
    cluster.come([waiting("urgent", 2, age=4, priority=9)])
    decisions = cluster.cycle()
    assert decisions.reservations["old"] == ("n1", 30.0)
    assert [each.uid for each in decisions.victims] == ["n2-low"], "though n1-low is of less priority"


MAX_WAIT = 50.0
LONGEST = 20
CROWD = 6  # as many wait at a time: there is always somebody who could go first


@settings(max_examples=40, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.integers(1, 2), st.integers(5, LONGEST), st.booleans(), st.integers(0, 3), st.booleans()
        ),
        min_size=3,
        max_size=30,
    ),
    st.integers(1, 2),
)
def test_who_has_waited_max_wait_runs_when_what_ran_then_has_ended(
    stream: list[tuple[int, int, bool, int, bool]], nodes: int
) -> None:
    """The bound on waiting: maxWait, and twice the longest run, also where some of those that come may preempt.

    A stream of tasks of any priority, with and without estimates, comes for as long as the old one waits: once what has
    no estimate on the node that is kept has ended, the end of the rest is known, and nobody delays that.
    """
    cluster = Life(
        [node(f"n{number}", cpu=4) for number in range(nodes)], (QueueRule("default", max_wait=MAX_WAIT),)
    )
    lengths: dict[str, float] = {}
    cluster.length = lambda task: lengths.get(task.uid, 1.0)
    for number in range(nodes):
        lengths[f"there{number}"] = float(LONGEST)
        cluster.come(
            [waiting(f"there{number}", 2, age=number, priority=9)]
        )  # older, and nobody makes it wait again
    cluster.cycle()
    cluster.come([replace(waiting("old", 4, age=100), preempts=False)])
    waited, number = 0.0, 0
    while "old" not in cluster.where:
        for cpu, length, is_told, priority, preempts in (
            stream[number % len(stream)],
            stream[(number + 7) % len(stream)],
        ):
            name = f"s{number}-{cpu}{priority}"
            lengths[name] = float(length)
            estimate = float(length) if is_told else None
            task = waiting(name, cpu, priority=priority, age=200 + number, estimate=estimate)
            if len(cluster.tasks) - len(cluster.where) < CROWD:
                cluster.come([replace(task, preempts=preempts)])
        number += 1
        cluster.cycle()
        if "old" in cluster.where:
            break
        cluster.advance(1)
        waited += 1
        assert waited <= MAX_WAIT + 2 * LONGEST + 1
    event(f"waited: {int(waited / 10) * 10} s")
