"""Gangs on a live leader: all members start or none does, whoever fails in between."""

from collections.abc import Iterator
from typing import Any

import pytest

from schemas.binding import Desired
from schemas.keys import task_ref
from schemas.status import TaskStatus
from store.api import Delete, Txn
from tests.controller.harness import Cluster


@pytest.fixture
def world() -> Cluster:
    cluster = Cluster()
    for name in ("n1", "n2", "n3"):
        cluster.add_node(name)
    cluster.settle()
    return cluster


def member(least: int = 3, cpu: str = "3", **more: Any) -> dict[str, Any]:
    """A member that fills a node."""
    gang = {"name": "ring", "minMember": least, "timeout": "60s"}
    return {"container": {"resources": {"requests": {"cpu": cpu}}}, "gang": gang, **more}


def apply(world: Cluster, *names: str, **more: Any) -> None:
    for name in names:
        world.apply(name, **member(**more))


def desired(world: Cluster) -> dict[str, str]:
    return {each.name: each.desired.value for each in world.bindings()}


def status_of(world: Cluster, name: str) -> TaskStatus:
    found = world.task_status(name)
    assert found is not None
    return found


def running(world: Cluster) -> set[str]:
    return {name for agent in world.agents.values() for name in agent.running}


def commits(world: Cluster) -> int:
    return len(world.store.list(f"{world.keys.root}gangs/").kvs)


def test_member_of_which_a_write_is_under_way_is_waited_for(world: Cluster) -> None:
    apply(world, "a", "b")
    world.settle()
    slow = task_ref("default", "b")
    assert world.leader.term is not None
    ledger = world.leader.term._outbox.ledger
    ledger.sent(slow)  # as with a store that takes its time
    apply(world, "c")
    world.settle()
    assert running(world) == set()
    assert "2 of at least 3 members" in status_of(world, "a").message
    assert world.task_status("c") is None, "nobody knows yet whom it waits for"
    ledger.settled(slow, None)
    world.settle()
    assert running(world) == {"a", "b", "c"}


def steps(world: Cluster, most: int = 60) -> Iterator[dict[str, str]]:
    """Yield what is desired after each step."""
    for _ in range(most):
        world.step(0.1)
        yield desired(world)


def until_held(world: Cluster) -> None:
    for found in steps(world):
        if set(found.values()) == {"Hold"} and len(found) == 3 and not commits(world):
            return
    raise AssertionError("it is never held without a record")


def test_all_are_held_before_any_runs(world: Cluster) -> None:
    apply(world, "a", "b", "c")
    seen = [found for found in steps(world) if found]
    first_run = next(number for number, found in enumerate(seen) if "Run" in found.values())
    assert any(set(found.values()) == {"Hold"} and len(found) == 3 for found in seen[:first_run])
    assert seen[-1] == dict.fromkeys("abc", "Run")
    world.settle()
    assert running(world) == set("abc")
    assert commits(world) == 0


def test_nobody_is_bound_while_there_is_room_for_some_only(world: Cluster) -> None:
    world.apply("first", container={"resources": {"requests": {"cpu": "3"}}})
    world.settle()
    apply(world, "a", "b", "c")
    assert all(set(found) <= {"first"} for found in steps(world))
    assert "2 of 3 members fit" in status_of(world, "a").message
    world.delete(task_ref("default", "first"))
    world.settle()
    assert running(world) == set("abc")


def test_two_gangs_that_each_need_all_nodes_do_not_hold_each_other_up(world: Cluster) -> None:
    for gang in ("red", "blue"):
        for number in range(3):
            spec = member()
            spec["gang"]["name"] = gang
            world.apply(f"{gang}-{number}", **spec)
    world.settle()
    (winner,) = {name.partition("-")[0] for name in running(world)}
    assert len(running(world)) == 3
    for number in range(3):
        world.delete(task_ref("default", f"{winner}-{number}"))
    world.settle()
    assert {name.partition("-")[0] for name in running(world)} == {"red", "blue"} - {winner}
    assert len(running(world)) == 3


def queue(world: Cluster, name: str, **spec: Any) -> None:
    world.apply(name, kind="Queue", **spec)
    world.apply("default", kind="Namespace", queues=["*"])
    world.settle()


def alone(cpu: str = "3", **more: Any) -> dict[str, Any]:
    return {"container": {"resources": {"requests": {"cpu": cpu}}}, **more}


def test_nobody_of_a_queue_without_backfill_passes_a_gang(world: Cluster) -> None:
    queue(world, "strict", backfill="none")
    world.apply("first", **alone(queue="strict"))
    world.settle()
    apply(world, "a", "b", "c", queue="strict")
    world.settle()
    world.apply("late", **alone("1", queue="strict"))
    world.apply("other", **alone("1"))
    world.settle()
    assert running(world) == {"first", "other"}
    assert "lets nobody pass one that waits" in status_of(world, "late").message
    world.delete(task_ref("default", "first"))
    world.settle()
    assert running(world) == {"a", "b", "c", "late", "other"}


@pytest.mark.parametrize("fails", [False, True])
def test_what_is_freed_gathers_for_a_gang_that_has_waited_too_long(world: Cluster, fails: bool) -> None:
    """Nobody knows when anything ends. A new leader goes on with it."""
    queue(world, "busy", maxWait="20s")
    for name in ("x", "y", "z"):
        world.apply(name, **alone(queue="busy"))
    world.settle()
    apply(world, "a", "b", "c", queue="busy")
    world.settle()
    world.advance(21)
    world.settle()
    if fails:
        world.crash_controller()
        world.controllers.append(world.new_controller("c2"))
        world.until(lambda: world.controller.term is not None)
    for number, name in enumerate(("x", "y")):
        world.delete(task_ref("default", name))
        world.apply(f"late-{number}", **alone(queue="busy"))
        world.settle()
        assert not {"late-0", "late-1"} & running(world)
    world.delete(task_ref("default", "z"))
    world.settle()
    assert running(world) == set("abc")


def test_new_leader_goes_on_with_what_is_held(world: Cluster) -> None:
    apply(world, "a", "b", "c")
    until_held(world)
    world.crash_controller()
    world.controllers.append(world.new_controller("c2"))
    world.until(lambda: running(world) == set("abc"))
    world.settle()
    assert commits(world) == 0


def test_new_leader_rolls_forward_what_was_committed(world: Cluster) -> None:
    apply(world, "a", "b", "c")
    for _ in steps(world):
        if commits(world):
            break
    assert commits(world) == 1
    world.crash_controller()
    world.controllers.append(world.new_controller("c2"))
    world.until(lambda: running(world) == set("abc"))
    world.settle()
    assert commits(world) == 0


def test_new_leader_releases_what_is_not_whole(world: Cluster) -> None:
    apply(world, "a", "b", "c")
    until_held(world)
    world.crash_controller()
    (lost,) = [each for each in world.bindings() if each.name == "b"]
    keys = world.keys
    for key in (keys.binding(lost.node, lost.task_uid), keys.status(task_ref("default", "b"))):
        world.store.txn(Txn((), (Delete(key),)))  # as if it had never been written
    world.controllers.append(world.new_controller("c2"))
    ran = []
    for _ in range(400):
        world.step(0.1)
        ran.append(frozenset(running(world)))
    assert ran[-1] == set("abc")
    attempts = {each.gang.uid for each in world.bindings() if each.gang is not None}
    assert len(attempts) == 1
    assert attempts != {lost.gang.uid if lost.gang else ""}


def test_held_member_whose_binding_is_removed_by_hand_starts_with_the_others_only(world: Cluster) -> None:
    apply(world, "a", "b", "c")
    until_held(world)
    (lost,) = [each for each in world.bindings() if each.name == "b"]
    world.crash_controller()
    world.store.txn(Txn((), (Delete(world.keys.binding(lost.node, lost.task_uid)),)))
    world.controllers.append(world.new_controller("c2"))
    for _ in range(400):
        world.step(0.1)
        bound = [each for each in world.bindings() if each.desired is Desired.RUN]
        assert len({each.gang.uid for each in bound if each.gang is not None}) <= 1
    assert running(world) == set("abc")


def test_member_that_fails_is_replaced_though_the_others_run(world: Cluster) -> None:
    apply(world, "a", "b", "c")
    world.settle()
    world.delete(task_ref("default", "b"))
    world.settle()
    apply(world, "d")
    world.settle()
    assert running(world) == {"a", "c", "d"}


def test_places_are_given_back_when_a_node_stays_silent(world: Cluster) -> None:
    apply(world, "a", "b", "c")
    until_held(world)
    (lost,) = [each for each in world.bindings() if each.name == "b"]
    world.crash_controller()
    world.agents[lost.node].host_dies()
    world.advance(20)
    assert world.store.get(world.keys.heartbeat(lost.node)).kv is None
    world.controllers.append(world.new_controller("c2"))
    world.advance(30)
    assert set(desired(world).values()) == {"Hold"}
    world.advance(90)
    assert not running(world)
    held = [each for each in world.bindings() if each.desired is Desired.HOLD]
    assert held == []
    world.agents[lost.node].start()
    world.until(lambda: running(world) == set("abc"))


def test_record_that_cannot_be_read_starts_and_stops_nothing(world: Cluster) -> None:
    apply(world, "a", "b", "c")
    until_held(world)
    world.crash_controller()
    uid = next(each.gang.uid for each in world.bindings() if each.gang is not None)
    world.put(world.keys.gang(uid), {"kind": "GangCommit"})
    world.controllers.append(world.new_controller("c2"))
    world.advance(60)
    assert set(desired(world).values()) == {"Hold"}
    assert len(desired(world)) == 3
    world.store.txn(Txn((), (Delete(world.keys.gang(uid)),)))
    world.until(lambda: running(world) == set("abc"))
