"""Who takes something of a ConfigMap, a Secret or a deployment's addresses."""

from typing import Any

from controller.takers import Takers
from schemas.keys import ObjectRef, task_ref
from schemas.task import TaskSpec

SETTINGS = ObjectRef("configmaps", "default", "settings")
PASSWORD = ObjectRef("secrets", "default", "password")
WEB = ObjectRef("deployments", "default", "web")
A, B = task_ref("default", "a"), task_ref("default", "b")


def spec_with(*volumes: dict[str, Any]) -> TaskSpec:
    named = [{"name": f"v{number}", **volume} for number, volume in enumerate(volumes)]
    return TaskSpec.parse_stored({"containers": [{"name": "main", "image": "demo"}], "volumes": named})


def test_tasks_are_found_by_what_they_take() -> None:
    takers = Takers()
    takers.note(B, spec_with({"configMap": {"name": "settings"}}, {"endpoints": {"deployment": "web"}}))
    takers.note(A, spec_with({"configMap": {"name": "settings"}}, {"secret": {"secretName": "password"}}))
    assert (takers.of(SETTINGS), takers.of(PASSWORD), takers.of(WEB)) == ([A, B], [A], [B])


def test_a_task_that_takes_something_else_now_or_is_gone_is_not_found_any_more() -> None:
    takers = Takers()
    takers.note(A, spec_with({"configMap": {"name": "settings"}}))
    takers.note(B, spec_with({"configMap": {"name": "settings"}}))
    takers.note(A, spec_with({"secret": {"secretName": "password"}}))
    takers.note(B, None)
    assert (takers.of(SETTINGS), takers.of(PASSWORD)) == ([], [A])


def test_objects_of_other_namespaces_are_others() -> None:
    takers = Takers()
    takers.note(task_ref("team", "a"), spec_with({"configMap": {"name": "settings"}}))
    assert takers.of(SETTINGS) == []
