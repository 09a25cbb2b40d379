"""What the agent keeps of its observations, in whatever order they come."""

from dataclasses import replace

from agent.observation import TaskObservation
from agent.runtime.api import (
    ContainerGone,
    ContainerSeen,
    Create,
    Done,
    Failed,
    OomSeen,
    Phase,
    Pull,
    Reason,
    Remove,
    RuntimeUp,
    Start,
)
from agent.world import World
from tests.agent.builders import CLUSTER, NODE, make_binding, make_container

NOW = 1000.0
BINDING = make_binding()
CREATED = make_container(BINDING, phase=Phase.CREATED)
RUNNING = make_container(BINDING)
ENDED = make_container(BINDING, phase=Phase.EXITED, exit_code=3)
TARGET = RUNNING.journal.target


def make_world(*observations: object) -> World:
    world = World(NODE)
    world.cluster = CLUSTER
    for observation in observations:
        world.apply(observation, NOW)  # type: ignore[arg-type]
    return world


def observed(world: World) -> TaskObservation:
    return world.observe(BINDING.task_uid, reported=None, unbound_since=None)


def test_the_later_phase_wins_whatever_comes_last() -> None:
    start = Start(TARGET, RUNNING.id)
    world = make_world(ContainerSeen(CREATED), ContainerSeen(ENDED), Done(start, RUNNING))
    assert observed(world).containers == (ENDED,)
    world.apply(RuntimeUp((CREATED,)), NOW)
    assert observed(world).containers == (ENDED,)


def test_a_later_start_by_hand_wins_over_an_earlier_end() -> None:
    again = replace(RUNNING, started_at=ENDED.finished_at + 1)
    world = make_world(ContainerSeen(ENDED), ContainerSeen(again))
    assert observed(world).containers == (again,)


def test_what_is_gone_does_not_come_back() -> None:
    remove = Remove(TARGET, ENDED.id)
    world = make_world(ContainerSeen(ENDED))
    world.submitted(BINDING.task_uid, remove, NOW)
    world.apply(ContainerGone(ENDED.id), NOW)
    world.apply(Done(remove), NOW)
    world.apply(ContainerSeen(RUNNING), NOW)
    assert observed(world).containers == ()
    assert world.task_uids() == set()


def test_a_listing_alone_makes_nothing_vanish() -> None:
    world = make_world(ContainerSeen(RUNNING), RuntimeUp(()))
    assert observed(world).containers == (RUNNING,)


def test_an_out_of_memory_kill_is_remembered_until_the_end() -> None:
    world = make_world(ContainerSeen(RUNNING), OomSeen(RUNNING.id), ContainerSeen(ENDED))
    assert observed(world).containers[0].oom


def test_an_out_of_memory_kill_that_is_told_before_the_start_is_remembered() -> None:
    start = Start(TARGET, RUNNING.id)
    world = make_world(
        ContainerSeen(CREATED), OomSeen(CREATED.id), Done(start, RUNNING), ContainerSeen(ENDED)
    )
    assert observed(world).containers[0].oom


def test_a_later_start_by_hand_forgets_the_out_of_memory_kill_before_it() -> None:
    again = replace(RUNNING, started_at=ENDED.finished_at + 1)
    world = make_world(ContainerSeen(ENDED), OomSeen(ENDED.id), ContainerSeen(again))
    assert not observed(world).containers[0].oom


def test_other_clusters_and_other_nodes_are_not_ours() -> None:
    foreign = replace(RUNNING, id="x", journal=replace(RUNNING.journal, cluster="other"))
    elsewhere = replace(RUNNING, id="y", journal=replace(RUNNING.journal, node="other"))
    world = make_world(ContainerSeen(foreign), ContainerSeen(elsewhere))
    assert observed(world).containers == ()


def test_failures_in_a_row_wait_longer_and_a_success_forgets_them() -> None:
    world, pull = make_world(), Pull(TARGET, "img", "Always")
    waits = []
    for _ in range(3):
        world.submitted(BINDING.task_uid, pull, NOW)
        world.apply(Failed(pull, Reason.ERR_IMAGE_PULL, "no"), NOW)
        trouble = observed(world).memory_of(TARGET).trouble
        assert trouble is not None
        waits.append(trouble.retry_at - NOW)
    assert waits == [10, 20, 40]
    world.submitted(BINDING.task_uid, pull, NOW)
    world.apply(Done(pull), NOW)
    memory = observed(world).memory_of(TARGET)
    assert (memory.pulled, memory.trouble) == (True, None)


def test_a_missing_image_is_no_trouble_the_first_time() -> None:
    world, create = make_world(), Create(TARGET, BINDING, RUNNING.journal)
    world.submitted(BINDING.task_uid, create, NOW)
    world.apply(Failed(create, Reason.IMAGE_MISSING, "no"), NOW)
    memory = observed(world).memory_of(TARGET)
    assert (memory.image_missing, memory.trouble) == (True, None)


def test_a_clock_that_was_set_back_does_not_delay_a_restart() -> None:
    world = make_world(ContainerSeen(replace(ENDED, finished_at=NOW + 5000)))
    assert observed(world).containers[0].finished_at == NOW
