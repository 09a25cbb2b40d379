"""Weighted dominant resource fairness of whole tasks on real nodes: the paper's examples, and the bound that holds."""

import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from controller.scheduler.fairness import QueueRule, dominant
from controller.scheduler.schedule import schedule
from tests.controller.scheduler.builders import POLICY, Life, gang, node, waiting

CPU, GB = 1, 1  # units of the paper's examples


def counts(capacity: dict[str, int], *users: tuple[int, int, float], tasks: int = 30) -> list[int]:
    """Return how many tasks of (cpu, memory, weight) each user gets of one node."""
    rules = tuple(QueueRule(f"u{number}", weight=weight) for number, (_, _, weight) in enumerate(users))
    cluster = Life([node("n1", **capacity)], rules)
    cluster.come(
        waiting(f"u{number}-{index}", cpu, f"u{number}", memory=memory, age=index)
        for number, (cpu, memory, _) in enumerate(users)
        for index in range(tasks)
    )
    cluster.cycle()
    return [sum(uid.startswith(f"u{number}-") for uid in cluster.where) for number in range(len(users))]


def test_example_of_the_paper_with_whole_tasks() -> None:
    """Section 4.1: 9 CPUs and 18 GB, tasks of <1 CPU, 4 GB> and <3 CPUs, 1 GB>."""
    assert counts({"cpu": 9, "memory": 18}, (1, 4, 1.0), (3, 1, 1.0)) == [3, 2]


def test_grants_of_the_example_come_in_the_order_of_its_table() -> None:
    """Table 1; who is first of two with equal shares is by name here, and does not matter in the end."""
    cluster = Life([node("n1", cpu=9, memory=18)], (QueueRule("a"), QueueRule("b")))
    cluster.come(waiting(f"a{number}", 1, "a", memory=4, age=number) for number in range(9))
    cluster.come(waiting(f"b{number}", 3, "b", memory=1, age=number) for number in range(9))
    placed = schedule(cluster.snapshot(), POLICY, 0.0, 0).placed
    assert [each.task.queue for each in placed] == ["a", "b", "a", "b", "a"]


def test_weights_divide_the_dominant_shares() -> None:
    """Section 4.3: a user with twice the weight gets twice the dominant share, of whatever is dominant for him."""
    assert counts({"cpu": 12, "memory": 12}, (1, 0, 2.0), (0, 1, 1.0)) == [12, 12], (
        "they are not in each other's way"
    )
    assert counts({"cpu": 12, "memory": 120}, (1, 0, 2.0), (1, 1, 1.0)) == [8, 4]
    assert counts({"cpu": 30, "memory": 30}, (2, 1, 2.0), (1, 2, 1.0)) == [12, 6]


def test_who_shares_gets_no_less_than_with_a_cluster_of_his_own() -> None:
    """Section 3, sharing incentive: an n-th of the cluster would hold fewer tasks of each."""
    assert counts({"cpu": 9, "memory": 18}, (1, 4, 1.0), (3, 1, 1.0)) >= [18 // 2 // 4, 9 // 2 // 3]


queues = st.lists(
    st.tuples(
        st.integers(1, 4), st.integers(0, 4), st.sampled_from((0.5, 1.0, 2.0, 3.0)), st.integers(1, 15)
    ),
    min_size=2,
    max_size=5,
)
sizes = st.lists(st.tuples(st.integers(4, 12), st.integers(4, 12)), min_size=1, max_size=4)


@pytest.mark.parametrize("backfill", ["easy", "none", "conservative"])
@settings(max_examples=60, deadline=None)
@given(sizes=sizes, asked=queues)
def test_nobody_is_ahead_by_more_than_one_task(
    backfill: str, sizes: list[tuple[int, int]], asked: list[tuple[int, int, float, int]]
) -> None:
    """The bound for whole tasks: when a queue is granted one, no other whose next task fits has a lesser share.

    So its weighted dominant share is ahead of those by that one task at most.
    """
    rules = {
        f"q{n}": QueueRule(f"q{n}", weight=weight, backfill=backfill)
        for n, (*_, weight, _) in enumerate(asked)
    }
    cluster = Life(
        [node(f"n{n}", cpu=cpu, memory=mem) for n, (cpu, mem) in enumerate(sizes)], tuple(rules.values())
    )
    for number, (cpu, memory, _, count) in enumerate(asked):
        cluster.come(
            waiting(f"q{number}-{index}", cpu, f"q{number}", memory=memory, age=index)
            for index in range(count)
        )
    capacity = {name: sum(each.allocatable[name] for each in cluster.nodes) for name in ("cpu", "memory")}
    left = {name: [uid for uid in cluster.tasks if uid.startswith(f"{name}-")] for name in rules}
    placed = schedule(cluster.snapshot(), POLICY, 0.0, 0).placed
    for each in placed:
        mine, used = each.task.queue, cluster.used()
        share = {
            name: dominant(used.get(name, {}), capacity)[1] / rule.weight for name, rule in rules.items()
        }
        for other, uids in left.items():
            if other != mine and uids and _fits(cluster, uids[0]):
                assert share[mine] <= share[other] + 1e-9
        left[mine].remove(each.task.uid)
        cluster.where[each.task.uid], cluster.started[each.task.uid] = each.node, 0.0
    event(f"waiting: {min(3, sum(map(bool, left.values())))} queues")
    assert not any(uids and _fits(cluster, uids[0]) for uids in left.values()), (
        "whatever still fits is placed"
    )


def _fits(cluster: Life, uid: str) -> bool:
    requests = cluster.tasks[uid].shape.requests
    return any(
        all(cluster.free(each.name)[name] >= amount for name, amount in requests) for each in cluster.nodes
    )


def test_a_gang_goes_before_others_for_its_queues_guarantee_only_if_all_it_needs_is_within() -> None:
    for size, first in ((2, "ring-0"), (3, "lone")):
        cluster = Life([node("n1", cpu=3)], (QueueRule("sure", guarantee={"cpu": 2}), QueueRule("other")))
        cluster.come([*gang("ring", size, 1, "sure", age=1), waiting("lone", 1, "other", age=9)])
        assert cluster.cycle().placed[0].task.uid == first
