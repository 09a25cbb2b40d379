"""Probes of running containers, through a whole agent under virtual time."""

from typing import Any

from agent.probes import Answer, ProbeKind
from agent.runtime.asking import Ask, HollowAsker
from schemas.binding import Binding
from schemas.report import ContainerStatus
from schemas.state import ContainerState
from tests.agent.builders import make_binding, make_spec
from tests.agent.harness import Machine, World

EVERY_SECOND = {"exec": {"command": ["check"]}, "periodSeconds": 1, "failureThreshold": 2}


class Patient:
    """Containers whose probes say what the test wants. asked: container id and kind, in order."""

    def __init__(self) -> None:
        self.failing: set[ProbeKind] = set()
        self.asked: list[tuple[str, ProbeKind, int | None]] = []

    def answer(self, ask: Ask) -> Answer:
        self.asked.append((ask.container_id, ask.kind, ask.port))
        return Answer(False, "feels unwell") if ask.kind in self.failing else Answer(True)


def make_world() -> tuple[World, Machine, Patient]:
    world, patient = World(), Patient()
    world.init_cluster()
    machine = world.machine(asker=HollowAsker(patient.answer))
    machine.boot()
    world.run(2)
    return world, machine, patient


def bound(world: World, **container: Any) -> Binding:
    backoff = {"initial": "0s"}
    binding = make_binding(spec=make_spec(container=container, restartBackoff=backoff, grace="1s"))
    world.bind(binding)
    return binding


def status(world: World, binding: Binding) -> ContainerStatus:
    report = world.report(binding)
    assert report is not None
    return report.containers[0]


def test_readiness_goes_and_comes_in_the_report() -> None:
    world, _, patient = make_world()
    patient.failing = {ProbeKind.READINESS}
    binding = bound(world, readinessProbe=EVERY_SECOND)
    world.run(5)
    told = status(world, binding)
    assert (told.state, told.ready, told.started) == (ContainerState.RUNNING, False, None)
    assert (told.reason, told.message) == ("Unhealthy", "Readiness probe failed: feels unwell")
    patient.failing = set()
    world.run(5)
    told = status(world, binding)
    assert (told.ready, told.reason, told.attempt) == (True, "", 0)


def test_failed_liveness_restarts_the_container_and_says_so() -> None:
    world, machine, patient = make_world()
    binding = bound(world, livenessProbe=EVERY_SECOND)
    world.run(5)
    assert status(world, binding).attempt == 0
    patient.failing = {ProbeKind.LIVENESS}
    world.run(4)
    patient.failing = set()
    world.run(10)
    told = status(world, binding)
    assert told.state is ContainerState.RUNNING
    assert told.attempt >= 1
    assert told.last_exit is not None
    assert (told.last_exit.reason, told.last_exit.exit_code != 0) == ("LivenessProbeFailed", True)
    assert len(machine.host.running()) == 1


def test_liveness_is_not_asked_before_startup_has_passed() -> None:
    world, _, patient = make_world()
    patient.failing = {ProbeKind.STARTUP}
    binding = bound(
        world, startupProbe={**EVERY_SECOND, "failureThreshold": 1000}, livenessProbe=EVERY_SECOND
    )
    world.run(10)
    assert {kind for _, kind, _ in patient.asked} == {ProbeKind.STARTUP}
    assert status(world, binding).started is False
    patient.failing = set()
    world.run(5)
    assert status(world, binding).started is True
    assert ProbeKind.LIVENESS in {kind for _, kind, _ in patient.asked}


def test_restarted_agent_does_not_take_readiness_back() -> None:
    world, machine, _ = make_world()
    binding = bound(world, readinessProbe={**EVERY_SECOND, "periodSeconds": 60})
    world.run(5)
    assert status(world, binding).ready is True
    machine.crash()
    machine.boot()
    for _ in range(20):
        world.run(0.5)
        assert status(world, binding).ready is True


def test_named_port_is_asked_by_its_number() -> None:
    world, _, patient = make_world()
    ports = [{"name": "web", "containerPort": 8080}]
    bound(world, ports=ports, readinessProbe={"tcpSocket": {"port": "web"}})
    world.run(5)
    assert {port for _, _, port in patient.asked} == {8080}


def test_stopped_task_is_not_asked_any_more() -> None:
    world, _, patient = make_world()
    binding = bound(world, readinessProbe=EVERY_SECOND)
    world.run(5)
    world.unbind(binding)
    world.run(1)
    patient.asked.clear()
    world.run(5)
    assert patient.asked == []
