import pytest

from client.errors import TimedOut
from schemas.keys import task_ref
from tests.client.helpers import World, make_task

WEB = task_ref("default", "web")


def test_wait_ends_when_the_task_runs(world: World) -> None:
    world.apply(make_task())
    world.while_waiting = [
        lambda: world.set_status("web", state="Pending", observedGeneration=1),
        lambda: world.set_status("web", state="Running", observedGeneration=1),
    ]
    assert world.client.wait_task(WEB, 1).verdict == "done"


def test_status_of_an_older_generation_does_not_count(world: World) -> None:
    world.apply(make_task())
    world.set_status("web", state="Running", observedGeneration=1)
    with pytest.raises(TimedOut, match="the controller has not looked at it yet"):
        world.client.wait_task(WEB, 2, timeout_s=30)


def test_failure_ends_the_wait_with_its_reason(world: World) -> None:
    world.apply(make_task())
    container = {
        "name": "main",
        "state": "Exited",
        "exitCode": 3,
        "reason": "Error",
        "message": "exit code 3",
    }
    world.set_status("web", state="Failed", observedGeneration=1, containers=[container])
    progress = world.client.wait_task(WEB, 1)
    assert (progress.verdict, progress.why) == ("failed", "Failed: exit code 3")


def test_timeout_says_what_it_waits_for(world: World) -> None:
    world.apply(make_task())
    world.set_status("web", state="Pending", observedGeneration=1, message="no node has 4 cpus")
    with pytest.raises(TimedOut, match="task/web; Pending: no node has 4 cpus"):
        world.client.wait_task(WEB, 1, timeout_s=30)


def test_denied_task_fails_at_once(world: World) -> None:
    world.apply(make_task())
    denied = {"type": "Admitted", "status": "False", "reason": "Denied", "message": "no such queue"}
    world.set_status("web", state="Pending", observedGeneration=1, conditions=[denied])
    assert world.client.wait_task(WEB, 1).verdict == "failed"


def test_task_on_its_way_to_another_attempt_does_not_run_yet(world: World) -> None:
    world.apply(make_task())
    again = {"name": "main", "state": "Preparing", "attempt": 1}
    runs = {"name": "main", "state": "Running", "attempt": 1}
    world.set_status("web", state="Running", observedGeneration=1, containers=[again])
    world.while_waiting = [
        lambda: world.set_status("web", state="Running", observedGeneration=1, containers=[runs])
    ]
    assert world.client.wait_task(WEB, 1).verdict == "done"
    assert world.while_waiting == []


def test_what_is_left_of_a_timeout_is_told_in_round_numbers(world: World) -> None:
    world.apply(make_task())
    with pytest.raises(TimedOut, match="timed out after 1 s waiting"):
        world.client.wait_task(WEB, 1, timeout_s=0.999996)
