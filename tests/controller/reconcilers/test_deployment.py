"""The planner of Deployments, alone."""

from dataclasses import replace
from typing import Any

import pytest

from controller.reconcilers import endpoints
from controller.reconcilers.deployment import plan_deployment
from controller.reconcilers.plan import (
    CreateOwned,
    Plan,
    PutEndpoints,
    PutOwnerStatus,
    PutRevision,
    RemoveOwned,
)
from schemas.meta import Condition, find_condition
from schemas.workload import Deployment
from tests.controller.reconcilers.world import UID, World, template_of


def deployment(replicas: int = 3, **spec: Any) -> World:
    return World(Deployment, "deployments", {"replicas": replicas, "template": template_of("demo:1"), **spec})


def running(replicas: int = 3, **spec: Any) -> World:
    """A deployment whose first revision is rolled out."""
    world = deployment(replicas, **spec)
    world.settle(plan_deployment)
    return world


def plan(world: World) -> Plan:
    return plan_deployment(world.inputs(), world.now)


def step(world: World) -> Plan:
    found = plan(world)
    world.apply(found)
    return found


def of_revision(number: int) -> Any:
    return lambda task: task.revision == number


def condition(world: World, type_: str) -> Condition:
    found = find_condition(world.status.conditions, type_)
    assert found is not None
    return found


def names(world: World) -> set[str]:
    return {task.name for task in world.live}


def rolling(unavailable: int | str, surge: int | str) -> dict[str, Any]:
    return {
        "type": "RollingUpdate",
        "rollingUpdate": {"maxUnavailable": unavailable, "maxSurge": surge},
    }


def test_first_plan_keeps_the_template_and_makes_all_tasks_in_slots() -> None:
    world = deployment(3)
    found = step(world)
    assert [type(each) for each in found.intents[:1]] == [PutRevision]
    assert names(world) == {"web-1-0", "web-1-1", "web-1-2"}
    assert (world.status.replicas, world.status.updated_replicas, world.status.ready_replicas) == (3, 3, 0)
    assert condition(world, "Available").status == "False"
    assert plan(world).intents == ()


def test_rolled_out_deployment_is_available_and_lists_its_endpoints() -> None:
    world = running(3)
    assert (world.status.available_replicas, world.status.good_revision) == (3, 1)
    assert condition(world, "Progressing").reason == "NewRevisionAvailable"
    assert condition(world, "Available").status == "True"
    assert world.endpoints is not None
    assert {each.task for each in world.endpoints.addresses} == names(world)


def test_name_in_use_by_somebody_else_is_left_alone() -> None:
    world = deployment(2)
    world.taken = {"web-1-0"}
    step(world)
    assert names(world) == {"web-1-1", "web-1-2"}


def test_rolling_update_of_four_goes_one_below_and_one_above() -> None:
    world = running(4)
    world.set_image("demo:2")
    step(world)
    assert len(world.live) == 5
    assert world.available() == 3
    world.settle(plan_deployment)
    assert {task.revision for task in world.live} == {2}


def test_without_surge_and_with_unavailable_rounded_to_none_one_at_a_time_goes() -> None:
    world = running(3, strategy=rolling("10%", 0))
    world.set_image("demo:2")
    step(world)
    assert (len(world.live), world.available()) == (3, 2)


def test_broken_image_stops_at_the_bound_and_says_so_at_the_deadline() -> None:
    world = running(4, progressDeadlineSeconds=60)
    world.set_image("demo:broken")
    world.settle(plan_deployment, is_broken=of_revision(2))
    assert world.available() == 3
    due = plan(world).requeue_at
    assert due is not None
    world.now = due
    found = step(world)
    assert condition(world, "Progressing").reason == "ProgressDeadlineExceeded"
    assert "web-2-0" in condition(world, "Progressing").message
    assert [note.reason for note in found.events] == ["ProgressDeadlineExceeded"]
    assert plan(world).requeue_at is None
    assert world.available() == 3


def test_late_progress_takes_the_exceeded_deadline_back() -> None:
    world = running(2, progressDeadlineSeconds=60)
    world.set_image("demo:2")
    world.settle(plan_deployment, is_broken=of_revision(2))
    world.now += 100
    step(world)
    world.settle(plan_deployment)
    assert condition(world, "Progressing").reason == "NewRevisionAvailable"


def test_crash_loop_is_no_progress() -> None:
    world = running(2, progressDeadlineSeconds=60, strategy=rolling(0, 1))
    world.set_image("demo:2")
    world.edit(minReadySeconds=10)
    step(world)
    new = next(task for task in world.live if task.revision == 2)
    for _ in range(8):
        world.make_ready(new.name)
        world.now += 9
        step(world)
        new.ready_at = None
        step(world)
    assert condition(world, "Progressing").reason == "ProgressDeadlineExceeded"


def test_auto_rollback_goes_back_to_the_good_revision_and_stays_there() -> None:
    world = running(4, progressDeadlineSeconds=60, autoRollback=True)
    good = {task.created for task in world.live}
    world.set_image("demo:broken")
    world.settle(plan_deployment, is_broken=of_revision(2))
    world.now += 100
    found = step(world)
    assert [note.reason for note in found.events if note.type == "Warning"] == ["RolledBack"]
    world.settle(plan_deployment, is_broken=of_revision(2))
    assert (world.status.revision, world.status.rolled_back) == (1, 2)
    assert {task.revision for task in world.live} == {1}
    assert len(good & {task.created for task in world.live}) == 3
    assert condition(world, "Progressing").reason == "RolledBack"
    assert world.status.updated_replicas == 0
    world.now += 1000
    assert plan(world).intents == ()


def test_time_without_a_leader_counts_against_no_rollout() -> None:
    world = running(2, progressDeadlineSeconds=60, autoRollback=True)
    world.set_image("demo:2")
    step(world)
    world.now += 1000
    world.leading_since = world.now
    step(world)
    assert world.status.rolled_back == 0
    world.settle(plan_deployment, is_broken=of_revision(2))
    world.now = world.leading_since + 61
    step(world)
    assert world.status.rolled_back == 2


def test_new_leader_does_not_take_an_exceeded_deadline_back() -> None:
    world = running(2, progressDeadlineSeconds=60)
    world.set_image("demo:broken")
    world.settle(plan_deployment, is_broken=of_revision(2))
    world.now += 61
    step(world)
    world.leading_since = world.now
    assert plan(world).intents == ()


def test_scaling_in_the_middle_of_a_rollout_gives_it_its_whole_time_again() -> None:
    world = running(4, progressDeadlineSeconds=60, autoRollback=True)
    world.set_image("demo:2")
    world.settle(plan_deployment, is_broken=of_revision(2))
    world.now += 100
    world.edit(replicas=8)
    step(world)
    assert world.status.rolled_back == 0
    world.settle(plan_deployment, is_broken=of_revision(2))
    world.now += 61
    step(world)
    assert world.status.rolled_back == 2


def test_revision_of_which_nothing_ran_is_not_the_good_one() -> None:
    world = running(3, progressDeadlineSeconds=60, autoRollback=True)
    world.edit(replicas=0)
    world.settle(plan_deployment)
    world.set_image("demo:broken")
    world.settle(plan_deployment)
    assert condition(world, "Progressing").reason == "NewRevisionAvailable"
    assert (world.status.revision, world.status.good_revision, plan(world).requeue_at) == (2, 1, None)
    world.edit(replicas=3)
    world.settle(plan_deployment, is_broken=of_revision(2))
    world.now += 61
    world.settle(plan_deployment, is_broken=of_revision(2))
    assert {task.revision for task in world.live} == {1}


def test_scaling_after_a_rollback_keeps_the_good_revision_and_a_new_template_ends_it() -> None:
    world = running(2, progressDeadlineSeconds=60, autoRollback=True)
    world.set_image("demo:broken")
    world.settle(plan_deployment, is_broken=of_revision(2))
    world.now += 100
    world.settle(plan_deployment, is_broken=of_revision(2))
    world.edit(replicas=5)
    world.settle(plan_deployment, is_broken=of_revision(2))
    assert {task.revision for task in world.live} == {1}
    assert len(world.live) == 5
    world.set_image("demo:3")
    world.settle(plan_deployment)
    assert {task.revision for task in world.live} == {3}
    assert (world.status.rolled_back, world.status.good_revision) == (0, 3)


def test_first_rollout_that_fails_has_nothing_to_go_back_to() -> None:
    world = deployment(2, progressDeadlineSeconds=60, autoRollback=True)
    world.settle(plan_deployment, is_broken=of_revision(1))
    world.now += 100
    world.settle(plan_deployment, is_broken=of_revision(1))
    assert world.status.rolled_back == 0
    assert condition(world, "Progressing").reason == "ProgressDeadlineExceeded"


def test_newer_template_takes_over_a_stuck_rollout_at_once() -> None:
    world = running(4)
    world.set_image("demo:broken")
    world.settle(plan_deployment, is_broken=of_revision(2))
    world.set_image("demo:3")
    step(world)
    assert {task.revision for task in world.live} == {1, 3}
    world.settle(plan_deployment)
    assert {task.revision for task in world.live} == {3}


def test_two_rollouts_within_a_second_end_in_the_newest() -> None:
    world = running(4)
    world.set_image("demo:2")
    step(world)
    world.set_image("demo:3")
    world.settle(plan_deployment)
    assert {task.revision for task in world.live} == {3}


def test_template_that_comes_back_gets_the_newest_number_and_keeps_tasks_that_have_it() -> None:
    world = running(4)
    world.set_image("demo:2")
    step(world)
    kept = {task.name for task in world.live if task.revision == 1}
    world.set_image("demo:1")
    world.settle(plan_deployment)
    assert world.status.revision == 3
    assert kept <= names(world)
    assert len(world.live) == 4
    world.settle(plan_deployment)
    world.set_image("demo:4")
    world.settle(plan_deployment)
    assert sorted(world.revisions) == [2, 3, 4]


def test_template_that_comes_back_with_no_tasks_drops_its_older_number_in_the_same_plan() -> None:
    world = running(0)
    world.set_image("demo:2")
    step(world)
    world.set_image("demo:1")
    step(world)
    assert sorted(world.revisions) == [2, 3]
    assert plan(world).intents == ()


def test_history_is_trimmed_to_its_limit() -> None:
    world = running(1, revisionHistoryLimit=2)
    for number in range(2, 7):
        world.set_image(f"demo:{number}")
        world.settle(plan_deployment)
    assert sorted(world.revisions) == [4, 5, 6]


def test_paused_deployment_scales_and_does_not_roll() -> None:
    world = running(3)
    world.edit(paused=True, template=template_of("demo:2"), replicas=5)
    world.settle(plan_deployment)
    assert {task.revision for task in world.live} == {1}
    assert len(world.live) == 5
    assert condition(world, "Progressing").reason == "DeploymentPaused"
    world.edit(paused=False)
    world.settle(plan_deployment)
    assert {task.revision for task in world.live} == {2}


def test_pause_in_the_middle_of_a_rollout_replaces_a_deleted_task_by_its_like() -> None:
    world = running(4)
    world.set_image("demo:2")
    step(world)
    world.edit(paused=True)
    before = sorted(task.revision for task in world.live)
    world.settle(plan_deployment)
    assert sorted(task.revision for task in world.live) == before
    for task in [each for each in world.live if each.revision == 2]:
        task.is_deleted = True
    world.settle(plan_deployment)
    assert {task.revision for task in world.live} == {1}
    assert len(world.live) == 4


def test_recreate_waits_until_every_old_task_has_ended() -> None:
    world = running(3, strategy={"type": "Recreate"})
    world.set_image("demo:2")
    step(world)
    assert world.live == []
    world.end("web-1-0")
    world.end("web-1-1")
    assert not any(isinstance(each, CreateOwned) for each in step(world).intents)
    world.end("web-1-2")
    step(world)
    assert names(world) == {"web-2-0", "web-2-1", "web-2-2"}


def test_scale_down_takes_the_not_ready_then_the_youngest() -> None:
    world = running(4)
    world.tasks["web-1-1"].ready_at = None
    world.edit(replicas=2)
    step(world)
    assert names(world) == {"web-1-0", "web-1-2"}


def test_stopped_task_leaves_the_endpoints_in_the_same_plan() -> None:
    world = running(3)
    world.edit(replicas=1)
    found = plan(world)
    gone = {each.ref.name for each in found.intents if isinstance(each, RemoveOwned)}
    puts = [each for each in found.intents if isinstance(each, PutEndpoints)]
    assert len(gone) == 2
    assert {each.task for each in puts[0].endpoints.addresses} == names(world) - gone


def test_list_that_is_full_keeps_who_is_on_it_and_says_how_many_are_left_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world = running(4)
    assert world.endpoints is not None
    size = sum(map(endpoints._size_bytes, world.endpoints.addresses))
    monkeypatch.setattr(endpoints, "MAX_LIST_BYTES", size)
    world.edit(replicas=6)
    step(world)
    for task in world.tasks.values():
        task.is_running, task.ready_at = True, task.ready_at or world.now
    world.tasks["web-1-0"].ready_at = None
    found = plan(world)
    (put,) = [each for each in found.intents if isinstance(each, PutEndpoints)]
    assert [each.task for each in put.endpoints.addresses] == ["web-1-1", "web-1-2", "web-1-3", "web-1-4"]
    (note,) = [each for each in found.events if each.reason == "AddressesLeftOut"]
    assert note.message.startswith("its list of addresses is full with 4 of 5")


def test_task_that_is_not_ready_is_not_listed() -> None:
    world = running(2)
    world.tasks["web-1-0"].ready_at = None
    step(world)
    assert world.endpoints is not None
    assert [each.task for each in world.endpoints.addresses] == ["web-1-1"]


def test_task_deleted_by_a_person_is_replaced_at_once_and_its_key_goes_when_it_ended() -> None:
    world = running(2)
    world.tasks["web-1-0"].is_deleted = True
    step(world)
    assert names(world) == {"web-1-1", "web-1-2"}
    assert world.tasks["web-1-0"].owned
    world.end("web-1-0")
    step(world)
    assert "web-1-0" not in world.tasks


def test_lost_task_is_replaced() -> None:
    world = running(2)
    world.tasks["web-1-0"].is_lost = True
    world.tasks["web-1-0"].is_running = False
    step(world)
    assert names(world) == {"web-1-1", "web-1-2"}
    assert "web-1-0" not in world.tasks


def test_minimum_ready_seconds_hold_the_rollout_and_say_when_to_look_again() -> None:
    world = running(2, minReadySeconds=30, strategy=rolling(0, 1))
    world.set_image("demo:2")
    step(world)
    world.make_ready("web-2-0")
    ready_at = world.now
    assert step(world).requeue_at == ready_at + 30
    assert {task.revision for task in world.live} == {1, 2}
    assert len(world.live) == 3
    world.now = ready_at + 30
    step(world)
    assert sorted(task.revision for task in world.live) == [1, 2, 2]


def test_denied_template_rolls_nothing_and_says_why() -> None:
    world = running(2)
    world.set_image("demo:2")
    world.denied = ("spec.queue: queue 'x' does not exist; see: berth get queues",)
    found = step(world)
    assert {task.revision for task in world.live} == {1}
    assert sorted(world.revisions) == [1]
    assert condition(world, "ReplicaFailure").reason == "Denied"
    assert [note.reason for note in found.events] == ["Denied"]
    world.denied = ()
    world.settle(plan_deployment)
    assert {task.revision for task in world.live} == {2}
    assert find_condition(world.status.conditions, "ReplicaFailure") is None


def test_denied_from_the_start_makes_no_task() -> None:
    world = deployment(2)
    world.denied = ("no",)
    step(world)
    assert world.tasks == {}
    assert plan(world).intents == ()


def test_unreadable_part_freezes_everything_and_status_says_so() -> None:
    world = running(2)
    world.edit(replicas=5)
    frozen = replace(world.inputs(), unreadable=("task/web-1-0: its status: no JSON", "two", "three"))
    (said,) = plan_deployment(frozen, world.now).intents
    assert isinstance(said, PutOwnerStatus)
    told = find_condition(said.status.conditions, "Frozen")
    assert told is not None
    assert (told.status, told.reason) == ("True", "Unreadable")
    assert "task/web-1-0: its status: no JSON; two; and 1 more" in told.message
    world.apply(Plan(world.ref, UID, frozen.reads, intents=(said,)))
    again = replace(world.inputs(), unreadable=frozen.unreadable)
    assert plan_deployment(again, world.now).intents == ()
    world.settle(plan_deployment)
    assert len(world.live) == 5
    assert find_condition(world.status.conditions, "Frozen") is None


def test_deletion_waits_only_for_what_nobody_can_end() -> None:
    world = running(2)
    world.ask_delete()
    template_is_gone = replace(world.inputs(), unreadable=("its kept template",), unread_revisions=(7,))
    assert [type(each) for each in plan_deployment(template_is_gone, world.now).intents][-2:] == [
        RemoveOwned
    ] * 2
    stuck = replace(world.inputs(), unreadable=("a", "b"), stuck=("b",), tasks=())
    (said,) = plan_deployment(stuck, world.now).intents
    assert isinstance(said, PutOwnerStatus)
    assert "it can't be removed until this is repaired: b;" in said.status.conditions[-1].message
    world.ask_delete(cascade="orphan")
    (said,) = plan_deployment(replace(world.inputs(), unreadable=("its kept template",)), world.now).intents
    assert isinstance(said, PutOwnerStatus)


def test_many_tasks_come_in_groups_that_fit_a_transaction() -> None:
    world = deployment(100)
    world.settle(plan_deployment)
    assert len(world.live) == 100
    world.set_image("demo:2")
    world.settle(plan_deployment)
    assert {task.revision for task in world.live} == {2}


def test_change_cause_is_kept_with_the_revision() -> None:
    world = deployment(1)
    world.annotations = {"berth/change-cause": "first"}
    step(world)
    assert world.revisions[1].cause == "first"


def test_change_cause_told_after_a_rollout_is_that_of_the_newest_revision() -> None:
    world = running(1)
    world.set_image("demo:2")
    world.settle(plan_deployment)
    world.annotations = {"berth/change-cause": "second"}
    world.settle(plan_deployment)
    assert {number: each.cause for number, each in world.revisions.items()} == {1: "", 2: "second"}


def test_change_cause_told_while_paused_is_not_that_of_the_revision_before() -> None:
    world = running(1)
    world.edit(paused=True, template=template_of("demo:2"))
    world.annotations = {"berth/change-cause": "second"}
    world.settle(plan_deployment)
    assert {number: each.cause for number, each in world.revisions.items()} == {1: ""}


def test_long_names_stay_names() -> None:
    from controller.reconcilers.owner_plan import MAX_NAME, free_name

    name = free_name("x" * 253, "1-0", ())
    assert len(name) <= MAX_NAME
    assert name != free_name("x" * 253, "1-1", ())


@pytest.mark.parametrize("cascade", ["background", "foreground"])
def test_deletion_in_the_middle_of_a_rollout_ends_clean(cascade: str) -> None:
    world = running(4)
    world.set_image("demo:2")
    step(world)
    world.ask_delete(cascade=cascade)
    step(world)
    assert world.live == []
    assert world.endpoints is None
    step(world)
    assert world.is_there == (cascade == "foreground")
    world.settle(plan_deployment)
    assert (world.is_there, world.tasks, world.revisions, world.status) == (False, {}, {}, None)
    assert plan(world).intents == ()


def test_plain_removal_of_the_key_is_a_background_delete() -> None:
    world = running(3)
    world.is_there = False
    world.settle(plan_deployment)
    assert (world.tasks, world.revisions, world.status) == ({}, {}, None)


def test_orphans_run_on_as_tasks_of_their_own() -> None:
    world = running(3)
    world.ask_delete(cascade="orphan")
    world.settle(plan_deployment)
    assert sorted(world.orphans) == ["web-1-0", "web-1-1", "web-1-2"]
    assert (world.is_there, world.revisions) == (False, {})


def test_large_deployment_ends_in_groups() -> None:
    world = running(100)
    world.ask_delete()
    world.settle(plan_deployment)
    assert (world.is_there, world.tasks) == (False, {})
