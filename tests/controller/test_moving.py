"""Tasks that are moved: they arrive where they are meant to, whoever leads; and what is moved only by its budget."""

from typing import Any

import pytest

from controller import repacking
from controller.answers import BadQuestion
from controller.scheduler.program import Limits
from controller.scheduler.rebalance import Request
from controller.snapshots import Asked
from schemas.binding import Desired
from schemas.keys import task_ref
from schemas.request import EvictRequest
from tests.controller.harness import Cluster

LIMITS = Limits(1e9, 1000)
DAY_S = 86_400.0


@pytest.fixture
def world() -> Cluster:
    cluster = Cluster()
    cluster.apply("default", kind="Namespace", queues=["*"])
    for number in range(3):
        cluster.add_node(f"n{number}")
    cluster.settle()
    return cluster


def apply(world: Cluster, name: str, cpu: str = "1", node: str = "", **spec: Any) -> None:
    """Apply a task that is to stand on a node, by cordoning the others for a moment."""
    others = [each for each in world.agents if node and each != node]
    for other in others:
        world.apply(other, kind="Node", unschedulable=True)
    world.settle()
    labels = {"app": name.rstrip("0123456789")}
    spec = {
        "containers": [{"name": "main", "image": "demo", "resources": {"requests": {"cpu": cpu}}}],
        **spec,
    }
    metadata = {"name": name, "namespace": "default", "uid": f"uid-of-{name}", "labels": labels}
    raw = {"apiVersion": "berth/v1", "kind": "Task", "metadata": metadata, "spec": spec}
    world.put(world.keys.spec(task_ref("default", name)), raw)
    world.settle()
    for other in others:
        world.apply(other, kind="Node")
    world.settle()


def budget(world: Cluster, app: str, least: int) -> None:
    spec = {"selector": {"matchLabels": {"app": app}}, "minAvailable": least}
    metadata = {"name": f"guard-{app}", "namespace": "default", "uid": f"uid-of-guard-{app}"}
    raw = {"apiVersion": "berth/v1", "kind": "DisruptionBudget", "metadata": metadata, "spec": spec}
    world.put(f"/berth/spec/default/disruptionbudgets/guard-{app}", raw)
    world.settle()


def move(world: Cluster, name: str, to: str) -> None:
    binding = world.binding(name)
    wish = EvictRequest(uid=binding.task_uid, binding_uid=binding.binding_uid, to=to)
    world.put(world.keys.request(task_ref("default", name), "evict"), wish.to_json())


def nodes_of(world: Cluster) -> dict[str, str]:
    return {each.name: each.node for each in world.bindings() if each.desired is Desired.RUN}


def planned(world: Cluster, **more: Any) -> dict[str, Any]:
    term = world.leader.term
    assert term is not None
    frozen = term.freeze(Asked(everywhere=True), world.now, 0)
    return repacking.rebalance_plan(frozen, repacking.Asked(Request(**more), LIMITS), None)


@pytest.mark.parametrize(
    "asked", [{"minGain": "nan"}, {"minGain": "-1"}, {"maxMoves": "-1"}, {"seconds": "1e9"}, {"aim": "best"}]
)
def test_a_question_that_makes_no_sense_is_refused(asked: dict[str, str]) -> None:
    with pytest.raises(BadQuestion, match="can't be read"):
        repacking.parse_asked(asked)


def test_moved_task_arrives_where_it_was_meant_to(world: Cluster) -> None:
    apply(world, "web", node="n0")
    move(world, "web", "n2")
    world.settle()
    assert nodes_of(world) == {"web": "n2"}
    assert not world.exists(world.keys.request(task_ref("default", "web"), "evict"))
    status = world.task_status("web")
    assert status is not None
    assert status.nominated == "", "the promise goes with the binding"


def test_without_a_target_it_comes_back_to_where_its_images_are(world: Cluster) -> None:
    apply(world, "web", node="n0")
    move(world, "web", "")
    world.settle()
    assert nodes_of(world) == {"web": "n0"}


@pytest.mark.parametrize("target", ["n1", "n9"])
def test_where_it_does_not_fit_any_more_it_goes_elsewhere(world: Cluster, target: str) -> None:
    apply(world, "web", node="n0")
    apply(world, "full", "4", node="n1")
    move(world, "web", target)
    world.settle()
    assert nodes_of(world)["web"] in ("n0", "n2")


def test_new_leader_knows_where_a_task_was_to_go(world: Cluster) -> None:
    apply(world, "web", node="n0")
    world.agents["n0"].finals = False
    move(world, "web", "n2")
    world.settle()
    assert world.binding("web").desired is Desired.STOP
    world.controllers.append(world.new_controller("c2"))
    world.crash_controller()
    world.advance(30)
    world.agents["n0"].finals = True
    world.settle()
    assert nodes_of(world) == {"web": "n2"}


def test_room_at_the_target_is_kept_until_the_task_is_there(world: Cluster) -> None:
    """Others that wait do not get it between the end of the old copy and the new binding."""
    apply(world, "web", "3", node="n0")
    for number in range(1, 3):
        apply(world, f"other{number}", "1", node=f"n{number}")
    apply(world, "big", "4")
    move(world, "web", "n2")
    world.settle()
    assert nodes_of(world)["web"] == "n2"
    assert nodes_of(world)["big"] == "n0"


def test_plan_moves_what_may_move_and_names_what_stays(world: Cluster) -> None:
    apply(world, "a", "2", node="n0", rebalance="never")
    apply(world, "b", "1", node="n1")
    found = planned(world)
    assert [(each["task"]["name"], each["from"], each["to"]) for each in found["moves"]] == [
        ("b", "n1", "n0")
    ]
    assert [(each["task"]["name"], each["reason"]) for each in found["stays"]] == [("a", "rebalance: never")]
    assert found["moves"][0]["bindingUid"] == world.binding("b").binding_uid


def test_what_could_be_emptied_tells_which_empty_nodes_that_would_fill(world: Cluster) -> None:
    for number in range(2):
        apply(world, f"web{number}", "3", node=f"n{number}")
    world.add_node("roomy", cpu="8")
    world.settle()
    term = world.leader.term
    assert term is not None
    frozen = term.freeze(Asked(everywhere=True), world.now, 0)
    found = repacking.consolidate_plan(frozen, repacking.Asked(Request(), LIMITS), None)
    told = {each["node"]: (each["state"], each["leaving"], each["arriving"]) for each in found["nodes"]}
    assert told == {
        "n0": ("Emptied", 1, 0),
        "n1": ("Emptied", 1, 0),
        "n2": ("Empty", 0, 0),
        "roomy": ("Filled", 0, 2),
    }


def test_what_a_budget_can_never_spare_stays(world: Cluster) -> None:
    apply(world, "a", "2", node="n0", rebalance="never")
    apply(world, "b", "1", node="n1")
    budget(world, "b", 1)
    found = planned(world)
    assert found["moves"] == []
    reasons = {each["task"]["name"]: each["reason"] for each in found["stays"]}
    assert reasons["b"] == "budget guard-b: 1 of 1 available, needs 1"


def test_what_a_budget_spares_one_by_one_may_move_and_is_moved_one_by_one(world: Cluster) -> None:
    apply(world, "a", "2", node="n0", rebalance="never")
    apply(world, "b1", "1", node="n1")
    apply(world, "b2", "1", node="n2")
    budget(world, "b", 1)
    found = planned(world)
    assert {each["task"]["name"] for each in found["moves"]} == {"b1", "b2"}
    least = 2
    for each in found["moves"]:
        move(world, each["task"]["name"], each["to"])
    for _ in range(60):
        running = [name for name in ("b1", "b2") for agent in world.agents.values() if name in agent.running]
        least = min(least, len(running))
        world.step(0.5)
    assert nodes_of(world) == {"a": "n0", "b1": "n0", "b2": "n0"}
    assert least == 1


def test_nothing_is_moved_off_a_node_that_does_not_answer(world: Cluster) -> None:
    apply(world, "a", "2", node="n0", rebalance="never")
    apply(world, "b", "1", node="n1", unreachable={"rescheduleAfter": "never"})
    world.agents["n1"].die()
    world.advance(40)
    found = planned(world)
    assert found["moves"] == []
    assert {each["task"]["name"]: each["reason"] for each in found["stays"]}[
        "b"
    ] == "its node does not answer"


def test_tasks_of_other_namespaces_are_neither_moved_nor_named(world: Cluster) -> None:
    apply(world, "a", "2", node="n0")
    apply(world, "b", "1", node="n1")
    term = world.leader.term
    assert term is not None
    frozen = term.freeze(Asked(everywhere=True), world.now, 0)
    found = repacking.rebalance_plan(frozen, repacking.Asked(Request(), LIMITS), frozenset({"team"}))
    assert found["moves"] == []
    assert {each["task"]["name"] for each in found["stays"]} == {None}
