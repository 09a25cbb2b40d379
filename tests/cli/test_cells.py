from typing import Any

import pytest

from cli import cells
from client.views import ObjectView
from tests.client.helpers import NOW, World, make_object, make_task


def view_of(world: World, state: str, *containers: dict[str, Any], **fields: Any) -> ObjectView:
    world.apply(make_task())
    world.set_status(
        "web", state=state, containers=[{"name": "main", **each} for each in containers], **fields
    )
    return world.client.get("task", "web")


@pytest.mark.parametrize(
    ("state", "container", "expected"),
    [
        ("Pending", None, "Pending"),
        ("Bound", {"state": "Waiting"}, "Bound"),
        ("Bound", {"state": "Waiting", "reason": "ImagePullBackOff"}, "ImagePullBackOff"),
        ("Preparing", {"state": "Preparing"}, "Preparing"),
        ("Preparing", {"state": "Preparing", "reason": "ErrImagePull"}, "ErrImagePull"),
        ("Starting", {"state": "Starting"}, "Starting"),
        ("Running", {"state": "Running"}, "Running"),
        ("Running", {"state": "Exited", "exitCode": 1, "reason": "CrashLoopBackOff"}, "CrashLoopBackOff"),
        ("Running", {"state": "Waiting", "attempt": 2, "reason": "CrashLoopBackOff"}, "CrashLoopBackOff"),
        ("Running", {"state": "Exited", "exitCode": 137, "oom": True}, "OOMKilled"),
        ("Running", {"state": "Exited", "exitCode": 137, "signal": 9}, "Signal:9"),
        ("Running", {"state": "Exited", "exitCode": 3}, "ExitCode:3"),
        ("Running", {"state": "Exited", "exitCode": 1, "reason": "Error"}, "Error"),
        ("Running", {"state": "Running", "message": "a child was killed", "oom": True}, "Running"),
        ("Running", {"state": "Starting", "attempt": 1}, "Starting"),
        ("Running", {"state": "Waiting", "attempt": 1}, "Waiting"),
        ("Succeeded", {"state": "Exited", "exitCode": 0, "reason": "Completed"}, "Completed"),
        ("Succeeded", None, "Completed"),
        ("Failed", {"state": "Exited", "exitCode": 1, "reason": "Error"}, "Error"),
        ("Failed", None, "Error"),
        ("Stopping", {"state": "Exited", "exitCode": 143}, "Stopping"),
        ("Stopped", {"state": "Exited", "exitCode": 143}, "Stopped"),
        ("Lost", {"state": "Running"}, "Lost"),
        ("Bound", {"state": "Exited", "exitCode": 1, "reason": "Error"}, "Bound"),
    ],
)
def test_status_says_what_a_person_has_to_know(
    world: World, state: str, container: dict[str, Any] | None, expected: str
) -> None:
    view = view_of(world, state, *([container] if container else []))
    assert cells.task_status(view) == expected


def test_task_without_status_is_pending(world: World) -> None:
    world.apply(make_task())
    assert cells.task_status(world.client.get("task", "web")) == "Pending"


def test_deleted_task_is_terminating_and_unknown_on_a_dead_node(world: World) -> None:
    view = view_of(world, "Running", {"state": "Running"})
    world.client.delete(view, wait=False)
    assert cells.task_status(world.client.get("task", "web")) == "Terminating"
    unreachable = {"type": "Ready", "status": "Unknown", "reason": "NodeUnreachable"}
    view = view_of(world, "Running", {"state": "Running"}, conditions=[unreachable])
    assert cells.task_status(view) == "Unknown"


def test_how_a_task_has_ended_is_known_though_its_node_is_away(world: World) -> None:
    unreachable = {"type": "Ready", "status": "Unknown", "reason": "NodeUnreachable"}
    ended = {"state": "Exited", "exitCode": 0, "reason": "Completed"}
    assert cells.task_status(view_of(world, "Succeeded", ended, conditions=[unreachable])) == "Completed"
    failed = {"state": "Exited", "exitCode": 3, "reason": "Error"}
    assert cells.task_status(view_of(world, "Failed", failed, conditions=[unreachable])) == "Error"


def test_ready_counts_running_containers(world: World) -> None:
    assert cells.ready(view_of(world, "Running", {"state": "Running"})) == "1/1"
    assert cells.ready(view_of(world, "Running", {"state": "Exited"})) == "0/1"


def test_restarts_say_when_the_last_attempt_ended(world: World) -> None:
    last = {"exitCode": 1, "finishedAt": "2027-01-15T07:55:00Z"}
    assert cells.restarts(view_of(world, "Running", {"state": "Running"}), NOW) == "0"
    restarted = view_of(world, "Running", {"state": "Running", "attempt": 3, "lastExit": last})
    assert cells.restarts(restarted, NOW) == "3 (5m ago)"


def test_ports_show_where_they_are_on_the_node(world: World) -> None:
    ports = [
        {"container": "main", "containerPort": 8080, "hostPort": 31000},
        {"container": "main", "containerPort": 53, "hostPort": 31001, "protocol": "UDP"},
    ]
    assert cells.ports(view_of(world, "Running", ports=ports)) == "8080->31000,53->31001/udp"
    assert cells.ports(view_of(world, "Running")) == "<none>"


@pytest.mark.parametrize(
    ("ready", "expected"),
    [("True", "Ready"), ("False", "NotReady"), ("Unknown", "NotReady"), (None, "Unknown")],
)
def test_node_status(world: World, ready: str | None, expected: str) -> None:
    world.add_node("n1", ready=ready)
    assert cells.node_status(world.client.get("node", "n1")) == expected
    world.client.cordon("n1")
    assert cells.node_status(world.client.get("node", "n1")) == f"{expected},SchedulingDisabled"


def test_roles_come_from_labels(world: World) -> None:
    world.add_node("n1", labels={"node-role/gpu": "", "other": "x"})
    world.apply({**make_object("Node", "n1"), "metadata": {"name": "n1", "labels": {"node-role/batch": ""}}})
    assert cells.node_roles(world.client.get("node", "n1")) == "batch,gpu"
