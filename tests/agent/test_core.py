"""The agent against a store in memory and a hollow host: docs/design/protocol.md, sentence by sentence."""

import itertools

import pytest

from agent.bindings import BindingBook
from agent.errors import NameTaken
from agent.runtime.api import Create, Phase, Pull, Start
from agent.runtime.hollow import Fault
from agent.standing import Standing
from schemas.binding import Binding, Desired, GrantedPort, StopReason
from schemas.report import Heartbeat, TaskReport
from schemas.state import ContainerState
from store import codec
from store.api import Delete, Txn
from tests.agent.builders import NODE, make_binding, make_spec
from tests.agent.harness import KEYS, CutStore, booted_world

STOP = {"desired": Desired.STOP, "reason": StopReason.DELETED}


def test_a_binding_becomes_a_running_container_and_a_report() -> None:
    world, machine = booted_world()
    binding = make_binding()
    world.bind(binding)
    world.run(1)
    assert [each.journal.binding_uid for each in machine.host.running()] == ["binding-1"]
    report = world.report(binding)
    assert report is not None
    assert report.containers[0].state is ContainerState.RUNNING


def test_stop_then_final_report_then_clean_up() -> None:
    world, machine = booted_world()
    binding = make_binding()
    world.bind(binding)
    world.run(1)
    world.bind(binding.model_copy(update=STOP))
    world.run(1)
    report = world.report(binding)
    assert report is not None
    assert report.final
    assert machine.host.containers()  # kept for the logs
    world.unbind(binding)
    world.run(1)
    assert machine.host.containers() == ()
    assert world.report(binding) is None


def test_an_idle_agent_writes_nothing() -> None:
    world, _ = booted_world()
    world.bind(make_binding())
    world.run(5)
    before = world.store.get(KEYS.cluster).revision
    world.run(300, tick_s=0.5)
    assert world.store.get(KEYS.cluster).revision == before


def test_a_deaf_container_is_killed_after_its_grace() -> None:
    world, machine = booted_world()
    binding = make_binding(spec=make_spec("hollow/deaf", grace="5s"))
    world.bind(binding)
    world.run(1)
    world.bind(binding.model_copy(update=STOP))
    world.run(4)
    assert machine.host.running()
    world.run(2)
    assert not machine.host.running()
    report = world.report(binding)
    assert report is not None
    assert report.final
    assert report.containers[0].signal == 9


def test_a_failing_container_is_restarted_in_place_with_backoff() -> None:
    world, machine = booted_world()
    binding = make_binding(
        spec=make_spec("hollow/exit-3-after-1s", restartBackoff={"initial": "2s", "factor": 2, "max": "10s"})
    )
    world.bind(binding)
    world.run(2)
    report = world.report(binding)
    assert report is not None
    assert report.containers[0].reason == "CrashLoopBackOff"
    assert "attempt 1 starts at" in report.containers[0].message
    world.run(60)
    starts = [each.started_at for each in machine.host.started]
    gaps = [round(later - earlier - 1) for earlier, later in itertools.pairwise(starts)]
    assert gaps[:4] == [2, 4, 8, 10]
    assert len(machine.host.containers()) == 2  # the newest, and the one before it


def test_the_failure_count_survives_a_crash_of_the_agent() -> None:
    world, machine = booted_world()
    spec = make_spec("hollow/exit-3-after-1s", restartBackoff={"initial": "2s", "factor": 2, "max": "100s"})
    world.bind(make_binding(spec=spec))
    world.run(12)
    machine.crash()
    machine.boot()
    world.run(40)
    starts = [each.started_at for each in machine.host.started]
    gaps = [round(later - earlier - 1) for earlier, later in itertools.pairwise(starts)]
    assert gaps[:4] == [2, 4, 8, 16]


def test_a_restarted_agent_adopts_without_disturbing() -> None:
    world, machine = booted_world()
    binding = make_binding()
    world.bind(binding)
    world.run(1)
    before = machine.host.running()
    machine.crash()
    world.run(60)
    machine.boot()
    world.run(3)
    assert machine.host.running() == before
    report = world.report(binding)
    assert report is not None
    assert report.instance == "instance-2"
    assert report.containers[0].state is ContainerState.RUNNING


@pytest.mark.parametrize("op_type", [Pull, Create, Start])
def test_a_crash_before_or_after_any_operation_converges(op_type: type) -> None:
    for lost_reply in (True, False):
        world, machine = booted_world()

        def faults(op: object, now: float, lost: bool = lost_reply) -> Fault:
            slow = isinstance(op, op_type)
            return Fault(delay_s=0.3 if slow else 0.0, lost_reply=lost and slow)

        machine.faults = faults
        world.bind(make_binding())
        world.run(0.35)
        machine.crash()
        machine.faults = lambda op, now: Fault()
        machine.boot()
        world.run(30)
        assert len(machine.host.running()) == 1
        assert len(machine.host.started) == 1


def test_another_binding_uid_ends_the_old_containers_first() -> None:
    world, machine = booted_world()
    old = make_binding(spec=make_spec("hollow/deaf", grace="3s"))
    world.bind(old)
    world.run(1)
    new = make_binding(binding_uid="binding-2", epoch=2)
    world.bind(new)
    world.run(1)
    assert [each.journal.binding_uid for each in machine.host.running()] == ["binding-1"]
    report = world.report(new)
    assert report is not None
    assert report.containers[0].reason == "PreviousEnding"
    world.run(4)
    assert [each.journal.binding_uid for each in machine.host.containers()] == ["binding-2"]


def test_hold_pulls_and_starts_nothing() -> None:
    world, machine = booted_world()
    seen: list[object] = []

    def faults(op: object, now: float) -> Fault:
        seen.append(op)
        return Fault()

    machine.faults = faults
    binding = make_binding(desired=Desired.HOLD)
    world.bind(binding)
    world.run(2)
    assert [type(op) for op in seen] == [Pull]
    assert machine.host.containers() == ()
    world.bind(binding.model_copy(update={"desired": Desired.RUN}))
    world.run(1)
    assert [type(op) for op in seen] == [Pull, Create, Start]


def test_a_stop_during_a_pull_ends_at_once() -> None:
    world, machine = booted_world()
    machine.faults = lambda op, now: Fault(delay_s=1000.0 if isinstance(op, Pull) else 0.0)
    binding = make_binding()
    world.bind(binding)
    world.run(1)
    world.bind(binding.model_copy(update=STOP))
    world.run(1)
    report = world.report(binding)
    assert report is not None
    assert report.final
    world.unbind(binding)
    world.run(1100, tick_s=1.0)
    assert machine.host.containers() == ()


@pytest.mark.parametrize("op_type", [Create, Start])
def test_a_stop_during_create_or_start_waits_for_its_result(op_type: type) -> None:
    world, machine = booted_world()
    machine.faults = lambda op, now: Fault(delay_s=5.0 if isinstance(op, op_type) else 0.0)
    binding = make_binding()
    world.bind(binding)
    world.run(1)
    world.bind(binding.model_copy(update=STOP))
    world.run(1)
    report = world.report(binding)
    assert report is not None
    assert not report.final
    world.run(10)
    report = world.report(binding)
    assert report is not None
    assert report.final
    assert not machine.host.running()


def test_absence_of_a_binding_stops_nothing_for_a_day() -> None:
    world, machine = booted_world()
    binding = make_binding()
    world.bind(binding)
    world.run(1)
    world.unbind(binding)
    world.run(1)
    assert machine.host.running()
    report = world.report(binding)
    assert report is not None
    assert report.unbound
    assert report.grants_resources == {"cpu": 100}
    world.run(86_000, tick_s=60.0)
    assert machine.host.running()
    world.run(1000, tick_s=60.0)
    assert machine.host.containers() == ()


def test_an_unbound_container_is_adopted_by_the_binding_that_names_it() -> None:
    world, machine = booted_world()
    binding = make_binding()
    world.bind(binding)
    world.run(1)
    world.unbind(binding)
    world.run(1)
    world.bind(binding)
    world.run(1)
    assert len(machine.host.started) == 1
    report = world.report(binding)
    assert report is not None
    assert not report.unbound


def test_an_unreadable_binding_is_not_an_absent_one() -> None:
    world, machine = booted_world()
    binding = make_binding()
    world.bind(binding)
    world.run(1)
    world.put(KEYS.binding(NODE, binding.task_uid), b"{garbage")
    world.run(200_000, tick_s=100.0)
    assert machine.host.running()
    broken = [each for each in world.node_report().conditions if each.type == "BindingsReadable"]
    assert broken[0].status == "False"
    assert binding.task_uid in broken[0].message


def test_two_agents_with_one_name_the_second_refuses() -> None:
    world, _ = booted_world()
    other = world.machine(node_uid="node-uid-2")
    other.boot()
    with pytest.raises(NameTaken, match="node-uid-1"):
        world.run(5)


def test_a_lost_name_fences_the_reports_off() -> None:
    world, _ = booted_world()
    key = KEYS.heartbeat(NODE)
    world.put(key, Heartbeat(node_uid="thief", instance="x"))  # same create_revision: still ours by the fence
    world.store.txn(Txn((), (Delete(key),)))
    world.put(key, Heartbeat(node_uid="thief", instance="x"))
    binding = make_binding()
    world.bind(binding)
    world.run(30)
    assert world.report(binding) is None


def test_without_the_store_what_runs_goes_on_and_nothing_new_starts() -> None:
    world, machine = booted_world()
    crashing = make_spec("hollow/exit-1-after-30s", restartBackoff={"initial": "1s", "max": "1s"})
    world.bind(make_binding(spec=crashing))
    world.run(1)
    late = make_binding(task_uid="task-2", binding_uid="binding-2", name="late")
    machine.faults = lambda op, now: Fault(delay_s=40.0 if isinstance(op, Pull) else 0.0)
    world.bind(late)
    world.run(1)
    CutStore.is_cut = True
    world.store.end_watches()
    world.run(300, tick_s=0.5)
    assert len([each for each in machine.host.started if each.journal.name == "web"]) > 5
    assert not [each for each in machine.host.started if each.journal.name == "late"]
    CutStore.is_cut = False
    world.run(60)
    assert [each for each in machine.host.started if each.journal.name == "late"]


def test_a_cut_off_agent_stops_what_must_not_run_twice_and_starts_it_again() -> None:
    world, machine = booted_world()
    spec = make_spec(restartPolicy="Never", unreachable={"stopAfter": "20s"}, grace="2s")
    binding = make_binding(spec=spec)
    world.bind(binding)
    world.run(1)
    CutStore.is_cut = True
    world.store.end_watches()
    world.run(14)
    assert machine.host.running()
    world.run(10)
    assert not machine.host.running()
    world.run(300, tick_s=0.5)
    assert not machine.host.running()
    CutStore.is_cut = False
    world.run(30)
    assert len(machine.host.running()) == 1
    report = world.report(binding)
    assert report is not None
    assert (report.containers[0].state, report.containers[0].attempt) == (ContainerState.RUNNING, 1)


def test_a_rewound_store_freezes_the_agent_until_the_incarnation_is_raised() -> None:
    world, machine = booted_world()
    backup = world.store.get(KEYS.cluster).revision
    binding = make_binding()
    world.bind(binding)
    world.run(2)
    seen = machine.keeper.identity.highest_revision
    world.store.rewind(backup)
    world.fresh_client()
    world.run(20)
    assert machine.rewinds == 1
    assert machine.agent is not None
    assert machine.agent.core.standing is Standing.REWOUND
    assert world.node_report().rewound_from >= seen
    assert machine.host.running()
    report = world.report(binding)  # the container is reported though the binding is not in the backup
    assert report is not None
    assert report.unbound
    stranger = make_binding(task_uid="task-2", binding_uid="binding-2", name="late")
    world.bind(stranger)
    world.run(5)
    assert len(machine.host.running()) == 1  # frozen: starts nothing
    world.init_cluster(incarnation=2, recovering=True)
    world.run(5)
    assert world.node_report().incarnation == 2
    assert world.node_report().rewound_from == 0
    assert len(machine.host.running()) == 1  # recovering
    world.bind(binding.model_copy(update={"incarnation": 2}))
    world.init_cluster(incarnation=2)
    world.run(5)
    assert [each.journal.name for each in machine.host.running()] == [
        "web"
    ]  # task-2 is of the old incarnation
    assert len(machine.host.started) == 1


def test_a_rewind_while_the_agent_was_away_is_noticed() -> None:
    world, machine = booted_world()
    backup = world.store.get(KEYS.cluster).revision
    world.bind(make_binding())
    world.run(30)
    machine.crash()
    world.store.rewind(backup)
    world.fresh_client()
    world.run(1)
    machine.boot()
    world.run(5)
    assert machine.agent is not None
    assert machine.agent.core.standing is Standing.REWOUND
    assert len(machine.host.running()) == 1


def test_a_wiped_store_stops_nothing_and_another_cluster_is_not_joined() -> None:
    world, machine = booted_world()
    world.bind(make_binding())
    world.run(30)
    world.store.wipe()
    world.fresh_client()
    world.run(30)
    assert machine.agent is not None
    assert machine.agent.core.standing is Standing.CLUSTER_GONE
    world.init_cluster("another-cluster")
    world.run(100, tick_s=0.5)
    assert machine.agent.core.standing is Standing.FOREIGN_CLUSTER
    assert machine.host.running()
    assert world.store.get(KEYS.heartbeat(NODE)).kv is None
    machine.keeper.update(cluster_uid="", incarnation=0, rewound_from=0)  # --join-new-cluster
    machine.crash()
    machine.boot()
    world.run(5)
    assert machine.agent.core.standing is Standing.ACTIVE
    assert machine.host.running()  # the old cluster's containers are strangers now


def test_docker_down_means_unknown_and_not_dead() -> None:
    world, machine = booted_world()
    binding = make_binding()
    world.bind(binding)
    world.run(1)
    machine.host.up = False
    world.run(5)
    report = world.report(binding)
    assert report is not None
    assert report.unknown
    assert report.containers[0].state is ContainerState.RUNNING
    conditions = {each.type: each.status for each in world.node_report().conditions}
    assert conditions["RuntimeReady"] == "False"
    world.bind(binding.model_copy(update=STOP))
    world.run(5)
    report = world.report(binding)
    assert report is not None
    assert not report.final
    machine.host.up = True
    world.run(5)
    report = world.report(binding)
    assert report is not None
    assert report.final
    assert not report.unknown


def test_an_agent_that_starts_without_docker_keeps_the_last_report() -> None:
    world, machine = booted_world()
    binding = make_binding()
    world.bind(binding)
    world.run(1)
    machine.crash()
    machine.host.up = False
    machine.boot()
    world.run(5)
    report = world.report(binding)
    assert report is not None
    assert report.unknown
    assert report.containers[0].state is ContainerState.RUNNING
    machine.host.up = True
    world.run(70, tick_s=0.5)
    report = world.report(binding)
    assert report is not None
    assert not report.unknown


def test_a_port_that_a_stranger_holds_is_kept_out_of_the_offer_for_a_while() -> None:
    world, machine = booted_world()
    machine.host.foreign_ports.add(31000)
    port = GrantedPort(container="main", container_port=80, host_port=31000)
    binding = make_binding(ports=(port,), spec=make_spec(restartPolicy="Never"))
    world.bind(binding)
    world.run(2)
    report = world.report(binding)
    assert report is not None
    assert report.containers[0].reason == "HostPortTaken"
    assert world.node_report().ports_taken == (31000,)
    world.bind(binding.model_copy(update={"desired": Desired.STOP, "reason": StopReason.PORT_TAKEN}))
    world.run(700, tick_s=0.5)
    assert world.node_report().ports_taken == ()


def test_a_missing_image_is_pulled_again_with_patience() -> None:
    world, machine = booted_world()
    machine.host.missing_images.add("nope:1")
    binding = make_binding(spec=make_spec("nope:1"))
    world.bind(binding)
    world.run(2)
    report = world.report(binding)
    assert report is not None
    assert report.containers[0].reason == "ImagePullBackOff"
    assert report.containers[0].state is ContainerState.WAITING
    machine.host.missing_images.clear()
    world.run(10)
    assert machine.host.running()


def test_a_container_removed_by_a_stranger_counts_as_ended() -> None:
    world, machine = booted_world()
    binding = make_binding(spec=make_spec(restartPolicy="Never"))
    world.bind(binding)
    world.run(1)
    machine.host.vanish(machine.host.running()[0].id)
    world.run(2)
    report = world.report(binding)
    assert report is not None
    assert report.containers[0].reason == "ContainerGone"
    assert len(machine.host.started) == 1


def test_a_completed_task_keeps_its_containers_until_its_binding_goes() -> None:
    world, machine = booted_world()
    binding = make_binding(spec=make_spec("hollow/exit-0-after-1s", restartPolicy="Never"))
    world.bind(binding)
    world.run(3)
    report = world.report(binding)
    assert report is not None
    assert (report.containers[0].reason, report.final) == ("Completed", False)
    world.bind(binding.model_copy(update={"desired": Desired.STOP, "reason": StopReason.COMPLETED}))
    world.run(3)
    report = world.report(binding)
    assert report is not None
    assert report.final
    assert [each.phase for each in machine.host.containers()] == [Phase.EXITED]
    world.unbind(binding)
    world.run(1)
    assert machine.host.containers() == ()


def test_a_report_that_vanished_is_written_again() -> None:
    world, _ = booted_world()
    binding = make_binding()
    world.bind(binding)
    world.run(1)
    world.delete(KEYS.task_report(NODE, binding.task_uid))
    world.delete(KEYS.node_report(NODE))
    world.run(1)
    assert world.report(binding) is not None
    assert world.node_report().node == NODE


def test_a_stopping_agent_says_so() -> None:
    world, machine = booted_world()
    assert machine.agent is not None
    machine.agent.core.announce_stop()
    world.run(0.2)
    assert world.node_report().stopping
    machine.agent.heartbeat.release()
    assert world.store.get(KEYS.heartbeat(NODE)).kv is None


def test_garbage_under_the_cluster_key_freezes_and_stops_nothing() -> None:
    world, machine = booted_world()
    binding = make_binding()
    world.bind(binding)
    world.run(1)
    world.put(KEYS.cluster, codec.encode({"kind": "Cluster"}))
    world.bind(binding.model_copy(update=STOP))
    world.run(20)
    assert machine.host.running()
    world.init_cluster()
    world.run(5)
    assert not machine.host.running()


def test_an_own_report_that_the_store_shows_is_known_without_parsing_it() -> None:
    world, machine = booted_world()
    binding = make_binding()
    world.bind(binding)
    world.run(1)
    assert machine.agent is not None
    assert machine.agent.core.book.reported(binding.task_uid) == world.report(binding)


def make_report(binding: Binding, *, instance: str = "i", final: bool = False) -> TaskReport:
    return TaskReport(
        task_uid=binding.task_uid,
        namespace=binding.namespace,
        name=binding.name,
        epoch=binding.epoch,
        binding_uid=binding.binding_uid,
        instance=instance,
        sequence=1,
        final=final,
    )


def test_only_an_own_report_of_an_end_is_news() -> None:
    world, _ = booted_world()
    book = BindingBook(world.store.another_client(), KEYS, NODE, lambda: None)
    binding, key = make_binding(), KEYS.task_report(NODE, "task-1-uid")
    book.step(world.clock())
    for final in (False, True):
        report = make_report(binding, final=final)
        book.offered("task-1-uid", report.to_bytes(), report)
        world.put(key, report.to_bytes())
        assert book.step(world.clock()) == ({"task-1-uid"} if final else set())
        assert book.reported("task-1-uid") == report
    book.offered("task-1-uid", report.to_bytes(), report)
    world.put(key, make_report(binding, instance="a stranger").to_bytes())
    assert book.step(world.clock()) == {"task-1-uid"}
    assert book.reported("task-1-uid") == make_report(binding, instance="a stranger")
