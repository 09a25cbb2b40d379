"""Tasks of several containers: who begins after whom, who ends last, and what a sandbox's end means."""

from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agent.labels import SANDBOX
from agent.runtime.api import ContainerInfo, Op, Phase, RunHook
from agent.runtime.hollow import Fault
from schemas.binding import Binding, Desired, GrantedPort, StopReason
from schemas.report import ContainerStatus, container_views
from schemas.state import ContainerState, Placement, TaskState, task_state
from schemas.task import TaskSpec
from tests.agent.builders import make_binding
from tests.agent.harness import Machine, World, booted_world

SERVER = "hollow/server"
QUICK = "hollow/exit-0-after-1s"
BROKEN = "hollow/exit-3-after-1s"
Json = dict[str, Any]


def container(name: str, image: str = SERVER, **fields: Any) -> Json:
    return {"name": name, "image": image, "imagePullPolicy": "Never", **fields}


def sidecar(name: str, image: str = SERVER) -> Json:
    return container(name, image, restartPolicy="Always")


def task(*mains: Json, init: tuple[Json, ...] = (), **spec: Any) -> TaskSpec:
    return TaskSpec.parse_written({"containers": list(mains), "initContainers": list(init), **spec})


def bound(spec: TaskSpec, **fields: Any) -> tuple[World, Machine, Binding]:
    """A ready agent that was just given a task."""
    world, machine = booted_world()
    binding = make_binding(spec=spec, **fields)
    world.bind(binding)
    return world, machine, binding


def stopped(binding: Binding) -> Binding:
    return binding.model_copy(update={"desired": Desired.STOP, "reason": StopReason.DELETED})


def running(machine: Machine) -> set[str]:
    return {each.journal.container for each in machine.host.running()}


def started(machine: Machine) -> list[str]:
    return [each.journal.container for each in machine.host.started]


def status(world: World, binding: Binding, name: str) -> ContainerStatus:
    report = world.report(binding)
    assert report is not None
    return next(each for each in report.containers if each.name == name)


def state(world: World, binding: Binding) -> TaskState:
    report = world.report(binding)
    assert report is not None
    placement = Placement(binding.desired, binding.reason, report.final)
    views = container_views(binding.spec, report.containers)
    return task_state(placement, views, binding.spec.restart_policy)


def ends(machine: Machine) -> list[str]:
    dead = [each for each in machine.host.containers() if each.phase is Phase.EXITED]
    return [each.journal.container for each in sorted(dead, key=lambda each: each.finished_at)]


# The beginning


def test_one_container_after_an_init_container_needs_no_sandbox() -> None:
    world, machine, binding = bound(task(container("main"), init=(container("prepare", QUICK),)))
    world.run(0.5)
    assert started(machine) == ["prepare"]
    world.run(5)
    assert started(machine) == ["prepare", "main"]
    assert state(world, binding) is TaskState.RUNNING


def test_init_containers_run_in_order_and_each_to_its_end() -> None:
    init = (container("one", QUICK), sidecar("beside"), container("two", "hollow/exit-0-after-5s"))
    world, machine, binding = bound(task(container("main"), container("other"), init=init))
    world.run(5)
    assert running(machine) == {SANDBOX, "beside", "two"}
    assert state(world, binding) is TaskState.STARTING
    world.run(5)
    assert started(machine) == [SANDBOX, "one", "beside", "two", "main", "other"]
    assert running(machine) == {SANDBOX, "beside", "main", "other"}
    assert state(world, binding) is TaskState.RUNNING
    assert [each.name for each in world.report(binding).containers if each.init] == ["one", "beside", "two"]  # type: ignore[union-attr]


def test_a_main_container_says_whom_it_waits_for() -> None:
    init = (container("prepare", QUICK), container("never", "hollow/server"))
    world, _, binding = bound(task(container("main"), init=init))
    world.run(6)
    waits = status(world, binding, "main")
    assert (waits.state, waits.reason) == (ContainerState.WAITING, "Initializing")
    assert "init container never, 2 of 2" in waits.message


def test_a_failed_init_container_is_tried_again() -> None:
    world, machine, binding = bound(task(container("main"), init=(container("prepare", BROKEN),)))
    world.run(5)
    assert status(world, binding, "prepare").reason == "CrashLoopBackOff"
    world.run(10)
    assert started(machine) == ["prepare", "prepare"]
    assert state(world, binding) is TaskState.STARTING


def test_a_failed_init_container_of_a_task_that_never_restarts_fails_it() -> None:
    init = (sidecar("beside"), container("prepare", BROKEN))
    world, machine, binding = bound(task(container("main"), init=init, restartPolicy="Never"))
    world.run(5)
    assert running(machine) == set()
    assert "main" not in started(machine)
    assert state(world, binding) is TaskState.FAILED


def test_only_the_sandbox_publishes_ports() -> None:
    ports = (GrantedPort(container="main", container_port=80, host_port=31_000),)
    spec = task(container("main", ports=[{"containerPort": 80}]), container("other"))
    world, machine, _ = bound(spec, ports=ports)
    machine.host.foreign_ports.add(31_000)
    world.run(1)
    assert started(machine) == []
    machine.host.foreign_ports.clear()
    world.run(20)
    assert running(machine) == {SANDBOX, "main", "other"}


def test_a_taken_port_is_told_of_the_containers() -> None:
    ports = (GrantedPort(container="main", container_port=80, host_port=31_000),)
    spec = task(container("main", ports=[{"containerPort": 80}]), container("other"))
    world, machine, binding = bound(spec, ports=ports)
    machine.host.foreign_ports.add(31_000)
    world.run(5)
    assert status(world, binding, "main").reason == "HostPortTaken"


def test_a_container_restarts_alone() -> None:
    world, machine, binding = bound(task(container("main"), container("fickle", BROKEN)))
    world.run(15)
    assert started(machine).count("main") == 1
    assert started(machine).count("fickle") == 2
    assert state(world, binding) is TaskState.RUNNING


# The end


def test_a_sidecar_keeps_no_task_alive_and_ends_last() -> None:
    init = (sidecar("first"), sidecar("second"))
    spec = task(container("main", QUICK), container("other", QUICK), init=init, restartPolicy="Never")
    world, machine, binding = bound(spec)
    world.run(5)
    assert running(machine) == set()
    assert ends(machine)[2:] == ["second", "first", SANDBOX]
    assert state(world, binding) is TaskState.SUCCEEDED


def test_a_sidecar_that_ends_is_started_again_whatever_the_policy() -> None:
    init = (sidecar("beside", QUICK),)
    world, machine, binding = bound(task(container("main"), init=init, restartPolicy="Never"))
    world.run(15)
    assert started(machine).count("beside") == 2
    assert state(world, binding) is TaskState.RUNNING


def test_a_stop_ends_main_containers_then_sidecars_then_the_sandbox() -> None:
    init = (sidecar("first"), sidecar("second"))
    world, machine, binding = bound(task(container("main"), container("other"), init=init))
    world.run(5)
    world.bind(stopped(binding))
    world.run(5)
    assert set(ends(machine)[:2]) == {"main", "other"}
    assert ends(machine)[2:] == ["second", "first", SANDBOX]
    report = world.report(binding)
    assert report is not None
    assert report.final


def test_one_grace_covers_all_containers() -> None:
    init = (sidecar("first", "hollow/deaf"),)
    world, machine, binding = bound(task(container("main", "hollow/deaf"), init=init, grace="10s"))
    world.run(3)
    world.bind(stopped(binding))
    world.run(9)
    assert running(machine) == {SANDBOX, "first", "main"}
    world.run(3)
    assert running(machine) == set()


def test_a_stop_waits_while_others_learn_of_it() -> None:
    world, machine, binding = bound(task(container("main"), drainDelay="5s", grace="3s"))
    world.run(3)
    world.bind(stopped(binding))
    world.run(4.5)
    assert running(machine) == {"main"}
    assert status(world, binding, "main").state is ContainerState.STOPPING
    world.run(2)
    assert running(machine) == set()


def test_a_hook_before_the_stop_is_waited_for_within_the_grace() -> None:
    slow = {"preStop": {"sleep": {"seconds": 4}}}
    slower = {"preStop": {"sleep": {"seconds": 60}}}
    spec = task(container("main", lifecycle=slow), container("other", lifecycle=slower), grace="8s")
    world, machine, binding = bound(spec)
    world.run(3)
    world.bind(stopped(binding))
    world.run(3)
    assert running(machine) == {SANDBOX, "main", "other"}
    world.run(2)
    assert running(machine) == {SANDBOX, "other"}
    world.run(5)
    assert running(machine) == set()


def test_a_container_runs_once_its_hook_after_the_start_has_ended() -> None:
    hook = {"postStart": {"sleep": {"seconds": 5}}}
    world, _, binding = bound(task(container("main", lifecycle=hook)))
    world.run(4)
    assert status(world, binding, "main").state is ContainerState.STARTING
    world.run(4)
    assert status(world, binding, "main").state is ContainerState.RUNNING


def test_a_hook_after_the_start_that_an_agent_did_not_see_end_is_run_by_the_next_one() -> None:
    hook = {"postStart": {"sleep": {"seconds": 5}}}
    world, machine, binding = bound(task(container("main", lifecycle=hook)))
    world.run(4)
    machine.crash()
    world.run(20)
    machine.boot()
    world.run(3)
    assert status(world, binding, "main").state is ContainerState.STARTING
    world.run(4)
    assert status(world, binding, "main").state is ContainerState.RUNNING
    assert started(machine) == ["main"]
    machine.crash()
    hooks: list[Op] = []
    machine.faults = lambda op, _: hooks.append(op) or Fault()  # type: ignore[func-returns-value]
    machine.boot()
    world.run(5)
    assert hooks == []


def test_a_stop_goes_on_after_a_hook_that_failed_and_its_report_says_so() -> None:
    spec = task(container("main", lifecycle={"preStop": {"sleep": {"seconds": 1}}}))
    world, machine, binding = bound(spec)
    world.run(3)
    machine.faults = lambda op, _: Fault(error="no such command" if isinstance(op, RunHook) else "")
    world.bind(stopped(binding))
    world.run(5)
    assert running(machine) == set()
    assert status(world, binding, "main").failed_hooks == {"preStop": "no such command"}


# What goes wrong


def test_containers_start_anew_when_their_sandbox_ends() -> None:
    spec = task(container("main"), init=(container("prepare", QUICK), sidecar("beside")))
    world, machine, binding = bound(spec)
    world.run(5)
    sandbox = next(each for each in machine.host.running() if each.journal.is_sandbox)
    machine.host.vanish(sandbox.id)
    world.run(10)
    assert running(machine) == {SANDBOX, "beside", "main"}
    assert started(machine).count("prepare") == 2
    main = status(world, binding, "main")
    assert main.attempt == 1
    assert main.last_exit is not None
    assert main.last_exit.reason == "SandboxEnded"


def test_an_agent_that_starts_again_adopts_all_containers() -> None:
    spec = task(container("main"), init=(container("prepare", QUICK), sidecar("beside")))
    world, machine, binding = bound(spec)
    world.run(5)
    before = started(machine)
    machine.crash()
    world.run(20)
    machine.boot()
    world.run(5)
    assert started(machine) == before
    world.bind(stopped(binding))
    world.run(3)
    assert running(machine) == set()


def test_a_binding_that_is_gone_takes_all_its_containers_with_it() -> None:
    world, machine, binding = bound(task(container("main"), container("other"), init=(sidecar("beside"),)))
    world.run(5)
    world.bind(stopped(binding))
    world.run(3)
    world.unbind(binding)
    world.run(3)
    assert machine.host.containers() == ()
    assert world.report(binding) is None


EVENTS = ("kill main", "kill other", "kill beside", "kill prepare", "kill sandbox", "crash", "boot")


def _event(machine: Machine, event: str) -> None:
    if event == "crash" and machine.agent is not None:
        machine.crash()
    elif event == "boot" and machine.agent is None:
        machine.boot()
    elif event.startswith("kill "):
        name = event.removeprefix("kill ").replace("sandbox", SANDBOX)
        for each in machine.host.running():
            if each.journal.container == name:
                machine.host.vanish(each.id)


def _check(machine: Machine) -> None:
    """At most one attempt of a container runs; what runs beside the main containers was there before them."""
    names = [each.journal.container for each in machine.host.running()]
    assert len(names) == len(set(names)), names


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.lists(st.tuples(st.sampled_from(EVENTS), st.sampled_from((0.2, 1.0, 4.0))), max_size=12),
    st.booleans(),
)
def test_any_order_of_deaths_and_restarts_ends_right(story: list[tuple[str, float]], stops: bool) -> None:
    spec = task(
        container("main"),
        container("other"),
        init=(container("prepare", QUICK), sidecar("beside")),
        restartBackoff={"initial": "1s", "max": "4s"},
        grace="5s",
    )
    world, machine, binding = bound(spec)
    for event, pause_s in story:
        _event(machine, event)
        world.run(pause_s, tick_s=0.2)
        _check(machine)
    _event(machine, "boot")
    if stops:
        world.bind(stopped(binding))
        world.run(12, tick_s=0.2)
        assert running(machine) == set()
        report = world.report(binding)
        assert report is not None
        assert report.final
    else:
        world.run(25, tick_s=0.2)
        assert running(machine) == {SANDBOX, "beside", "main", "other"}
        assert len({_round(each) for each in machine.host.running()}) == 1
        assert state(world, binding) is TaskState.RUNNING


def _round(info: ContainerInfo) -> int:
    return info.journal.round
