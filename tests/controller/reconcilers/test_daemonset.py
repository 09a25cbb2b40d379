"""The planner of DaemonSets, alone."""

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from controller.reconcilers.daemonset import plan_daemonset
from controller.reconcilers.plan import Plan
from schemas.meta import find_condition
from schemas.node import Taint
from schemas.workload import DaemonSet
from tests.controller.reconcilers.world import World, changed, node_view, template_of

GPU = Taint(key="gpu", value="yes", effect="NoSchedule")


def daemonset(nodes: int = 3, **spec: Any) -> World:
    world = World(DaemonSet, "daemonsets", {"template": template_of("demo:1"), **spec})
    world.nodes = {f"n{number}": node_view(f"n{number}") for number in range(nodes)}
    return world


def running(nodes: int = 3, **spec: Any) -> World:
    world = daemonset(nodes, **spec)
    world.settle(plan_daemonset)
    return world


def step(world: World) -> Plan:
    found = plan_daemonset(world.inputs(), world.now)
    world.apply(found)
    return found


def nodes_of(world: World) -> list[str]:
    return sorted(task.node_name or "" for task in world.live)


def test_every_fitting_node_gets_one_task_that_is_named_after_it() -> None:
    world = running(3)
    assert sorted(world.tasks) == ["web-1-n0", "web-1-n1", "web-1-n2"]
    status = world.status
    assert (status.desired, status.current, status.ready, status.available) == (3, 3, 3, 3)
    assert plan_daemonset(world.inputs(), world.now).intents == ()


def test_cordoned_node_gets_one_too() -> None:
    world = daemonset(1)
    taint = Taint(key="berth/unschedulable", effect="NoSchedule")
    world.nodes["n0"] = changed(world.nodes["n0"], cordoned=True, taints=(taint,))
    step(world)
    assert nodes_of(world) == ["n0"]


def test_tainted_and_unlabelled_nodes_are_left_out_and_full_ones_are_not() -> None:
    world = daemonset(3, template=template_of("demo:1", nodeSelector={"disk": "ssd"}))
    for name in ("n0", "n1"):
        world.nodes[name] = changed(world.nodes[name], labels={"disk": "ssd"}, free={"cpu": -1})
    world.nodes["n1"] = changed(world.nodes["n1"], taints=(GPU,))
    step(world)
    assert nodes_of(world) == ["n0"]


def test_node_that_comes_later_gets_one_and_the_task_of_a_node_that_goes_is_removed() -> None:
    world = running(2)
    world.nodes["n9"] = node_view("n9")
    del world.nodes["n0"]
    world.settle(plan_daemonset)
    assert nodes_of(world) == ["n1", "n9"]


def test_task_stays_through_a_taint_and_leaves_with_the_label() -> None:
    world = daemonset(1, template=template_of("demo:1", nodeSelector={"disk": "ssd"}))
    world.nodes["n0"] = changed(world.nodes["n0"], labels={"disk": "ssd"})
    world.settle(plan_daemonset)
    world.nodes["n0"] = changed(world.nodes["n0"], taints=(GPU,))
    world.settle(plan_daemonset)
    assert (nodes_of(world), world.status.misscheduled, world.status.desired) == (["n0"], 1, 0)
    world.nodes["n0"] = changed(world.nodes["n0"], labels={})
    world.settle(plan_daemonset)
    assert nodes_of(world) == []


def test_node_that_can_not_be_read_keeps_what_it_has() -> None:
    world = running(1)
    world.nodes["n0"] = changed(world.nodes["n0"], readable=False)
    world.settle(plan_daemonset)
    assert nodes_of(world) == ["n0"]


def test_rolling_update_takes_one_node_at_a_time_and_waits_until_the_old_task_ended() -> None:
    world = running(3)
    world.set_image("demo:2")
    step(world)
    assert len(world.live) == 2
    step(world)
    assert len(world.live) == 2
    world.end("web-1-n0")
    step(world)
    assert {task.name for task in world.live} == {"web-2-n0", "web-1-n1", "web-1-n2"}
    step(world)
    assert len(world.live) == 3
    world.make_ready("web-2-n0")
    step(world)
    assert len(world.live) == 2
    world.settle(plan_daemonset)
    assert sorted(world.tasks) == ["web-2-n0", "web-2-n1", "web-2-n2"]
    assert world.status.updated == 3


def test_old_task_that_is_not_available_goes_without_counting() -> None:
    world = running(3)
    world.tasks["web-1-n2"].ready_at = None
    world.set_image("demo:2")
    step(world)
    assert nodes_of(world) == ["n0", "n1"]


def test_on_delete_waits_for_a_person() -> None:
    world = running(2, updateStrategy={"type": "OnDelete"})
    world.set_image("demo:2")
    world.settle(plan_daemonset)
    assert {task.revision for task in world.live} == {1}
    world.tasks["web-1-n0"].is_deleted = True
    world.settle(plan_daemonset)
    assert sorted(world.tasks) == ["web-1-n1", "web-2-n0"]


def test_of_two_tasks_on_a_node_the_newer_goes() -> None:
    world = running(2)
    world.tasks["web-1-n1"].node_name = "n0"
    world.settle(plan_daemonset)
    assert "web-1-n0" in world.tasks
    assert "web-1-n1" not in world.tasks
    assert nodes_of(world) == ["n0", "n1"]


def test_lost_task_is_replaced_under_its_name() -> None:
    world = running(1)
    world.tasks["web-1-n0"].is_lost = True
    world.tasks["web-1-n0"].is_running = False
    world.tasks["web-1-n0"].ready_at = None
    world.settle(plan_daemonset)
    assert sorted(world.tasks) == ["web-1-n0"]
    assert not world.tasks["web-1-n0"].is_lost


def test_denied_template_makes_nothing_and_says_why() -> None:
    world = daemonset(2)
    world.denied = ("no such queue",)
    step(world)
    assert (world.tasks, world.revisions) == ({}, {})
    found = find_condition(world.status.conditions, "ReplicaFailure")
    assert found is not None
    assert found.message == "no such queue"


def test_hundred_nodes_come_in_groups() -> None:
    world = running(100)
    assert len(world.live) == 100


def test_deletion_ends_clean() -> None:
    world = running(3)
    world.set_image("demo:2")
    step(world)
    world.ask_delete(cascade="foreground")
    world.settle(plan_daemonset)
    assert (world.is_there, world.tasks, world.revisions, world.status) == (False, {}, {}, None)


ACTIONS = st.tuples(
    st.sampled_from(
        ["plan", "plan", "ready", "end", "lose", "delete", "image", "taint", "gone", "down", "bound"]
    ),
    st.integers(0, 20),
)


def _happen(world: World, kind: str, what: int) -> None:
    node = f"n{what % 4}"
    name = sorted(world.tasks)[what % len(world.tasks)] if world.tasks else ""
    match kind:
        case "plan":
            _plan(world)
        case "image":
            world.set_image(f"demo:{what % 3}")
        case "bound":
            world.edit(
                updateStrategy={"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 1 + what % 3}}
            )
        case "taint" if node in world.nodes:
            world.nodes[node] = changed(world.nodes[node], taints=() if what % 2 else (GPU,))
        case "down" if node in world.nodes:
            world.nodes[node] = changed(world.nodes[node], ready=bool(what % 2))
        case "gone":
            if world.nodes.pop(node, None) is None:
                world.nodes[node] = node_view(node)
        case "ready" if name:
            world.make_ready(name)
        case "end" if name:
            world.end(name)
        case "lose" if name and world.tasks[name].owned:
            task = world.tasks[name]
            task.is_lost, task.is_running, task.ready_at = True, False, None
        case "delete" if name and world.tasks[name].owned:
            task = world.tasks[name]
            task.is_deleted, task.is_told_to_stop, task.ready_at = True, task.is_running, None


def _plan(world: World) -> None:
    """A plan never takes more nodes out of service than it may, nor gives a node a second task."""
    fitting = {name for name, view in world.nodes.items() if not view.taints}
    strategy = world.spec.get("updateStrategy", {}).get("rollingUpdate", {"maxUnavailable": 1})
    before = _serving(world, fitting)
    had = {each.node_name for each in world.tasks.values()}
    made_before = set(world.tasks)
    world.apply(plan_daemonset(world.inputs(), world.now))
    assert _serving(world, fitting) >= min(before, len(fitting) - strategy["maxUnavailable"])
    made = [world.tasks[name].node_name for name in set(world.tasks) - made_before]
    assert len(made) == len(set(made))
    assert not had & set(made)


def _serving(world: World, fitting: set[str]) -> int:
    up = {name for name in fitting if world.nodes[name].ready}
    return len({each.node_name for each in world.live if each.ready_at is not None and each.node_name in up})


@settings(max_examples=80, deadline=None)
@given(st.lists(ACTIONS, max_size=30))
def test_any_order_of_failures_and_edits_converges_to_one_task_a_node(story: list[tuple[str, int]]) -> None:
    world = daemonset(4)
    for kind, what in story:
        _happen(world, kind, what)
    world.nodes = {name: changed(view, ready=True, taints=()) for name, view in world.nodes.items()}
    world.settle(plan_daemonset)
    assert nodes_of(world) == sorted(world.nodes)
    assert len({task.hash for task in world.live}) <= 1
    assert plan_daemonset(world.inputs(), world.now).intents == ()
