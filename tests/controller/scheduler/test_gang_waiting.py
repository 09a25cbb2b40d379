"""Gangs that wait: nobody of their queue passes them for ever, and who can never run keeps nothing."""

from dataclasses import replace

import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from controller.scheduler.backfill import MAX_RESERVATIONS
from controller.scheduler.crowd import NEVER
from controller.scheduler.explain import why_pending
from controller.scheduler.fairness import QueueRule
from controller.scheduler.fleet import Fleet
from controller.scheduler.node_view import Standing
from controller.scheduler.reasons import Code
from controller.scheduler.schedule import Decisions, Policy, schedule
from controller.scheduler.shape import Cap, Company, Expression, Labels, TaskTerm
from controller.scheduler.snapshot import Gang, Snapshot, TaskView
from schemas.keys import task_ref
from tests.controller.scheduler.builders import POLICY, Life, gang, node, waiting

KINDS = ("none", "easy", "conservative")


def life(*cpus: int, **rule: object) -> Life:
    rules = (QueueRule("default", **rule), QueueRule("other"))  # type: ignore[arg-type]
    return Life([node(f"n{number}", cpu=cpu) for number, cpu in enumerate(cpus)], rules)


def run(cluster: Life, *tasks: TaskView) -> None:
    cluster.come(tasks)
    cluster.cycle()
    assert all(task.uid in cluster.where for task in tasks)


def details(decisions: Decisions) -> dict[str, str]:
    return {each.task.uid: each.rejection.queue_detail for each in decisions.unschedulable}


# Who comes after one


@pytest.mark.parametrize("backfill", KINDS)
def test_nobody_of_its_queue_delays_a_gang_that_has_a_time(backfill: str) -> None:
    """The short task passes where there is backfill; the long one does not; another queue is not held back."""
    cluster = life(4, 4, backfill=backfill)
    run(cluster, waiting("a", 3, estimate=10.0), waiting("b", 3, estimate=20.0, age=2))
    cluster.come(gang("ring", 2, 4, age=10))
    cluster.come([waiting("long", 1, age=20, estimate=100.0), waiting("short", 1, age=21, estimate=5.0)])
    decisions = cluster.cycle()
    passed = set(cluster.where) - {"a", "b"}
    if backfill == "none":
        assert passed == set()
        assert decisions.heads == {"ring-0", "ring-1"}
    else:
        assert passed == {"short"}
        assert {at for _, at in decisions.reservations.values()} == {20.0}
        assert len({name for name, _ in decisions.reservations.values()}) == 2
    cluster.advance(20)
    cluster.cycle()
    assert {"ring-0", "ring-1"} <= set(cluster.where)


def test_others_may_use_what_is_left_beside_members_on_their_node() -> None:
    cluster = life(6, 6)
    run(cluster, waiting("a", 4, estimate=10.0), waiting("b", 4, estimate=10.0, age=2))
    cluster.come(gang("ring", 2, 5, age=10))
    cluster.come([waiting(name, 1, age=20) for name in ("x", "y", "z")])
    cluster.cycle()
    assert len({"x", "y", "z"} & set(cluster.where)) == 2
    cluster.advance(10)
    cluster.cycle()
    assert {"ring-0", "ring-1"} <= set(cluster.where)


def test_why_names_what_is_kept_for_a_task_and_for_all_of_a_gang() -> None:
    cluster = life(4, 4, 4, backfill="conservative")
    run(
        cluster, waiting("a", 3, estimate=10.0), waiting("b", 3, estimate=20.0, age=2), waiting("c", 4, age=3)
    )
    cluster.come([*gang("ring", 2, 4, age=10), waiting("lone", 4, age=20)])
    kept = {
        uid: why_pending(uid, cluster.snapshot(), POLICY, cluster.now, 0).kept for uid in ("ring-1", "lone")
    }
    assert kept == {"ring-1": ((cluster.where["a"], 20.0), (cluster.where["b"], 20.0)), "lone": ()}


def test_several_members_share_a_node_and_as_few_are_kept_as_can_be() -> None:
    cluster = life(8, 4, 4)
    run(cluster, *(waiting(f"t{n}", cpu, age=n, estimate=10.0) for n, cpu in enumerate((8, 4, 4))))
    cluster.come(gang("ring", 4, 2, age=10))
    decisions = cluster.cycle()
    assert decisions.reservations == {f"ring-{n}": ("n0", 10.0) for n in range(4)}


coming = st.lists(
    st.tuples(st.integers(1, 4), st.integers(1, 20), st.integers(0, 6), st.integers(1, 4)),
    min_size=3,
    max_size=12,
)  # cpu, seconds that it runs, seconds after the one before it, members


@pytest.mark.parametrize("backfill", ["easy", "conservative"])
@settings(max_examples=60, deadline=None)
@given(nodes=st.lists(st.integers(4, 6), min_size=1, max_size=3), tasks=coming)
def test_gangs_and_tasks_at_the_head_start_by_the_time_that_they_were_promised(
    backfill: str, nodes: list[int], tasks: list[tuple[int, int, int, int]]
) -> None:
    """Estimates hold here, and all of a gang run equally long."""
    cluster = life(*nodes, backfill=backfill)
    promised: dict[str, float] = {}
    left, passed = [], set()
    for number, (cpu, length, gap, size) in enumerate(tasks):
        size = min(size, sum(each // cpu for each in nodes))
        members = [
            replace(each, estimate=float(length)) for each in gang(f"t{number:02}", size, cpu, age=9 * number)
        ]
        left.append((gap + (left[-1][0] if left else 0), members))
    while left or cluster.tasks:
        while left and left[0][0] <= cluster.now:
            cluster.come(left.pop(0)[1])
        decisions = cluster.cycle()
        waits = sorted(uid for uid in cluster.tasks if uid not in cluster.where)
        if waits:
            for uid in (uid for uid in waits if uid[:3] == waits[0][:3]):
                assert uid in decisions.reservations, "where all ends are known the head has a time"
                promised.setdefault(uid, decisions.reservations[uid][1])
            passed |= {each.task.uid for each in decisions.placed if each.task.uid > waits[0]}
        for uid in cluster.where:
            assert cluster.started[uid] <= promised.get(uid, cluster.now)
        cluster.advance(1)
        assert cluster.now < 1000
    event(f"passed the head: {min(3, len(passed))}")


def test_of_many_that_share_nodes_it_is_counted_at_which_end_the_last_fits() -> None:
    """One that has ended leaves room for a thousand: so many are not looked at one by one."""
    cluster = life(*[3000] * 40)
    run(cluster, *(waiting(f"t{n}", 1000, age=n, estimate=10.0 + n) for n in range(120)))
    cluster.come(gang("ring", 5001, 1, age=1000))
    kept = cluster.cycle().reservations
    assert {at for _, at in kept.values()} == {15.0}
    assert len(kept) == 5001


def test_a_gang_that_needs_more_nodes_than_are_reserved_in_a_cycle_gets_them_and_is_the_last() -> None:
    size = MAX_RESERVATIONS + 5
    cluster = life(*[4] * (size + 1), backfill="conservative")
    run(cluster, *(waiting(f"t{number}", 4, age=number, estimate=10.0) for number in range(size + 1)))
    cluster.come([*gang("ring", size, 4, age=1000), waiting("next", 4, age=9999)])
    assert sorted(cluster.cycle().reservations) == sorted(f"ring-{number}" for number in range(size))


# Who can never run


@pytest.mark.parametrize("backfill", KINDS)
@pytest.mark.parametrize(
    ("cpus", "size", "cpu", "told"),
    [
        ((4, 4), 3, 4, "asks for cpu"),
        ((4, 4), 2, 5, "asks for cpu"),
        ((5, 1), 3, 2, "2 of 3 members fit, and not all would on the nodes that are open to them"),
    ],
)
def test_a_gang_that_can_never_run_keeps_nothing_and_says_so(
    backfill: str, cpus: tuple[int, ...], size: int, cpu: int, told: str
) -> None:
    cluster = life(*cpus, backfill=backfill, max_wait=5.0)
    cluster.come(gang("ring", size, cpu, age=1))
    cluster.advance(10)
    cluster.come([waiting("later", 1, age=9)])
    decisions = cluster.cycle()
    assert set(cluster.where) == {"later"}
    assert decisions.reservations == {}
    assert decisions.heads == frozenset()
    assert all(told in details(decisions)[f"ring-{number}"] for number in range(size))


@pytest.mark.parametrize("backfill", KINDS)
def test_a_gang_whose_members_are_not_all_there_holds_nobody_back(backfill: str) -> None:
    cluster = life(8, backfill=backfill, max_wait=5.0, limit={"cpu": 4})
    run(cluster, waiting("there", 1))
    cluster.come(gang("ring", 3, 2, age=1)[:2])
    cluster.advance(10)
    cluster.come([waiting("later", 3, age=9)])
    assert cluster.cycle().reservations == {}
    assert set(cluster.where) == {"there", "later"}


@pytest.mark.parametrize("backfill", KINDS)
def test_a_gang_over_the_limit_of_its_queue_holds_nobody_back(backfill: str) -> None:
    cluster = life(4, 4, backfill=backfill, limit={"cpu": 4})
    cluster.come([*gang("ring", 2, 3, age=1), waiting("later", 1, age=9)])
    decisions = cluster.cycle()
    assert set(cluster.where) == {"later"}
    assert "pass its limit of cpu by 2" in details(decisions)["ring-0"]
    assert decisions.reservations == {}


@pytest.mark.parametrize("size", [1, 2])
def test_who_has_waited_too_long_is_not_passed_below_the_limit_of_its_queue(size: int) -> None:
    """Small ones would keep the queue at its limit for ever. Who is larger than the limit holds nobody up."""
    cluster = life(8, limit={"cpu": 4}, max_wait=MAX_WAIT)
    run(cluster, *(waiting(f"t{number}", 1, age=number) for number in range(3)))
    members = gang("ring", size, 4 // size, age=10)
    cluster.come(replace(each, gang=each.gang if size > 1 else None) for each in members)
    cluster.come([waiting("huge", 5, age=9)])
    cluster.advance(MAX_WAIT)
    cluster.come([waiting("small", 1, age=20)])
    for number in range(3):
        decisions = cluster.cycle()
        assert decisions.heads == {each.uid for each in members}
        assert "small" not in cluster.where
        del cluster.where[f"t{number}"], cluster.tasks[f"t{number}"]
    cluster.cycle()
    assert set(cluster.where) == {each.uid for each in members}


@pytest.mark.parametrize("size", [1, 2])
def test_without_backfill_nobody_passes_below_the_limit_of_the_queue_either(size: int) -> None:
    cluster = life(8, backfill="none", limit={"cpu": 4})
    run(cluster, waiting("there", 2))
    members = gang("ring", size, 4 // size, age=10)
    cluster.come(replace(each, gang=each.gang if size > 1 else None) for each in members)
    cluster.come([waiting("huge", 5, age=9), waiting("small", 1, age=20)])
    decisions = cluster.cycle()
    assert set(cluster.where) == {"there"}
    assert decisions.heads == {each.uid for each in members}


# Members beyond those that are needed


def test_who_is_not_needed_and_has_no_room_below_the_limit_says_so() -> None:
    cluster = life(8, limit={"cpu": 4})
    cluster.come(replace(each, gang=Gang("ring", 2)) for each in gang("ring", 3, 2))
    (left,) = cluster.cycle().unschedulable
    assert (left.task.uid, left.rejection.queue) == ("ring-2", Code.QUEUE_LIMIT)
    assert left.rejection.queue_detail == "cpu would be over it by 2m"


def test_who_is_not_needed_comes_along_where_the_needed_fit_only_in_another_order_than_theirs() -> None:
    """One by one the four small ones would take a node each."""
    cluster, cpus = life(4, 4, 4, 4), (2, 2, 2, 2, 4, 4)
    members = [replace(each, gang=Gang("ring", 5)) for each in gang("ring", 6, 2)]
    cluster.come(
        replace(each, shape=waiting("x", cpu).shape) for each, cpu in zip(members, cpus, strict=True)
    )
    decisions = schedule(cluster.snapshot(), Policy("spread"), 0.0, 0)
    assert {each.task.uid for each in decisions.placed} == {each.uid for each in members}


# Members that differ


def test_members_that_fit_only_in_another_order_than_theirs_are_placed() -> None:
    """One by one the small one takes the large node, as the most is left there."""
    cluster = life(4, 2)
    small, large = gang("ring", 2, 2, age=1)
    cluster.come([small, replace(large, shape=waiting("x", 4).shape)])
    decisions = schedule(cluster.snapshot(), Policy("spread"), 0.0, 0)
    assert {each.task.uid: each.node for each in decisions.placed} == {"ring-0": "n1", "ring-1": "n0"}


def test_members_that_are_to_be_apart_are_kept_a_node_each() -> None:
    labels = Labels("default", (("app", "ring"),))
    apart = Company(repels=(TaskTerm("default", (Expression("app", "In", ("ring",)),)),))
    cluster = life(4, 4)
    run(cluster, waiting("a", 3, estimate=10.0), waiting("b", 3, estimate=20.0, age=2))
    members = gang("ring", 2, 2, age=10)
    cluster.come(replace(each, shape=replace(each.shape, labels=labels, company=apart)) for each in members)
    decisions = cluster.cycle()
    assert {name for name, _ in decisions.reservations.values()} == {"n0", "n1"}
    assert {at for _, at in decisions.reservations.values()} == {20.0}


def test_members_of_whom_a_node_takes_only_so_many_count_those_who_are_there() -> None:
    """Of two of a kind on a node one is there already: it takes one of the gang, not both."""
    of_kind = TaskTerm("default", (Expression("app", "In", ("ring",)),))
    shape = replace(
        waiting("x", 1).shape,
        labels=Labels("default", (("app", "ring"),)),
        company=Company(caps=(Cap(of_kind, 2),)),
    )
    standing = [
        Standing("kin", task_ref("default", "kin"), "n0", "default", 0, (("cpu", 1),), labels=shape.labels),
        *(
            Standing(
                f"busy{number}",
                task_ref("default", f"busy{number}"),
                f"n{number}",
                "default",
                0,
                (("cpu", cpu),),
                started_at=0.0,
                estimate=10.0 * (number + 1),
            )
            for number, cpu in enumerate((3, 4))
        ),
    ]
    fleet = Fleet([replace(node(f"n{number}", cpu=4), free={"cpu": 0}) for number in range(2)], standing)
    members = tuple(replace(each, shape=shape) for each in gang("ring", 2, 1))
    kept = schedule(Snapshot(fleet, members), POLICY, 0.0, 0).reservations
    assert kept == {"ring-0": ("n1", 20.0), "ring-1": ("n1", 20.0)}


# Those that have waited too long

MAX_WAIT = 50.0
LONGEST = 20
CROWD = 6

streams = st.lists(
    st.tuples(st.integers(1, 4), st.integers(1, LONGEST), st.booleans(), st.integers(0, 3)),
    min_size=20,
    max_size=60,
)  # cpu, seconds that it runs, whether it says so, priority


class Stream:
    """Tasks of any priority, with and without estimates, that come for as long as somebody waits."""

    def __init__(self, cluster: Life, stream: list[tuple[int, int, bool, int]]) -> None:
        self.cluster, self.stream, self.number = cluster, stream, 0
        self.lengths: dict[str, float] = {}
        cluster.length = lambda task: self.lengths.get(task.uid, 1.0)

    def fill(self) -> None:
        """Let every node be half full of what nobody knows the end of."""
        for number, each in enumerate(self.cluster.nodes):
            self.lengths[f"there{number}"] = float(LONGEST)
            self.cluster.come([waiting(f"there{number}", each.allocatable["cpu"] // 2 + 1, age=number)])
        self.cluster.cycle()

    def come(self) -> None:
        for offset in (0, 7):
            cpu, length, is_told, priority = self.stream[(self.number + offset) % len(self.stream)]
            name = f"s{self.number}-{offset}"
            self.lengths[name] = float(length)
            estimate = float(length) if is_told else None
            if len(self.cluster.tasks) - len(self.cluster.where) < CROWD:
                task = waiting(name, cpu, priority=priority, age=200 + self.number, estimate=estimate)
                self.cluster.come([replace(task, preempts=False)])
        self.number += 1

    def live_until(self, *uids: str, most: float) -> float:
        """Let time pass until all of these run; return how long that took."""
        waited = 0.0
        while not set(uids) <= set(self.cluster.where):
            self.come()
            self.cluster.cycle()
            if set(uids) <= set(self.cluster.where):
                break
            assert not set(uids) & set(self.cluster.where), "all of them, or none"
            self.cluster.advance(1)
            waited += 1
            assert waited <= most, f"it waits longer than {most} s"
        return waited


@pytest.mark.parametrize("backfill", KINDS)
@settings(max_examples=40, deadline=None)
@given(streams, st.lists(st.integers(4, 6), min_size=1, max_size=4), st.data())
def test_a_gang_that_has_waited_max_wait_runs_when_twice_the_longest_run_has_gone_by(
    backfill: str, stream: list[tuple[int, int, bool, int]], nodes: list[int], data: st.DataObject
) -> None:
    cluster = life(*nodes, backfill=backfill, max_wait=MAX_WAIT)
    cpu = data.draw(st.integers(1, min(nodes)), label="cpu of a member")
    size = data.draw(st.integers(1, sum(each // cpu for each in nodes)), label="members")
    coming = Stream(cluster, stream)
    coming.fill()
    cluster.come(replace(each, preempts=False) for each in gang("old", size, cpu, age=100))
    waited = coming.live_until(*(f"old-{number}" for number in range(size)), most=MAX_WAIT + 2 * LONGEST + 1)
    event(f"waited: {int(waited / 10) * 10} s")


@pytest.mark.parametrize("backfill", KINDS)
@settings(max_examples=25, deadline=None)
@given(streams, st.lists(st.integers(4, 5), min_size=2, max_size=3))
def test_of_two_gangs_that_each_need_all_nodes_the_older_runs_first_and_then_the_other(
    backfill: str, stream: list[tuple[int, int, bool, int]], nodes: list[int]
) -> None:
    cluster = life(*nodes, backfill=backfill, max_wait=MAX_WAIT)
    coming, size = Stream(cluster, stream), len(nodes)
    coming.fill()
    older, younger = ([f"{name}-{number}" for number in range(size)] for name in ("older", "younger"))
    for age, uids in ((100, older), (150, younger)):
        members = gang(uids[0][:-2], size, 4, age=age)
        coming.lengths |= dict.fromkeys(uids, float(LONGEST))
        cluster.come(replace(each, preempts=False) for each in members)
    coming.live_until(*older, most=MAX_WAIT + 2 * LONGEST + 1)
    assert not set(younger) & set(cluster.where)
    coming.live_until(*younger, most=MAX_WAIT + 3 * LONGEST + 1)


def test_once_aged_nodes_are_kept_for_a_gang_though_nobody_knows_when_they_will_be_free() -> None:
    cluster = life(4, 4, 4, max_wait=MAX_WAIT)
    for at, name in enumerate(("first", "second", "third")):
        run(cluster, waiting(name, 4, age=at))
        cluster.advance(1)
    cluster.come(gang("ring", 2, 3, age=10))
    assert cluster.cycle().reservations == {}
    cluster.advance(MAX_WAIT)
    decisions = cluster.cycle()
    assert set(decisions.reservations.values()) == {("n0", NEVER), ("n1", NEVER)} or {
        cluster.where[name] for name in ("first", "second")
    } == {name for name, _ in decisions.reservations.values()}, "of those who run the ones that began first"
    del cluster.where["first"], cluster.tasks["first"]
    cluster.come([waiting("new", 1, age=20)])
    cluster.cycle()
    assert "new" not in cluster.where, "what becomes free is theirs"


def test_who_is_after_it_in_its_queue_makes_no_room_on_the_nodes_that_are_kept() -> None:
    cluster = life(4, 4, max_wait=MAX_WAIT)
    run(cluster, waiting("low", 1), waiting("there", 4, priority=9, age=2))
    members = [replace(each, preempts=False) for each in gang("ring", 2, 4, age=3)]
    cluster.come(members)
    cluster.advance(MAX_WAIT)
    cluster.come([waiting("vip", 4, priority=9, age=4)])
    decisions = cluster.cycle()
    assert len(decisions.reservations) == 2
    assert decisions.victims == ()


def test_gangs_of_which_one_was_tried_leave_to_others_what_they_may_use() -> None:
    """What a gang would have taken beside a reservation is given back when it does not fit."""
    cluster = life(4, 4, backfill="conservative")
    run(cluster, waiting("a", 2, estimate=10.0), waiting("b", 4, age=2, estimate=1000.0))
    cluster.come([waiting("head", 3, age=3)])
    cluster.come(gang("ring", 2, 1, age=4))
    cluster.come([waiting("small", 1, age=9)])
    cluster.cycle()
    assert "small" in cluster.where or {"ring-0", "ring-1"} <= set(cluster.where)


def test_a_lost_member_comes_again_alone() -> None:
    cluster = life(4, 4)
    run(cluster, *gang("ring", 2, 4, age=1))
    del cluster.where["ring-1"]
    assert [each.task.uid for each in cluster.cycle().placed] == ["ring-1"]


def test_reasons_of_those_that_are_kept_out_name_who_waits_longer() -> None:
    cluster = life(4)
    run(cluster, waiting("a", 2, estimate=10.0))
    cluster.come([*gang("ring", 2, 2, age=2), waiting("long", 1, age=9, estimate=99.0)])
    decisions = cluster.cycle()
    rejected = {each.task.uid: each.rejection.codes for each in decisions.unschedulable}
    assert rejected["ring-0"] == {Code.GANG_INCOMPLETE}
    assert rejected["long"] == {Code.KEPT_FOR_OTHERS}
    assert Gang("ring", 2) == cluster.tasks["ring-0"].gang
