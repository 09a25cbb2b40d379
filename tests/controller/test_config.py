"""ConfigMaps and Secrets that tasks take: who waits for what, and only the keys that are taken reach a binding."""

from typing import Any

import pytest

from schemas.configmap import ConfigCopy
from schemas.keys import ObjectRef
from schemas.meta import find_condition
from schemas.needs import needs_of
from schemas.state import TaskState
from schemas.task import TaskSpec
from sealing.box import Place, seal, unseal
from sealing.keys import new_key_pair
from tests.controller.harness import Cluster, ScriptedAgent

PAIR, NODE = new_key_pair(), new_key_pair()
LEVEL = {"configMapKeyRef": {"name": "app", "key": "level"}}
PASSWORD = {"secretKeyRef": {"name": "db", "key": "password"}}
VOLUME = {"name": "v", "configMap": {"name": "app"}}


@pytest.fixture
def world() -> Cluster:
    return Cluster(key_pair=PAIR)


def takes(*sources: dict[str, Any]) -> dict[str, Any]:
    env = [{"name": f"V{index}", "valueFrom": source} for index, source in enumerate(sources)]
    return {"container": {"env": env}}


def put_config(world: Cluster, **data: str) -> None:
    raw = {"apiVersion": "berth/v1", "kind": "ConfigMap", "data": data}
    put(world, raw, ObjectRef("configmaps", "default", "app"))


def put_secret(world: Cluster, **values: str) -> None:
    box = seal(
        PAIR.public, Place("default", "db", "Opaque"), {key: text.encode() for key, text in values.items()}
    )
    sealed = {"to": PAIR.id, "keys": sorted(values), "box": box}
    raw = {"apiVersion": "berth/v1", "kind": "Secret", "type": "Opaque", "sealed": sealed}
    put(world, raw, ObjectRef("secrets", "default", "db"))


def put(world: Cluster, raw: dict[str, Any], ref: ObjectRef) -> None:
    metadata = {"name": ref.name, "namespace": ref.namespace, "uid": f"uid-of-{ref.name}"}
    world.put(world.keys.spec(ref), {**raw, "metadata": metadata})


def add_node(world: Cluster) -> ScriptedAgent:
    return world.add_node("n1", publicKey=NODE.public)


def told(world: Cluster) -> tuple[TaskState, str, str]:
    world.settle()
    status = world.task_status("t")
    assert status is not None
    return status.state, status.reason, status.message


def scheduled(world: Cluster) -> tuple[str, str, str]:
    """Status, reason and message of the condition."""
    status = world.task_status("t")
    found = find_condition(status.conditions, "Scheduled") if status else None
    return (found.status, found.reason, found.message) if found else ("", "", "")


def test_a_task_waits_for_object_and_key_and_goes_on_when_they_come(world: Cluster) -> None:
    agent = add_node(world)
    world.apply("t", **takes(LEVEL))
    assert told(world)[:2] == (TaskState.PENDING, "ConfigMapMissing")
    put_config(world, other="1")
    state, reason, message = told(world)
    assert (state, reason) == (TaskState.PENDING, "ConfigMapKeyMissing")
    assert "configmap app in namespace default has no key level" in message
    put_config(world, other="1", level="info")
    world.settle()
    assert agent.running == ["t"]
    assert world.binding("t").config == {"app": ConfigCopy(data={"level": "info"})}


def test_a_task_of_a_lost_node_waits_for_what_it_takes_before_it_moves(world: Cluster) -> None:
    lost = add_node(world)
    put_config(world, level="info")
    world.apply("t", **takes(LEVEL))
    world.settle()
    put_config(world)
    lost.host_dies()
    world.add_node("n2", publicKey=NODE.public)
    world.advance(120.0)
    world.settle()
    assert {each.node for each in world.bindings()} == {"n1"}
    assert scheduled(world)[:2] == ("False", "ConfigMapKeyMissing")
    assert "configmap app in namespace default has no key level" in scheduled(world)[2]
    put_config(world, level="debug")
    world.until(lambda: world.agents["n2"].running == ["t"])
    assert scheduled(world)[:2] == ("True", "Bound")


def test_a_node_that_answers_again_takes_back_what_its_task_waited_for(world: Cluster) -> None:
    lost = add_node(world)
    put_config(world, level="info")
    world.apply("t", **takes(LEVEL))
    world.settle()
    put_config(world)
    lost.die()
    world.advance(120.0)
    assert scheduled(world)[:2] == ("False", "ConfigMapKeyMissing")
    lost.start()
    world.settle()
    assert scheduled(world) == ("True", "Bound", "bound to n1")
    assert lost.running == ["t"]


def test_only_the_keys_that_are_taken_are_sealed_for_the_node(world: Cluster) -> None:
    add_node(world)
    put_secret(world, password="first", other="unused")
    world.apply("t", **takes(PASSWORD))
    world.settle()
    binding = world.binding("t")
    place = Place("default", "db", task_uid=binding.task_uid)
    assert unseal(NODE, place, binding.sealed["db"].box) == {"password": b"first"}


def test_a_missing_key_of_a_secret_is_named(world: Cluster) -> None:
    add_node(world)
    put_secret(world, other="unused")
    world.apply("t", **takes(PASSWORD))
    _, reason, message = told(world)
    assert reason == "SecretKeyMissing"
    assert "secret db in namespace default has no key password" in message


def test_what_is_optional_is_not_waited_for(world: Cluster) -> None:
    agent = add_node(world)
    config = {"configMapKeyRef": {"name": "app", "key": "level", "optional": True}}
    secret = {"secretKeyRef": {"name": "db", "key": "password", "optional": True}}
    world.apply("t", **takes(config, secret))
    world.settle()
    assert agent.running == ["t"]


def test_a_change_reaches_the_binding_while_the_task_runs_on(world: Cluster) -> None:
    add_node(world)
    put_config(world, level="info")
    world.apply("t", volumes=[VOLUME])
    world.settle()
    before = world.binding("t")
    put_config(world, level="debug", more="1")
    world.settle()
    after = world.binding("t")
    assert after.binding_uid == before.binding_uid
    assert after.config["app"].data == {"level": "debug", "more": "1"}
    revision = world.revision
    world.settle()
    assert world.revision == revision


def test_a_config_map_that_is_broken_keeps_its_copies(world: Cluster) -> None:
    add_node(world)
    put_config(world, level="info")
    world.apply("t", volumes=[VOLUME])
    world.settle()
    put(
        world,
        {"apiVersion": "berth/v1", "kind": "ConfigMap", "data": 7},
        ObjectRef("configmaps", "default", "app"),
    )
    world.settle()
    assert world.binding("t").config["app"].data == {"level": "info"}


def test_a_task_that_takes_too_much_for_a_binding_says_so(world: Cluster) -> None:
    add_node(world)
    volumes = []
    for index in range(5):
        ref = ObjectRef("configmaps", "default", f"big-{index}")
        put(world, {"apiVersion": "berth/v1", "kind": "ConfigMap", "data": {"k": "x" * 250_000}}, ref)
        volumes.append({"name": f"v{index}", "configMap": {"name": ref.name}})
    world.apply("t", volumes=volumes)
    state, reason, message = told(world)
    assert (state, reason) == (TaskState.PENDING, "ConfigTooLarge")
    assert "one can have 1000000" in message


def test_the_spec_itself_counts_for_what_a_binding_can_hold(world: Cluster) -> None:
    add_node(world)
    put_config(world, level="x" * 250_000)
    container = {"env": [{"name": "TEXT", "value": "y" * 800_000}]}
    volumes = [{"name": "v", "configMap": {"name": "app"}}]
    world.apply("t", container=container, volumes=volumes)
    assert told(world)[1] == "ConfigTooLarge"
    world.apply("t", volumes=volumes)
    assert told(world)[1] != "ConfigTooLarge"
    assert world.binding("t").config


def test_needs_of_several_places_add_up() -> None:
    spec = TaskSpec.parse_written(
        {
            "containers": [{"name": "a", "image": "i", "env": [{"name": "A", "valueFrom": LEVEL}]}],
            "initContainers": [
                {"name": "b", "image": "i", "envFrom": [{"secretRef": {"name": "db", "optional": True}}]}
            ],
            "volumes": [
                {
                    "name": "v",
                    "configMap": {"name": "app", "optional": True, "items": [{"key": "x", "path": "x"}]},
                },
                {"name": "w", "secret": {"secretName": "db", "items": [{"key": "y", "path": "y"}]}},
            ],
        }
    )
    needs = needs_of(spec)
    app, db = needs.config_maps["app"], needs.secrets["db"]
    assert (app.keys, app.required, app.is_required) == ({"level", "x"}, {"level"}, True)
    assert (db.keys, db.required, db.is_required) == (None, {"y"}, True)
