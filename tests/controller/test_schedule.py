"""The scheduler by behaviour: filters, order, choice, grants, and what is said of those that wait."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from controller.scheduler.fairness import QueueRule
from controller.scheduler.fleet import Fleet
from controller.scheduler.node_view import NodeView, Standing
from controller.scheduler.order import in_order
from controller.scheduler.reasons import CURES, PHRASES, QUEUE_PHRASES, Code
from controller.scheduler.rejection import Group, Rejection, rejection_of, summarize
from controller.scheduler.schedule import Decisions, Policy, Unschedulable, schedule
from controller.scheduler.shape import ANYWHERE, Place, PortAsk, Shape
from controller.scheduler.snapshot import Snapshot, TaskView
from controller.scheduler.work import Work
from schemas.keys import task_ref
from schemas.node import Taint
from schemas.task import Toleration

BINPACK, SPREAD = Policy("binpack"), Policy("spread")
DEFAULT = QueueRule("default")


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
    place = Place(selector=tuple(sorted((selector or {}).items())), tolerations=tolerations)
    return Shape(tuple(sorted(requests.items())), asks, place)


def make_pending(
    name: str = "t", shape: Shape | None = None, *, priority: int = 0, age: int = 1, **more: Any
) -> TaskView:
    return TaskView(task_ref("default", name), f"uid-{name}", shape or make_shape(), priority, age, **more)


def run(
    nodes: list[NodeView],
    tasks: list[TaskView],
    policy: Policy = BINPACK,
    seed: int = 1,
    standing: tuple[Standing, ...] = (),
    **more: Any,
) -> Decisions:
    snapshot = Snapshot(Fleet(nodes, standing), tuple(tasks), more.pop("queues", (DEFAULT,)), **more)
    return schedule(snapshot, policy, 0.0, seed)


def nodes_of(decisions: Decisions) -> dict[str, str]:
    return {placed.task.ref.name: placed.node for placed in decisions.placed}


def reason_of(shape: Shape, node: NodeView) -> Group | None:
    """Return why a shape does not fit one node, None if it fits."""
    groups = rejection_of(shape, Work.of(Fleet([node]))).groups
    return groups[0] if groups else None


def only(decisions: Decisions) -> Unschedulable:
    (found,) = decisions.unschedulable
    return found


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
        (make_node(), Shape((), place=Place(node_name="n2")), Code.NO_SUCH_NODE),
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
    expected = Group(Code.INSUFFICIENT, ("n1",), resource="cpu", least_short=1000)
    assert reason_of(make_shape(cpu=3000), make_node(used_cpu=2000)) == expected


def test_devices_count_by_their_free_ids_too() -> None:
    node = make_node(extra={"gpu": 2}, devices_free={"gpu": ("1",)})
    expected = Group(Code.INSUFFICIENT, ("n1",), resource="gpu", least_short=1)
    assert reason_of(make_shape(gpu=2), node) == expected


def test_every_code_has_a_cure_and_words() -> None:
    assert set(CURES) == set(Code)
    assert all(CURES.values())
    assert PHRASES.keys() | QUEUE_PHRASES.keys() == set(Code) - {Code.INSUFFICIENT, Code.NO_NODES}


# Order and choice


def test_higher_priority_goes_first_then_the_older() -> None:
    tasks = [
        make_pending("young", age=9),
        make_pending("old", age=2),
        make_pending("vip", age=30, priority=5),
    ]
    assert [task.ref.name for task in in_order(tasks, DEFAULT, 0.0)] == ["vip", "old", "young"]
    assert nodes_of(run([make_node(cpu=1000)], tasks)) == {"vip": "n1"}


def test_a_smaller_task_goes_on_when_one_before_it_does_not_fit() -> None:
    tasks = [make_pending("big", make_shape(cpu=9000), age=1), make_pending("small", age=2)]
    assert nodes_of(run([make_node()], tasks)) == {"small": "n1"}


def test_binpack_fills_the_fuller_node_and_spread_the_emptier() -> None:
    nodes = [make_node("full", used_cpu=2000), make_node("empty")]
    assert nodes_of(run(nodes, [make_pending()], BINPACK)) == {"t": "full"}
    assert nodes_of(run(nodes, [make_pending()], SPREAD)) == {"t": "empty"}


def test_a_queue_that_asks_for_what_a_later_version_knows_is_packed() -> None:
    nodes = [make_node("full", used_cpu=2000), make_node("empty")]
    later = (QueueRule("default", strategy="later"),)
    assert nodes_of(run(nodes, [make_pending()], SPREAD, queues=later)) == {"t": "full"}


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
    assert only(decisions).rejection.groups == (Group(Code.OLD_COPY_ENDING, ("a",)),)
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
    assert [port.host_port for port in placed.grants.ports] == [31002, 31001, 31003]
    assert [port.container_port for port in placed.grants.ports] == [80, 81, 82]


def test_no_port_is_granted_twice() -> None:
    tasks = [make_pending(f"t{index}", make_shape(ports=(None, None)), age=index) for index in range(3)]
    decisions = run([make_node()], tasks)
    ports = [port.host_port for placed in decisions.placed for port in placed.grants.ports]
    assert sorted(ports) == [31000, 31001, 31002, 31003]
    assert only(decisions).rejection.groups[0].code is Code.NO_FREE_PORT


def test_devices_are_granted_by_id_and_no_id_twice() -> None:
    node = make_node(extra={"gpu": 3}, devices_free={"gpu": ("0", "1", "2")})
    tasks = [make_pending(f"t{index}", make_shape(gpu=1, cpu=1), age=index) for index in range(4)]
    decisions = run([node], tasks)
    assert [placed.grants.devices["gpu"] for placed in decisions.placed] == [("0",), ("1",), ("2",)]
    assert only(decisions).rejection.groups[0].resource == "gpu"


# Room that is made


def standing(uid: str, node: str = "n1", cpu: int = 4000, **more: Any) -> Standing:
    return Standing(uid, task_ref("default", uid), node, "default", 0, (("cpu", cpu),), **more)


def test_a_task_of_higher_priority_takes_the_place_of_a_lower_one() -> None:
    decisions = run([make_node(used_cpu=4000)], [make_pending(priority=5)], standing=(standing("low"),))
    assert [(victim.uid, victim.node) for victim in decisions.victims] == [("low", "n1")]
    assert only(decisions).nominated == "n1"


def test_a_task_for_which_somebody_is_ending_waits_and_takes_no_more() -> None:
    nodes = [make_node("n1", used_cpu=4000), make_node("n2", used_cpu=4000)]
    there = (standing("going", "n1", is_ending=True), standing("low", "n2"))
    decisions = run(nodes, [make_pending(priority=5)], standing=there, nominated={"uid-t": "n1"})
    assert decisions.victims == ()
    assert only(decisions).nominated == "n1"


def test_room_that_was_made_for_a_task_is_no_others() -> None:
    tasks = [
        make_pending("older", age=1, shape=make_shape(3000)),
        make_pending("vip", make_shape(3000), age=2),
    ]
    decisions = run([make_node()], tasks, nominated={"uid-vip": "n1"})
    assert nodes_of(decisions) == {"vip": "n1"}


def test_an_equal_task_with_a_promise_goes_where_room_was_made_and_leaves_the_rest_to_the_others() -> None:
    """Of equal tasks that come together, the promised one would do as well elsewhere: then its room is another's."""
    nodes = [make_node("n1", cpu=1000), make_node("n2", cpu=1000)]
    tasks = [make_pending(f"t{number}", make_shape(1000), age=number) for number in (1, 2)]
    for promised in ("t1", "t2"):
        for node in ("n1", "n2"):
            found = nodes_of(run(nodes, tasks, nominated={f"uid-{promised}": node}))
            assert found[promised] == node
            assert set(found.values()) == {"n1", "n2"}


# Many equal tasks


def test_equal_tasks_that_fit_nowhere_are_answered_alike() -> None:
    tasks = [make_pending(f"t{index}", age=index) for index in range(30)]
    decisions = run([make_node(cpu=2500)], tasks)
    assert len(decisions.placed) == 2
    assert [each.task.ref.name for each in decisions.unschedulable] == [f"t{index}" for index in range(2, 30)]
    assert {summarize(each.rejection) for each in decisions.unschedulable} == {
        "0 of 1 nodes fit: 1 short of cpu by 500m"
    }


# Reasons in words


def test_the_summary_counts_every_node_once() -> None:
    groups = (
        Group(Code.INSUFFICIENT, ("a", "b"), resource="cpu", least_short=200),
        Group(Code.NODE_CORDONED, ("c",)),
    )
    expected = "0 of 3 nodes fit: 2 short of cpu by 200m or more, 1 cordoned"
    assert summarize(Rejection(3, groups)) == expected


def test_without_nodes_the_summary_says_what_to_do() -> None:
    assert "berth agent" in summarize(Rejection(0, ()))


def test_a_queue_at_its_limit_says_of_what_and_by_how_much() -> None:
    limited = (QueueRule("default", limit={"cpu": 1500}),)
    tasks = [make_pending(f"t{index}", age=index) for index in range(2)]
    decisions = run([make_node()], tasks, queues=limited)
    assert nodes_of(decisions) == {"t0": "n1"}
    assert summarize(only(decisions).rejection) == "its queue is at its limit: cpu would be over it by 500m"


# Whatever comes

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
    return Snapshot(Fleet(nodes), tuple(tasks))


CASES = (snapshots(), st.sampled_from([BINPACK, SPREAD]), st.integers(0, 5))


def views_of(snapshot: Snapshot) -> list[NodeView]:
    return [view for view in snapshot.fleet.views if view is not None]


@settings(max_examples=200, deadline=None)
@given(*CASES)
def test_no_node_is_filled_over_its_free_room_and_nothing_is_granted_twice(
    snapshot: Snapshot, policy: Policy, seed: int
) -> None:
    decisions = schedule(snapshot, policy, 0.0, seed)
    assert decisions == schedule(snapshot, policy, 0.0, seed), "the same input gives the same decisions"
    assert len(decisions.placed) + len(decisions.unschedulable) == len(snapshot.pending)
    for node in views_of(snapshot):
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
        names = [name for group in rejected.rejection.groups for name in group.nodes]
        assert sorted(names) == sorted(snapshot.fleet.names())
        text = summarize(rejected.rejection)
        counts = [int(part.split()[0]) for part in text.partition("fit: ")[2].split(", ") if part]
        assert sum(counts) == len(names)


def test_an_overfull_node_takes_nothing_more() -> None:
    assert run([make_node(free={"cpu": -500, "memory": 4096})], [make_pending()]).placed == ()
    assert make_shape().place == ANYWHERE
