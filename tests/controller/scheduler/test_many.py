"""Short cuts for many tasks and many nodes decide as the long way does."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from controller.scheduler import line, place
from controller.scheduler.backfill import MAX_RESERVATIONS, NEVER, ends_on, reserve
from controller.scheduler.fairness import Account, QueueRule
from controller.scheduler.fleet import Fleet
from controller.scheduler.node_view import NodeView, Standing
from controller.scheduler.order import in_order
from controller.scheduler.place import Placer, fitting
from controller.scheduler.preempt import Preemptor, _Key
from controller.scheduler.schedule import Policy, schedule
from controller.scheduler.scores import Strategy, score
from controller.scheduler.shape import Company, Expression, Shape, TaskTerm
from controller.scheduler.snapshot import Gang, Snapshot, TaskView
from controller.scheduler.work import Work
from schemas.keys import task_ref
from tests.controller.scheduler.naive import Naive
from tests.controller.scheduler.test_engine import labels_of, nodes, pending, shapes, standing, those

QUICKLY = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
NOW = 1000.0


@pytest.fixture
def narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(place, "WINDOW", 2)


def task(number: int, shape: Shape, **more: object) -> TaskView:
    made = TaskView(task_ref("default", f"t{number}"), f"u{number}", shape, 0, number)
    return replace(made, **more)  # type: ignore[arg-type]  # fields by name


# Windows


@settings(QUICKLY, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])
@given(nodes(), pending(), those, st.sampled_from(("binpack", "spread", "balanced")))
def test_a_window_misses_nothing_that_fits(
    narrow: None,
    nodes: list[NodeView],
    pending: tuple[TaskView, ...],
    those: list[object],
    strategy: Strategy,
) -> None:
    there = standing(nodes, those)  # type: ignore[arg-type]  # as drawn
    work, naive = Work.of(Fleet(nodes, there)), Naive(nodes, there, strategy, 0)
    placer = Placer(work, 0)
    for each in pending:
        row = placer.best(each.shape, strategy)
        fits = [node.name for node in nodes if naive.fits(each.shape, node)]
        assert (row is not None) == bool(fits)
        if row is not None:
            name = work.fleet.view(row).name
            assert name in fits
            work.take(row, each.shape)
            naive.take(each.shape, name)


def test_windows_cover_each_row_from_wherever_they_begin(narrow: None) -> None:
    """Five nodes in windows of two: neither the end of the columns nor where the last search came to leaves one out."""
    plain = NodeView("n0", True, False, {}, (), {"cpu": 4000}, {"cpu": 0}, frozenset(), (31000, 31005), {})
    for size, start, fits in product((4, 5, 7), range(7), range(7)):
        if start < size and fits < size:
            nodes = [replace(plain, name=f"n{number}") for number in range(size)]
            nodes[fits] = replace(nodes[fits], free={"cpu": 1000})
            placer = Placer(Work.of(Fleet(nodes)), 0)
            placer._start = start
            assert placer.best(Shape((("cpu", 1000),)), "spread") == fits


def test_who_prefers_some_nodes_looks_beyond_the_window(narrow: None) -> None:
    plain = NodeView("n0", True, False, {}, (), {"cpu": 4000}, {"cpu": 4000}, frozenset(), (31000, 31005), {})
    fleet = Fleet(
        [
            *(replace(plain, name=f"n{number}") for number in range(5)),
            replace(plain, name="n5", images=frozenset({"i"})),
        ]
    )
    placer = Placer(Work.of(fleet), 0)
    assert placer.best(Shape((("cpu", 100),), images=("i",)), "binpack") == fleet.row_of["n5"]


# What is remembered of a shape in a cycle


@QUICKLY
@given(nodes(), pending(), those, st.data())
def test_what_is_remembered_of_a_shape_is_still_true(
    nodes: list[NodeView], pending: tuple[TaskView, ...], those: list[object], data: st.DataObject
) -> None:
    work = Work.of(Fleet(nodes, standing(nodes, those)))  # type: ignore[arg-type]  # as drawn
    placer = Placer(work, 0)
    for each in pending:
        if work.journal and data.draw(st.integers(0, 3)) == 0:
            work.take_back(data.draw(st.integers(0, len(work.journal))))
        for other in pending:
            found = placer.best(other.shape, "binpack")
            assert (found is not None) == bool(fitting(other.shape, work).any())
        row = placer.best(each.shape, "binpack")
        if row is not None:
            work.take(row, each.shape)


@QUICKLY
@given(nodes(), pending(), those)
def test_counts_are_those_of_a_copy_that_counts_afresh(
    nodes: list[NodeView], pending: tuple[TaskView, ...], those: list[object]
) -> None:
    """Whether a term is first asked for before or after tasks were placed."""
    there = standing(nodes, those)  # type: ignore[arg-type]  # as drawn
    early, late = Work.of(Fleet(nodes, there)), Work.of(Fleet(nodes, there))
    for each in pending:
        row = Placer(early, 0).best(each.shape, "binpack")
        if row is not None:
            early.take(row, each.shape)
            late.take(row, each.shape)
    for each in pending:
        assert (fitting(each.shape, early) == fitting(each.shape, late)).all()
        assert (score(each.shape, early, "binpack") == score(each.shape, late, "binpack")).all()


def test_who_fitted_nowhere_is_asked_again_when_somebody_to_be_near_came() -> None:
    node = NodeView("n", True, False, {}, (), {"cpu": 500}, {"cpu": 500}, frozenset(), (31000, 31005), {})
    db = TaskTerm("default", (Expression("app", "In", ("db",)),))
    near = Shape((("cpu", 100),), company=Company(near=(db,)), labels=labels_of("web"))
    work = Work.of(Fleet([node]))
    placer = Placer(work, 0)
    assert placer.best(near, "binpack") is None
    work.take(0, Shape((("cpu", 100),), labels=labels_of("web")))
    assert placer.best(near, "binpack") is None
    work.take(0, Shape((("cpu", 100),), labels=labels_of("db")))
    assert placer.best(near, "binpack") == 0


# Runs and turns


@settings(QUICKLY, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])
@given(nodes(), pending(), st.integers(1, 3), st.sampled_from(("easy", "conservative", "none")))
def test_the_length_of_a_run_changes_nothing(
    monkeypatch: pytest.MonkeyPatch,
    nodes: list[NodeView],
    pending: tuple[TaskView, ...],
    queues: int,
    backfill: str,
) -> None:
    spread = tuple(replace(each, queue=f"q{number % queues}") for number, each in enumerate(pending))
    rules = tuple(QueueRule(f"q{number}", 1.0 + number, backfill=backfill) for number in range(queues))
    snapshot = Snapshot(Fleet(nodes), spread, rules)
    found = []
    for longest in (1, 500):
        monkeypatch.setattr(line, "LONGEST_RUN", longest)
        decisions = schedule(snapshot, Policy(), 0.0, 0)
        found.append(
            (
                {each.task.uid: each.node for each in decisions.placed},
                {each.task.uid: each.rejection.queue for each in decisions.unschedulable},
            )
        )
    assert found[0] == found[1]


@QUICKLY
@given(nodes(), st.lists(st.tuples(st.integers(0, 3), shapes), min_size=1, max_size=12), st.integers(1, 3))
def test_a_gang_is_placed_as_one_wherever_its_members_stand_in_the_line(
    nodes: list[NodeView], drawn: list[tuple[int, Shape]], least: int
) -> None:
    """0: no gang."""
    tasks = tuple(
        task(number, shape, gang=Gang(f"g{gang}", least) if gang else None)
        for number, (gang, shape) in enumerate(drawn)
    )
    decisions = schedule(Snapshot(Fleet(nodes), tasks), Policy(), 0.0, 0)
    decided = [each.task.uid for each in (*decisions.placed, *decisions.unschedulable)]
    assert sorted(decided) == sorted(each.uid for each in tasks)
    for name in {each.gang.name for each in tasks if each.gang}:
        placed = sum(1 for each in decisions.placed if each.task.gang and each.task.gang.name == name)
        assert placed == 0 or placed >= least


def test_gangs_and_others_go_in_the_order_of_first_members() -> None:
    node = NodeView("n", True, False, {}, (), {"cpu": 500}, {"cpu": 500}, frozenset(), (31000, 31005), {})
    shape = Shape((("cpu", 100),))
    tasks = (
        task(0, shape),
        task(1, shape, gang=Gang("g", 2)),
        task(2, shape),
        task(3, shape, gang=Gang("g", 2)),
        task(4, shape),
    )
    decisions = schedule(Snapshot(Fleet([node]), tasks), Policy(), 0.0, 0)
    assert [each.task.uid for each in decisions.placed] == ["u0", "u1", "u3", "u2", "u4"]
    assert [each.uid for each in in_order(tasks, QueueRule("default"), 0.0)][1] == "u1"


# Those who stand, as columns


@st.composite
def crowds(draw: st.DrawFn) -> list[Standing]:
    kinds = st.tuples(
        st.integers(0, 5),
        st.sampled_from(("default", "other", "third")),
        st.integers(0, 2),
        st.sampled_from((0, 500, 1000)),
        st.sampled_from((None, 900.0, 990.0, 2000.0)),
        st.sampled_from((None, 5.0, 50.0, 500.0)),
        st.booleans(),
        st.booleans(),
    )
    return [
        Standing(
            f"s{number}",
            task_ref("default", f"s{number}"),
            f"n{node}",
            queue,
            priority,
            (("cpu", cpu), ("memory", 512)),
            labels_of("web"),
            started_at=started,
            estimate=estimate,
            is_ending=ending,
            may_be_preempted=may,
        )
        for number, (node, queue, priority, cpu, started, estimate, ending, may) in enumerate(
            draw(st.lists(kinds, max_size=12))
        )
    ]


@st.composite
def newcomers(draw: st.DrawFn) -> list[TaskView]:
    """Tasks of a resource that those who stand may have none of, with and without an end."""
    kinds = st.tuples(st.sampled_from((250, 500, 1000)), st.sampled_from((None, 10.0, 500.0)))
    return [
        replace(task(90 + number, Shape((("cpu", cpu), ("memory", 128)))), estimate=estimate)
        for number, (cpu, estimate) in enumerate(draw(st.lists(kinds, max_size=4)))
    ]


def first_end(shape: Shape, work: Work, row: int, came: Sequence[TaskView]) -> float:
    """Return when a shape fits on a row, by looking at one end after the other."""
    free = {name: int(work.free[index, row]) for name, index in work.fleet.resources.items()}
    at = NOW
    for end, requests in ends_on(work.fleet, row, NOW, came):
        if all(free.get(name, 0) >= amount for name, amount in shape.requests):
            return at
        if end == NEVER:
            return NEVER
        at = end
        for name, amount in requests:
            free[name] = free.get(name, 0) + amount
    return at if all(free.get(name, 0) >= amount for name, amount in shape.requests) else NEVER


@QUICKLY
@given(nodes(), crowds(), newcomers(), st.sampled_from((500, 1500, 3000)), st.booleans())
def test_a_reservation_is_where_a_task_fits_first(
    nodes: list[NodeView], crowd: list[Standing], new: list[TaskView], cpu: int, is_aged: bool
) -> None:
    """Those who were placed in the same cycle end, too, and free what the others have never held."""
    work = Work.of(Fleet(nodes, crowd))
    shape = Shape((("cpu", cpu), ("memory", 256)))
    came: dict[int, list[TaskView]] = {}
    for each in new:
        rows = np.flatnonzero(fitting(each.shape, work))
        if rows.size:
            work.take(int(rows[0]), each.shape)
            came.setdefault(int(rows[0]), []).append(each)
    ends = work.fleet.crowd.ends(
        NOW,
        [
            (row, NOW + each.estimate, each.shape.requests)
            for row, tasks in came.items()
            for each in tasks
            if each.estimate is not None
        ],
    )
    could = [
        row
        for row in range(work.fleet.size)
        if fitting(Shape(()), work)[row] and work.allocatable[work.fleet.resources["cpu"], row] >= cpu
    ]
    at = {row: first_end(shape, work, row, came.get(row, ())) for row in could}
    found = reserve(task(0, shape), work, (), ends, NOW, is_aged=is_aged, came=came)
    if is_aged:
        assert (found is not None) == bool(could)
    else:
        assert (found is not None) == any(when < NEVER for when in at.values())
    if found is not None:
        assert found.at == at[found.row] == min(at.values())


@QUICKLY
@given(nodes(), crowds(), st.booleans(), st.lists(st.integers(0, 11), max_size=3), st.integers(0, 3))
def test_what_preemption_could_free_is_what_those_hold_that_may_be_taken(
    nodes: list[NodeView], crowd: list[Standing], reclaims: bool, gone: list[int], priority: int
) -> None:
    fleet = Fleet(nodes, crowd)
    for number in gone:
        fleet.remove_task(f"s{number}")
    used: dict[str, dict[str, int]] = {}
    for each in fleet.standing.values():
        for name, amount in each.requests:
            held = used.setdefault(each.queue, {})
            held[name] = held.get(name, 0) + amount
    rules = (
        QueueRule("default"),
        QueueRule("other", guarantee={"cpu": 1000, "memory": 10**6}),
        QueueRule("third"),
    )
    accounts = {rule.name: Account(rule, used.get(rule.name, {})) for rule in rules}
    asking = task(0, Shape((("cpu", 100),)), priority=priority)
    preemptor = Preemptor(Work.of(fleet), accounts)
    found = preemptor._released(_Key("default", priority, reclaims))
    for row in range(fleet.size):
        held = sum(
            dict(each.requests)["cpu"]
            for each in fleet.on_row.get(row, {}).values()
            if preemptor.may_take(asking, each, reclaims=reclaims)
        )
        assert (int(found["cpu"][row]) if found else 0) == held


def test_reservations_are_bounded() -> None:
    count = MAX_RESERVATIONS + 20
    plain = NodeView("n", True, False, {}, (), {"cpu": 1000}, {"cpu": 0}, frozenset(), (31000, 31005), {})
    names = [f"n{number}" for number in range(count)]
    crowd = [
        Standing(
            f"s{n}",
            task_ref("default", f"s{n}"),
            n,
            "default",
            0,
            (("cpu", 1000),),
            started_at=0.0,
            estimate=60.0,
        )
        for n in names
    ]
    tasks = tuple(task(number, Shape((("cpu", 1000),))) for number in range(count))
    fleet = Fleet((replace(plain, name=name) for name in names), crowd)
    rules = (QueueRule("default", backfill="conservative"),)
    decisions = schedule(Snapshot(fleet, tasks, rules), Policy(), 1.0, 0)
    assert list(decisions.reservations) == [f"u{number}" for number in range(MAX_RESERVATIONS)]
