"""Drains and evictions by the leader, over the memory store in virtual time."""

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from controller.evicting import Evicting
from controller.reconcilers.rollup import NodeHealth
from schemas.binding import Desired
from schemas.keys import ObjectRef, cluster_ref, task_ref
from schemas.meta import find_condition
from schemas.request import EvictRequest
from schemas.status import NodeStatus
from schemas.workload_status import DisruptionBudgetStatus
from store import objects
from store.codec import decode
from tests.controller.harness import Cluster

LABELS = {"app": "web"}


@pytest.fixture
def world() -> Cluster:
    return made("n1", "n2")


def made(*nodes: str) -> Cluster:
    world = Cluster()
    for name in nodes:
        world.add_node(name)
    world.settle()
    return world


def write(world: Cluster, ref: ObjectRef, kind: str, spec: dict[str, Any]) -> None:
    metadata = {"name": ref.name} | ({} if ref.plural == "nodes" else {"namespace": ref.namespace})
    key = world.keys.spec(ref)
    found = world.store.get(key).kv
    before = decode(found) if found else {}
    assert isinstance(before, dict)
    metadata = before.get("metadata", metadata)
    raw = {"apiVersion": "berth/v1", "kind": kind, "metadata": metadata, "spec": spec}
    objects.write(world.store, key, raw, expect_mod_revision=found.mod_revision if found else 0)


def deploy(world: Cluster, replicas: int, **spec: Any) -> None:
    task = {"containers": [{"name": "main", "image": "demo"}], **spec}
    template = {"metadata": {"labels": LABELS}, "spec": task}
    ref = ObjectRef("deployments", "default", "web")
    write(world, ref, "Deployment", {"replicas": replicas, "template": template})


def guard(world: Cluster, **bound: int | str) -> None:
    ref = ObjectRef("disruptionbudgets", "default", "web")
    write(world, ref, "DisruptionBudget", {"selector": {"matchLabels": LABELS}, **bound})


def drain(world: Cluster, name: str, **more: Any) -> None:
    wish = {"unschedulable": True, "drain": {"requestedAt": f"at {world.now}", **more}}
    write(world, cluster_ref("nodes", name), "Node", wish)


def drained(world: Cluster, name: str) -> tuple[str, str]:
    """Status and reason of the condition."""
    status = world.node_status(name)
    found = find_condition(status.conditions, "Drained") if status else None
    return (found.status, found.reason) if found else ("", "")


def node_status(world: Cluster, name: str) -> NodeStatus:
    status = world.node_status(name)
    assert status is not None
    return status


def running(world: Cluster) -> list[str]:
    return sorted(each.name for each in world.bindings() if each.desired is Desired.RUN)


def test_drain_moves_everything_within_the_budget(world: Cluster) -> None:
    deploy(world, 4)
    guard(world, minAvailable=3)
    world.settle()
    node = world.binding("web-1-0").node
    (other,) = world.agents.keys() - {node}
    agent = world.agents[node]
    count, agent.finals = len(agent.running), False  # what is to stop takes its time
    assert count > 1
    drain(world, node)
    world.settle()
    assert len(running(world)) == 3
    told = node_status(world, node).drain
    assert told is not None
    waits = "waits for budget web: 3 of 4 available, needs 3"
    assert sorted(each.reason for each in told.left) == ["stopping", *[waits] * (count - 1)]
    agent.finals = True
    world.until(lambda: drained(world, node)[0] == "True")
    world.settle()
    assert agent.running == []
    assert len(world.agents[other].running) == 4


def test_nobody_is_evicted_while_a_write_about_it_is_under_way(world: Cluster) -> None:
    """What comes of the write is not known, so it is neither healthy nor sick: a budget would count for nothing."""
    world.apply("alone")
    write(world, ObjectRef("disruptionbudgets", "default", "all"), "DisruptionBudget", ALL)
    world.settle()
    node = world.binding("alone").node
    drain(world, node)
    world.settle()
    evicting = Evicting(world.leader.view, {name: NodeHealth(name) for name in world.agents})
    evicting.changed([task_ref("default", "alone")])
    evicting.step(world.now, lambda _ref: True, lambda *_: None)
    assert evicting.evicted(task_ref("default", "alone")) is None


def test_drain_that_a_budget_blocks_says_who_waits_for_what_and_goes_on_when_it_may(world: Cluster) -> None:
    world.apply("alone")
    write(world, ObjectRef("disruptionbudgets", "default", "all"), "DisruptionBudget", ALL)
    world.settle()
    node = world.binding("alone").node
    drain(world, node)
    world.settle()
    (left,) = (node_status(world, node).drain or pytest.fail("nothing told")).left
    assert left.task == "default/alone"
    assert left.reason == "waits for budget all: 1 of 1 available, needs 1"
    assert world.events()["EvictionBlocked"] == 1
    world.remove(world.keys.spec(ObjectRef("disruptionbudgets", "default", "all")))
    world.until(lambda: drained(world, node)[0] == "True")


ALL = {"selector": {}, "maxUnavailable": 0}


def test_uncordon_stops_a_drain(world: Cluster) -> None:
    world.apply("alone")
    write(world, ObjectRef("disruptionbudgets", "default", "all"), "DisruptionBudget", ALL)
    world.settle()
    node = world.binding("alone").node
    drain(world, node)
    world.settle()
    write(world, cluster_ref("nodes", node), "Node", {})
    world.settle()
    assert drained(world, node) == ("", "")
    assert node_status(world, node).drain is None
    assert world.binding("alone").desired is Desired.RUN


@pytest.mark.parametrize("force", [False, True])
def test_past_its_timeout_a_drain_gives_up_or_goes_by_force(world: Cluster, force: bool) -> None:
    world.apply("alone")
    write(world, ObjectRef("disruptionbudgets", "default", "all"), "DisruptionBudget", ALL)
    world.settle()
    node = world.binding("alone").node
    drain(world, node, timeout="20s", force=force)
    world.advance(30)
    world.settle()
    assert drained(world, node) == (("True", "Drained") if force else ("False", "TimedOut"))
    assert (world.binding("alone").node == node) is not force


def test_drain_survives_a_change_of_leader(world: Cluster) -> None:
    deploy(world, 2)
    guard(world, maxUnavailable=0)
    world.settle()
    node = world.binding("web-1-0").node
    drain(world, node)
    world.settle()
    assert world.binding("web-1-0").node == node
    world.controllers.append(world.new_controller("c2"))
    world.crash_controller(0)
    guard(world, maxUnavailable=1)
    world.until(lambda: drained(world, node)[0] == "True")
    world.settle()
    assert world.binding("web-1-0").node != node


def test_tasks_of_daemonsets_and_finished_ones_do_not_hold_a_drain_up(world: Cluster) -> None:
    template = {"spec": {"containers": [{"name": "main", "image": "demo"}]}}
    write(world, ObjectRef("daemonsets", "default", "each"), "DaemonSet", {"template": template})
    world.apply("once", restartPolicy="Never")
    for agent in world.agents.values():
        agent.exits["once"] = 0
    world.settle()
    before = {name: agent.running for name, agent in world.agents.items()}
    for name in world.agents:
        drain(world, name)
    world.settle()
    assert {drained(world, name)[0] for name in world.agents} == {"True"}
    assert {name: agent.running for name, agent in world.agents.items()} == before


def evict(world: Cluster, name: str, **changes: str) -> str:
    binding = world.binding(name)
    wish = EvictRequest(uid=binding.task_uid, binding_uid=binding.binding_uid).model_copy(update=changes)
    key = world.keys.request(task_ref("default", name), "evict")
    world.put(key, wish.to_json())
    return key


def test_evicted_task_is_bound_again_once_and_the_wish_is_gone(world: Cluster) -> None:
    world.apply("alone")
    world.settle()
    before = world.binding("alone")
    key = evict(world, "alone")
    world.settle()
    after = world.binding("alone")
    assert after.desired is Desired.RUN
    assert (after.epoch, after.binding_uid == before.binding_uid) == (before.epoch + 1, False)
    assert not world.exists(key)


@pytest.mark.parametrize("changes", [{"uid": "another"}, {"binding_uid": "older"}])
def test_wish_to_evict_something_older_is_dropped(world: Cluster, changes: dict[str, str]) -> None:
    world.apply("alone")
    world.settle()
    before = world.binding("alone")
    key = evict(world, "alone", **changes)
    world.settle()
    assert not world.exists(key)
    assert world.binding("alone") == before


def test_budget_tells_how_it_stands_and_goes_when_it_is_deleted(world: Cluster) -> None:
    deploy(world, 3)
    guard(world, minAvailable="50%")
    world.settle()
    ref = ObjectRef("disruptionbudgets", "default", "web")
    kv = world.store.get(world.keys.status(ref)).kv
    assert kv is not None
    status = DisruptionBudgetStatus.model_validate_json(kv.value)
    assert (status.expected, status.healthy, status.desired_healthy, status.disruptions_allowed) == (
        3,
        3,
        2,
        1,
    )
    world.delete(ref)
    world.settle()
    assert not world.exists(world.keys.spec(ref))
    assert not world.exists(world.keys.status(ref))


def test_quiet_cluster_under_a_drained_node_writes_nothing(world: Cluster) -> None:
    deploy(world, 2)
    guard(world, minAvailable=1)
    world.settle()
    node = world.binding("web-1-0").node
    drain(world, node)
    world.until(lambda: drained(world, node)[0] == "True")
    world.settle()
    before = world.revision
    world.advance(30)
    assert world.revision == before


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.integers(1, 4), st.integers(0, 3), st.permutations(["n1", "n2", "n3"]), st.booleans())
def test_drains_of_several_nodes_end_when_there_is_room(
    replicas: int, least: int, nodes: list[str], exactly_one: bool
) -> None:
    world = made(*nodes)
    deploy(world, replicas, exactlyOne=exactly_one)
    least = min(least, replicas - 1)
    guard(world, minAvailable=least)
    world.settle()
    for name in nodes[:2]:
        drain(world, name)

    def are_drained() -> bool:
        assert len(running(world)) >= least
        return all(drained(world, name)[0] == "True" for name in nodes[:2])

    world.until(are_drained, 300)
    world.settle()
    assert len(world.agents[nodes[2]].running) == replicas
