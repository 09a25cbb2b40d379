"""What is over in a moment is not reported; what lasts, ends or fails is."""

from agent.passing import PASSING_S
from agent.runtime.api import Create, Pull
from agent.runtime.hollow import Fault, Faults
from schemas.binding import Desired, StopReason
from schemas.report import TaskReport
from schemas.state import ContainerState
from store.api import WatchEvent
from tests.agent.builders import make_binding, make_spec
from tests.agent.harness import KEYS, TICK_S, World
from tests.agent.test_core import booted_world


def states(world: World, key: str) -> list[ContainerState]:
    """Return the states of the one container, in the order in which they were written under `key`."""
    watch = world.store.watch((key,), 1, lambda: None)
    found: list[WatchEvent] = []
    while (events := watch.poll()) is not None:
        found += events
    watch.close()
    return [TaskReport.model_validate_json(each.kv.value).containers[0].state for each in found if each.kv]


def slow(kind: type, seconds: float) -> Faults:
    """Return that operations of one kind take long, and the others a moment."""
    return lambda op, now: Fault(delay_s=seconds if isinstance(op, kind) else 0.1)


def test_a_container_that_is_up_soon_is_only_ever_said_to_run() -> None:
    world, machine = booted_world()
    machine.faults = slow(Pull, 0.3)
    binding = make_binding()
    world.bind(binding)
    world.run(5)
    assert states(world, KEYS.task_report(binding.node, binding.task_uid)) == [ContainerState.RUNNING]


def test_a_pull_that_lasts_is_reported_while_it_lasts() -> None:
    world, machine = booted_world()
    machine.faults = slow(Pull, 10.0)
    binding = make_binding()
    world.bind(binding)
    world.run(PASSING_S / 2)
    assert world.report(binding) is None
    world.run(PASSING_S / 2 + 5 * TICK_S)
    report = world.report(binding)
    assert report is not None
    assert report.containers[0].state is ContainerState.PREPARING
    world.run(20)
    written = states(world, KEYS.task_report(binding.node, binding.task_uid))
    assert written == [ContainerState.PREPARING, ContainerState.RUNNING]


def test_what_went_wrong_is_reported_at_once() -> None:
    world, machine = booted_world()
    machine.host.missing_images.add("hollow/web:1")
    binding = make_binding(spec=make_spec())
    world.bind(binding)
    world.run(PASSING_S / 2)
    report = world.report(binding)
    assert report is not None
    assert report.containers[0].reason


def test_a_task_that_is_to_stop_is_reported_at_once() -> None:
    world, machine = booted_world()
    machine.faults = slow(Create, 10.0)
    binding = make_binding()
    world.bind(binding)
    world.run(0.5)
    world.bind(binding.model_copy(update={"desired": Desired.STOP, "reason": StopReason.DELETED}))
    world.run(PASSING_S / 2)
    assert world.report(binding) is not None


def test_a_node_report_never_comes_before_a_task_report_that_was_held() -> None:
    world, machine = booted_world()
    machine.faults = slow(Create, 10.0)
    binding = make_binding()
    world.bind(binding)
    world.run(0.5)
    assert world.report(binding) is None
    assert machine.agent is not None
    machine.agent.core.announce_stop()
    world.run(0.5)
    assert world.node_report().stopping
    assert world.report(binding) is not None
