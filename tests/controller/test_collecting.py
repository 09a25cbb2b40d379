"""Finished tasks that go by themselves: decided purely, and seen in a whole controller in virtual time."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.reconcilers.collection import Finished, FinishedPolicy, decide, finished_at
from schemas.binding import Desired
from schemas.keys import task_ref
from schemas.meta import Condition
from schemas.state import TaskState
from schemas.status import TaskStatus
from schemas.timestamps import format_time
from store import objects
from tests.controller.builders import UID, make_task
from tests.controller.harness import Cluster

HOUR_S = 3600.0
NEVER = float("inf")
ENDED = (Desired.STOP, True)


def task(number: int, at: float) -> Finished:
    return Finished(at, task_ref("default", f"t-{number:02d}"))


TASKS = st.lists(st.integers(0, 100), max_size=30).map(
    lambda ends: [task(number, float(at)) for number, at in enumerate(sorted(ends))]
)


@given(TASKS, st.integers(0, 30), st.sampled_from((5.0, 50.0, NEVER)), st.integers(1, 10))
def test_oldest_go_and_what_is_left_is_young_and_not_too_many(
    tasks: list[Finished], keep: int, ttl_s: float, most: int
) -> None:
    policy, now, left, looks = FinishedPolicy(ttl_s, keep), 100.0, list(tasks), 0
    while True:
        decision = decide(left[:most], len(left), policy, now)
        assert list(decision.refs) == [each.ref for each in left[: len(decision.refs)]]
        left, looks = left[len(decision.refs) :], looks + 1
        if decision.next_at is None or decision.next_at > now:
            break
    assert looks <= len(tasks) // most + 1
    assert len(left) <= keep
    assert all(each.at + ttl_s > now for each in left)
    gone = tasks[: len(tasks) - len(left)]
    assert len(gone) <= max(0, len(tasks) - keep, sum(each.at + ttl_s <= now for each in tasks))
    assert decision.next_at == (left[0].at + ttl_s if left and ttl_s != NEVER else None)


def ended_status(**more: Any) -> TaskStatus:
    values = {
        "uid": UID,
        "state": TaskState.SUCCEEDED,
        "observed_generation": 1,
        "finished_at": format_time(1000.0),
    }
    return TaskStatus(**{**values, **more})


def test_task_has_ended_when_its_status_and_all_its_bindings_say_so() -> None:
    bare = make_task()
    assert finished_at(bare, ended_status(), [ENDED]) == 1000.0
    assert finished_at(bare, ended_status(state=TaskState.FAILED), []) == 1000.0


@pytest.mark.parametrize("state", [TaskState.RUNNING, TaskState.PENDING, TaskState.STOPPED, TaskState.LOST])
def test_task_that_goes_on_or_was_stopped_or_lost_has_not_ended(state: TaskState) -> None:
    assert finished_at(make_task(), ended_status(state=state), [ENDED]) is None


def test_task_whose_agent_still_owes_a_word_or_that_was_changed_or_made_anew_has_not_ended() -> None:
    bare = make_task()
    assert finished_at(bare, ended_status(), [ENDED, (Desired.STOP, False)]) is None
    assert finished_at(bare, ended_status(), [(Desired.RUN, True)]) is None
    assert finished_at(bare, ended_status(observed_generation=0), [ENDED]) is None
    assert finished_at(bare, ended_status(uid="another"), [ENDED]) is None
    assert finished_at(bare, ended_status(finished_at="yesterday"), [ENDED]) is None


def test_slow_clock_of_a_node_ages_no_task() -> None:
    seen = Condition(type="Ready", status="False", last_transition_time=format_time(5000.0))
    assert finished_at(make_task(), ended_status(conditions=(seen,)), [ENDED]) == 5000.0


def world_with(ttl_s: float = NEVER, keep: int = 1000) -> Cluster:
    world = Cluster(finished=FinishedPolicy(ttl_s, keep))
    world.add_node("n1")
    return world


def finish(world: Cluster, name: str, code: int = 0, **spec: Any) -> None:
    """Run a task to its end, a second after whatever was before."""
    world.agents["n1"].exits[name] = code
    world.apply(name, restartPolicy="Never", **spec)
    world.settle()
    status = world.task_status(name)
    assert status is not None
    assert status.state in (TaskState.SUCCEEDED, TaskState.FAILED)
    world.advance(1)


def names(world: Cluster) -> list[str]:
    return [kv.key.rpartition("/")[2] for kv in world.store.list("/berth/spec/default/tasks/").kvs]


def keys_of(world: Cluster, name: str) -> list[str]:
    return [kv.key for kv in world.store.list("/berth/").kvs if kv.key.endswith(f"/{name}")]


def test_finished_task_goes_when_it_is_old_enough_with_all_that_was_stored_of_it() -> None:
    world = world_with(ttl_s=HOUR_S)
    world.apply("runs")
    finish(world, "done")
    finish(world, "failed", code=1)
    world.now += HOUR_S - 60
    world.settle()
    assert names(world) == ["done", "failed", "runs"]
    world.now += 120
    world.settle()
    assert names(world) == ["runs"]
    assert [binding.name for binding in world.bindings()] == ["runs"]
    assert keys_of(world, "done") == []
    assert world.events()["Collected"] == 2
    assert "Deleted" not in world.events()


def test_oldest_finished_tasks_of_a_namespace_that_has_too_many_go() -> None:
    world = world_with(keep=2)
    for name in ("d", "c", "b", "a"):
        finish(world, name)
    world.settle()
    assert names(world) == ["a", "b"]


def test_new_leader_goes_on_where_the_old_one_stopped() -> None:
    world = world_with(ttl_s=HOUR_S)
    finish(world, "done")
    world.crash_controller()
    world.now += HOUR_S
    world.controllers.append(world.new_controller("c2"))
    world.until(lambda: names(world) == [])


def test_changed_task_begins_anew_and_is_counted_from_its_new_end() -> None:
    world = world_with(ttl_s=HOUR_S)
    finish(world, "t")
    world.now += HOUR_S - 60
    world.settle()
    finish(world, "t", container={"image": "demo:2"})
    world.now += 120
    world.settle()
    assert names(world) == ["t"]
    world.now += HOUR_S
    world.settle()
    assert names(world) == []


def test_task_whose_agent_has_not_told_its_end_stays() -> None:
    world = world_with(ttl_s=HOUR_S)
    world.agents["n1"].finals = False
    finish(world, "t")
    world.now += 2 * HOUR_S
    world.settle()
    assert names(world) == ["t"]
    world.agents["n1"].finals = True
    world.settle()
    assert names(world) == []


def test_tasks_of_owners_are_their_owners_business() -> None:
    world = world_with(ttl_s=HOUR_S, keep=0)
    world.agents["n1"].exits["batch-1"] = 0
    container = {"name": "main", "image": "demo"}
    template = {"spec": {"containers": [container], "restartPolicy": "Never"}}
    metadata = {"name": "batch", "namespace": "default"}
    raw = {"apiVersion": "berth/v1", "kind": "Job", "metadata": metadata, "spec": {"template": template}}
    objects.write(world.store, "/berth/spec/default/jobs/batch", raw, expect_mod_revision=0)
    world.settle()
    status = world.task_status("batch-1")
    assert status is not None
    assert status.state is TaskState.SUCCEEDED
    world.now += 2 * HOUR_S
    world.settle()
    assert world.task_status("batch-1") is not None
    assert world.exists("/berth/owned/default/tasks/batch-1")
    assert "Collected" not in world.events()


def test_unreadable_task_stays() -> None:
    world = world_with(ttl_s=HOUR_S)
    finish(world, "t")
    world.raw_put("/berth/status/default/tasks/t", b"garbage")
    world.now += 2 * HOUR_S
    world.settle()
    assert names(world) == ["t"]


def test_without_limits_nothing_goes() -> None:
    world = world_with()
    finish(world, "t")
    world.now += 1000 * HOUR_S
    world.settle()
    assert names(world) == ["t"]
