"""The scheduler by behaviour, and against a naive reference that scores every node for every task."""

import zlib
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from controller.scheduler.filters import FILTERS, first_reason
from controller.scheduler.reasons import CURES, Code, Reason, summarize
from controller.scheduler.schedule import Decisions, Placed, Policy, Unschedulable, in_order, schedule
from controller.scheduler.scores import SCORES, score
from controller.scheduler.snapshot import NodeView, PortAsk, Room, Shape, Snapshot, TaskView
from schemas.keys import task_ref
from schemas.node import Taint
from schemas.task import Toleration

BINPACK, SPREAD = Policy("binpack"), Policy("spread")


def make_node(
    name: str = "n1", *, cpu: int = 4000, memory: int = 4096, used_cpu: int = 0, **more: Any
) -> NodeView:
    allocatable = {"cpu": cpu, "memory": memory, **more.pop("extra", {})}
    values: dict[str, Any] = {
        "name": name,
        "ready": True,
        "cordoned": False,
        "labels": {},
        "taints": (),
        "allocatable": allocatable,
        "free": {**allocatable, "cpu": cpu - used_cpu},
        "ports_used": frozenset(),
        "port_range": (31000, 31003),
        "devices_free": {},
    }
    return NodeView(**{**values, **more})


def make_shape(
    cpu: int = 1000,
    memory: int = 1024,
    *,
    ports: tuple[int | None, ...] = (),
    selector: dict[str, str] | None = None,
    tolerations: tuple[Toleration, ...] = (),
    **resources: int,
) -> Shape:
    """ports: a host port each, None for any."""
    requests = {"cpu": cpu, "memory": memory, **resources}
    asks = tuple(PortAsk("main", 80 + index, port, "TCP", None) for index, port in enumerate(ports))
    return Shape(tuple(sorted(requests.items())), asks, tuple(sorted((selector or {}).items())), tolerations)


def make_pending(
    name: str = "t", shape: Shape | None = None, *, priority: int = 0, age: int = 1, **more: Any
) -> TaskView:
    return TaskView(task_ref("default", name), f"uid-{name}", shape or make_shape(), priority, age, **more)


def run(nodes: list[NodeView], tasks: list[TaskView], policy: Policy = BINPACK, seed: int = 1) -> Decisions:
    return schedule(Snapshot(tuple(nodes), tuple(tasks)), policy, 0.0, seed)


def nodes_of(decisions: Decisions) -> dict[str, str]:
    return {placed.task.ref.name: placed.node for placed in decisions.placed}


def reason_of(shape: Shape, node: NodeView) -> Reason | None:
    return first_reason(shape, Room.of(node))


# Filters

TAINT = Taint(key="gpu", value="yes", effect="NoSchedule")


@pytest.mark.parametrize(
    ("node", "shape", "code"),
    [
        (make_node(readable=False), make_shape(), Code.NODE_UNREADABLE),
        (make_node(ready=False), make_shape(), Code.NODE_NOT_READY),
        (make_node(cordoned=True), make_shape(), Code.NODE_CORDONED),
        (make_node(taints=(TAINT,)), make_shape(), Code.TAINT_NOT_TOLERATED),
        (make_node(), make_shape(selector={"disk": "ssd"}), Code.SELECTOR_MISMATCH),
        (make_node(labels={"disk": "hdd"}), make_shape(selector={"disk": "ssd"}), Code.SELECTOR_MISMATCH),
        (make_node(), make_shape(cpu=4001), Code.INSUFFICIENT),
        (make_node(), make_shape(fpga=1), Code.INSUFFICIENT),
        (make_node(ports_used=frozenset({("TCP", 80)})), make_shape(ports=(80,)), Code.PORT_TAKEN),
        (make_node(port_range=(31000, 31000)), make_shape(ports=(None, None)), Code.NO_FREE_PORT),
    ],
)
def test_each_filter_says_why_a_node_does_not_fit(node: NodeView, shape: Shape, code: Code) -> None:
    reason = reason_of(shape, node)
    assert reason is not None
    assert reason.code is code
    assert run([node], [make_pending(shape=shape)]).placed == ()


@pytest.mark.parametrize(
    ("node", "shape"),
    [
        (make_node(), make_shape(cpu=4000, memory=4096)),
        (make_node(labels={"disk": "ssd", "x": "y"}), make_shape(selector={"disk": "ssd"})),
        (make_node(ports_used=frozenset({("UDP", 80)})), make_shape(ports=(80,))),
        (make_node(used_cpu=5000), make_shape(cpu=0)),
        (make_node(taints=(Taint(key="a", effect="PreferNoSchedule"),)), make_shape()),
        (make_node(port_range=(31000, 31001)), make_shape(ports=(31000, None))),
    ],
)
def test_what_fits_fits(node: NodeView, shape: Shape) -> None:
    assert reason_of(shape, node) is None
    assert nodes_of(run([node], [make_pending(shape=shape)])) == {"t": "n1"}


@pytest.mark.parametrize(
    ("toleration", "fits"),
    [
        (Toleration(key="gpu", value="yes"), True),
        (Toleration(key="gpu", value="no"), False),
        (Toleration(key="other", value="yes"), False),
        (Toleration(key="gpu", operator="Exists"), True),
        (Toleration(operator="Exists"), True),
        (Toleration(key="gpu", operator="Exists", effect="PreferNoSchedule"), False),
        (Toleration(key="gpu", value="yes", effect="NoSchedule"), True),
    ],
)
def test_tolerations_follow_kubernetes_rules(toleration: Toleration, fits: bool) -> None:
    reason = reason_of(make_shape(tolerations=(toleration,)), make_node(taints=(TAINT,)))
    assert (reason is None) == fits


def test_a_shortage_says_of_what_and_by_how_much() -> None:
    assert reason_of(make_shape(cpu=3000), make_node(used_cpu=2000)) == Reason(
        Code.INSUFFICIENT, resource="cpu", short_by=1000
    )


def test_devices_count_by_their_free_ids_too() -> None:
    node = make_node(extra={"gpu": 2}, devices_free={"gpu": ("1",)})
    assert reason_of(make_shape(gpu=2), node) == Reason(Code.INSUFFICIENT, resource="gpu", short_by=1)


def test_every_code_has_a_cure() -> None:
    assert set(CURES) == set(Code)
    assert all(CURES.values())


# Order and choice


def test_higher_priority_goes_first_then_the_older() -> None:
    tasks = [
        make_pending("young", age=9),
        make_pending("old", age=2),
        make_pending("vip", age=30, priority=5),
    ]
    assert [task.ref.name for task in in_order(tuple(tasks))] == ["vip", "old", "young"]
    decisions = run([make_node(cpu=1000)], tasks)
    assert nodes_of(decisions) == {"vip": "n1"}


def test_a_smaller_task_goes_on_when_one_before_it_does_not_fit() -> None:
    tasks = [make_pending("big", make_shape(cpu=9000), age=1), make_pending("small", age=2)]
    assert nodes_of(run([make_node()], tasks)) == {"small": "n1"}


def test_binpack_fills_the_fuller_node_and_spread_the_emptier() -> None:
    nodes = [make_node("full", used_cpu=2000), make_node("empty")]
    assert nodes_of(run(nodes, [make_pending()], BINPACK)) == {"t": "full"}
    assert nodes_of(run(nodes, [make_pending()], SPREAD)) == {"t": "empty"}


def test_spread_deals_equal_tasks_out_evenly() -> None:
    tasks = [make_pending(f"t{index}", age=index) for index in range(4)]
    found = list(nodes_of(run([make_node("a"), make_node("b")], tasks, SPREAD)).values())
    assert sorted(found) == ["a", "a", "b", "b"]


@pytest.mark.parametrize("policy", [BINPACK, SPREAD])
def test_a_soft_taint_is_avoided_while_another_node_fits(policy: Policy) -> None:
    soft = (Taint(key="old", effect="PreferNoSchedule"),)
    nodes = [make_node("soft", taints=soft, used_cpu=1000), make_node("clean")]
    assert nodes_of(run(nodes, [make_pending()], policy)) == {"t": "clean"}
    assert nodes_of(run(nodes[:1], [make_pending()], policy)) == {"t": "soft"}
    tolerant = make_pending(shape=make_shape(tolerations=(Toleration(operator="Exists"),)))
    assert nodes_of(run(nodes, [tolerant], BINPACK)) == {"t": "soft"}


def test_a_replaced_task_returns_to_its_node_if_it_fits_there() -> None:
    nodes = [make_node("a", used_cpu=3000), make_node("b")]
    assert nodes_of(run(nodes, [make_pending(previous_node="b")])) == {"t": "b"}
    nodes[1] = make_node("b", cordoned=True)
    assert nodes_of(run(nodes, [make_pending(previous_node="b")])) == {"t": "a"}


def test_a_node_that_still_ends_an_older_copy_is_left_out() -> None:
    ending = make_pending(previous_node="a", ending_on=frozenset({"a"}))
    assert nodes_of(run([make_node("a"), make_node("b")], [ending])) == {"t": "b"}
    decisions = run([make_node("a")], [ending, make_pending("other", age=2)])
    assert decisions.unschedulable[0].reasons["a"].code is Code.OLD_COPY_ENDING
    assert nodes_of(decisions) == {"other": "a"}


def test_ties_are_broken_by_the_seed_alone() -> None:
    nodes = [make_node(f"n{index}") for index in range(8)]
    by_seed = [nodes_of(run(nodes, [make_pending()], seed=seed))["t"] for seed in range(20)]
    assert by_seed == [nodes_of(run(nodes[::-1], [make_pending()], seed=seed))["t"] for seed in range(20)]
    assert len(set(by_seed)) > 3


# Grants


def test_ports_are_granted_as_asked_or_from_the_range_without_the_taken_ones() -> None:
    node = make_node(ports_used=frozenset({("TCP", 31000)}))
    (placed,) = run([node], [make_pending(shape=make_shape(ports=(None, 31001, None)))]).placed
    by_container_port = {port.container_port: port.host_port for port in placed.grants.ports}
    assert by_container_port == {80: 31002, 81: 31001, 82: 31003}


def test_gpu_ids_are_granted_once() -> None:
    node = make_node(extra={"gpu": 3}, devices_free={"gpu": ("0", "1", "2")})
    tasks = [make_pending(f"t{index}", make_shape(gpu=1, cpu=1), age=index) for index in range(4)]
    decisions = run([node], tasks)
    assert [placed.grants.devices["gpu"] for placed in decisions.placed] == [("0",), ("1",), ("2",)]
    assert decisions.unschedulable[0].reasons["n1"].resource == "gpu"


# Reasons in words


def test_the_summary_counts_every_node_once() -> None:
    reasons = {
        "a": Reason(Code.INSUFFICIENT, resource="cpu", short_by=500),
        "b": Reason(Code.INSUFFICIENT, resource="cpu", short_by=200),
        "c": Reason(Code.NODE_CORDONED),
    }
    assert summarize(reasons) == "0 of 3 nodes fit: 2 short of cpu by 200m or more, 1 cordoned"


def test_without_nodes_the_summary_says_what_to_do() -> None:
    assert "berth agent" in summarize({})


# Against the naive reference

SELECTORS = st.sampled_from([{}, {}, {"disk": "ssd"}])
TOLERATIONS = st.sampled_from([(), (Toleration(operator="Exists"),)])
SHAPES = st.builds(
    lambda cpu, memory, ports, gpu, selector, tolerations: make_shape(
        cpu, memory, ports=ports, selector=selector, tolerations=tolerations, **({"gpu": gpu} if gpu else {})
    ),
    st.integers(0, 4).map(lambda n: n * 500),
    st.integers(0, 4).map(lambda n: n * 512),
    st.sampled_from([(), (), (None,), (31001,), (80,), (None, 31000)]),
    st.sampled_from([0, 0, 1, 2]),
    SELECTORS,
    TOLERATIONS,
)
FEW_SHAPES = st.lists(SHAPES, min_size=1, max_size=3)
NODES = st.builds(
    lambda cpu, used, gpus, labels, taints, ready, ports: {
        "cpu": cpu,
        "used_cpu": used,
        "extra": {"gpu": gpus},
        "devices_free": {"gpu": tuple(map(str, range(gpus)))},
        "labels": labels,
        "taints": taints,
        "ready": ready,
        "ports_used": ports,
    },
    st.integers(1, 8).map(lambda n: n * 500),
    st.integers(0, 3).map(lambda n: n * 500),
    st.integers(0, 3),
    SELECTORS,
    st.sampled_from([(), (), (TAINT,), (Taint(key="s", effect="PreferNoSchedule"),)]),
    st.sampled_from([True, True, True, False]),
    st.sampled_from([frozenset(), frozenset({("TCP", 31001)})]),
)
TASKS = st.lists(
    st.tuples(
        st.integers(0, 2),
        st.sampled_from([0, 0, 7]),
        st.sampled_from(["", "", "n0", "n1"]),
        st.sampled_from([frozenset(), frozenset(), frozenset({"n0"})]),
    ),
    min_size=1,
    max_size=14,
)


@st.composite
def snapshots(draw: Any) -> Snapshot:
    nodes = [
        make_node(f"n{index}", **values) for index, values in enumerate(draw(st.lists(NODES, max_size=6)))
    ]
    shapes = draw(FEW_SHAPES)
    tasks = [
        make_pending(
            f"t{age}",
            shapes[which % len(shapes)],
            priority=priority,
            age=age,
            previous_node=previous,
            ending_on=ending,
        )
        for age, (which, priority, previous, ending) in enumerate(draw(TASKS))
    ]
    return Snapshot(tuple(nodes), tuple(tasks))


def naive(snapshot: Snapshot, policy: Policy, seed: int) -> Decisions:
    """The definition: each task in order goes to the best of all nodes that fit it now."""
    rooms = {view.name: Room.of(view) for view in snapshot.nodes}
    placed, unschedulable = [], []
    for task in in_order(snapshot.pending):
        reasons = {name: first_reason(task.shape, room) for name, room in rooms.items()}
        reasons |= {name: Reason(Code.OLD_COPY_ENDING) for name in task.ending_on if name in rooms}
        fitting = [name for name, reason in reasons.items() if reason is None]
        if not fitting:
            unschedulable.append(Unschedulable(task, {name: why for name, why in reasons.items() if why}))
            continue

        def rank(name: str, shape: Shape = task.shape) -> tuple[float, int]:
            return -score(shape, rooms[name], policy.strategy), zlib.crc32(f"{seed}/{name}".encode())

        best = task.previous_node if task.previous_node in fitting else min(fitting, key=rank)
        placed.append(Placed(task, best, rooms[best].take(task.shape)))
    return Decisions(tuple(placed), tuple(unschedulable))


CASES = (snapshots(), st.sampled_from([BINPACK, SPREAD]), st.integers(0, 5))


@settings(max_examples=200, deadline=None)
@given(*CASES)
def test_one_heap_a_shape_answers_as_scoring_all_nodes_for_each_task_does(
    snapshot: Snapshot, policy: Policy, seed: int
) -> None:
    found = schedule(snapshot, policy, 0.0, seed)
    event(f"placed {len(found.placed) // 3 * 3}+")
    assert found == naive(snapshot, policy, seed)
    assert found == schedule(snapshot, policy, 0.0, seed), "the same input gives the same decisions"


@settings(max_examples=200, deadline=None)
@given(*CASES)
def test_no_node_is_filled_over_its_free_room_and_nothing_is_granted_twice(
    snapshot: Snapshot, policy: Policy, seed: int
) -> None:
    decisions = schedule(snapshot, policy, 0.0, seed)
    assert len(decisions.placed) + len(decisions.unschedulable) == len(snapshot.pending)
    for node in snapshot.nodes:
        here = [placed for placed in decisions.placed if placed.node == node.name]
        for name in {name for placed in here for name, amount in placed.grants.resources.items() if amount}:
            assert sum(placed.grants.resources.get(name, 0) for placed in here) <= node.free.get(name, 0)
        ports = [(port.protocol, port.host_port) for placed in here for port in placed.grants.ports]
        assert len(ports) == len(set(ports) - node.ports_used)
        gpus = [gpu for placed in here for gpu in placed.grants.devices.get("gpu", ())]
        assert len(gpus) == len(set(gpus))
        assert set(gpus) <= set(node.devices_free["gpu"])
    for placed in decisions.placed:
        asked = dict(placed.task.shape.requests).get("gpu", 0)
        assert len(placed.grants.devices.get("gpu", ())) == asked
        assert len(placed.grants.ports) == len(placed.task.shape.ports)


@settings(max_examples=100, deadline=None)
@given(*CASES)
def test_reasons_add_up_to_the_number_of_nodes(snapshot: Snapshot, policy: Policy, seed: int) -> None:
    for rejected in schedule(snapshot, policy, 0.0, seed).unschedulable:
        assert set(rejected.reasons) == {node.name for node in snapshot.nodes}
        text = summarize(rejected.reasons)
        counts = [int(part.split()[0]) for part in text.partition("fit: ")[2].split(", ") if part]
        assert sum(counts) == len(snapshot.nodes)


@pytest.mark.parametrize("strategy", sorted(SCORES))
@settings(max_examples=100, deadline=None)
@given(node=NODES, shape=SHAPES)
def test_each_score_is_between_0_and_1(strategy: str, node: dict[str, Any], shape: Shape) -> None:
    room = Room.of(make_node(**node))
    for function, _ in SCORES[strategy]:  # type: ignore[index]
        assert 0.0 <= function(shape, room) <= 1.0


def test_an_overfull_node_takes_nothing_more() -> None:
    shrunk = replace(make_node(), free={"cpu": -500, "memory": 4096})
    assert run([shrunk], [make_pending()]).placed == ()
    assert len(FILTERS) == len({check.__name__ for check in FILTERS})
