"""Owners in the leader's shell: what they make, keep and remove, over the memory store in virtual time."""

from typing import Any

import pytest

from controller.composing import Kept
from schemas.binding import Desired
from schemas.keys import ObjectRef, task_ref
from schemas.meta import find_condition
from schemas.owned import Endpoints, Owned, Revision, compose_task
from schemas.state import TaskState
from schemas.task import Task
from schemas.versioned import Versioned
from schemas.workload_status import DeploymentStatus
from store import objects
from store.api import Delete, Put, Txn
from store.codec import RawJson, Unreadable, decode
from tests.controller.harness import Cluster

WEB = ObjectRef("deployments", "default", "web")
KINDS = {"deployments": "Deployment", "daemonsets": "DaemonSet", "jobs": "Job", "cronjobs": "CronJob"}


@pytest.fixture
def world() -> Cluster:
    world = Cluster()
    world.add_node("n1")
    world.add_node("n2")
    world.settle()
    return world


def apply(world: Cluster, ref: ObjectRef, spec: dict[str, Any]) -> None:
    metadata = {"name": ref.name, "namespace": ref.namespace}
    raw = {"apiVersion": "berth/v1", "kind": KINDS[ref.plural], "metadata": metadata, "spec": spec}
    found = world.store.get(world.keys.spec(ref)).kv
    objects.write(
        world.store,
        world.keys.spec(ref),
        raw,
        expect_mod_revision=found.mod_revision if found else 0,
    )


def template(**spec: Any) -> dict[str, Any]:
    container = {"name": "main", "image": "demo:1", "ports": [{"containerPort": 80}]}
    return {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [container], **spec}}


def deploy(world: Cluster, replicas: int = 3, **spec: Any) -> None:
    apply(world, WEB, {"replicas": replicas, "template": template(), **spec})


def owned(world: Cluster, plural: str = "tasks") -> dict[str, Owned]:
    kvs = world.store.list(f"/berth/owned/default/{plural}/").kvs
    found = [Owned.model_validate_json(kv.value) for kv in kvs]
    return {each.metadata.name: each for each in found}


def running(world: Cluster) -> list[str]:
    return sorted(b.name for b in world.bindings() if b.desired is Desired.RUN)


def addresses(world: Cluster) -> list[str]:
    kv = world.store.get(world.keys.endpoints("default", "web")).kv
    return [each.task for each in Endpoints.model_validate_json(kv.value).addresses] if kv else []


def keys_below(world: Cluster, *families: str) -> list[str]:
    return [kv.key for family in families for kv in world.store.list(f"/berth/{family}/").kvs]


def test_deployment_makes_its_tasks_and_lists_their_addresses(world: Cluster) -> None:
    deploy(world)
    world.settle()
    assert len(running(world)) == 3
    assert sorted(owned(world)) == running(world) == addresses(world)


def test_deleted_task_is_replaced_and_its_name_is_not_listed_while_it_stops(world: Cluster) -> None:
    deploy(world)
    world.settle()
    victim = running(world)[0]
    request = {"kind": "DeleteRequest", "uid": owned(world)[victim].metadata.uid}
    world.put(world.keys.request(task_ref("default", victim), "delete"), request)
    world.until(lambda: victim not in running(world))
    assert victim not in addresses(world)
    world.settle()
    assert len(running(world)) == 3
    assert len(addresses(world)) == 3
    assert not world.exists(world.keys.request(task_ref("default", victim), "delete"))


def test_rollout_replaces_every_task(world: Cluster) -> None:
    deploy(world)
    world.settle()
    before = set(running(world))
    changed = template()
    changed["spec"]["containers"][0]["image"] = "demo:2"
    deploy(world, template=changed)
    world.settle()
    assert len(running(world)) == 3
    assert before.isdisjoint(running(world))
    assert sorted(owned(world)) == running(world)


def test_deleted_deployment_leaves_nothing(world: Cluster) -> None:
    deploy(world)
    world.settle()
    world.delete(WEB)
    world.settle()
    assert keys_below(world, "owned", "revisions", "endpoints", "bindings", "requests") == []
    assert not world.exists(world.keys.spec(WEB))
    assert not world.exists(world.keys.status(WEB))


def test_removed_spec_key_counts_as_a_delete(world: Cluster) -> None:
    deploy(world)
    world.settle()
    world.remove(world.keys.spec(WEB))
    world.settle()
    assert keys_below(world, "owned", "revisions", "endpoints", "bindings", "status/default") == []


def test_foreground_keeps_the_deployment_until_its_tasks_have_ended(world: Cluster) -> None:
    deploy(world)
    world.settle()
    world.delete(WEB, cascade="foreground")
    world.until(lambda: not world.exists(world.keys.spec(WEB)))
    assert keys_below(world, "bindings", "owned") == []


def test_orphaned_tasks_run_on_as_tasks_of_their_own(world: Cluster) -> None:
    deploy(world)
    world.settle()
    before = {b.name: b.binding_uid for b in world.bindings()}
    world.delete(WEB, cascade="orphan")
    world.settle()
    assert not world.exists(world.keys.spec(WEB))
    assert owned(world) == {}
    assert {b.name: b.binding_uid for b in world.bindings() if b.desired is Desired.RUN} == before
    kv = world.store.get(world.keys.spec(task_ref("default", min(before)))).kv
    raw = decode(kv) if kv else {}
    assert isinstance(raw, dict)
    assert raw["metadata"]["labels"] == {"app": "web"}


def test_orphaned_tasks_run_on_though_somebody_removes_the_key_of_their_owner_meanwhile(
    world: Cluster,
) -> None:
    deploy(world)
    world.settle()
    before = running(world)
    world.delete(WEB, cascade="orphan")
    world.remove(world.keys.spec(WEB))
    world.settle()
    assert owned(world) == {}
    assert running(world) == before
    assert all(world.exists(world.keys.spec(task_ref("default", name))) for name in before)


def test_recreated_deployment_does_not_keep_tasks_of_the_old_one(world: Cluster) -> None:
    deploy(world)
    world.settle()
    old = {each.metadata.uid for each in owned(world).values()}
    world.remove(world.keys.spec(WEB))
    deploy(world, replicas=2)
    world.settle()
    found = owned(world)
    assert len(found) == 2
    assert old.isdisjoint(each.metadata.uid for each in found.values())
    assert running(world) == sorted(found)


def test_daemon_set_runs_on_every_node_cordoned_ones_too(world: Cluster) -> None:
    world.apply("n2", kind="Node", unschedulable=True)
    apply(world, ObjectRef("daemonsets", "default", "agent"), {"template": template()})
    world.settle()
    assert sorted(b.node for b in world.bindings()) == ["n1", "n2"]
    world.add_node("n3")
    world.settle()
    assert sorted(b.node for b in world.bindings()) == ["n1", "n2", "n3"]


def test_pinned_task_waits_for_its_node(world: Cluster) -> None:
    world.apply("pinned", nodeName="n9")
    world.settle()
    status = world.task_status("pinned")
    assert status is not None
    assert status.state is TaskState.PENDING
    assert "n9" in status.message
    world.add_node("n9")
    world.settle()
    assert world.binding("pinned").node == "n9"


def test_job_counts_each_success_once(world: Cluster) -> None:
    job = ObjectRef("jobs", "default", "sum")
    spec = template(restartPolicy="Never")
    apply(world, job, {"completions": 3, "parallelism": 2, "template": spec})
    for agent in world.agents.values():
        agent.exits = {f"sum-{number}": 0 for number in range(10)}
    world.settle()
    kv = world.store.get(world.keys.status(job)).kv
    status = decode(kv) if kv else {}
    assert isinstance(status, dict)
    assert status["succeeded"] == 3


def test_new_task_is_told_where_deployments_are(world: Cluster) -> None:
    deploy(world, replicas=1)
    world.settle()
    world.apply("client")
    world.settle()
    port = next(b for b in world.bindings() if b.name != "client").grants.ports[0].host_port
    assert world.binding("client").discovery["BERTH_WEB_PORT"] == str(port)


def test_missing_template_freezes_its_tasks(world: Cluster) -> None:
    deploy(world)
    world.settle()
    before = running(world)
    (key,) = keys_below(world, "revisions")
    kv = world.store.get(key).kv
    assert kv is not None
    world.raw_put(key, b"garbled")
    deploy(world, replicas=1)
    world.settle()
    assert running(world) == before
    world.raw_put(key, kv.value)
    world.settle()
    assert len(running(world)) == 1


def test_new_leader_goes_on_with_a_rollout(world: Cluster) -> None:
    deploy(world, replicas=6)
    world.settle()
    changed = template(grace="3s")
    deploy(world, replicas=6, template=changed)
    world.step(0.5)
    world.controllers.append(world.new_controller("c2"))
    world.crash_controller()
    world.advance(30)
    world.settle()
    assert len(running(world)) == 6
    assert {b.spec.grace for b in world.bindings()} == {3.0}


@pytest.mark.parametrize("steps", [1, 2, 3, 4])
def test_rollout_goes_on_after_all_controllers_were_away_for_longer_than_its_deadline(
    world: Cluster, steps: int
) -> None:
    limits = {"autoRollback": True, "progressDeadlineSeconds": 60}
    deploy(world, replicas=3, **limits)
    world.settle()
    deploy(world, replicas=3, template=template(grace="3s"), **limits)
    for _ in range(steps):
        world.step(0.5)
    world.crash_controller()
    world.advance(120)
    world.controllers.append(world.new_controller("c2"))
    world.advance(60)
    kv = world.store.get(world.keys.status(WEB)).kv
    assert kv is not None
    status = DeploymentStatus.model_validate_json(kv.value)
    assert (status.revision, status.rolled_back, status.good_revision) == (2, 0, 2)


def test_namespace_with_an_owner_stays(world: Cluster) -> None:
    space = ObjectRef("namespaces", "_cluster", "team")
    world.apply("team", kind="Namespace")
    apply(world, ObjectRef("deployments", "team", "web"), {"replicas": 0, "template": template()})
    world.settle()
    world.delete(space)
    world.settle()
    assert world.exists(world.keys.spec(space))
    world.delete(ObjectRef("deployments", "team", "web"))
    world.settle()
    assert not world.exists(world.keys.spec(space))


@pytest.mark.parametrize("own", [{}, {"index": 3}, {"nodeName": "n1"}])
@pytest.mark.parametrize("kind", ["Deployment", "DaemonSet"])
def test_composed_task_is_what_its_json_says(own: dict[str, Any], kind: str) -> None:
    owner = {"kind": kind, "name": "web", "uid": "u"}
    made = {"kind": "Task", "metadata": {"name": "web-1-0", "namespace": "default", "uid": "t"}}
    value = Owned.model_validate({**made, "owner": owner, "revision": 1, **own})
    kept = {"owner": owner, "number": 1, "hash": "h", "template": template(tolerations=[{"key": "a"}])}
    revision = Revision.model_validate(kept)
    found = Kept(Versioned(revision, RawJson(revision.to_bytes()), 1, 1, 1)).task(
        Versioned(value, RawJson(value.to_bytes()), 2, 3, 1), "key"
    )
    assert not isinstance(found, Unreadable)
    assert found.value == Task.parse_stored(compose_task(value, revision))


def frozen_because(world: Cluster) -> str:
    kv = world.store.get(world.keys.status(WEB)).kv
    assert kv is not None
    found = find_condition(DeploymentStatus.model_validate_json(kv.value).conditions, "Frozen")
    return found.message if found is not None else ""


def test_owner_whose_kept_template_is_missing_says_so_and_goes_on_when_it_is_back(world: Cluster) -> None:
    deploy(world, replicas=2)
    world.settle()
    (key,) = keys_below(world, "revisions")
    kept = world.store.get(key).kv
    assert kept is not None
    world.store.txn(Txn((), (Delete(key),)))
    deploy(world, replicas=3)
    world.settle()
    assert "task/web-1-0: its kept template, revision 1, is missing" in frozen_because(world)
    assert len(owned(world)) == 2
    world.store.txn(Txn((), (Put(key, kept.value),)))
    world.settle()
    assert frozen_because(world) == ""
    assert len(running(world)) == 3


@pytest.mark.parametrize("value", [None, b"{half"])
def test_owner_whose_kept_template_cannot_be_read_can_be_deleted(world: Cluster, value: bytes | None) -> None:
    deploy(world, replicas=2)
    world.settle()
    (key,) = keys_below(world, "revisions")
    world.store.txn(Txn((), (Delete(key) if value is None else Put(key, value),)))
    world.settle()
    world.delete(WEB)
    world.settle()
    assert running(world) == []
    assert (
        keys_below(world, "spec/default", "owned", "revisions", "status/default", "requests", "endpoints")
        == []
    )


def test_deletion_waits_for_an_owned_key_that_cannot_be_read_and_says_for_which(world: Cluster) -> None:
    deploy(world, replicas=2)
    world.settle()
    key = world.keys.owned(task_ref("default", "web-1-0"))
    kept = world.store.get(key).kv
    assert kept is not None
    world.store.txn(Txn((), (Put(key, b"{half"),)))
    world.delete(WEB)
    world.settle()
    assert running(world) == ["web-1-0"]
    assert "it can't be removed until this is repaired: task/web-1-0: its owned key" in frozen_because(world)
    world.store.txn(Txn((), (Put(key, kept.value),)))
    world.settle()
    assert running(world) == []
    assert keys_below(world, "spec", "owned", "revisions") == []
