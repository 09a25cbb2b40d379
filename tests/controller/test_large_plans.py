"""Plans of owners with large templates: each fits into one request to the store, and what doesn't fit comes next."""

from typing import Any

import pytest

from schemas.binding import Desired
from schemas.event import Event
from schemas.keys import ObjectRef, task_ref
from tests.controller.harness import Cluster
from tests.controller.test_workloads import WEB, apply, owned, running, template

MANY = 30
JOB = ObjectRef("jobs", "default", "j")
EVERYWHERE = ObjectRef("daemonsets", "default", "e")


@pytest.fixture
def world() -> Cluster:
    world = Cluster()
    for name in ("n1", "n2", "n3"):
        world.add_node(name, cpu="100", memory="400Gi")
    world.settle()
    return world


def large(kib: int) -> dict[str, Any]:
    found = template()
    found["spec"]["containers"][0]["env"] = [{"name": "LARGE", "value": "x" * (kib * 1024)}]
    return found


def test_scaling_down_what_is_too_large_for_one_transaction_takes_several(world: Cluster) -> None:
    apply(world, WEB, {"replicas": MANY, "template": large(60)})
    world.settle(400)
    assert len(running(world)) == MANY
    apply(world, WEB, {"replicas": 1, "template": large(60)})
    world.settle(400)
    assert len(owned(world)) == len(running(world)) == 1


def test_rollout_of_large_templates_ends(world: Cluster) -> None:
    apply(world, WEB, {"replicas": 4, "template": large(700)})
    world.settle(400)
    before = set(owned(world))
    apply(world, WEB, {"replicas": 4, "template": large(701)})
    world.settle(400)
    assert len(running(world)) == len(owned(world)) == 4
    assert before.isdisjoint(owned(world))


@pytest.mark.parametrize("cascade", ["background", "orphan"])
def test_owner_of_large_tasks_can_be_deleted(world: Cluster, cascade: str) -> None:
    apply(world, WEB, {"replicas": MANY, "template": large(90)})
    world.settle(400)
    world.delete(WEB, cascade=cascade)
    world.settle(400)
    assert owned(world) == {}
    assert len(running(world)) == (MANY if cascade == "orphan" else 0)


def test_suspended_job_of_large_tasks_stops_them_all(world: Cluster) -> None:
    wish: dict[str, Any] = {"completions": MANY, "parallelism": MANY}
    wish["template"] = {"spec": {**large(60)["spec"], "restartPolicy": "Never"}}
    apply(world, JOB, wish)
    world.settle(400)
    assert len(running(world)) == MANY
    apply(world, JOB, {**wish, "suspend": True})
    world.settle(400)
    assert running(world) == []


def test_daemonset_of_large_tasks_is_replaced_everywhere(world: Cluster) -> None:
    rolling = {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 3}}
    apply(world, EVERYWHERE, {"updateStrategy": rolling, "template": large(700)})
    world.settle(400)
    before = set(owned(world))
    apply(world, EVERYWHERE, {"updateStrategy": rolling, "template": large(701)})
    world.settle(400)
    assert len(running(world)) == 3
    assert before.isdisjoint(owned(world))


def test_one_change_that_is_too_large_is_told_of_the_task_and_its_owner(world: Cluster) -> None:
    """Binding elsewhere writes the binding that is lost, too: together that is more than the store takes."""
    apply(world, WEB, {"replicas": 1, "template": large(900)})
    world.settle()
    world.agents[world.bindings()[0].node].host_dies()
    world.until(lambda: world.events().get("TooLarge"))
    (name,) = owned(world)
    events = [Event.model_validate_json(kv.value) for kv in world.store.list(world.keys.events_range()).kvs]
    told = {each.object_name: each.message for each in events if each.reason == "TooLarge"}
    assert set(told) == {name, "web"}
    assert "make its spec, or the ConfigMaps that it takes, smaller" in told["web"]


def test_what_is_to_stop_carries_no_variables_of_others(world: Cluster) -> None:
    apply(world, WEB, {"replicas": 1, "template": template()})
    world.settle()
    world.apply("other")
    world.settle()
    before = world.binding("other")
    assert before.discovery
    world.agents[before.node].finals = False
    world.delete(task_ref("default", "other"))
    world.settle()
    after = world.binding("other")
    assert (after.desired, after.discovery, after.spec) == (Desired.STOP, {}, before.spec)
