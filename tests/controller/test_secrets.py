"""Secrets in the controller: who waits for what, and whose key each copy is sealed to."""

from typing import Any

import pytest

from schemas.binding import Desired
from schemas.keys import ObjectRef, cluster_ref, task_ref
from schemas.registry import DOCKER_CONFIG, docker_config
from schemas.state import TaskState
from sealing.box import Place, seal, unseal
from sealing.errors import CantOpen
from sealing.keys import KeyPair, new_key_pair
from store.codec import decode, encode
from tests.controller.harness import Cluster, ScriptedAgent

PAIR, NODE = new_key_pair(), new_key_pair()
PULLS = {"imagePullSecrets": [{"name": "regcred"}]}
REF = ObjectRef("secrets", "default", "regcred")
T = task_ref("default", "t")


@pytest.fixture
def world() -> Cluster:
    return Cluster(key_pair=PAIR)


def put_secret(
    world: Cluster,
    password: str = "first",
    *,
    pair: KeyPair = PAIR,
    type_: str = "berth/registry",
    sealed_for: str = "regcred",
    name: str = "regcred",
    namespace: str = "default",
) -> None:
    """Write a Secret as a client does."""
    values = {DOCKER_CONFIG: docker_config("127.0.0.1:5000", "robot", password)}
    sealed = {
        "to": pair.id,
        "keys": [DOCKER_CONFIG],
        "box": seal(pair.public, Place(namespace, sealed_for, type_), values),
    }
    metadata = {"name": name, "namespace": namespace, "uid": f"uid-of-{name}"}
    raw = {"apiVersion": "berth/v1", "kind": "Secret", "metadata": metadata, "type": type_, "sealed": sealed}
    world.put(world.keys.spec(ObjectRef("secrets", namespace, name)), raw)


def password_at(world: Cluster, pair: KeyPair = NODE) -> str:
    """What the node finds in the binding of the task."""
    binding = world.binding("t")
    copy = binding.sealed["regcred"]
    assert copy.to == pair.id
    values = unseal(pair, Place("default", "regcred", task_uid=binding.task_uid), copy.box)
    return "second" if b"second" in values[DOCKER_CONFIG] else "first"


def add_node(world: Cluster, pair: KeyPair | None = NODE) -> ScriptedAgent:
    return world.add_node("n1", **({"publicKey": pair.public} if pair else {}))


def told(world: Cluster) -> tuple[TaskState, str, str]:
    status = world.task_status("t")
    assert status is not None
    return status.state, status.reason, status.message


def test_the_leader_publishes_the_clusters_key_and_keeps_it(world: Cluster) -> None:
    world.settle()
    cluster = world.cluster()
    assert cluster is not None
    assert cluster.public_key == PAIR.public
    before = world.revision
    world.settle()
    assert world.revision == before


def test_the_key_outlives_a_rewind_of_history(world: Cluster) -> None:
    add_node(world)
    world.settle()
    earlier = world.revision
    world.apply("t")
    world.settle()
    world.rewind(earlier)
    world.until(lambda: (found := world.cluster()) and found.incarnation == 2 and not found.recovering)
    cluster = world.cluster()
    assert cluster is not None
    assert cluster.public_key == PAIR.public


def test_a_backup_from_before_the_key_gets_it_again(world: Cluster) -> None:
    world.settle()
    raw = decode(world.store.get(world.keys.cluster).kv)  # type: ignore[arg-type]
    assert isinstance(raw, dict)
    world.put(world.keys.cluster, {key: value for key, value in raw.items() if key != "publicKey"})
    world.settle()
    cluster = world.cluster()
    assert cluster is not None
    assert cluster.public_key == PAIR.public


def test_a_controller_with_another_key_leads_never(world: Cluster) -> None:
    world.settle()
    world.key_pair = new_key_pair()
    pretender = world.new_controller("c2")
    world.controllers.append(pretender)
    world.settle()
    assert "sealed to" in str(pretender.refusal)
    world.crash_controller()
    world.advance(30)
    assert pretender.term is None
    cluster = world.cluster()
    assert cluster is not None
    assert cluster.public_key == PAIR.public


def test_a_task_waits_for_its_secret_and_then_gets_a_copy_for_its_node(world: Cluster) -> None:
    agent = add_node(world)
    world.apply("t", **PULLS)
    world.settle()
    state, reason, message = told(world)
    assert (state, reason) == (TaskState.PENDING, "SecretMissing")
    assert "secret regcred does not exist in namespace default" in message
    assert world.events()["SecretMissing"] == 1
    assert world.bindings() == []
    put_secret(world)
    world.settle()
    assert agent.running == ["t"]
    assert password_at(world) == "first"
    assert told(world)[1:] == ("", "")
    with pytest.raises(CantOpen):
        unseal(PAIR, Place("default", "regcred"), world.binding("t").sealed["regcred"].box)


def test_a_changed_secret_is_sealed_anew_while_the_task_runs_on(world: Cluster) -> None:
    agent = add_node(world)
    put_secret(world)
    world.apply("t", **PULLS)
    world.settle()
    before = world.binding("t")
    put_secret(world, "second")
    world.settle()
    after = world.binding("t")
    assert password_at(world) == "second"
    assert (after.binding_uid, after.epoch) == (before.binding_uid, before.epoch)
    assert agent.starts == {"t": 1}
    revision = world.revision
    world.settle()
    assert world.revision == revision, "nothing is sealed without need"


def test_a_node_with_a_new_key_gets_a_new_copy(world: Cluster) -> None:
    agent = add_node(world)
    put_secret(world)
    world.apply("t", **PULLS)
    world.settle()
    other = new_key_pair()
    agent.report_node(publicKey=other.public)
    world.settle()
    assert password_at(world, other) == "first"
    assert agent.starts == {"t": 1}


def test_a_node_without_a_key_gets_no_copy_until_it_has_one(world: Cluster) -> None:
    agent = add_node(world, None)
    put_secret(world)
    world.apply("t", **PULLS)
    world.settle()
    assert world.binding("t").sealed == {}
    agent.report_node(publicKey="not a key")
    world.settle()
    assert world.binding("t").sealed == {}
    agent.report_node(publicKey=NODE.public)
    world.settle()
    assert password_at(world) == "first"


@pytest.mark.parametrize(
    ("wrong", "expected"),
    [
        ({"type_": "Opaque"}, "is of type Opaque and holds no registry credentials"),
        ({"pair": new_key_pair()}, "but the cluster's is"),
        ({"sealed_for": "other"}, "sealed for another place"),
    ],
    ids=["type", "key", "place"],
)
def test_a_secret_that_cannot_be_used_is_told_and_waited_for(
    world: Cluster, wrong: dict[str, Any], expected: str
) -> None:
    agent = add_node(world)
    put_secret(world, **wrong)
    world.apply("t", **PULLS)
    world.settle()
    state, reason, message = told(world)
    assert (state, reason) == (TaskState.PENDING, "SecretUnusable")
    assert expected in message
    put_secret(world)
    world.settle()
    assert agent.running == ["t"]


def test_without_a_key_the_leader_binds_what_needs_no_secret() -> None:
    world = Cluster()
    agent = add_node(world)
    put_secret(world)
    world.apply("t", **PULLS)
    world.apply("free")
    world.settle()
    assert agent.running == ["free"]
    assert told(world)[1] == "SecretUnusable"
    assert "--secret-key FILE" in told(world)[2]


@pytest.mark.parametrize("value", [b"{", b'{"kind":"Secret","metadata":{"uid":"u","name":"other"}}'])
def test_a_secret_that_cannot_be_read_is_not_taken_for_absent(world: Cluster, value: bytes) -> None:
    agent = add_node(world)
    put_secret(world)
    world.apply("t", **PULLS)
    world.settle()
    before = world.binding("t")
    world.raw_put(world.keys.spec(REF), value)
    world.apply("late", **PULLS)
    world.settle()
    assert world.binding("t") == before
    status = world.task_status("late")
    assert status is not None
    assert status.reason == "SecretUnusable"
    assert agent.running == ["t"]


def test_values_in_clear_are_never_used(world: Cluster) -> None:
    add_node(world)
    raw = {
        "apiVersion": "berth/v1",
        "kind": "Secret",
        "metadata": {"name": "regcred", "namespace": "default", "uid": "u"},
        "type": "berth/registry",
        "stringData": {DOCKER_CONFIG: docker_config("x.example.com", "robot", "first").decode()},
    }
    world.raw_put(world.keys.spec(REF), encode(raw))
    world.apply("t", **PULLS)
    world.settle()
    assert told(world)[1] == "SecretUnusable"
    assert "is not sealed" in told(world)[2]
    assert "first" not in told(world)[2]


def test_a_deleted_secret_leaves_the_binding_and_a_stopped_task_keeps_no_copy(world: Cluster) -> None:
    agent = add_node(world)
    put_secret(world)
    world.apply("t", restartPolicy="Never", **PULLS)
    world.settle()
    world.delete(REF)
    world.settle()
    assert not world.exists(world.keys.spec(REF))
    assert not world.exists(world.keys.request(REF, "delete"))
    assert world.binding("t").sealed == {}
    assert agent.running == ["t"]
    put_secret(world)
    world.settle()
    agent.exits["t"] = 0
    world.settle()
    assert world.binding("t").desired is Desired.STOP
    assert world.binding("t").sealed == {}


def test_a_namespace_goes_after_its_secrets(world: Cluster) -> None:
    world.apply("team", kind="Namespace")
    put_secret(world, namespace="team")
    world.settle()
    world.delete(cluster_ref("namespaces", "team"))
    world.settle()
    assert world.exists(world.keys.spec(cluster_ref("namespaces", "team")))
    assert world.events()["InUse"] >= 1
    world.delete(ObjectRef("secrets", "team", "regcred"))
    world.settle()
    assert not world.exists(world.keys.spec(cluster_ref("namespaces", "team")))


def test_a_task_that_moves_to_another_node_takes_a_copy_for_it(world: Cluster) -> None:
    first = add_node(world)
    put_secret(world)
    world.apply("t", **PULLS)
    world.settle()
    other = new_key_pair()
    second = world.add_node("n2", publicKey=other.public)
    first.die()
    world.until(lambda: second.running == ["t"])
    found = [each for each in world.bindings() if each.node == "n2"]
    assert [each.sealed["regcred"].to for each in found] == [other.id]
