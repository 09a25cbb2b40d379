"""Optimal packing: it is the optimum, what it proposes can be done, and it is never worse than the scheduler."""

from collections.abc import Iterator
from dataclasses import replace
from itertools import product

import pytest
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from controller.scheduler import optimise
from controller.scheduler.fairness import QueueRule
from controller.scheduler.fleet import Fleet
from controller.scheduler.node_view import NodeView, Standing
from controller.scheduler.optimise import Packing, counted_bound, pack
from controller.scheduler.program import Limits
from controller.scheduler.proposal import follow, tiers_of, work_of
from controller.scheduler.schedule import Policy, schedule
from controller.scheduler.shape import ALONE, Company, Labels, PortAsk, Shape
from controller.scheduler.snapshot import Gang, Snapshot, TaskView
from schemas.keys import task_ref
from tests.controller.scheduler.naive import Naive
from tests.controller.scheduler.test_engine import nodes, pending, standing, those

LIMITS = Limits(seconds=1e9, search_nodes=5_000)
NOW = 1_000_000.0
slow = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def node(name: str, cpu: int = 4000, memory: int = 8192, free: dict[str, int] | None = None) -> NodeView:
    whole = {"cpu": cpu, "memory": memory}
    return NodeView(name, True, False, {}, (), whole, free or whole, frozenset(), (31000, 31005), {})


def task(number: int, shape: Shape, **more: object) -> TaskView:
    made = TaskView(task_ref("default", f"t{number}"), f"u{number}", shape, 0, number, waiting_since=NOW)
    return replace(made, **more)  # type: ignore[arg-type]


def amounts(cpu: int, memory: int = 0, **more: object) -> Shape:
    return Shape((("cpu", cpu), ("memory", memory)), **more)  # type: ignore[arg-type]


def packed(snapshot: Snapshot, limits: Limits = LIMITS) -> Packing:
    return pack(snapshot, Policy(), NOW, 0, limits)


def snapshot_of(nodes: list[NodeView], tasks: list[TaskView], *rules: QueueRule, **more: object) -> Snapshot:
    rules = rules or (QueueRule("default"),)
    return Snapshot(Fleet(nodes), tuple(tasks), rules, **more)  # type: ignore[arg-type]


# The optimum


@st.composite
def small(draw: st.DrawFn) -> tuple[list[NodeView], list[TaskView]]:
    """So few that all ways to place them can be tried."""
    sizes = st.integers(1, 8)
    made = [node(f"n{n}", 1000 * draw(sizes), 1024 * draw(sizes)) for n in range(draw(st.integers(1, 3)))]
    asked = st.integers(1, 5)
    shapes = [amounts(1000 * draw(asked), 1024 * draw(asked)) for _ in range(draw(st.integers(1, 3)))]
    wanted = draw(st.lists(st.tuples(st.sampled_from(shapes), st.integers(0, 1)), min_size=1, max_size=5))
    return made, [task(n, shape, priority=priority) for n, (shape, priority) in enumerate(wanted)]


def all_ways(nodes: list[NodeView], tasks: list[TaskView]) -> Iterator[dict[str, str]]:
    """Yield every placement that fits, counting amounts."""
    for choice in product([None, *(each.name for each in nodes)], repeat=len(tasks)):
        free = {each.name: dict(each.free) for each in nodes}
        for one, name in zip(tasks, choice, strict=True):
            for resource, amount in one.shape.requests if name else ():
                free[name][resource] -= amount
        if all(left >= 0 for each in free.values() for left in each.values()):
            yield {one.uid: name for one, name in zip(tasks, choice, strict=True) if name}


def quality(snapshot: Snapshot, placed: dict[str, str]) -> tuple[tuple[int, ...], int]:
    """Return work by tier and nodes used, the more the better, by definition."""
    tiers, capacity = tiers_of(snapshot, NOW), snapshot.fleet.capacity()
    work = [0] * tiers.count
    for each in snapshot.pending:
        if each.uid in placed:
            work[tiers.of[each.uid]] += work_of(each, capacity)
    return tuple(work), -len(set(placed.values()))


@slow
@given(small())
def test_finds_the_optimum_that_trying_all_ways_finds(case: tuple[list[NodeView], list[TaskView]]) -> None:
    nodes, tasks = case
    snapshot = snapshot_of(nodes, tasks)
    floor = {each.task.uid for each in schedule(snapshot, Policy(), NOW, 0).placed}
    least = quality(snapshot, dict.fromkeys(floor, "any"))[0]
    best = max(
        found
        for found in (quality(snapshot, way) for way in all_ways(nodes, tasks))
        if all(one >= other for one, other in zip(found[0], least, strict=True))
    )
    found = packed(snapshot)
    event(f"better {found.is_better}")
    assert quality(snapshot, found.nodes) == best
    assert found.gap == 0.0
    assert found.verdict in ("Optimal", "Nothing")
    assert found.bound == -best[1]


def test_fewer_nodes_than_best_fit() -> None:
    """Best fit puts 3 and 2 together, so that 3 3 2 2 2 need a third node; 3 3 and 2 2 2 fill two."""
    tasks = [task(n, amounts(1000 * cpu)) for n, cpu in enumerate((3, 2, 3, 2, 2))]
    snapshot = snapshot_of([node(f"n{n}", 6000) for n in range(4)], tasks)
    found = packed(snapshot)
    assert (found.heuristic.nodes_used, found.worth.nodes_used, found.bound) == (3, 2, 2)
    assert found.is_better
    assert found.verdict == "Optimal"


def test_more_work_than_first_come() -> None:
    tasks = [task(0, amounts(2000)), task(1, amounts(3000)), task(2, amounts(1000))]
    snapshot = snapshot_of([node("n0", 4000)], tasks)
    found = packed(snapshot)
    assert set(found.nodes) == {"u1", "u2"}


def test_urgent_work_is_not_given_up_for_more_work() -> None:
    tasks = [task(0, amounts(2000), priority=5), task(1, amounts(3000)), task(2, amounts(1000))]
    found = packed(snapshot_of([node("n0", 4000)], tasks))
    assert set(found.nodes) == {"u0", "u2"}


def test_who_waited_too_long_is_not_left_out() -> None:
    tasks = [task(0, amounts(2000), waiting_since=0.0), task(1, amounts(3000)), task(2, amounts(1000))]
    found = packed(snapshot_of([node("n0", 4000)], tasks))
    assert set(found.nodes) == {"u0", "u2"}


def test_no_queue_gets_less_than_the_scheduler_gives_it() -> None:
    tasks = [task(0, amounts(2000), queue="a"), task(1, amounts(4000), queue="b")]
    found = packed(snapshot_of([node("n0", 4000)], tasks, QueueRule("a"), QueueRule("b")))
    assert set(found.nodes) == {"u0"}


def test_limit_of_a_queue_is_kept() -> None:
    tasks = [task(n, amounts(1000), queue="a") for n in range(4)]
    snapshot = snapshot_of([node("n0")], tasks, QueueRule("a", limit={"cpu": 2500}))
    assert packed(snapshot).worth.placed == 2


def test_gang_is_placed_whole_or_not_at_all() -> None:
    gang = Gang("g", 3)
    tasks = [task(n, amounts(3000), gang=gang) for n in range(3)] + [task(3, amounts(4000))]
    two = packed(snapshot_of([node("n0"), node("n1")], tasks))
    assert set(two.nodes) == {"u3"}
    three = packed(snapshot_of([node(f"n{n}") for n in range(4)], tasks))
    assert len(three.nodes) == 4


def test_fixed_port_is_given_once_a_node() -> None:
    shape = amounts(100, ports=(PortAsk("main", 80, 8080, "TCP", None),))
    found = packed(snapshot_of([node("n0"), node("n1")], [task(n, shape) for n in range(3)]))
    assert sorted(found.nodes.values()) == ["n0", "n1"]


def test_equal_tasks_and_equal_nodes_make_a_small_program() -> None:
    tasks = [task(n, amounts(1000 * (1 + n % 2))) for n in range(60)]
    found = packed(snapshot_of([node(f"n{n}") for n in range(500)], tasks), Limits(1e9, 100))
    assert found.worth.placed == 60
    assert found.columns <= 3 * found.heuristic.nodes_used


@st.composite
def alike(draw: st.DrawFn) -> tuple[list[NodeView], list[TaskView]]:
    """A few shapes, several of each, on equal nodes of which some are used."""
    made = [node(f"n{n}", 10_000, 10_000) for n in range(9)]
    for n in range(draw(st.integers(0, 2))):
        made[n] = node(f"n{n}", 10_000, 10_000, {"cpu": draw(st.integers(1, 9)) * 1000, "memory": 5000})
    shapes = [
        amounts(1000 * draw(st.integers(2, 6)), 1000 * draw(st.integers(1, 5)))
        for _ in range(draw(st.integers(1, 3)))
    ]
    tasks = [shape for shape in shapes for _ in range(draw(st.integers(3, 5)))]
    return made, [task(n, shape) for n, shape in enumerate(tasks)]


@slow
@given(alike())
def test_patterns_reach_what_the_program_node_by_node_reaches(
    case: tuple[list[NodeView], list[TaskView]],
) -> None:
    nodes, tasks = case
    there = [
        Standing(f"s{each.name}", task_ref("default", f"s{each.name}"), each.name, "default", 0, ())
        for each in nodes
        if each.free != each.allocatable
    ]
    snapshot = Snapshot(Fleet(nodes, there), tuple(tasks))
    found = packed(snapshot)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(optimise, "suits", lambda items, groups: False)
        other = packed(snapshot)
    event(f"better {found.is_better}")
    assert (found.worth.nodes_used, found.worth.placed) == (other.worth.nodes_used, other.worth.placed)
    assert found.bound <= found.worth.nodes_used
    assert (found.verdict, found.gap) == ("Optimal", 0.0)


def test_patterns_pack_what_is_too_much_to_be_searched_node_by_node() -> None:
    """Each node takes one of each of three shapes, and nothing is left over."""
    tasks = [task(n, amounts((6000, 3000, 1000)[n % 3])) for n in range(60)]
    found = packed(snapshot_of([node(f"n{n}", 10_000) for n in range(30)], tasks))
    assert (found.worth.nodes_used, found.bound, found.verdict) == (20, 20, "Optimal")


# What is proposed can be done


@slow
@given(nodes(), pending(), those)
def test_proposal_is_feasible_for_the_obvious_checker_and_never_worse(
    nodes: list[NodeView], pending: tuple[TaskView, ...], those: list[tuple[int, str, tuple[object, ...]]]
) -> None:
    there: list[Standing] = standing(nodes, those)  # type: ignore[arg-type]
    snapshot = Snapshot(Fleet(nodes, there), pending)
    found = pack(snapshot, Policy(), 0.0, 0, Limits(1e9, 200))
    event(f"{found.verdict}, better {found.is_better}")
    naive = Naive(nodes, there, "binpack", 0)
    for each in found.placed:
        assert naive.fits(each.task.shape, naive._node(each.node))
        for name, amount in each.task.shape.requests:
            naive.free[each.node][name] = naive.free[each.node].get(name, 0) - amount
        naive.there.append((each.node, each.task.shape.labels, each.task.shape.company.repels))
    assert found.worth == found.heuristic or found.worth.is_better_than(found.heuristic)
    assert found.bound <= found.worth.nodes_used
    assert sum(found.worth.by_tier) <= found.work_bound + 1


@pytest.mark.parametrize("wrong", ["n1", "n9"])
def test_what_does_not_fit_is_refused_whoever_proposes_it(wrong: str) -> None:
    tasks = [task(0, amounts(3000)), task(1, amounts(3000))]
    snapshot = snapshot_of([node("n0"), node("n1", 2000)], tasks)
    found = follow(snapshot, {"u0": "n0", "u1": wrong})
    assert [(each.task.uid, each.node) for each in found.placed] == [("u0", "n0")]
    assert found.refused == {"u1"}


def test_room_that_is_gone_meanwhile_is_not_given() -> None:
    tasks = [task(n, amounts(2000)) for n in range(2)]
    before = snapshot_of([node("n0")], tasks)
    proposal = packed(before).nodes
    now = snapshot_of([node("n0", free={"cpu": 2000, "memory": 8192})], tasks)
    found = follow(now, proposal)
    assert (len(found.placed), len(found.refused)) == (1, 1)


def test_node_that_is_kept_for_somebody_is_not_given() -> None:
    found = follow(snapshot_of([node("n0")], [task(0, amounts(1000))]), {"u0": "n0"}, {"n0": frozenset()})
    assert found.refused == {"u0"}


def test_gang_of_which_a_place_is_gone_is_refused_whole() -> None:
    tasks = [task(n, amounts(3000), gang=Gang("g", 2)) for n in range(2)] + [task(2, amounts(1000))]
    snapshot = snapshot_of([node("n0"), node("n1", 1000)], tasks)
    found = follow(snapshot, {"u0": "n0", "u1": "n1", "u2": "n0"})
    assert [each.task.uid for each in found.placed] == ["u2"]


def test_who_needs_company_is_placed_after_it() -> None:
    from controller.scheduler.shape import Expression, TaskTerm

    near = Company(near=(TaskTerm("default", (Expression("app", "In", ("db",)),)),))
    web = task(0, amounts(1000, company=near, labels=Labels("default", (("app", "web"),))))
    db = task(1, amounts(1000, company=ALONE, labels=Labels("default", (("app", "db"),))))
    snapshot = snapshot_of([node("n0"), node("n1")], [web, db])
    assert set(follow(snapshot, {"u0": "n1", "u1": "n1"}).placed[0].node) == set("n1")
    assert len(packed(snapshot).nodes) == 2


# Limits


def test_search_ends_after_so_many_nodes_and_says_what_is_not_proved() -> None:
    sizes = [31, 29, 37, 23, 41, 19, 43, 27, 33, 39, 21, 35, 25, 45, 30, 28, 38, 32, 26, 34]
    tasks = [task(n, amounts(100 * size, 100 * (60 - size))) for n, size in enumerate(sizes * 2)]
    found = packed(snapshot_of([node(f"n{n}", 8000, 8000) for n in range(25)], tasks), Limits(1e9, 1))
    assert found.searched <= 2
    assert found.bound <= found.worth.nodes_used <= found.heuristic.nodes_used
    assert found.worth.placed == len(tasks)


def test_without_time_only_what_needs_no_search_is_tried() -> None:
    tasks = [task(n, amounts(1000 * cpu)) for n, cpu in enumerate((3, 2, 3, 2, 2))]
    found = packed(snapshot_of([node(f"n{n}", 6000) for n in range(4)], tasks), Limits(0.0))
    assert (found.worth.nodes_used, found.searched, found.seconds) == (2, 0, 0.0)


def test_bound_by_counting_is_below_what_is_used() -> None:
    tasks = [task(n, amounts(1000 * cpu)) for n, cpu in enumerate((3, 2, 3, 2, 2))]
    snapshot = snapshot_of([node(f"n{n}", 6000) for n in range(4)], tasks)
    assert counted_bound(snapshot, schedule(snapshot, Policy(), NOW, 0).placed) == 2


def test_what_is_too_large_is_not_searched_and_said_to_be_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(optimise, "MAX_CELLS", 3)
    tasks = [task(n, amounts(1000 * cpu)) for n, cpu in enumerate((3, 2, 3, 2, 2))]
    found = packed(snapshot_of([node(f"n{n}", 6000) for n in range(4)], tasks))
    assert (found.verdict, found.searched, found.bound) == ("TooLarge", 0, 2)
    assert found.worth.placed == 5
