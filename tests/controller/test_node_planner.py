"""What the planner of nodes wants, and when a policy object may go."""

from typing import Any

import pytest

from controller.reconcilers.node import NodeInputs, plan_node
from controller.reconcilers.plan import (
    Plan,
    PutNodeStatus,
    RemoveNodeReports,
    RemoveObject,
    RemoveRequest,
)
from controller.reconcilers.policy import PolicyInputs, plan_policy
from schemas.keys import cluster_ref, task_ref
from schemas.meta import Condition, find_condition
from schemas.request import DeleteRequest, FenceRequest
from schemas.status import NodeStatus
from tests.controller.builders import make_heartbeat, make_node_report, node_ref, versioned

NOW = 1_700_000_000.0


def node_inputs(**more: Any) -> NodeInputs:
    values: dict[str, Any] = {
        "ref": node_ref("n1"),
        "spec": None,
        "report": make_node_report(),
        "heartbeat": make_heartbeat(),
        "status": None,
        "delete": None,
        "fence": None,
        "has_sites": False,
        "incarnation": 1,
    }
    return NodeInputs(**{**values, **more})


def plan(**more: Any) -> Plan:
    return plan_node(node_inputs(**more), NOW)


def status_in(found: Plan) -> NodeStatus:
    (status,) = [intent.status for intent in found.intents if isinstance(intent, PutNodeStatus)]
    return status


def ready(found: Plan) -> Condition:
    condition = find_condition(status_in(found).conditions, "Ready")
    assert condition is not None
    return condition


RUNTIME_DOWN = ({"type": "RuntimeReady", "status": "False", "reason": "DockerUnreachable"},)


@pytest.mark.parametrize(
    ("more", "status", "reason"),
    [
        ({}, "True", "AgentReady"),
        ({"heartbeat": None}, "Unknown", "HeartbeatLost"),
        ({"heartbeat": None, "report": make_node_report(stopping=True)}, "Unknown", "AgentStopped"),
        ({"incarnation": 2}, "False", "Recovering"),
        ({"report": make_node_report(rewoundFrom=77)}, "False", "Recovering"),
        ({"report": make_node_report(conditions=RUNTIME_DOWN)}, "False", "DockerUnreachable"),
    ],
)
def test_ready_says_how_the_node_is(more: dict[str, Any], status: str, reason: str) -> None:
    found = ready(plan(**more))
    assert (found.status, found.reason) == (status, reason)


def test_an_unchanged_node_is_not_written_again() -> None:
    status = versioned(status_in(plan()))
    again = plan(status=status)
    assert (again.intents, again.events) == ((), ())


def test_going_and_coming_back_is_told_once_each() -> None:
    up = versioned(status_in(plan()))
    down = plan(status=up, heartbeat=None)
    assert [note.reason for note in down.events] == ["NodeNotReady"]
    back = plan(status=versioned(status_in(down)))
    assert [note.reason for note in back.events] == ["NodeReady"]


def test_a_node_that_never_reported_has_no_status() -> None:
    assert plan(report=None).intents == ()


FENCE = versioned(FenceRequest(node_uid="node-n1"), revision=60)


@pytest.mark.parametrize(
    ("alive", "has_sites", "lifted"), [(True, True, True), (False, True, False), (False, False, True)]
)
def test_a_fence_stands_while_something_of_the_dead_node_is_left(
    alive: bool, has_sites: bool, lifted: bool
) -> None:
    found = plan(fence=FENCE, heartbeat=make_heartbeat() if alive else None, has_sites=has_sites)
    assert (RemoveRequest("fence", 60) in found.intents) == lifted


DELETE = versioned(DeleteRequest(uid="node-n1"))


def test_deleting_a_dead_node_waits_for_its_bindings_and_takes_its_reports_along() -> None:
    assert plan(delete=DELETE, heartbeat=None, has_sites=True).intents == ()
    assert plan(delete=DELETE, heartbeat=None).intents == (RemoveObject(), RemoveNodeReports("n1"))


def test_deleting_a_living_node_removes_only_what_people_said_of_it() -> None:
    assert plan(delete=DELETE, has_sites=True).intents == (RemoveObject(),)


# Namespaces, queues, priority classes


def plan_queue(**more: Any) -> Plan:
    values: dict[str, Any] = {
        "ref": cluster_ref("queues", "a"),
        "spec_revision": 5,
        "spec_uid": "q",
        "delete_uid": "q",
        "delete_revision": 9,
        "users": (),
    }
    return plan_policy(PolicyInputs(**{**values, **more}), NOW)


def test_a_policy_goes_when_nothing_uses_it() -> None:
    assert plan_queue().intents == (RemoveObject(),)
    used = plan_queue(users=(task_ref("default", "t"),))
    assert used.intents == ()
    assert "task/t" in used.events[0].message


def test_a_wish_about_an_older_policy_of_that_name_is_dropped() -> None:
    assert plan_queue(delete_uid="older").intents == (RemoveRequest("delete", 9),)
    assert plan_queue(spec_uid="", spec_revision=0).intents == (RemoveRequest("delete", 9),)


def test_without_a_wish_nothing_happens() -> None:
    assert plan_queue(delete_uid="").intents == ()
