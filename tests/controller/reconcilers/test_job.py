"""The planner of jobs: counts, retries, rules, ends."""

import pytest

from schemas.report import ContainerStatus
from schemas.state import ContainerState, TaskState
from schemas.timestamps import parse_time
from tests.controller.reconcilers.job_world import JobWorld, exited, raw_job


def make_world(**spec: object) -> JobWorld:
    world = JobWorld(raw_job(**spec))  # type: ignore[arg-type]
    world.settle()
    return world


def test_job_makes_as_many_tasks_as_may_run_at_a_time() -> None:
    world = make_world(completions=5, parallelism=2)
    assert world.active() == ["j-1", "j-2"]
    assert (world.said.active, world.said.succeeded) == (2, 0)


def test_job_is_complete_when_all_have_succeeded() -> None:
    world = make_world(completions=3, parallelism=2)
    while world.active():
        world.succeed(world.active()[0])
        world.settle()
    assert world.condition("Complete") == "CompletionsReached"
    assert (world.said.succeeded, world.said.active, len(world.names)) == (3, 0, 3)
    assert world.said.finished_at


def test_indexed_job_gives_each_index_one_success() -> None:
    world = make_world(completions=4, parallelism=2, completionMode="Indexed")
    assert world.active() == ["j-0-1", "j-1-1"]
    world.succeed("j-1-1")
    world.settle()
    assert (world.said.completed_indexes, world.active()) == ("1", ["j-0-1", "j-2-1"])
    world.fail("j-0-1")
    world.settle()
    world.now += 10
    world.settle()
    assert sorted(world.active()) == ["j-0-2", "j-2-1"]
    for name in ("j-0-2", "j-2-1"):
        world.succeed(name)
    world.settle()
    world.succeed("j-3-1")
    world.settle()
    assert world.said.completed_indexes == "0-3"
    assert world.condition("Complete")
    env = world.tasks["j-3-1"].task.spec.containers[0].env
    assert [(each.name, each.value) for each in env] == [("JOB_COMPLETION_INDEX", "3")]


def test_retries_wait_longer_with_each_failure_in_a_row_up_to_six_minutes() -> None:
    world = make_world(backoffLimit=20)
    waits = []
    for _ in range(8):
        world.fail(world.active()[0])
        world.settle()
        due = world.plan().requeue_at
        assert due is not None
        assert world.active() == []
        waits.append(due - world.now)
        world.now = due
        world.settle()
    assert waits == [10, 20, 40, 80, 160, 320, 360, 360]


def test_a_success_ends_the_row_of_failures() -> None:
    world = make_world(completions=2, backoffLimit=5)
    for _ in range(2):
        world.fail(world.active()[0])
        world.settle()
        world.now += 400
        world.settle()
    world.succeed(world.active()[0])
    world.settle()
    assert world.active() != []
    assert world.said.failures_in_a_row == 0


def test_more_failures_than_backoff_limit_end_the_job() -> None:
    world = make_world(completions=3, parallelism=2, backoffLimit=1)
    first, second = world.active()
    world.run(second)
    world.fail(first)
    world.settle()
    world.now += 10
    world.settle()
    world.fail(next(name for name in world.active() if name != second))
    world.settle()
    assert world.condition("Failed") == "BackoffLimitExceeded"
    assert world.active() == []
    assert world.tasks[second].owned is None
    assert world.said.failed == 2


def test_failure_without_retries_ends_the_job_at_once() -> None:
    world = make_world(backoffLimit=0)
    world.fail("j-1", 3)
    world.settle()
    assert world.condition("Failed") == "BackoffLimitExceeded"


def test_restarts_in_place_count_towards_backoff_limit() -> None:
    world = make_world(backoffLimit=2, policy="OnFailure")
    world.run("j-1", attempt=2)
    world.settle()
    assert not world.condition("Failed")
    waiting = ContainerStatus(name="main", state=ContainerState.EXITED, exit_code=1, attempt=2)
    world._set("j-1", TaskState.RUNNING, waiting)
    world.settle()
    assert world.condition("Failed") == "BackoffLimitExceeded"


def test_restarts_of_a_sidecar_are_no_failures() -> None:
    sidecar = {"name": "helper", "image": "demo:1", "restartPolicy": "Always"}
    spec = {
        "containers": [{"name": "main", "image": "demo:1"}],
        "initContainers": [sidecar],
        "restartPolicy": "OnFailure",
    }
    world = make_world(backoffLimit=1, template={"spec": spec})
    helper = ContainerStatus(name="helper", state=ContainerState.RUNNING, attempt=9, init=True)
    main = ContainerStatus(name="main", state=ContainerState.RUNNING)
    world._set("j-1", TaskState.RUNNING, helper, main)
    world.settle()
    assert not world.condition("Failed")


@pytest.mark.parametrize("state", [TaskState.STOPPED, TaskState.LOST])
def test_what_was_stopped_or_lost_is_made_anew_and_is_no_failure(state: TaskState) -> None:
    world = make_world(backoffLimit=0)
    world.run("j-1")
    world.stop("j-1", state)
    world.settle()
    assert (world.active(), world.said.failed) == (["j-2"], 0)


def test_task_that_lost_its_node_is_left_to_be_bound_again() -> None:
    world = make_world(backoffLimit=0)
    world.run("j-1")
    world.lose("j-1")
    world.settle()
    assert (world.active(), world.said.failed) == (["j-1"], 0)


def test_deleted_task_is_made_anew_once_it_has_ended() -> None:
    world = make_world(backoffLimit=0)
    world.run("j-1")
    world.tasks["j-1"].is_deleted = True
    world.settle()
    assert world.active() == []
    world.end_leaving()
    world.settle()
    assert (world.active(), world.said.failed) == (["j-2"], 0)


def test_deleted_task_that_had_succeeded_stays_counted() -> None:
    world = make_world(completions=2)
    world.succeed("j-1")
    world.tasks["j-1"].is_deleted = True
    world.settle()
    assert "j-1" not in world.tasks
    assert (world.said.succeeded, world.said.collected_succeeded) == (1, 1)


def test_rule_that_says_fail_job_ends_it_in_spite_of_retries_left() -> None:
    rule = {"action": "FailJob", "onExitCodes": {"values": [42]}}
    world = make_world(failurePolicy={"rules": [rule]})
    world.fail("j-1", 42)
    world.settle()
    assert world.condition("Failed") == "FailurePolicy"


def test_rule_that_ignores_retries_without_counting() -> None:
    rules = [{"action": "Ignore", "onOOMKilled": True}]
    world = make_world(backoffLimit=0, failurePolicy={"rules": rules})
    world.fail("j-1", 137, oom=True)
    world.settle()
    assert (world.said.failed, world.said.ignored, world.condition("Failed")) == (0, 1, "")
    world.now += 10
    world.settle()
    assert world.active() == ["j-2"]
    world.fail("j-2", 137)
    world.settle()
    assert world.condition("Failed") == "BackoffLimitExceeded"


def test_rule_for_one_container_looks_at_no_other() -> None:
    codes = {"containerName": "main", "operator": "NotIn", "values": [1]}
    world = make_world(failurePolicy={"rules": [{"action": "FailJob", "onExitCodes": codes}]})
    world._set("j-1", TaskState.FAILED, exited(5, name="other"), exited(1))
    world.settle()
    assert not world.condition("Failed")


def test_deadline_ends_the_job_and_what_runs() -> None:
    world = make_world(activeDeadlineSeconds=60, completions=2)
    world.run("j-1")
    assert world.plan().requeue_at == world.now + 60
    world.now += 60
    world.settle()
    assert world.condition("Failed") == "DeadlineExceeded"
    assert world.active() == []


def test_job_that_is_complete_is_never_late() -> None:
    world = make_world(activeDeadlineSeconds=60)
    world.succeed("j-1")
    world.now += 3600
    world.settle()
    assert world.condition("Complete")


def test_suspended_job_stops_what_runs_and_counts_none_of_it() -> None:
    world = make_world(completions=3, parallelism=2, backoffLimit=0, activeDeadlineSeconds=60)
    world.run("j-1")
    world.succeed("j-2")
    world.edit(suspend=True)
    world.settle()
    assert (world.active(), world.condition("Suspended")) == ([], "JobSuspended")
    assert (world.said.succeeded, world.said.failed, world.said.started_at) == (1, 0, "")
    world.now += 100
    world.end_leaving()
    world.settle()
    world.edit(suspend=False)
    world.settle()
    assert len(world.active()) == 2
    assert not world.condition("Suspended")
    assert parse_time(world.said.started_at) == world.now


def test_nothing_new_starts_where_something_may_still_run() -> None:
    world = make_world(completions=2, parallelism=1, completionMode="Indexed")
    world.run("j-0-1")
    world.edit(suspend=True)
    world.settle()
    world.edit(suspend=False)
    world.settle()
    assert world.active() == []
    world.end_leaving()
    world.settle()
    assert [world.tasks[name].index for name in world.active()] == [0]


def test_lower_parallelism_stops_the_youngest_that_do_not_run() -> None:
    world = make_world(completions=9, parallelism=4)
    world.run("j-3")
    world.edit(parallelism=2)
    world.settle()
    assert world.active() == ["j-1", "j-3"]


def test_finished_job_goes_after_its_time() -> None:
    world = make_world(ttlSecondsAfterFinished=30)
    world.succeed("j-1")
    world.settle()
    assert world.plan().requeue_at == world.now + 30
    world.now += 30
    world.settle_gone()
    assert not world.tasks


def test_only_the_newest_finished_tasks_are_kept_and_all_are_counted() -> None:
    world = make_world(completions=70, parallelism=30)
    while world.active():
        for name in world.active():
            world.succeed(name)
        world.settle()
    assert (world.said.succeeded, world.said.collected_succeeded) == (70, 50)
    assert len(world.tasks) == 20


def test_template_of_the_beginning_stays_and_the_change_is_told() -> None:
    world = make_world(completions=2, parallelism=1)
    other = {"spec": {"containers": [{"name": "main", "image": "demo:2"}], "restartPolicy": "Never"}}
    world.edit(template=other, completions=7)
    world.succeed("j-1")
    world.settle()
    assert world.tasks["j-2"].task.spec.containers[0].image == "demo:1"
    assert world.condition("ChangeIgnored") == "Immutable"
    world.succeed("j-2")
    world.settle()
    assert world.condition("Complete")


def test_estimated_duration_goes_to_the_tasks() -> None:
    world = make_world(estimatedDuration="90s")
    assert world.tasks["j-1"].task.spec.estimated_duration == 90


def test_tasks_of_a_gang_know_how_many_start_together() -> None:
    world = make_world(gang=True, completions=5, parallelism=3)
    gangs = [task.task.spec.gang for task in world.tasks.values()]
    assert [gang and (gang.name, gang.min_member) for gang in gangs] == [(None, 3)] * 3


def test_denied_job_makes_nothing_and_says_why() -> None:
    world = JobWorld(raw_job(), denied=("queue 'x' does not exist",))
    world.settle()
    assert world.active() == []
    assert [each.message for each in world.said.conditions] == ["queue 'x' does not exist"]
    world.denied = ()
    world.settle()
    assert world.active() == ["j-1"]
    assert world.said.conditions == ()


def test_name_of_somebody_else_is_passed_over() -> None:
    world = JobWorld(raw_job(), taken=frozenset({"j-1"}))
    world.settle()
    assert world.active() == ["j-2"]


def test_deleted_job_takes_its_tasks_with_it() -> None:
    world = make_world(completions=60, parallelism=50)
    world.settle()
    assert len(world.active()) == 50
    world.ask_to_delete()
    world.settle_gone()
    assert not any(made.owned for made in world.tasks.values())
