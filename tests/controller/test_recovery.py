"""After history was rewound: what must be raised, when all have reported, how placements are rebuilt; end to end."""

from typing import Any

import pytest

from controller.reconcilers.plan import (
    AdoptBinding,
    CreateBinding,
    Plan,
    PutTaskStatus,
    RemoveBinding,
    ReplaceBinding,
)
from controller.reconcilers.recovery import all_reported, must_raise, rebuild_task
from controller.reconcilers.rollup import NodeHealth
from schemas.keys import task_ref
from schemas.state import TaskState
from schemas.status import TaskStatus
from tests.controller.builders import (
    ended,
    make_binding,
    make_delete,
    make_inputs,
    make_node_report,
    make_report,
    make_status,
    stopped,
)
from tests.controller.harness import Cluster, ScriptedAgent

T = task_ref("default", "t")
N1_DOWN, N2_DOWN = NodeHealth("n1", down_since=1.0), NodeHealth("n2", down_since=1.0)


# Whether, and when


@pytest.mark.parametrize(
    ("report", "saw", "must"),
    [
        ({}, False, False),
        ({}, True, True),
        ({"rewoundFrom": 99}, False, True),
        ({"rewoundFrom": 99, "incarnation": 2}, False, False),  # it will speak again in this one
    ],
)
def test_a_rewind_raises_the_incarnation_once(report: dict[str, Any], saw: bool, must: bool) -> None:
    reports = {"n1": make_node_report(**{"incarnation": 3, **report}).value}
    assert must_raise(3, reports, saw_rewind=saw) == must


@pytest.mark.parametrize(
    ("report", "done"),
    [
        (make_node_report(incarnation=2).value, True),
        (make_node_report(incarnation=1).value, False),
        (make_node_report(incarnation=2, rewoundFrom=5).value, False),
        (None, False),
    ],
)
def test_every_living_node_must_report_in_the_new_incarnation(report: Any, done: bool) -> None:
    fine = make_node_report("n2", incarnation=2).value
    assert all_reported(2, {"n1": report, "n2": fine}) == done


# What is rebuilt


def rebuild(**more: Any) -> Plan:
    return rebuild_task(make_inputs(incarnation=2, **more))


def wanted(plan: Plan) -> list[type]:
    return [type(intent) for intent in plan.intents]


def status_in(plan: Plan) -> TaskStatus:
    (status,) = [intent.status for intent in plan.intents if isinstance(intent, PutTaskStatus)]
    return status


def test_what_is_as_it_was_is_only_carried_over() -> None:
    binding = make_binding()
    plan = rebuild(status=make_status(), bindings=(binding,), reports=(("n1", make_report(binding)),))
    assert plan.intents == (AdoptBinding(binding, 2),)


def test_the_copy_of_the_highest_epoch_becomes_the_placement() -> None:
    old, new = make_binding("n1"), make_binding("n2", epoch=2, binding_uid="b-2")
    reports = (("n1", make_report(old)), ("n2", make_report(new, unbound=True)))
    plan = rebuild(status=make_status(), bindings=(old,), reports=reports)
    assert wanted(plan) == [AdoptBinding, PutTaskStatus, CreateBinding]
    status = status_in(plan)
    assert (status.node, status.epoch, status.binding_uid) == ("n2", 2, "b-2")


def test_a_binding_that_names_another_container_than_runs_is_replaced() -> None:
    stored, runs = make_binding("n1"), make_binding("n1", epoch=3, binding_uid="b-3")
    plan = rebuild(status=make_status(), bindings=(stored,), reports=(("n1", make_report(runs)),))
    (put, replace_) = plan.intents
    assert isinstance(put, PutTaskStatus)
    assert isinstance(replace_, ReplaceBinding)
    assert (replace_.binding.binding_uid, replace_.binding.epoch, replace_.binding.incarnation) == (
        "b-3",
        3,
        2,
    )


def test_a_binding_without_container_on_a_node_that_answers_is_given_up() -> None:
    plan = rebuild(status=make_status(state=TaskState.RUNNING), bindings=(make_binding(),))
    assert wanted(plan) == [RemoveBinding, PutTaskStatus]
    status = status_in(plan)
    assert (status.node, status.state, status.epoch) == ("", TaskState.PENDING, 1)


def test_a_binding_on_a_node_that_does_not_answer_is_kept() -> None:
    binding = make_binding()
    plan = rebuild(status=make_status(state=TaskState.RUNNING), bindings=(binding,), nodes=(N1_DOWN,))
    assert plan.intents == (AdoptBinding(binding, 2),)


def test_an_older_copy_does_not_outrank_a_newer_one_where_nobody_answers() -> None:
    old, new = stopped(make_binding("n1")), make_binding("n2", epoch=2, binding_uid="b-2")
    plan = rebuild(
        status=make_status("n2", epoch=2, binding_uid="b-2", state=TaskState.RUNNING),
        bindings=(old, new),
        reports=(("n1", make_report(old)),),
        nodes=(N2_DOWN,),
    )
    assert plan.intents == (AdoptBinding(old, 2), AdoptBinding(new, 2))


def test_a_report_without_containers_is_no_running_copy() -> None:
    runs, empty = make_binding("n1"), make_binding("n2", epoch=2, binding_uid="b-2")
    reports = (("n1", make_report(runs)), ("n2", make_report(empty, containers=())))
    plan = rebuild(status=make_status(), bindings=(runs, empty), reports=reports)
    assert wanted(plan) == [RemoveBinding, AdoptBinding]


def test_a_finished_task_stays_finished() -> None:
    binding = stopped(make_binding())
    for more in ({"bindings": (binding,), "reports": (("n1", ended(binding)),)}, {}):
        plan = rebuild(status=make_status(state=TaskState.SUCCEEDED), **more)
        assert PutTaskStatus not in wanted(plan)


def test_a_task_that_is_to_go_gets_no_placement() -> None:
    binding = make_binding()
    plan = rebuild(delete=make_delete(), bindings=(), reports=(("n1", make_report(binding, unbound=True)),))
    assert plan.intents == ()


# End to end


@pytest.fixture
def world() -> Cluster:
    return Cluster()


def node_of(world: Cluster, name: str = "t") -> str:
    status = world.task_status(name)
    return status.node if status else ""


def recover(world: Cluster) -> None:
    world.until(lambda: (found := world.cluster()) and found.incarnation > 1 and not found.recovering)
    world.settle()


def two_nodes(world: Cluster) -> tuple[ScriptedAgent, ScriptedAgent]:
    agents = world.add_node("n1"), world.add_node("n2")
    world.settle()
    return agents


def test_a_task_bound_after_the_backup_goes_on_where_it_runs(world: Cluster) -> None:
    agents = two_nodes(world)
    world.apply("t")
    backup = world.revision
    world.settle()
    before = world.binding("t")
    world.rewind(backup)
    recover(world)
    after = world.binding("t")
    assert (after.node, after.binding_uid, after.epoch) == (before.node, before.binding_uid, before.epoch)
    assert after.incarnation == 2
    assert sum(agent.starts.get("t", 0) for agent in agents) == 1
    assert world.task_status("t").state is TaskState.RUNNING  # type: ignore[union-attr]


def test_a_task_moved_after_the_backup_stays_where_it_went(world: Cluster) -> None:
    first, second = two_nodes(world)
    world.apply("t")
    world.settle()
    (source, target) = (first, second) if first.running else (second, first)
    backup = world.revision
    source.host_dies()
    world.until(lambda: target.running)
    world.settle()
    world.rewind(backup)
    source.start()
    recover(world)
    assert (source.running, target.running) == ([], ["t"])
    assert node_of(world) == target.name
    assert target.starts["t"] == 1
    assert world.binding("t").epoch == 2


def test_a_container_of_a_task_that_the_backup_does_not_know_is_stopped(world: Cluster) -> None:
    agents = two_nodes(world)
    backup = world.revision
    world.apply("t")
    world.settle()
    world.rewind(backup)
    recover(world)
    assert [agent.running for agent in agents] == [[], []]
    assert world.bindings() == []


def test_a_task_deleted_after_the_backup_is_back(world: Cluster) -> None:
    agents = two_nodes(world)
    world.apply("t")
    world.settle()
    backup = world.revision
    world.delete(T)
    world.settle()
    world.rewind(backup)
    recover(world)
    assert sorted(agent.running for agent in agents) == [[], ["t"]]


def test_a_restart_after_the_backup_is_no_second_copy(world: Cluster) -> None:
    """The epoch is counted again after a rewind; what runs has the higher one and another bindingUid."""
    agents = two_nodes(world)
    world.apply("t")
    world.settle()
    backup = world.revision
    world.apply("t", container={"image": "demo:2"})
    world.settle()
    world.rewind(backup)
    recover(world)
    assert sorted(agent.running for agent in agents) == [[], ["t"]]
    binding = world.binding("t")
    assert binding.spec.containers[0].image == "demo", "the backup's spec is what people want now"
    assert binding.epoch == 1_000_001, "above all that anybody may remember of the history that was lost"


def test_nothing_is_bound_before_every_living_agent_has_reported(world: Cluster) -> None:
    first, second = two_nodes(world)
    world.apply("t")
    backup = world.revision
    world.settle()
    holder, other = (first, second) if first.running else (second, first)
    world.rewind(backup)
    for _ in range(100):
        world.step(0.5)
        assert other.running == []
        assert holder.running == ["t"]
    assert world.cluster().recovering is False  # type: ignore[union-attr]


def test_a_leader_that_dies_in_the_middle_is_followed_by_one_that_finishes(world: Cluster) -> None:
    agents = two_nodes(world)
    for index in range(5):
        world.apply(f"t{index}")
    world.settle()
    backup = world.revision
    for index in range(5):
        world.apply(f"t{index}", container={"image": "demo:2"})
    world.settle()
    world.controllers.append(world.new_controller("c2"))
    world.rewind(backup)
    for _ in range(4):
        world.until(lambda: (found := world.cluster()) and found.recovering)
        world.step(3.0)
        world.crash_controller(0)
        world.controllers.append(world.new_controller("c"))
        if not world.cluster().recovering:  # type: ignore[union-attr]
            break
    recover(world)
    assert sorted(name for agent in agents for name in agent.running) == [f"t{index}" for index in range(5)]


def test_a_new_leader_in_the_middle_waits_for_agents_as_the_first_one_did(world: Cluster) -> None:
    first, second = two_nodes(world)
    world.apply("t", exactlyOne=True)
    backup = world.revision
    world.settle()
    holder, other = (first, second) if first.running else (second, first)
    world.rewind(backup)
    world.until(lambda: (found := world.cluster()) and found.recovering)
    holder.die()  # cut off for a few seconds, and its heartbeat is not there yet
    world.store.revoke_lease(holder.lease)
    world.controllers.append(world.new_controller("c2"))
    world.controllers.pop(0).electing.resign()
    for _ in range(20):
        world.step(0.5)
    holder.start()
    recover(world)
    assert (holder.running, other.running) == (["t"], [])
    assert holder.starts["t"] == 1


def test_a_leader_that_did_not_see_the_rewind_is_told_by_an_agent(world: Cluster) -> None:
    agents = two_nodes(world)
    world.apply("t")
    backup = world.revision
    world.settle()
    world.controllers.clear()  # the process was restarted while etcd was
    world.rewind(backup)
    world.controllers.append(world.new_controller("c1"))
    recover(world)
    assert sum(agent.starts.get("t", 0) for agent in agents) == 1


def test_a_rewind_is_answered_once_by_however_many_controllers_saw_it(world: Cluster) -> None:
    world.controllers.append(world.new_controller("c2"))
    two_nodes(world)
    backup = world.revision
    world.apply("t")
    world.settle()
    world.rewind(backup)
    recover(world)
    world.crash_controller(world.controllers.index(world.leader))  # type: ignore[arg-type]
    world.advance(60)
    assert world.leader is not None
    assert world.cluster().incarnation == 2  # type: ignore[union-attr]


def test_a_leader_deposed_before_it_answered_the_rewind_answers_it_later(world: Cluster) -> None:
    two_nodes(world)
    backup = world.revision
    world.apply("t")
    world.settle()
    world.rewind(backup)
    for agent in world.agents.values():
        agent.die()  # nobody else can tell
    while not (world.controller.term and world.controller.writer._orders):
        controller = world.controller
        try:
            controller.electing.step(world.now)
            controller.step(world.now)
        except Exception:
            world.controllers[0] = world.new_controller("c1", saw_rewind=True)
        world.now += 0.5
        world.store.expire_leases()
    world.remove(world.controller.term.fence.key)  # type: ignore[union-attr]
    world.until(lambda: world.cluster().incarnation == 2)  # type: ignore[union-attr]


def test_a_leader_that_waits_for_reports_does_not_spin(world: Cluster) -> None:
    first, _ = two_nodes(world)
    backup = world.revision
    world.apply("t")
    world.settle()
    world.rewind(backup)
    first.report_json = {**first.report_json, "incarnation": 1}
    first._may_act = lambda: False  # type: ignore[method-assign]  # it beats, and is frozen for long
    for _ in range(120):
        world.step(0.5)
    assert world.cluster().recovering  # type: ignore[union-attr]
    term = world.controller.term
    assert term is not None
    assert term.step(world.now, world.controller.informer.revision) is None, "a report will wake it"


def test_a_node_that_does_not_answer_keeps_its_bindings(world: Cluster) -> None:
    first, second = two_nodes(world)
    world.apply("t", unreachable={"rescheduleAfter": "never"})
    world.settle()
    backup = world.revision
    world.apply("noise", kind="Queue")
    holder = first if first.running else second
    holder.die()
    world.store.revoke_lease(holder.lease)
    world.settle()
    world.rewind(backup)
    recover(world)
    assert node_of(world) == holder.name
    holder.start()
    world.settle()
    assert holder.running == ["t"]
    assert holder.starts["t"] == 1


def test_a_task_that_was_unreadable_during_recovery_is_carried_over_when_it_is_mended(world: Cluster) -> None:
    agents = two_nodes(world)
    world.apply("t")
    world.settle()
    kv = world.store.get(world.keys.spec(T)).kv
    assert kv is not None
    world.raw_put(world.keys.spec(T), b"{")
    world.settle()
    backup = world.revision
    world.apply("noise", kind="Queue")
    world.rewind(backup)
    recover(world)
    assert world.binding("t").incarnation == 1
    world.raw_put(world.keys.spec(T), kv.value)
    world.settle()
    assert world.binding("t").incarnation == 2
    assert sum(agent.starts.get("t", 0) for agent in agents) == 1
