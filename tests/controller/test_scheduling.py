"""The live scheduler: who is tried again when something happens, and who passes whom meanwhile."""

from typing import Any

import pytest

from schemas.binding import Desired
from schemas.keys import ObjectRef, task_ref
from schemas.status import TaskStatus
from store.api import Put, Txn
from tests.controller.harness import Cluster


@pytest.fixture
def world() -> Cluster:
    cluster = Cluster()
    cluster.apply("default", kind="Namespace", queues=["*"])
    cluster.add_node("n1")
    cluster.settle()
    return cluster


def cpu(amount: str, **more: Any) -> dict[str, Any]:
    return {"container": {"resources": {"requests": {"cpu": amount}}}, **more}


def apply(world: Cluster, name: str, amount: str = "1", **more: Any) -> None:
    world.apply(name, **cpu(amount, **more))
    world.settle()


def labelled(world: Cluster, name: str, spec: dict[str, Any] | None = None, **labels: str) -> None:
    metadata = {"name": name, "namespace": "default", "uid": f"uid-of-{name}", "labels": labels}
    container = {"name": "main", "image": "demo"}
    spec = {"containers": [container], **(spec or {})}
    raw = {"apiVersion": "berth/v1", "kind": "Task", "metadata": metadata, "spec": spec}
    world.put(world.keys.spec(task_ref("default", name)), raw)
    world.settle()


def queue(world: Cluster, name: str, **spec: Any) -> None:
    world.apply(name, kind="Queue", **spec)
    world.settle()


def end(world: Cluster, *names: str) -> None:
    for name in names:
        world.delete(task_ref("default", name))
    world.settle()


def running(world: Cluster) -> set[str]:
    return {each.name for each in world.bindings() if each.desired is Desired.RUN}


def nodes_of(world: Cluster) -> dict[str, str]:
    return {each.name: each.node for each in world.bindings() if each.desired is Desired.RUN}


def status_of(world: Cluster, name: str) -> TaskStatus:
    found = world.task_status(name)
    assert found is not None
    return found


def tried(world: Cluster) -> int:
    """How often a task was found to fit nowhere."""
    assert world.leader.term is not None
    return world.leader.term.counters.unschedulable


def test_what_was_freed_goes_to_the_first_of_equal_ones_and_the_others_are_not_tried(world: Cluster) -> None:
    apply(world, "first", "4")
    for number in range(10):
        world.apply(f"t{number}", **cpu("4"))
        world.settle()
    before = tried(world)
    end(world, "first")
    assert running(world) == {"t0"}
    assert tried(world) - before <= 2


def test_a_task_that_is_too_big_is_not_tried_when_little_is_freed(world: Cluster) -> None:
    apply(world, "small", "1")
    apply(world, "rest", "3")
    apply(world, "big", "4")
    before = tried(world)
    end(world, "small")
    assert tried(world) == before
    end(world, "rest")
    assert running(world) == {"big"}


def test_a_task_that_is_to_be_near_another_goes_when_that_one_comes(world: Cluster) -> None:
    near = {"required": [{"labelSelector": {"matchLabels": {"app": "db"}}}]}
    apply(world, "web", affinity={"taskAffinity": near})
    assert "without the tasks that it is to be near" in status_of(world, "web").message
    labelled(world, "db", app="db")
    assert running(world) == {"web", "db"}


def test_one_of_those_that_stay_apart_goes_when_the_other_ends(world: Cluster) -> None:
    labelled(world, "a", {"maxPerNode": 1}, app="web")
    labelled(world, "b", {"maxPerNode": 1}, app="web")
    assert running(world) == {"a"}
    assert "with as many such tasks as may be there" in status_of(world, "b").message
    end(world, "a")
    assert running(world) == {"b"}


def test_in_a_queue_without_backfill_nobody_passes_the_first(world: Cluster) -> None:
    queue(world, "strict", backfill="none")
    apply(world, "there", "2")
    apply(world, "head", "4", queue="strict")
    apply(world, "small", "1", queue="strict")
    apply(world, "other", "1")
    assert running(world) == {"there", "other"}
    assert "task/head" in status_of(world, "small").message
    end(world, "head")
    assert running(world) == {"there", "other", "small"}


def test_a_blocked_task_is_not_passed_by_one_that_would_delay_it(world: Cluster) -> None:
    apply(world, "there", "2", estimatedDuration="10m")
    apply(world, "head", "4")
    apply(world, "endless", "1")
    apply(world, "long", "1", estimatedDuration="1h")
    apply(world, "short", "1", estimatedDuration="1m")
    assert running(world) == {"there", "short"}
    assert "1 kept for tasks that wait longer" in status_of(world, "long").message
    end(world, "there", "short")
    assert running(world) == {"head"}


def test_who_stood_in_line_behind_one_that_goes_away_is_tried(world: Cluster) -> None:
    apply(world, "there", "2", estimatedDuration="10m")
    apply(world, "head", "4")
    apply(world, "endless", "1")
    assert running(world) == {"there"}
    end(world, "head")
    assert running(world) == {"there", "endless"}


def test_a_task_that_waited_too_long_is_passed_by_nobody(world: Cluster) -> None:
    queue(world, "fair", maxWait="1m")
    apply(world, "there", "2")
    apply(world, "old", "4", queue="fair")
    apply(world, "early", "1", queue="fair")
    assert running(world) == {"there", "early"}
    world.advance(70)
    apply(world, "late", "1", queue="fair", priority=0)
    assert running(world) == {"there", "early"}
    end(world, "there", "early")
    assert "old" in running(world)


def test_shorter_jobs_go_first_where_the_queue_says_so(world: Cluster) -> None:
    queue(world, "sjf", ordering="sjf")
    apply(world, "there", "4")
    for name, estimate in (("long", "1h"), ("short", "1m")):
        apply(world, name, "4", queue="sjf", estimatedDuration=estimate)
    end(world, "there")
    assert running(world) == {"short"}


def test_queues_get_shares_by_their_weights(world: Cluster) -> None:
    queue(world, "heavy", weight=3)
    queue(world, "light", weight=1)
    apply(world, "there", "4")
    for number in range(4):
        for name in ("heavy", "light"):
            world.apply(f"{name}-{number}", **cpu("1", queue=name))
    world.settle()
    end(world, "there")
    assert sorted(name.partition("-")[0] for name in running(world)) == ["heavy", "heavy", "heavy", "light"]


def test_a_limit_that_is_raised_lets_tasks_go(world: Cluster) -> None:
    queue(world, "small", limit={"cpu": "1"})
    apply(world, "a", "1", queue="small")
    apply(world, "b", "1", queue="small")
    assert running(world) == {"a"}
    queue(world, "small", limit={"cpu": "2"})
    assert running(world) == {"a", "b"}


def test_a_task_that_moves_to_another_queue_leaves_its_room_below_the_limit(world: Cluster) -> None:
    queue(world, "small", limit={"cpu": "1"})
    apply(world, "a", "1", queue="small")
    apply(world, "b", "1", queue="small")
    assert running(world) == {"a"}
    apply(world, "a", "1", queue="default")
    assert running(world) == {"a", "b"}
    assert len(world.bindings()) == 2, "it was not replaced"


def test_a_binding_that_somebody_removes_leaves_no_room_below_the_limit(world: Cluster) -> None:
    """It will be put back; until then its task still holds what its queue may have."""
    queue(world, "small", limit={"cpu": "2"})
    apply(world, "a", "2", queue="small")
    (binding,) = world.bindings()
    world.apply("b", **cpu("1", queue="small"))
    world.remove(world.keys.binding(binding.node, binding.task_uid))
    for _ in range(10):
        world.step(0.1)
        assert "b" not in {each.name for each in world.bindings()}
    assert running(world) == {"a"}


def test_ports_and_devices_are_granted_once(world: Cluster) -> None:
    world.add_node("gpu", allocatable={"cpu": "4", "memory": "4Gi", "gpu": 2}, devices={"gpu": ["0", "1"]})
    world.settle()
    for name in ("a", "b", "c"):
        world.apply(name, container={"resources": {"requests": {"cpu": "1", "gpu": 1}}})
    world.settle()
    granted = [each.grants.devices["gpu"] for each in world.bindings()]
    assert sorted(granted) == [("0",), ("1",)]
    assert [name for name in "abc" if name not in running(world)] == ["c"]
    end(world, "a")
    assert running(world) == {"b", "c"}


def test_a_new_leader_knows_what_stands_and_what_waits(world: Cluster) -> None:
    queue(world, "small", limit={"cpu": "2"})
    apply(world, "a", "2", queue="small")
    apply(world, "b", "1", queue="small")
    world.controllers.append(world.new_controller("c2"))
    world.crash_controller()
    world.until(lambda: world.controllers[0].term is not None)
    world.settle()
    assert running(world) == {"a"}
    end(world, "a")
    assert running(world) == {"b"}
    assert ObjectRef("queues", "_cluster", "small") in world.controllers[0].view.policies


def test_node_whose_report_turns_to_garbage_keeps_its_tasks_and_comes_back(world: Cluster) -> None:
    apply(world, "stays", "3")
    key = world.keys.node_report("n1")
    kept = world.store.get(key).kv
    assert kept is not None
    world.store.txn(Txn((), (Put(key, b"garbage"),)))
    world.settle()
    apply(world, "waits", "2")
    assert running(world) == {"stays"}
    end(world, "stays")  # while nobody knows what the node has
    world.store.txn(Txn((), (Put(key, kept.value),)))
    world.settle()
    assert running(world) == {"waits"}
