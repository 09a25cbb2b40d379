"""Ready and its parts, and what people are told of probes."""

from typing import Any

from controller.reconcilers.readiness import hook_notes, probe_notes, stages, unready, unready_words
from schemas.report import ContainerStatus, LastExit
from schemas.state import ContainerState
from schemas.status import TaskStatus
from schemas.task import TaskSpec

PLAIN = {"name": "web", "image": "web:1"}
SIDECAR = {"name": "proxy", "image": "proxy:1", "restartPolicy": "Always"}
INIT = {"name": "setup", "image": "setup:1"}
SPEC = TaskSpec.parse_written({"containers": [PLAIN], "initContainers": [INIT, SIDECAR]})


def make_status(
    name: str = "web", state: ContainerState = ContainerState.RUNNING, **more: Any
) -> ContainerStatus:
    return ContainerStatus(name=name, state=state, **{"init": name in ("setup", "proxy"), **more})


DONE = make_status("setup", ContainerState.EXITED, exit_code=0, reason="Completed")


def task(*containers: ContainerStatus) -> TaskStatus:
    return TaskStatus(uid="u", containers=containers)


def conditions(*containers: ContainerStatus) -> dict[str, str]:
    return {each.type: each.status for each in stages(SPEC, containers)}


def test_init_container_that_is_done_does_not_keep_a_task_from_being_ready() -> None:
    assert unready(SPEC, (make_status(), DONE, make_status("proxy"))) == ()


def test_sidecar_that_is_not_ready_does() -> None:
    proxy = make_status("proxy", ready=False, message="Readiness probe failed: refused")
    containers = (make_status(), DONE, proxy)
    assert unready_words(SPEC, containers) == "not ready: proxy (Readiness probe failed: refused)"
    assert conditions(*containers) == {"Initialized": "True", "ContainersReady": "False"}


def test_initialized_waits_for_every_init_container() -> None:
    waits = make_status("proxy", ContainerState.WAITING)
    assert conditions(make_status(state=ContainerState.WAITING), DONE, waits)["Initialized"] == "False"
    assert conditions(make_status(), DONE, make_status("proxy"))["Initialized"] == "True"


def test_container_that_has_not_started_is_not_ready() -> None:
    assert unready(SPEC, (make_status(started=False),))
    assert not unready(SPEC, (make_status(started=True, ready=True),))


def test_probe_that_begins_to_fail_is_told_once() -> None:
    bad = make_status(ready=False, reason="Unhealthy", message="Readiness probe failed: refused")
    (note,) = probe_notes(task(make_status(ready=True)), task(bad))
    assert (note.type, note.reason, note.message) == (
        "Warning",
        "Unhealthy",
        "web: Readiness probe failed: refused",
    )
    assert probe_notes(task(bad), task(bad)) == ()
    assert probe_notes(task(bad), task(make_status(ready=True))) == ()


def test_restart_by_a_probe_is_told_once_whatever_of_it_was_seen() -> None:
    reason, why = "LivenessProbeFailed", "Liveness probe failed: gone"
    stopping = make_status(
        state=ContainerState.STOPPING, reason=reason, message=f"{why}; it is restarted", attempt=2
    )
    again = make_status(attempt=3, last_exit=LastExit(exit_code=137, reason=reason))
    before = make_status(attempt=2)
    killing = [each.reason for each in probe_notes(task(before), task(stopping))]
    assert killing == ["Unhealthy", "Killing"]
    assert probe_notes(task(before), task(stopping))[0].message == f"web: {why}"
    assert probe_notes(task(stopping), task(again)) == ()
    assert [each.reason for each in probe_notes(task(before), task(again))] == killing


def test_a_failed_hook_is_told_of_once_an_attempt() -> None:
    first = make_status(container_id="c1", failed_hooks={"postStart": "exit code 3"})
    second = make_status(container_id="c2", failed_hooks={"postStart": "exit code 3"})
    (note,) = hook_notes(None, (first,))
    assert (note.type, note.reason, note.message) == ("Warning", "FailedPostStartHook", "web: exit code 3")
    assert hook_notes(task(first), (first,)) == ()
    assert len(hook_notes(task(first), (second,))) == 1
