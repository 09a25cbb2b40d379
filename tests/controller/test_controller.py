"""The controller end to end: real actors over the memory store, virtual time, scripted agents."""

from typing import Any

import pytest

from controller.reconcilers import task as task_planner
from controller.reconcilers.plan import EventNote
from controller.recorder import Recorder
from schemas.binding import Desired, StopReason
from schemas.keys import Keys, cluster_ref, task_ref
from schemas.meta import Condition, find_condition
from schemas.request import FenceRequest
from schemas.state import TaskState
from store.api import Put, Txn
from store.codec import decode, encode
from store.errors import Rewound, Unavailable
from store.memory import MemoryStore
from tests.controller.harness import Cluster, ScriptedAgent
from tests.store.faulty import FaultyStore

T = task_ref("default", "t")
MOST = {"container": {"resources": {"requests": {"cpu": "3"}}}}  # of the four cores of a node


@pytest.fixture
def world() -> Cluster:
    return Cluster()


def with_task(world: Cluster, *, nodes: tuple[str, ...] = ("n1",), **spec: Any) -> ScriptedAgent:
    """A task `t` that runs on the first node; the others join after that."""
    first = world.add_node(nodes[0])
    world.apply("t", **spec)
    world.settle()
    for name in nodes[1:]:
        world.add_node(name)
    world.settle()
    assert first.running == ["t"]
    return first


def bound(world: Cluster) -> list[str]:
    return sorted(binding.name for binding in world.bindings())


def state(world: Cluster, name: str = "t") -> TaskState | None:
    status = world.task_status(name)
    return status.state if status else None


def condition(world: Cluster, type_: str, name: str = "t") -> Condition | None:
    status = world.task_status(name)
    return find_condition(status.conditions, type_) if status else None


def message(world: Cluster, type_: str = "Scheduled", name: str = "t") -> str:
    found = condition(world, type_, name)
    return found.message if found else ""


def is_unknown(world: Cluster) -> bool:
    found = condition(world, "Unknown")
    return found is not None and found.status == "True"


def unscheduled(world: Cluster) -> int:
    """How many verdicts of "fits nowhere" the leader has given."""
    assert world.leader.term is not None
    return world.leader.term.counters.unschedulable


# From spec to running container to nothing


def test_a_task_is_bound_runs_and_is_shown_running(world: Cluster) -> None:
    with_task(world)
    status = world.task_status("t")
    assert status is not None
    assert (status.state, status.node, status.epoch) == (TaskState.RUNNING, "n1", 1)
    assert status.binding_uid == world.binding("t").binding_uid
    assert world.binding("t").access_hash


@pytest.mark.parametrize(("exit_code", "outcome"), [(0, TaskState.SUCCEEDED), (3, TaskState.FAILED)])
def test_a_task_that_ends_keeps_its_binding_and_frees_its_room(
    world: Cluster, exit_code: int, outcome: TaskState
) -> None:
    agent = with_task(world, restartPolicy="Never", container={"resources": {"requests": {"cpu": "4"}}})
    agent.exits["t"] = exit_code
    world.settle()
    assert state(world) is outcome
    assert world.binding("t").reason is StopReason.COMPLETED
    world.apply("next", container={"resources": {"requests": {"cpu": "4"}}})
    world.settle()
    assert state(world, "next") is TaskState.RUNNING
    assert state(world) is outcome
    world.delete(T)
    world.settle()
    assert [binding.name for binding in world.bindings()] == ["next"]


def test_a_changed_image_replaces_the_task_on_the_same_node(world: Cluster) -> None:
    agent = with_task(world, nodes=("n1", "n2"))
    before = world.binding("t").binding_uid
    world.apply("t", container={"image": "demo:2"})
    world.settle()
    after = world.binding("t")
    assert (after.node, after.epoch, after.spec.containers[0].image) == ("n1", 2, "demo:2")
    assert after.binding_uid != before
    assert agent.starts["t"] == 2


def test_grace_and_labels_change_the_binding_and_restart_nothing(world: Cluster) -> None:
    agent = with_task(world)
    before = world.binding("t")
    world.apply("t", grace="3s", priority=4)
    world.settle()
    after = world.binding("t")
    assert (after.binding_uid, after.spec.grace, after.spec.priority) == (before.binding_uid, 3.0, 4)
    assert after.generation == 2
    assert agent.starts["t"] == 1


def nothing_remains(world: Cluster, uid: str) -> None:
    assert state(world) is None
    found = [kv.key for kv in world.store.list("/berth/").kvs if uid in kv.key or "tasks/t" in kv.key]
    assert found == []


@pytest.mark.parametrize("how", ["request", "plain"])
def test_a_deleted_task_is_stopped_and_leaves_nothing(world: Cluster, how: str) -> None:
    agent = with_task(world)
    uid = world.binding("t").task_uid
    world.delete(T) if how == "request" else world.remove(world.keys.spec(T))
    world.settle()
    assert agent.running == []
    nothing_remains(world, uid)


def test_deletion_waits_for_the_final_report(world: Cluster) -> None:
    agent = with_task(world)
    agent.finals = False
    world.delete(T, grace_s=2.0)
    world.settle()
    binding = world.binding("t")
    assert (binding.desired, binding.reason, binding.spec.grace) == (Desired.STOP, StopReason.DELETED, 2.0)
    assert world.exists(world.keys.spec(T))
    agent.finals = True
    world.settle()
    nothing_remains(world, binding.task_uid)


def test_a_pending_task_can_be_deleted(world: Cluster) -> None:
    world.apply("t")
    world.settle()
    assert message(world) == "there are no nodes; start one with: berth agent"
    world.delete(T)
    world.settle()
    assert state(world) is None
    world.add_node("n1")
    world.settle()
    assert world.bindings() == []


def test_a_task_can_be_deleted_before_its_agent_has_answered(world: Cluster) -> None:
    agent = world.add_node("n1")
    world.settle()
    agent.die()
    world.apply("t")
    world.until(world.bindings)
    world.delete(T)
    world.step(0.5)
    agent.start()
    world.settle()
    assert agent.starts == {}
    assert state(world) is None
    assert world.bindings() == []


def test_an_edit_does_not_stop_a_deletion(world: Cluster) -> None:
    agent = with_task(world)
    agent.finals = False
    world.delete(T)
    world.settle()
    world.apply("t", container={"image": "demo:2"})
    world.settle()
    agent.finals = True
    world.settle()
    assert state(world) is None
    assert not world.exists(world.keys.spec(T))


def test_a_task_made_anew_waits_until_the_old_copy_has_ended(world: Cluster) -> None:
    agent = with_task(world, nodes=("n1", "n2"))
    old = world.binding("t")
    agent.finals = False
    world.remove(world.keys.spec(T))
    world.apply("t")
    world.settle()
    assert [binding.task_uid for binding in world.bindings()] == [old.task_uid]
    agent.finals = True
    world.settle()
    new = world.binding("t")
    assert new.task_uid != old.task_uid
    assert state(world) is TaskState.RUNNING


def test_a_request_left_from_an_older_object_kills_nothing(world: Cluster) -> None:
    agent = with_task(world)
    world.put(world.keys.request(T, "delete"), {"kind": "DeleteRequest", "uid": "older"})
    world.settle()
    assert agent.running == ["t"]
    assert not world.exists(world.keys.request(T, "delete"))


# What does not fit waits for what could help, and is not polled


def test_a_task_that_fits_nowhere_says_why_and_is_tried_when_a_change_could_help(world: Cluster) -> None:
    with_task(world, container={"resources": {"requests": {"cpu": "3"}}})
    world.apply("big", container={"resources": {"requests": {"cpu": "2"}}})
    world.settle()
    assert message(world, name="big") == "0 of 1 nodes fit: 1 short of cpu by 1"
    world.delete(T)
    world.settle()
    assert state(world, "big") is TaskState.RUNNING


def test_waiting_is_not_polling(world: Cluster) -> None:
    with_task(world)
    world.apply("big", container={"resources": {"requests": {"cpu": "64"}}})
    world.settle()
    tried, revision = unscheduled(world), world.revision
    world.advance(280)
    assert unscheduled(world) == tried
    assert world.revision == revision
    world.apply("other")
    world.settle()
    assert unscheduled(world) == tried, "a task that takes room can't help"


@pytest.mark.parametrize("cure", ["label", "node", "uncordon"])
def test_each_cure_cures(world: Cluster, cure: str) -> None:
    world.add_node("n1")
    if cure == "uncordon":
        world.apply("n1", kind="Node", unschedulable=True)
    world.apply("t", **({"nodeSelector": {"disk": "ssd"}} if cure == "label" else {}))
    if cure == "node":
        world.agents["n1"].report_node(allocatable={"cpu": "1m"})
    world.settle()
    assert state(world) in (None, TaskState.PENDING)
    if cure == "label":
        world.agents["n1"].report_node(labels={"disk": "ssd"})
    elif cure == "uncordon":
        world.apply("n1", kind="Node", unschedulable=False)
    else:
        world.add_node("n2")
    world.settle()
    assert state(world) is TaskState.RUNNING
    assert message(world).startswith("bound to")


def test_the_first_come_is_served_first_even_when_the_leader_is_new(world: Cluster) -> None:
    for name in ("zz", "aa"):
        world.apply(name, container={"resources": {"requests": {"cpu": "4"}}})
    world.add_node("n1")
    world.settle()
    assert state(world, "zz") is TaskState.RUNNING
    assert state(world, "aa") is TaskState.PENDING


def test_a_new_leader_looks_at_everything_before_it_places_anything(
    world: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("controller.leader.KEYS_A_STEP", 2)
    for index in range(9):
        cpu = {"resources": {"requests": {"cpu": "4"}}}
        world.apply(f"t{index}", container=cpu, priority=index)
    world.add_node("n1")
    world.until(world.bindings)
    world.settle()
    assert [binding.name for binding in world.bindings()] == ["t8"]


# Nodes that go and come


def test_a_lost_node_makes_its_task_unknown_and_then_it_runs_elsewhere(world: Cluster) -> None:
    agent = with_task(world, nodes=("n1", "n2"))
    agent.host_dies()
    world.until(lambda: is_unknown(world))
    assert world.node_status("n1") is not None
    took = world.until(lambda: world.agents["n2"].running == ["t"])
    assert 28 <= took <= 34
    world.settle()
    stops = {binding.node: binding.desired for binding in world.bindings()}
    assert stops == {"n1": Desired.STOP, "n2": Desired.RUN}
    status = world.task_status("t")
    assert status is not None
    assert (status.node, status.epoch, status.state) == ("n2", 2, TaskState.RUNNING)


def test_a_node_that_returns_in_time_keeps_its_tasks(world: Cluster) -> None:
    agent = with_task(world, nodes=("n1", "n2"))
    before = world.binding("t")
    agent.die()
    world.until(lambda: is_unknown(world))
    world.advance(20)
    agent.start()
    world.advance(100)
    assert world.binding("t") == before
    assert agent.starts["t"] == 1
    assert condition(world, "Unknown").status == "False"  # type: ignore[union-attr]


def test_a_node_that_returns_late_stops_its_old_copy_and_is_free_of_it(world: Cluster) -> None:
    agent = with_task(world, nodes=("n1", "n2"))
    agent.die()
    world.until(lambda: world.agents["n2"].running)
    assert agent.running == ["t"], "the host lived on"
    agent.start()
    world.settle()
    assert agent.running == []
    assert world.binding("t").node == "n2"


def test_a_task_that_nobody_can_take_over_says_why_and_goes_on_if_its_node_returns(world: Cluster) -> None:
    agent = with_task(world)
    agent.die()
    world.advance(100)
    assert "1 not ready" in message(world) or "1 still ending" in message(world)
    agent.start()
    world.settle()
    assert state(world) is TaskState.RUNNING
    assert message(world) == "bound to n1"


def test_exactly_one_moves_after_a_minute(world: Cluster) -> None:
    agent = with_task(world, nodes=("n1", "n2"), exactlyOne=True)
    agent.host_dies()
    world.until(lambda: is_unknown(world))
    assert 58 <= world.until(lambda: world.agents["n2"].running) <= 64


def test_exactly_one_stays_where_its_agent_was_stopped_in_good_order_until_a_fence(world: Cluster) -> None:
    agent = with_task(world, nodes=("n1", "n2"), exactlyOne=True)
    agent.stop_cleanly()
    world.advance(600)
    assert world.agents["n2"].running == []
    fence(world, "n1")
    world.settle()
    assert world.agents["n2"].running == ["t"]
    assert [binding.node for binding in world.bindings()] == ["n2"]


def fence(world: Cluster, node: str) -> None:
    request = FenceRequest(node_uid=f"node-{node}").to_json()
    world.put(world.keys.request(cluster_ref("nodes", node), "fence"), request)


@pytest.mark.parametrize(
    "request_value", [b"garbage", encode(FenceRequest(node_uid="another-host").to_json())]
)
def test_only_a_readable_fence_of_that_very_host_counts(world: Cluster, request_value: bytes) -> None:
    agent = with_task(world, nodes=("n1", "n2"), exactlyOne=True)
    agent.stop_cleanly()
    world.settle()
    world.raw_put(world.keys.request(cluster_ref("nodes", "n1"), "fence"), request_value)
    world.advance(300)
    assert world.agents["n2"].running == []


def test_a_fenced_node_that_lives_after_all_stops_its_copy(world: Cluster) -> None:
    agent = with_task(world, nodes=("n1", "n2"))
    agent.die()
    world.until(lambda: is_unknown(world))
    fence(world, "n1")
    world.settle()
    assert world.agents["n2"].running == ["t"]
    agent.start()
    world.settle()
    assert agent.running == []
    assert not world.exists(world.keys.request(cluster_ref("nodes", "n1"), "fence"))
    assert world.binding("t").node == "n2"


def test_a_node_that_comes_back_unseen_is_not_robbed_of_its_task(world: Cluster) -> None:
    """The heartbeat is in the transaction: a cache that has not seen it yet can't start a second copy."""
    agent = with_task(world, nodes=("n1", "n2"), exactlyOne=True)
    agent.die()
    world.until(lambda: is_unknown(world))
    controller = world.controller
    while controller.term.counters.bound < 2:  # type: ignore[union-attr]
        world.step(0.25)
        controller.step(world.now)
    agent.start()  # the decision is made, and now the node is back
    controller.writer.step(world.now)
    world.advance(100)
    assert agent.running == ["t"]
    assert agent.starts["t"] == 1
    assert world.agents["n2"].starts == {}


def test_a_dead_node_can_be_deleted_once_it_is_fenced(world: Cluster) -> None:
    agent = with_task(world, nodes=("n1", "n2"))
    agent.host_dies()
    world.until(lambda: world.agents["n2"].running)
    world.put(
        world.keys.request(cluster_ref("nodes", "n1"), "delete"), {"kind": "DeleteRequest", "uid": "node-n1"}
    )
    world.settle()
    assert world.node_status("n1") is not None
    fence(world, "n1")
    world.settle()
    assert world.node_status("n1") is None
    assert [kv.key for kv in world.store.list("/berth/").kvs if "/n1" in kv.key] == []


def test_a_host_port_that_a_stranger_took_is_replaced_by_another(world: Cluster) -> None:
    agent = world.add_node("n1")
    agent.reasons["t"] = "HostPortTaken"
    world.apply("t", container={"ports": [{"containerPort": 80}]})
    world.until(world.bindings)
    assert world.binding("t").grants.ports[0].host_port == 31000
    agent.report_node(portsTaken=[31000])
    world.until(lambda: world.bindings() and world.binding("t").desired is Desired.STOP)
    agent.reasons.clear()
    world.settle()
    assert world.binding("t").grants.ports[0].host_port == 31001
    status = world.task_status("t")
    assert status is not None
    assert status.ports[0].host_port == 31001


def test_tasks_on_one_node_get_different_ports(world: Cluster) -> None:
    world.add_node("n1")
    for name in ("a", "b", "c"):
        world.apply(name, container={"ports": [{"containerPort": 80}]})
    world.settle()
    ports = [binding.grants.ports[0].host_port for binding in world.bindings()]
    assert sorted(ports) == [31000, 31001, 31002]


# What hands of people do to the leader's own keys


def test_a_binding_removed_by_hand_is_put_back_and_its_container_adopted(world: Cluster) -> None:
    agent = with_task(world)
    before = world.binding("t")
    world.remove(world.keys.binding("n1", before.task_uid))
    world.settle()
    assert world.binding("t").binding_uid == before.binding_uid
    assert agent.starts["t"] == 1
    assert state(world) is TaskState.RUNNING
    assert world.events()["BindingRestored"] == 1


def test_the_room_of_a_binding_removed_by_hand_is_not_given_away(world: Cluster) -> None:
    cpu = {"container": {"resources": {"requests": {"cpu": "4"}}}}
    with_task(world, **cpu)
    world.apply("greedy", **cpu)
    world.settle()
    world.remove(world.keys.binding("n1", world.binding("t").task_uid))
    world.settle()
    assert [binding.name for binding in world.bindings()] == ["t"]


def test_a_container_that_nobody_wants_is_stopped(world: Cluster) -> None:
    agent = with_task(world)
    binding = world.binding("t").model_copy(
        update={"task_uid": "stray", "name": "s", "binding_uid": "b-stray"}
    )
    agent.containers["b-stray"] = binding
    world.settle()
    assert agent.running == ["t"]
    assert [found.name for found in world.bindings()] == ["t"]


def test_a_cluster_key_removed_by_hand_comes_back_with_the_same_uid(world: Cluster) -> None:
    agent = with_task(world)
    before = world.cluster()
    world.remove(world.keys.cluster)
    world.settle()
    assert world.cluster() == before
    assert agent.starts["t"] == 1


# Admission


def test_a_task_in_a_namespace_that_does_not_exist_is_denied_until_it_does(world: Cluster) -> None:
    world.add_node("n1")
    world.apply("t", namespace="team")
    world.settle()
    status = world.task_status("t", "team")
    assert status is not None
    denied = find_condition(status.conditions, "Admitted")
    assert denied is not None
    assert (denied.status, status.node) == ("False", "")
    assert "does not exist" in denied.message
    assert world.events()["Denied"] == 1
    world.apply("team", kind="Namespace")
    world.settle()
    status = world.task_status("t", "team")
    assert status is not None
    assert status.state is TaskState.RUNNING
    assert find_condition(status.conditions, "Admitted") is None


def test_a_queue_that_is_not_allowed_is_denied_until_the_namespace_allows_it(world: Cluster) -> None:
    world.add_node("n1")
    world.apply("gold", kind="Queue")
    world.apply("team", kind="Namespace", queues=["default"])
    world.apply("t", namespace="team", queue="gold")
    world.settle()
    assert "may not use queue gold" in str(world.task_status("t", "team"))
    world.apply("team", kind="Namespace", queues=["default", "gold"])
    world.settle()
    assert world.agents["n1"].running == ["t"]


def test_a_running_task_edited_into_a_denial_hears_when_it_is_lifted(world: Cluster) -> None:
    with_task(world)
    world.apply("t", queue="later")
    world.settle()
    assert condition(world, "Admitted") is not None
    world.apply("later", kind="Queue")
    world.apply("default", kind="Namespace", queues=["*"])
    world.settle()
    assert condition(world, "Admitted") is None
    assert world.binding("t").spec.queue == "later"


def test_a_namespace_goes_when_its_tasks_are_gone_and_takes_its_token_along(world: Cluster) -> None:
    world.add_node("n1")
    team = cluster_ref("namespaces", "team")
    world.apply("team", kind="Namespace")
    world.apply("t", namespace="team")
    world.settle()
    world.delete(team)
    world.settle()
    assert world.exists(world.keys.spec(team))
    assert world.exists(world.keys.access("team"))
    world.delete(task_ref("team", "t"))
    world.settle()
    assert [kv.key for kv in world.store.list("/berth/").kvs if "team" in kv.key] == []


def test_a_queue_goes_when_the_last_task_is_moved_out_of_it(world: Cluster) -> None:
    world.apply("gold", kind="Queue")
    world.apply("default", kind="Namespace", queues=["*"])
    with_task(world, queue="gold")
    world.delete(cluster_ref("queues", "gold"))
    world.settle()
    assert world.exists(world.keys.spec(cluster_ref("queues", "gold")))
    world.apply("t", queue="default")
    world.settle()
    assert not world.exists(world.keys.spec(cluster_ref("queues", "gold")))


# Unreadable is not absent


@pytest.mark.parametrize("what", ["spec", "status", "binding", "report"])
@pytest.mark.parametrize("garbage", [b"{", b'{"kind": "Surprise"}'])
def test_garbage_freezes_that_task_and_nothing_else(world: Cluster, what: str, garbage: bytes) -> None:
    agent = with_task(world)
    uid = world.binding("t").task_uid
    keys = world.keys
    key = {
        "spec": keys.spec(T),
        "status": keys.status(T),
        "binding": keys.binding("n1", uid),
        "report": keys.task_report("n1", uid),
    }[what]
    before = world.store.get(key).kv
    assert before is not None
    agent.die()
    world.raw_put(key, garbage)
    world.step(0.5)
    agent.alive = True
    world.apply("other")
    world.delete(T) if what != "spec" else None
    world.until(lambda: "other" in agent.running)
    if what != "report":  # that its agent writes anew
        world.advance(120)
        assert agent.running == ["other", "t"]
        assert key in world.leader.view.unreadable
        world.raw_put(key, before.value)
    world.settle()
    assert agent.running == (["other", "t"] if what == "spec" else ["other"])


def test_a_node_whose_spec_cant_be_read_keeps_its_tasks_and_takes_no_new_ones(world: Cluster) -> None:
    agent = with_task(world)
    world.apply("n1", kind="Node", unschedulable=True)
    world.settle()
    world.raw_put(world.keys.spec(cluster_ref("nodes", "n1")), b"{")
    world.apply("other")
    world.settle()
    assert agent.running == ["t"]
    assert "can't be read" in message(world, name="other")


def test_tasks_of_a_queue_that_cant_be_read_wait(world: Cluster) -> None:
    world.add_node("n1")
    world.apply("gold", kind="Queue")
    world.apply("team", kind="Namespace", queues=["gold"], defaultQueue="gold")
    world.settle()
    world.raw_put(world.keys.spec(cluster_ref("queues", "gold")), b"{")
    world.apply("t", namespace="team")
    world.settle()
    assert world.task_status("t", "team") is None
    assert world.bindings() == []


# The leader


def test_an_idle_cluster_writes_nothing_for_an_hour(world: Cluster) -> None:
    with_task(world, nodes=("n1", "n2"))
    world.apply("big", container={"resources": {"requests": {"cpu": "64"}}})
    world.settle()
    world.advance(600)  # history is compacted twice at most
    before = world.revision
    world.advance(3500)
    assert world.revision == before


def test_another_controller_takes_over_and_finishes(world: Cluster) -> None:
    world.controllers.append(world.new_controller("c2"))
    agent = with_task(world)
    agent.finals = False
    world.delete(T)
    world.settle()
    world.crash_controller(0)
    agent.finals = True
    world.advance(15)
    assert state(world) is None
    assert world.leader.identity == "c2"  # type: ignore[attr-defined]
    world.apply("next")
    world.settle()
    assert agent.running == ["next"]


def test_a_resigned_leader_is_replaced_at_once(world: Cluster) -> None:
    world.controllers.append(world.new_controller("c2"))
    agent = world.add_node("n1")
    world.settle()
    world.controllers.pop(0).electing.resign()
    world.apply("t")
    assert world.until(lambda: agent.running == ["t"]) < 5


def test_writes_of_a_deposed_leader_never_land(world: Cluster) -> None:
    world.add_node("n1")
    world.settle()
    old = world.controllers.pop(0)
    world.apply("t")
    old.step(world.now)  # it has decided, and not yet written
    world.controllers.append(world.new_controller("c2"))
    world.remove(old.term.fence.key)  # type: ignore[union-attr]
    world.settle()
    bound = world.binding("t")
    old.writer.step(world.now)
    assert world.binding("t") == bound
    assert old.term is not None
    old.step(world.now)
    assert old.term is None


def test_a_leader_begins_only_when_its_cache_is_as_new_as_its_leadership(world: Cluster) -> None:
    """Else it would not know what the leader before it gave away last."""
    world.controllers.append(world.new_controller("c2"))
    with_task(world)
    first, second = world.controllers
    world.apply("a", **MOST)
    world.apply("b", **MOST)
    first.step(world.now)
    first.writer.step(world.now)
    assert bound(world) == ["a", "t"]
    first.electing.resign()
    second.electing.step(world.now)
    informer_step = second.informer.step
    second.informer.step = lambda now: ()  # type: ignore[method-assign]  # its watch is late
    for _ in range(5):
        second.step(world.now)
        second.writer.step(world.now)
    assert second.term is None
    second.informer.step = informer_step  # type: ignore[method-assign]
    world.controllers.remove(first)
    world.settle()
    assert bound(world) == ["a", "t"]


def test_a_fence_serves_one_term_only(world: Cluster) -> None:
    """A leader that was in doubt about its lease must not meet its own late writes under the same fence."""
    with_task(world)
    controller = world.controller
    world.apply("a", **MOST)
    controller.step(world.now)  # decided; the writer is slow
    fence = controller.term.fence  # type: ignore[union-attr]
    keeper = controller.electing.keeper
    renewed, keeper.last_renewed = keeper.last_renewed, world.now - 100
    controller.step(world.now)
    assert controller.term is None
    keeper.last_renewed = renewed  # it comes to its senses
    world.apply("b", **MOST)
    controller.step(world.now)
    assert controller.term is None
    world.settle()
    assert controller.term is not None
    assert controller.term.fence != fence
    assert len(world.bindings()) == 2


def test_after_a_write_without_answer_the_leader_begins_a_new_term(world: Cluster) -> None:
    """The binding happened, its answer was lost: nothing else may be bound to its room meanwhile."""
    world.controllers.clear()
    faulty = FaultyStore(world.store.another_client())
    world.controllers.append(world.new_controller("c1", store=faulty))
    with_task(world)
    controller = world.controller
    fence = controller.term.fence  # type: ignore[union-attr]
    world.apply("a", **MOST)
    controller.step(world.now)
    faulty.lose_reply()
    controller.writer.step(world.now)
    assert bound(world) == ["a", "t"]
    informer_step = controller.informer.step
    controller.informer.step = lambda now: ()  # type: ignore[method-assign]  # its watch is late
    world.apply("b", **MOST)
    for _ in range(5):
        controller.step(world.now)
        controller.writer.step(world.now)
    controller.informer.step = informer_step  # type: ignore[method-assign]
    world.settle()
    assert bound(world) == ["a", "t"]
    assert controller.term is not None
    assert controller.term.fence != fence


def test_one_object_that_breaks_the_planner_stops_nothing(
    world: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = task_planner.plan_task

    def broken(inputs: Any, now: float) -> Any:
        if inputs.ref.name == "bad":
            raise RuntimeError("a bug")
        return real(inputs, now)

    monkeypatch.setattr("controller.leader.plan_task", broken)
    agent = world.add_node("n1")
    world.apply("bad")
    world.apply("good")
    world.settle()
    assert agent.running == ["good"]
    monkeypatch.undo()
    world.advance(60)
    assert agent.running == ["bad", "good"]


def test_one_object_that_breaks_the_binder_stops_nothing(
    world: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = task_planner.new_binding

    def broken(inputs: Any, *more: Any, **options: Any) -> Any:
        if inputs.ref.name == "bad":
            raise RuntimeError("a bug")
        return real(inputs, *more, **options)

    monkeypatch.setattr("controller.binder.new_binding", broken)
    agent = world.add_node("n1")
    world.apply("bad")
    world.apply("good")
    world.settle()
    assert agent.running == ["good"]


# Events and history


def test_events_are_counted_and_live_outside_the_watched_root(world: Cluster) -> None:
    with_task(world)
    assert world.events()["Scheduled"] == 1
    for image in ("demo:2", "demo:3"):
        world.apply("t", container={"image": image})
        world.settle()
    assert world.events()["Scheduled"] == 3
    events = world.store.list("/berth-events/").kvs
    assert all(kv.lease_id for kv in events)
    assert not [kv.key for kv in world.store.list("/berth/").kvs if "event" in kv.key]
    assert all(not key.startswith("/berth-events") for key in world.leader.view.unreadable)


def test_a_lost_lease_of_the_events_holds_nothing_up(world: Cluster) -> None:
    agent = with_task(world)
    (lease,) = {kv.lease_id for kv in world.store.list("/berth-events/").kvs}
    world.store.revoke_lease(lease)
    for name in ("a", "b"):
        world.apply(name)
        world.settle()
    assert agent.running == ["a", "b", "t"]
    assert world.events()


def test_history_is_compacted_behind_a_record(world: Cluster) -> None:
    with_task(world)
    world.advance(310)
    kv = world.store.get(world.keys.compaction).kv
    assert kv is not None
    first = decode(kv)["revision"]  # type: ignore[index]
    world.apply("other")
    world.advance(310)
    kv = world.store.get(world.keys.compaction).kv
    assert kv is not None
    assert decode(kv)["revision"] > first  # type: ignore[index]
    watch = world.store.watch(("/berth/",), first + 1, lambda: None)
    assert watch.poll() is not None
    with pytest.raises(Exception, match="compacted"):
        world.store.watch(("/berth/",), first - 1, lambda: None).poll()


def test_fields_of_newer_versions_survive_in_status_and_binding(world: Cluster) -> None:
    with_task(world)
    uid = world.binding("t").task_uid
    for key in (world.keys.status(T), world.keys.binding("n1", uid)):
        kv = world.store.get(key).kv
        assert kv is not None
        raw = decode(kv)
        assert isinstance(raw, dict)
        world.store.txn(Txn((), (Put(key, encode({**raw, "newer": 1})),)))
    world.settle()
    world.apply("t", grace="1s")
    world.settle()
    for key in (world.keys.status(T), world.keys.binding("n1", uid)):
        assert decode(world.store.get(key).kv)["newer"] == 1  # type: ignore[arg-type,index]


# Decisions that come too late


def orders(world: Cluster) -> list[str]:
    """Keys that the leader wants to write and has not written yet."""
    found = []
    for order in world.controller.writer._orders:
        found += [op.key for op in order.write.ops if not isinstance(op, Txn)]
    return found


def test_a_wish_made_while_an_old_one_is_cleared_away_is_not_lost(world: Cluster) -> None:
    agent = with_task(world)
    key = world.keys.request(T, "delete")
    world.put(key, {"kind": "DeleteRequest", "uid": "older"})
    world.controller.step(world.now)
    assert key in orders(world)
    world.delete(T)
    world.settle()
    assert agent.running == []
    assert state(world) is None


def test_a_fenced_node_that_returns_unseen_is_not_given_up(world: Cluster) -> None:
    agent = with_task(world, nodes=("n1", "n2"), exactlyOne=True)
    agent.stop_cleanly()
    world.settle()
    fence(world, "n1")
    world.controller.step(world.now)
    assert world.keys.binding("n1", world.binding("t").task_uid) in orders(world)
    agent.start()
    world.settle()
    assert agent.running == ["t"]
    assert world.agents["n2"].starts == {}


def test_an_edit_after_the_decision_makes_it_void(world: Cluster) -> None:
    agent = with_task(world)
    world.apply("a")
    world.controller.step(world.now)
    assert world.controller.term.counters.bound == 2  # type: ignore[union-attr]
    world.apply("a", container={"image": "demo:2"})
    world.settle()
    assert world.binding("a").spec.containers[0].image == "demo:2"
    assert agent.starts["a"] == 1


def test_a_deletion_after_the_decision_makes_it_void(world: Cluster) -> None:
    agent = with_task(world)
    world.apply("a")
    world.controller.step(world.now)
    world.delete(task_ref("default", "a"))
    world.settle()
    assert "a" not in agent.starts
    assert bound(world) == ["t"]


def test_what_was_assumed_for_a_decision_that_failed_is_free_again(world: Cluster) -> None:
    agent = with_task(world)
    world.apply("a", **MOST)
    world.controller.step(world.now)
    world.remove(world.keys.spec(task_ref("default", "a")))
    world.apply("b", **MOST)
    world.settle()
    assert agent.running == ["b", "t"]


def test_rewound_history_is_noticed_by_events_too() -> None:
    store = FaultyStore(MemoryStore(lambda: 0.0))
    recorder = Recorder(store, Keys(), "c1")
    recorder.note(T, "Task", "u", EventNote("Normal", "Scheduled", ""), 0.0)
    store.fail_before(Unavailable("away"))
    assert recorder.flush(0.0) == []
    store.fail_before(Rewound(9, 3))
    with pytest.raises(Rewound):
        recorder.flush(10.0)
    assert len(recorder.flush(20.0)) == 1


def test_each_namespace_has_a_token_also_where_nothing_runs(world: Cluster) -> None:
    world.settle()
    assert world.store.get(world.keys.access("default")).kv is not None
    metadata = {"name": "team", "uid": "u-team"}
    team = {"apiVersion": "berth/v1", "kind": "Namespace", "metadata": metadata, "spec": {}}
    world.put(world.keys.spec(cluster_ref("namespaces", "team")), team)
    world.settle()
    made = world.store.get(world.keys.access("team")).kv
    assert made is not None
    world.settle()
    assert world.store.get(world.keys.access("team")).kv == made
