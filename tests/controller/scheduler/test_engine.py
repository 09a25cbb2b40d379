"""The engine places exactly as the obvious scheduler does, whatever path it takes."""

from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from controller.scheduler.fairness import QueueRule
from controller.scheduler.fleet import Fleet
from controller.scheduler.node_view import NodeView, Standing
from controller.scheduler.order import in_order
from controller.scheduler.schedule import Policy, schedule
from controller.scheduler.scores import Strategy
from controller.scheduler.shape import (
    NODE,
    Cap,
    Company,
    Expression,
    Labels,
    NodePreference,
    Place,
    Shape,
    Spread,
    TaskTerm,
)
from controller.scheduler.snapshot import Snapshot, TaskView
from schemas.keys import task_ref
from schemas.node import Taint
from schemas.task import Toleration
from tests.controller.scheduler.naive import Naive

APPS = ("web", "db", "job")
ZONES = ("a", "b", "c")
TAINTS = (
    (),
    (),
    (Taint(key="gpu", effect="NoSchedule"),),
    (Taint(key="old", effect="PreferNoSchedule"),),
)


@st.composite
def nodes(draw: st.DrawFn) -> list[NodeView]:
    made = []
    for number in range(draw(st.integers(1, 6))):
        whole = {"cpu": draw(st.sampled_from((2000, 4000))), "memory": draw(st.sampled_from((4096, 8192)))}
        if draw(st.booleans()):
            whole["gpu"] = 2
        zone = draw(st.sampled_from((*ZONES, None)))
        labels = {"zone": zone} if zone else {}
        labels["rank"] = str(number)
        free = {name: draw(st.integers(amount // 4, amount)) for name, amount in whole.items()}
        made.append(
            NodeView(
                f"n{number}",
                ready=draw(st.integers(0, 5)) > 0,
                cordoned=draw(st.integers(0, 5)) == 0,
                labels=labels,
                taints=draw(st.sampled_from(TAINTS)),
                allocatable=whole,
                free=whole if draw(st.booleans()) else free,
                ports_used=frozenset(),
                port_range=(31000, 31005),
                devices_free={},
            )
        )
    return made


def labels_of(app: str) -> Labels:
    return Labels("default", (("app", app),))


terms = st.builds(
    lambda app, topology: TaskTerm("default", (Expression("app", "In", (app,)),), topology),
    st.sampled_from(APPS),
    st.sampled_from((NODE, "zone")),
)
expressions = st.one_of(
    st.builds(
        lambda op, zones: Expression("zone", op, zones),
        st.sampled_from(("In", "NotIn")),
        st.sampled_from((("a",), ("b", "c"))),
    ),
    st.sampled_from(
        (Expression("zone", "Exists"), Expression("rank", "Gt", ("1",)), Expression("rank", "Lt", ("3",)))
    ),
)
places = st.one_of(
    st.just(Place()),
    st.builds(
        Place,
        selector=st.sampled_from(((), (("zone", "a"),))),
        tolerations=st.sampled_from(((), (Toleration(operator="Exists"),))),
        affinity=st.lists(st.tuples(expressions), max_size=2).map(tuple),
        preferred=st.lists(
            st.builds(NodePreference, st.integers(1, 100), st.tuples(expressions)), max_size=1
        ).map(tuple),
    ),
)
companies = st.one_of(
    st.just(Company()),
    st.builds(
        Company,
        near=st.lists(terms, max_size=1).map(tuple),
        repels=st.lists(terms, max_size=1).map(tuple),
        caps=st.lists(st.builds(Cap, terms, st.integers(1, 3), st.booleans()), max_size=1).map(tuple),
        spreads=st.lists(st.builds(Spread, terms, st.integers(1, 2)), max_size=1).map(tuple),
    ),
)
shapes = st.builds(
    lambda cpu, memory, gpu, place, company, app: Shape(
        tuple(sorted({"cpu": cpu, "memory": memory, **({"gpu": gpu} if gpu else {})}.items())),
        place=place,
        company=company,
        labels=labels_of(app),
    ),
    st.sampled_from((100, 500, 1000)),
    st.sampled_from((0, 256, 1024)),
    st.sampled_from((0, 0, 1)),
    places,
    companies,
    st.sampled_from(APPS),
)


@st.composite
def pending(draw: st.DrawFn) -> tuple[TaskView, ...]:
    """Runs of equal tasks too, as an owner makes them."""
    made: list[TaskView] = []
    for shape in draw(st.lists(shapes, min_size=1, max_size=5)):
        for _ in range(draw(st.integers(1, 6))):
            number = len(made)
            made.append(
                TaskView(
                    task_ref("default", f"t{number}"), f"u{number}", shape, draw(st.integers(0, 1)), number
                )
            )
    return tuple(made)


def standing(nodes: list[NodeView], apps: list[tuple[int, str, tuple[TaskTerm, ...]]]) -> list[Standing]:
    return [
        Standing(
            f"s{number}",
            task_ref("default", f"s{number}"),
            nodes[where % len(nodes)].name,
            "default",
            0,
            (),
            labels_of(app),
            repels,
        )
        for number, (where, app, repels) in enumerate(apps)
    ]


those = st.lists(
    st.tuples(st.integers(0, 5), st.sampled_from(APPS), st.lists(terms, max_size=1).map(tuple)), max_size=4
)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(nodes(), pending(), those, st.sampled_from(("binpack", "spread", "balanced")), st.integers(0, 3))
def test_places_as_the_obvious_scheduler_does(
    nodes: list[NodeView],
    pending: tuple[TaskView, ...],
    those: list[tuple[int, str, tuple[TaskTerm, ...]]],
    strategy: Strategy,
    seed: int,
) -> None:
    there = standing(nodes, those)
    rule = QueueRule("default")
    decisions = schedule(Snapshot(Fleet(nodes, there), pending, (rule,)), Policy(strategy), 0.0, seed)
    naive = Naive(nodes, there, strategy, seed)
    expected = {task.uid: naive.place(task.shape) for task in in_order(pending, rule, 0.0)}
    found = {each.task.uid: each.node for each in decisions.placed}
    event(f"placed {len(found)} of {len(pending)}")
    assert found == {uid: node for uid, node in expected.items() if node is not None}
    for each in decisions.unschedulable:
        assert sum(group.count for group in each.rejection.groups) <= each.rejection.nodes
    assert {each.task.uid for each in decisions.unschedulable} | set(found) == set(expected)
