"""What must hold of the containers of one task: who starts after whom, and who is stopped before whom.

Looked at when an agent asks its runtime, against the host as it is then.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from agent.probes import ProbeKind
from agent.runtime.api import ContainerInfo, Phase, Start, Stop
from schemas.binding import Binding
from schemas.roles import Role, init_role
from schemas.task import Container
from sim.asking import Wellness


@dataclass(slots=True)
class Ordering:
    """`told_at`: bindingUid -> when it was first told to stop. was_up: sidecars (bindingUid, name, round)."""

    fail: Callable[[str], None]
    spec_of: Callable[[str], Binding | None]
    was_up: set[tuple[str, str, int]] = field(default_factory=set)
    told_at: dict[str, float] = field(default_factory=dict)

    def check_start(
        self, op: Start, containers: tuple[ContainerInfo, ...], wellness: Wellness, node: str
    ) -> None:
        """All that come before a container in its task are through, in the same sandbox."""
        starting = next((each for each in containers if each.id == op.id), None)
        binding = self.spec_of(op.target.binding_uid)
        if starting is None or binding is None or starting.journal.is_sandbox:
            return
        mine = [each for each in containers if each.journal.binding_uid == op.target.binding_uid]
        self._note(binding, mine, wellness)
        if starting.journal.role == Role.SIDECAR and starting.journal.attempt:
            return  # a sidecar that has ended comes back whoever runs
        for before in _before(binding, starting.journal.container):
            if not self._is_through(before, mine, starting.journal.round, op.target.binding_uid):
                what = f"container {starting.journal.container} of {starting.journal.name}"
                self.fail(f"{node} starts {what} before {before.name} is through")

    def _note(self, binding: Binding, mine: list[ContainerInfo], wellness: Wellness) -> None:
        by_name = {each.name: each for each in binding.spec.init_containers}
        for info in mine:
            container = by_name.get(info.journal.container)
            if container is None or init_role(container) is not Role.SIDECAR or not info.started_at:
                continue
            if container.startup_probe is None or (info.id, ProbeKind.STARTUP) in wellness.passed:
                self.was_up.add((info.journal.binding_uid, container.name, info.journal.round))

    def _is_through(
        self, container: Container, mine: list[ContainerInfo], round_: int, binding_uid: str
    ) -> bool:
        if init_role(container) is Role.SIDECAR:
            return (binding_uid, container.name, round_) in self.was_up
        return any(
            each.journal.container == container.name
            and each.journal.round == round_
            and each.phase is Phase.EXITED
            and each.exit_code == 0
            for each in mine
        )

    def told(self, binding_uid: str, now: float) -> None:
        self.told_at.setdefault(binding_uid, now)

    def check_stop(self, op: Stop, containers: tuple[ContainerInfo, ...], now: float, node: str) -> None:
        """A sidecar goes after all that it is there for, unless the grace that they share is over."""
        stopping = next((each for each in containers if each.id == op.id), None)
        binding = self.spec_of(op.target.binding_uid)
        if stopping is None or binding is None or op.why is not None:
            return
        if stopping.journal.role != Role.SIDECAR and not stopping.journal.is_sandbox:
            return
        told = self.told_at.get(op.target.binding_uid)
        if told is not None and now >= told + binding.spec.drain_delay + binding.spec.grace:
            return
        for other in containers:
            same = other.journal.binding_uid == op.target.binding_uid and other.id != op.id
            if same and other.phase is Phase.RUNNING and _goes_before(other, stopping):
                what = f"container {stopping.journal.container} of {stopping.journal.name}"
                self.fail(f"{node} stops {what} while {other.journal.container} still runs")


def _before(binding: Binding, name: str) -> Iterator[Container]:
    for each in binding.spec.init_containers:
        if each.name == name:
            return
        yield each


def _goes_before(other: ContainerInfo, stopping: ContainerInfo) -> bool:
    if other.journal.is_sandbox:
        return False
    if stopping.journal.is_sandbox or other.journal.role != Role.SIDECAR:
        return True
    return other.journal.order > stopping.journal.order
