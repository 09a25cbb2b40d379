"""Dead containers of tasks that are bound: how long they stay, and what is still told of those that went."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from agent.actions import NOTHING, Wait, first_of
from agent.collecting import DeadContainer, DiskUse, ImagePolicy, after, dead_to_remove
from agent.dead import collect_dead
from agent.observation import Leave, TaskObservation
from agent.runtime.api import ContainerInfo, Phase, Remove, RoomWanted
from agent.runtime.hollow import HollowRuntime
from schemas.binding import Binding, Desired, StopReason
from schemas.report import TaskReport
from tests.agent.builders import make_binding, make_container, make_spec
from tests.agent.harness import World, booted_world

NOW = 1000.0
KEEP_S = 100.0
COMPLETED = {"desired": Desired.STOP, "reason": StopReason.COMPLETED}


def dead(binding: Binding, attempt: int = 0, ended_at: float = NOW) -> ContainerInfo:
    return make_container(binding, attempt=attempt, phase=Phase.EXITED, finished_at=ended_at)


def told(binding: Binding, *, final: bool = True) -> TaskReport:
    names = {"task_uid": binding.task_uid, "namespace": "default", "name": binding.name}
    return TaskReport(
        **names, binding_uid=binding.binding_uid, epoch=1, instance="i", sequence=1, final=final
    )


def act(binding: Binding, *containers: ContainerInfo, **observed: Any) -> object:
    leave = Leave(act=True, begin=True, confirmed_at=NOW, keep_dead_s=KEEP_S)
    seen = TaskObservation(containers, **observed)
    return first_of(collect_dead(binding, seen, NOW, leave))


def test_attempt_before_the_newest_goes_when_it_is_old_enough() -> None:
    binding = make_binding()
    old, running = dead(binding, 0, NOW - KEEP_S), make_container(binding, attempt=1)
    assert act(binding, old, running) == Remove(old.journal.target, old.id)
    young = dead(binding, 0, NOW - 1)
    assert act(binding, young, running) == Wait(NOW - 1 + KEEP_S)


def test_newest_attempt_stays_while_its_task_goes_on_however_old_and_full() -> None:
    binding = make_binding()
    last = dead(binding, 3, NOW - 100 * KEEP_S)
    assert act(binding, last, unwanted=frozenset({last.id})) == NOTHING


def test_last_container_of_a_finished_task_goes_only_once_the_store_has_its_end() -> None:
    binding = make_binding(**COMPLETED)
    last = dead(binding, 0, NOW - KEEP_S)
    gone = Remove(last.journal.target, last.id)
    assert act(binding, last) == NOTHING
    assert act(binding, last, reported=told(binding)) == NOTHING, "its end is on its way, and may be lost"
    assert act(binding, last, stored=told(binding, final=False)) == NOTHING
    another = told(make_binding(binding_uid="another"))
    assert act(binding, last, stored=another) == NOTHING
    assert act(binding, last, stored=told(binding)) == gone


def test_disk_that_fills_up_takes_young_ones_too() -> None:
    binding = make_binding(**COMPLETED)
    last = dead(binding)
    assert act(binding, last, stored=told(binding)) == Wait(NOW + KEEP_S)
    unwanted = {"stored": told(binding), "unwanted": frozenset({last.id})}
    assert act(binding, last, **unwanted) == Remove(last.journal.target, last.id)


@given(
    st.lists(st.tuples(st.integers(0, 50), st.integers(0, 30)), max_size=12),
    st.integers(0, 100),
    st.integers(0, 100),
)
def test_longest_dead_make_room_first_and_no_more_than_needed(
    ages_and_sizes: list[tuple[int, int]], used: int, high: int
) -> None:
    found = [
        DeadContainer(f"c{n:02}", float(ended_at), size) for n, (ended_at, size) in enumerate(ages_and_sizes)
    ]
    disk, policy = DiskUse(used, 100), ImagePolicy(high, high // 2)
    chosen = dead_to_remove(found, disk, policy)
    in_order = sorted(found, key=lambda each: (each.ended_at, each.id))
    assert list(chosen) == in_order[: len(chosen)]
    freed = sum(each.size_bytes for each in chosen)
    if used < high:
        assert not chosen
    elif len(chosen) < len(found):
        assert after(disk, freed).used_bytes <= policy.low
    if chosen:
        assert used - (freed - chosen[-1].size_bytes) > policy.low


# A whole agent, in virtual time


def finished(world: World, **spec: Any) -> Binding:
    """A task that has ended by itself, after the leader has answered."""
    binding = make_binding(spec=make_spec(image="hollow/exit-0-after-1s", restartPolicy="Never", **spec))
    world.bind(binding)
    world.run(3)
    report = world.report(binding)
    assert report is not None
    assert report.containers[0].exit_code == 0
    done = binding.model_copy(update=COMPLETED)
    world.bind(done)
    world.run(1)
    return done


def test_collected_containers_stay_told_also_by_an_agent_that_starts_anew() -> None:
    world, machine = booted_world()
    machine.crash()
    machine.keep_dead_s = 60.0
    machine.boot()
    world.run(2)
    binding = finished(world)
    before = world.report(binding)
    assert before is not None
    assert before.final
    assert len(machine.host.containers()) == 1
    world.run(70, tick_s=0.5)
    assert machine.host.containers() == ()
    assert world.report(binding) == before, "nothing is written because logs went"
    machine.crash()
    machine.boot()
    world.run(3)
    report = world.report(binding)
    assert report is not None
    assert report.containers == before.containers
    assert report.final


def test_end_before_a_restart_stays_told_when_its_container_went() -> None:
    world, machine = booted_world()
    machine.crash()
    machine.keep_dead_s = 60.0
    machine.boot()
    world.run(2)
    binding = make_binding(spec=make_spec(restartBackoff={"initial": "1s"}))
    world.bind(binding)
    world.run(2)
    (first,) = machine.host.running()
    machine.host.vanish(first.id)
    world.run(5)
    (second,) = machine.host.running()
    assert second.journal.attempt == 1
    before = world.report(binding)
    assert before is not None
    assert before.containers[0].last_exit is not None
    world.run(70, tick_s=0.5)
    assert [each.id for each in machine.host.containers()] == [second.id]
    assert world.report(binding) == before


def test_disk_that_fills_up_takes_what_is_kept_for_its_logs_and_nothing_else() -> None:
    world, machine = booted_world()
    done = finished(world)
    runs = make_binding(task_uid="task-2-uid", binding_uid="binding-2", name="runs")
    world.bind(runs)
    world.run(2)
    everything = frozenset(each.id for each in machine.host.containers())
    assert len(everything) == 2
    assert isinstance(machine.runtime, HollowRuntime)
    machine.runtime.tell(RoomWanted(everything))
    world.run(2)
    assert [each.journal.name for each in machine.host.containers()] == ["runs"]
    report = world.report(done)
    assert report is not None
    assert report.containers[0].exit_code == 0
