"""Preemption: who goes, as few as can be, guarantees are kept on both sides, and it comes to an end."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import combinations

import pytest
from hypothesis import event, example, given, settings
from hypothesis import strategies as st

from controller.scheduler.fairness import Account, QueueRule
from controller.scheduler.fleet import Fleet
from controller.scheduler.node_view import NodeView, Standing
from controller.scheduler.preempt import MAX_REFUSED, Preemptor
from controller.scheduler.schedule import schedule
from controller.scheduler.shape import Company, Expression, Labels, TaskTerm
from controller.scheduler.snapshot import TaskView
from controller.scheduler.work import Work
from schemas.keys import task_ref
from tests.controller.scheduler.builders import POLICY, Life, node, waiting


def life(*nodes: NodeView, rules: tuple[QueueRule, ...] = (QueueRule("default"),)) -> Life:
    return Life(list(nodes), rules)


def run(cluster: Life, *tasks: TaskView) -> None:
    """Let tasks come and be placed, one after the other."""
    for task in tasks:
        cluster.come([task])
        cluster.cycle()
        assert task.uid in cluster.where


def victims(cluster: Life, *tasks: TaskView) -> set[str]:
    cluster.come(tasks)
    return {each.uid for each in schedule(cluster.snapshot(), POLICY, cluster.now, 0).victims}


def test_the_lowest_priority_goes_first() -> None:
    cluster = life(node("n1", cpu=3))
    run(
        cluster, waiting("low", 1, priority=1), waiting("lower", 1, priority=0), waiting("mid", 1, priority=2)
    )
    assert victims(cluster, waiting("high", 1, priority=9)) == {"lower"}


def test_of_equal_priority_who_loses_the_least_work_goes() -> None:
    cluster = life(node("n1", cpu=1), node("n2", cpu=1))
    run(cluster, waiting("old", 1))
    cluster.advance(100)
    run(cluster, waiting("young", 1))
    cluster.advance(5)
    assert victims(cluster, waiting("high", 1, priority=9)) == {"young"}


def test_who_need_not_go_is_spared() -> None:
    cluster = life(node("n1", cpu=4))
    run(cluster, waiting("small", 1), waiting("large", 3, priority=1))
    assert victims(cluster, waiting("high", 3, priority=9)) == {"large"}


def test_nobody_goes_for_one_who_would_not_fit_all_the_same() -> None:
    cluster = life(node("n1", cpu=4))
    run(cluster, waiting("small", 1), waiting("peer", 2, priority=9))
    assert victims(cluster, waiting("high", 4, priority=9)) == set()


@pytest.mark.parametrize(("wanted", "gone"), [(1, 1), (2, 2), (3, 2)])
def test_no_more_is_taken_back_than_a_queue_has_borrowed(wanted: int, gone: int) -> None:
    """B has borrowed 2 of its 4; a task of 3 does not fit into that, so C, who has no guarantee, makes room."""
    rules = (
        QueueRule("a", guarantee={"cpu": 4}),
        QueueRule("b", guarantee={"cpu": 2}),
        QueueRule("c"),
    )
    cluster = life(node("n1", cpu=4), node("n2", cpu=4), rules=rules)
    run(cluster, *(waiting(f"b{number}", 1, "b") for number in range(4)))
    run(cluster, *(waiting(f"c{number}", 2, "c", priority=9) for number in range(2)))
    found = victims(cluster, waiting("a", wanted, "a"))
    assert len(found) == gone
    assert {name[0] for name in found} == ({"b"} if wanted < 3 else {"c"})


def test_who_was_promised_room_takes_it_and_leaves_the_rest_to_others() -> None:
    """n1 would be the fuller one; but of n2 nothing is free for another as long as it is kept for this one."""
    cluster = life(node("n1", cpu=3), node("n2", cpu=4))
    run(cluster, waiting("there", 1))
    assert cluster.where["there"] == "n1"
    cluster.come([waiting("promised", 2, age=2), waiting("next", 2, age=3), waiting("last", 2, age=4)])
    found = schedule(replace(cluster.snapshot(), nominated={"promised": "n2"}), POLICY, 0.0, 0)
    assert {each.task.uid: each.node for each in found.placed} == {
        "promised": "n2",
        "next": "n1",
        "last": "n2",
    }


def test_looking_for_victims_has_a_bound_and_begins_where_the_least_is_short() -> None:
    """B has one more than its guarantee, so that nobody may take two from a node; one node lacks only one."""
    count = MAX_REFUSED + 50
    rules = (QueueRule("a", guarantee={"cpu": 4}), QueueRule("b", guarantee={"cpu": 2 * count - 1}))
    nodes = [replace(node(f"n{number:05}", cpu=2), free={"cpu": 0}) for number in range(count)]
    there = [
        Standing(
            f"b{number}", task_ref("default", f"b{number}"), nodes[number // 2].name, "b", 0, (("cpu", 1),)
        )
        for number in range(2 * count)
    ]

    def preemptor(nodes: list[NodeView], there: list[Standing]) -> Preemptor:
        accounts = {"a": Account(rules[0]), "b": Account(rules[1], {"cpu": 2 * count})}
        return Preemptor(Work.of(Fleet(nodes, there)), accounts)

    full = preemptor(nodes, there)
    assert full.find(waiting("two", 2, "a"), 0.0) is None
    assert full._refused == MAX_REFUSED
    roomy = preemptor([*nodes[:-1], replace(nodes[-1], free={"cpu": 1})], there[:-1])
    found = roomy.find(waiting("two", 2, "a"), 0.0)
    assert found is not None
    assert (found.row, len(found.victims)) == (count - 1, 1)


tasks = st.builds(
    lambda cpu, memory, queue, priority: (cpu, memory, queue, priority),
    st.integers(1, 4),
    st.integers(0, 3),
    st.sampled_from(("a", "b", "c")),
    st.integers(0, 3),
)
sizes = st.lists(st.tuples(st.integers(2, 6), st.integers(2, 6)), min_size=1, max_size=3)
limits = st.lists(st.sampled_from((None, 0, 2, 4)), min_size=3, max_size=3)
guarantees = st.lists(st.integers(0, 6), min_size=3, max_size=3)
Task = tuple[int, int, str, int]


def drawn(
    sizes: list[tuple[int, int]], guaranteed: list[int], beyond: Sequence[int | None] = (None,) * 3
) -> Life:
    """beyond: by how much the limit of each queue is above its guarantee, None for no limit."""
    rules = tuple(
        QueueRule(
            name,
            guarantee={"cpu": amount} if amount else {},
            limit={} if more is None else {"cpu": amount + more},
        )
        for name, amount, more in zip("abc", guaranteed, beyond, strict=True)
    )
    return life(
        *(node(f"n{n}", cpu=cpu, memory=memory) for n, (cpu, memory) in enumerate(sizes)), rules=rules
    )


def come(cluster: Life, batch: list[Task], first: int) -> None:
    cluster.come(
        waiting(f"t{first + number}", cpu, queue, priority, memory=memory, age=first + number)
        for number, (cpu, memory, queue, priority) in enumerate(batch)
    )


@settings(max_examples=300, deadline=None)
@example([(3, 2)], [1, 2, 0], [None] * 3, [[(1, 2, "a", 0), (2, 0, "a", 0), (2, 1, "b", 0), (3, 0, "b", 1)]])
@given(sizes, guarantees, limits, st.lists(st.lists(tasks, max_size=6), min_size=1, max_size=3))
def test_preemption_comes_to_an_end(
    sizes: list[tuple[int, int]],
    guaranteed: list[int],
    beyond: list[int | None],
    batches: list[list[Task]],
) -> None:
    """No cycle, though each victim waits again at once: also where more is guaranteed than there is."""
    cluster, made = drawn(sizes, guaranteed, beyond), 0
    for batch in batches:
        come(cluster, batch, made)
        made += len(batch)
        cluster.settle(4 * made + 4)
        for rule in cluster.rules:
            held = cluster.used().get(rule.name, {}).get("cpu", 0)
            assert held <= rule.limit.get("cpu", held)
        cluster.advance(10)
    event(f"evictions: {min(9, len(cluster.evictions))}")


@settings(max_examples=300, deadline=None)
@example(
    [(8, 6)],
    [2, 0, 4],
    [[(3, 0, "a", 0), (2, 0, "b", 3), (3, 0, "c", 0)], [(2, 0, "c", 0), (2, 0, "c", 3)]],
)
@given(sizes, guarantees, st.lists(st.lists(tasks, max_size=6), min_size=2, max_size=2))
def test_who_was_found_is_found_again_when_the_promise_is_seen_so_that_they_are_told(
    sizes: list[tuple[int, int]], guaranteed: list[int], batches: list[list[Task]]
) -> None:
    """Else promises are made and withdrawn by turns, and nobody ever goes."""
    cluster = drawn(sizes, guaranteed)
    come(cluster, batches[0], 0)
    cluster.settle(4 * len(batches[0]) + 4)
    come(cluster, batches[1], len(batches[0]))
    while (found := schedule(cluster.snapshot(), POLICY, cluster.now, 0)).placed:
        for each in found.placed:
            cluster.where[each.task.uid], cluster.started[each.task.uid] = each.node, cluster.now
    promised = {each.task.uid: each.nominated for each in found.unschedulable if each.nominated}
    event(f"promises: {len(promised)}")
    cluster.nominated = dict(promised)
    again = schedule(cluster.snapshot(), POLICY, cluster.now, 0)
    assert again.victims == found.victims
    assert {each.task.uid: each.nominated for each in again.unschedulable if each.nominated} == promised


@settings(max_examples=300, deadline=None)
@given(sizes, guarantees, st.lists(tasks, max_size=8), tasks)
def test_victims_are_due_and_none_of_them_is_spare(
    sizes: list[tuple[int, int]], guaranteed: list[int], there: list[Task], last: Task
) -> None:
    cluster = drawn(sizes, guaranteed)
    come(cluster, there, 0)
    cluster.settle(4 * len(there) + 4)
    for uid in [uid for uid in cluster.tasks if uid not in cluster.where]:
        del cluster.tasks[uid]
    cluster.advance(10)
    come(cluster, [last], len(there))
    uid = f"t{len(there)}"
    decisions = cluster.cycle()
    gone = [each.uid for each in decisions.victims]
    event(f"victims: {len(gone)}")
    if not gone:
        return
    task = cluster.tasks[uid]
    for victim in gone:
        other = cluster.tasks[victim]
        assert other.queue != task.queue or other.priority < task.priority
    free = cluster.free(cluster.nominated[uid])
    assert _fits(task, free), "they make enough room"
    for kept in (set(some) for some in combinations(gone, 1)):
        less = dict(free)
        for name, amount in (each for one in kept for each in cluster.tasks[one].shape.requests):
            less[name] -= amount
        assert not _fits(task, less), "who could stay does"


def _fits(task: TaskView, free: dict[str, int]) -> bool:
    return all(free[name] >= amount for name, amount in task.shape.requests)


@settings(max_examples=300, deadline=None)
@given(sizes, guarantees, st.lists(tasks, max_size=8), tasks)
def test_nobody_within_its_guarantee_is_taken_for_another_queue(
    sizes: list[tuple[int, int]], guaranteed: list[int], there: list[Task], last: Task
) -> None:
    """A queue may fall below its guarantee only with the last of its tasks that go, as tasks are whole."""
    cluster = drawn(sizes, guaranteed)
    come(cluster, there, 0)
    cluster.settle(4 * len(there) + 4)
    before = cluster.used()
    come(cluster, [(*last[:2], last[2], last[3])], len(there))
    gone = [each.uid for each in cluster.cycle().victims if each.for_uid == f"t{len(there)}"]
    mine = cluster.tasks[f"t{len(there)}"].queue
    for queue, guarantee in zip("abc", guaranteed, strict=True):
        taken = [cluster.tasks[uid] for uid in gone if cluster.tasks[uid].queue == queue]
        if queue == mine or not taken:
            continue
        event("reclaimed")
        amounts = [dict(task.shape.requests)["cpu"] for task in taken]
        held = before.get(queue, {}).get("cpu", 0)
        assert held - (sum(amounts) - max(amounts)) > guarantee or _borrows_memory(taken)


def _borrows_memory(taken: list[TaskView]) -> bool:
    """Nobody guarantees memory here, so all of it is borrowed."""
    return any(name == "memory" for task in taken for name, _ in task.shape.requests)


def test_who_is_ending_already_is_no_victim() -> None:
    cluster = life(node("n1", cpu=2))
    run(cluster, waiting("ends", 1), waiting("stays", 1))
    cluster.come([waiting("high", 1, priority=9)])
    there = cluster.snapshot()
    ending = replace(there.fleet.standing["ends"], is_ending=True)
    others = [each for each in there.fleet.standing.values() if each.uid != "ends"]
    fleet = Fleet([view for view in there.fleet.views if view is not None], [ending, *others])
    found = schedule(replace(there, fleet=fleet), POLICY, 0.0, 0)
    assert {each.uid for each in found.victims} <= {"stays"}


def test_queues_whose_guarantees_say_nothing_of_what_is_short_do_not_take_it_from_each_other_by_turns() -> (
    None
):
    rules = (QueueRule("a", guarantee={"cpu": 1}), QueueRule("c", guarantee={"cpu": 1}))
    cluster = life(node("n1", cpu=2, memory=2), rules=rules)
    run(cluster, waiting("there", 1, "c", memory=1))
    assert victims(cluster, waiting("later", 1, "a", memory=2)) == set(), "c is within its guarantee"


def test_nobody_drives_out_those_that_it_is_to_be_near() -> None:
    """When they are gone it can't come, and they would return: by turns, for ever."""
    db = TaskTerm("default", (Expression("app", "In", ("db",)),))
    cluster = life(node("n1", cpu=2), rules=(QueueRule("a", guarantee={"cpu": 2}), QueueRule("default")))
    there = waiting("db", 2)
    labels = Labels("default", (("app", "db"),))
    run(cluster, replace(there, shape=replace(there.shape, labels=labels)))
    web = waiting("web", 1, "a")
    standing = replace(cluster.snapshot().fleet.standing["db"], labels=labels)
    cluster.come([replace(web, shape=replace(web.shape, company=Company(near=(db,))))])
    snapshot = replace(
        cluster.snapshot(), fleet=Fleet([replace(node("n1", cpu=2), free={"cpu": 0})], [standing])
    )
    assert schedule(snapshot, POLICY, 0.0, 0).victims == ()


def test_who_reclaims_takes_from_borrowers_before_its_own_queue() -> None:
    rules = (QueueRule("a", guarantee={"cpu": 4}), QueueRule("default"))
    cluster = life(node("n1", cpu=2), rules=rules)
    run(cluster, waiting("borrower", 1, priority=5), waiting("own", 1, "a"))
    assert victims(cluster, waiting("urgent", 1, "a", priority=9)) == {"borrower"}
