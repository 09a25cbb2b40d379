"""Preemption on a live leader: who makes room, for whom it is kept, and what stands in the way."""

from typing import Any

import pytest

from schemas.binding import Desired, StopReason
from schemas.keys import ObjectRef, task_ref
from schemas.status import ObjectStatus, TaskStatus
from store import objects
from tests.controller.harness import Cluster


@pytest.fixture
def world() -> Cluster:
    cluster = Cluster()
    cluster.add_node("n1")
    cluster.settle()
    return cluster


def big(**more: Any) -> dict[str, Any]:
    """A task that fills a node."""
    return {"container": {"resources": {"requests": {"cpu": "4"}}}, **more}


def status_of(world: Cluster, name: str) -> TaskStatus:
    found = world.task_status(name)
    assert found is not None
    return found


def nodes_of(world: Cluster) -> dict[str, str]:
    """Task name -> node of those that are to run."""
    return {each.name: each.node for each in world.bindings() if each.desired is Desired.RUN}


def hold(world: Cluster, node: str = "n1") -> None:
    """Its agent stops containers, but has not told of their end yet."""
    world.agents[node].finals = False


def release(world: Cluster, node: str = "n1") -> None:
    world.agents[node].finals = True


def write(world: Cluster, kind: str, plural: str, name: str, spec: dict[str, Any]) -> None:
    raw = {
        "apiVersion": "berth/v1",
        "kind": kind,
        "metadata": {"name": name, "namespace": "default"},
        "spec": spec,
    }
    objects.write(
        world.store, world.keys.spec(ObjectRef(plural, "default", name)), raw, expect_mod_revision=0
    )


def queue(world: Cluster, name: str, **spec: Any) -> None:
    world.apply(name, kind="Queue", **spec)
    namespace = ObjectRef("namespaces", "_cluster", "default")
    if not world.exists(world.keys.spec(namespace)):
        world.apply("default", kind="Namespace", queues=["*"])
    world.settle()


def test_a_task_of_higher_priority_takes_the_place_of_a_lower_one(world: Cluster) -> None:
    world.apply("low", **big())
    world.settle()
    hold(world)
    world.apply("vip", **big(priority=5))
    world.settle()
    low = world.binding("low")
    assert (low.desired, low.reason) == (Desired.STOP, StopReason.PREEMPTED)
    assert "task/vip" in low.message
    assert status_of(world, "vip").nominated == "n1"
    assert "room is being made on n1" in status_of(world, "vip").message
    release(world)
    world.settle()
    assert nodes_of(world) == {"vip": "n1"}
    assert status_of(world, "vip").nominated == ""
    assert status_of(world, "low").reason == "Unschedulable"


def test_the_end_of_somebody_else_on_the_node_is_not_taken_for_the_room_that_is_to_be_made(
    world: Cluster,
) -> None:
    world.apply("slow", container={"resources": {"requests": {"cpu": "100m"}}})
    world.apply("low", container={"resources": {"requests": {"cpu": "3"}}})
    world.settle()
    hold(world)
    world.delete(task_ref("default", "slow"))
    world.settle()
    world.apply("vip", container={"resources": {"requests": {"cpu": "3"}}}, priority=5)
    world.settle()
    assert (world.binding("low").desired, world.binding("low").reason) == (
        Desired.STOP,
        StopReason.PREEMPTED,
    )
    release(world)
    world.settle()
    assert nodes_of(world) == {"vip": "n1"}


def test_the_room_that_was_made_is_no_others_though_they_are_older_or_smaller(world: Cluster) -> None:
    world.apply("low", **big())
    world.settle()
    hold(world)
    world.apply("vip", **big(priority=5))
    world.settle()
    world.apply("small", container={"resources": {"requests": {"cpu": "1"}}}, priority=1)
    world.settle()
    release(world)
    world.settle()
    assert nodes_of(world) == {"vip": "n1"}


@pytest.mark.parametrize("steps", range(6))
def test_nobody_is_told_to_go_for_one_who_gets_another_place_in_the_same_step(
    world: Cluster, steps: int
) -> None:
    """Another node comes so many steps after somebody was found who could make room."""
    world.apply("low", **big())
    world.settle()
    world.apply("vip", **big(priority=5))
    for _ in range(steps):
        world.step(0.1)
    world.add_node("n2")
    for _ in range(20):
        before = nodes_of(world)
        world.step(0.1)
        after = nodes_of(world)
        if after.get("vip") == "n2" != before.get("vip"):
            assert ("low" in before) == ("low" in after)


def test_a_new_leader_keeps_the_room_and_takes_no_second_victim(world: Cluster) -> None:
    world.add_node("n2")
    world.settle()
    for name in ("low", "other"):
        world.apply(name, **big())
    world.settle()
    hold(world, "n1")
    hold(world, "n2")
    world.apply("vip", **big(priority=5))
    world.settle()
    promised = status_of(world, "vip").nominated
    world.controllers.append(world.new_controller("c2"))
    world.crash_controller()
    world.until(lambda: world.controllers[0].term is not None)
    world.settle()
    assert status_of(world, "vip").nominated == promised
    assert [each.node for each in world.bindings() if each.desired is Desired.STOP] == [promised]
    world.apply("late", **big(priority=4))
    world.settle()
    release(world, promised)
    world.settle()
    assert nodes_of(world)["vip"] == promised


def test_a_budget_keeps_its_tasks_until_it_allows_more(world: Cluster) -> None:
    world.apply("low", **big())
    write(
        world,
        "DisruptionBudget",
        "disruptionbudgets",
        "all",
        {"minAvailable": 1, "selector": {"matchLabels": {}}},
    )
    world.settle()
    world.apply("vip", **big(priority=5))
    world.settle()
    assert nodes_of(world) == {"low": "n1"}
    assert status_of(world, "vip").nominated == ""
    assert world.events()["PreemptionBlocked"] == 1
    world.remove(world.keys.spec(ObjectRef("disruptionbudgets", "default", "all")))
    world.settle()
    assert nodes_of(world) == {"vip": "n1"}


def test_who_may_not_preempt_waits(world: Cluster) -> None:
    world.apply("low", **big())
    world.settle()
    world.apply("vip", **big(priority=5, preemptionPolicy="Never"))
    world.settle()
    assert nodes_of(world) == {"low": "n1"}
    assert status_of(world, "vip").nominated == ""


def test_a_guarantee_is_taken_back_from_who_borrowed_it(world: Cluster) -> None:
    queue(world, "eng", guarantee={"cpu": "4"})
    queue(world, "ops")
    world.apply("borrower", **big(queue="ops"))
    world.settle()
    assert nodes_of(world) == {"borrower": "n1"}
    world.apply("owner", **big(queue="eng"))
    world.settle()
    assert nodes_of(world) == {"owner": "n1"}
    world.advance(60)
    assert nodes_of(world) == {"owner": "n1"}, "what was reclaimed does not come back"


def test_a_queue_stays_within_its_limit_and_goes_on_when_something_ends(world: Cluster) -> None:
    queue(world, "eng", limit={"cpu": "2"})
    for name in ("a", "b"):
        world.apply(name, queue="eng", container={"resources": {"requests": {"cpu": "2"}}})
        world.settle()
    assert nodes_of(world) == {"a": "n1"}
    assert "its queue is at its limit: cpu would be over it by 2" in status_of(world, "b").message
    world.agents["n1"].exits["a"] = 0
    world.delete(ObjectRef("tasks", "default", "a"))
    world.settle()
    assert nodes_of(world) == {"b": "n1"}


def test_since_when_a_task_waits_is_kept_and_cleared_when_it_is_bound(world: Cluster) -> None:
    world.apply("first", **big())
    world.settle()
    world.apply("second", **big())
    world.settle()
    since = status_of(world, "second").waiting_since
    assert since
    world.apply("third", **big())
    world.settle()
    assert status_of(world, "second").waiting_since == since
    world.delete(ObjectRef("tasks", "default", "first"))
    world.settle()
    assert nodes_of(world) == {"second": "n1"}
    assert status_of(world, "second").waiting_since == ""


def test_a_bound_task_says_why_it_is_where_it_is(world: Cluster) -> None:
    world.add_node("n2", cpu="8")
    world.add_node("n3", cpu="1")
    world.settle()
    world.apply("t", **big())
    world.settle()
    decision = status_of(world, "t").decision
    assert decision is not None
    assert decision.node == nodes_of(world)["t"] == "n1"
    assert [each.node for each in decision.top] == ["n1", "n2"]
    assert decision.top[0].score == decision.score == decision.top[0].terms["binpack"]
    assert (decision.rejected, decision.considered) == ({"Insufficient": 1}, 3)


def test_queues_say_when_more_is_guaranteed_than_there_is(world: Cluster) -> None:
    def guaranteed(name: str) -> list[tuple[str, str]]:
        kv = world.store.get(world.keys.status(ObjectRef("queues", "_cluster", name))).kv
        found = ObjectStatus.model_validate_json(kv.value) if kv else ObjectStatus(uid="")
        return [(each.status, each.message) for each in found.conditions]

    queue(world, "eng", guarantee={"cpu": "3"})
    assert guaranteed("eng") == [("True", "")]
    queue(world, "ops", guarantee={"cpu": "2"})
    text = "queues are guaranteed cpu 5 in all, and the nodes have 4; lower guarantees or add nodes"
    assert guaranteed("eng") == guaranteed("ops") == [("False", text)]
    world.add_node("n2")
    world.settle()
    assert guaranteed("eng") == guaranteed("ops") == [("True", "")]
    world.delete(ObjectRef("queues", "_cluster", "eng"))
    world.settle()
    assert guaranteed("eng") == []


def test_a_gang_waits_and_says_why(world: Cluster) -> None:
    world.apply("a", **big(gang={"name": "ring", "minMember": 2}))
    world.settle()
    assert "1 of at least 2 members of gang ring are there" in status_of(world, "a").message
    world.apply("b", **big(gang={"name": "ring", "minMember": 2}))
    world.settle()
    text = "gang ring asks for cpu 8 at least, and all nodes together have 4"
    assert all(text in status_of(world, name).message for name in "ab")
