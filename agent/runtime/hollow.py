"""A runtime that runs nothing: for simulation and tests, deterministic, under a given clock.

`HollowHost` is the machine: its containers go on when an agent dies. `HollowRuntime` is one agent's client.
What a container does is told by its image (`hollow/exit-3-after-5s`, `hollow/deaf` that ignores its stop signal)
or by an injected `Script`. As Docker does, the host refuses a name or a host port that is taken.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from agent.labels import container_name
from agent.runtime.api import (
    SANDBOX_IMAGE,
    ContainerGone,
    ContainerInfo,
    ContainerSeen,
    Create,
    Done,
    Failed,
    Kill,
    Observation,
    Op,
    Phase,
    Pull,
    Reason,
    Refresh,
    Remove,
    RunHook,
    RuntimeDown,
    RuntimeUp,
    Start,
    Stop,
    publishes,
)
from schemas.roles import find_container
from schemas.task import Container

FOREVER = float("inf")
_IMAGE = re.compile(r"hollow/exit-(\d+)-after-([0-9.]+)s")
_KILLED, _TERMINATED = 137, 143


@dataclass(frozen=True, slots=True)
class Behaviour:
    """What a container does. runs_s: seconds until it ends by itself. stops_in_s: from signal to exit."""

    runs_s: float = FOREVER
    exit_code: int = 0
    oom: bool = False
    stops_in_s: float = 0.1
    cannot_start: str = ""


@dataclass(frozen=True, slots=True)
class Fault:
    """What happens to one operation. delay_s: before it is done. error: it fails with that, undone.

    lost_reply: it is done, but its result says that the runtime did not answer.
    """

    delay_s: float = 0.0
    error: str = ""
    lost_reply: bool = False


Script = Callable[[Create], Behaviour]
Faults = Callable[[Op, float], Fault]
_NO_FAULT = Fault()


def script_of_image(op: Create) -> Behaviour:
    """Read the behaviour off the image's name; any other image runs for ever."""
    container = _container_of(op)
    match = _IMAGE.match(container.image)
    if match:
        return Behaviour(runs_s=float(match.group(2)), exit_code=int(match.group(1)))
    if container.image.startswith("hollow/deaf"):
        return Behaviour(stops_in_s=FOREVER)
    if container.image.startswith("hollow/broken"):
        return Behaviour(cannot_start="no such command")
    return Behaviour()


def _container_of(op: Create) -> Container:
    found = find_container(op.binding.spec, op.journal.container)
    assert found is not None, op.journal.container
    return found


@dataclass(slots=True)
class _Container:
    info: ContainerInfo
    behaviour: Behaviour
    ports: tuple[tuple[int, str], ...]
    sandbox_id: str = ""
    ends_at: float = FOREVER
    ends_with: int = 0


@dataclass(slots=True)
class HollowHost:
    """One machine's containers. up: the runtime answers. images: present; None: any image is."""

    clock: Callable[[], float]
    script: Script = script_of_image
    up: bool = True
    missing_images: set[str] = field(default_factory=set)
    foreign_ports: set[int] = field(default_factory=set)
    started: list[ContainerInfo] = field(default_factory=list)
    _containers: dict[str, _Container] = field(default_factory=dict)
    _listeners: list[Callable[[Observation], None]] = field(default_factory=list)
    _created: int = 0
    _names: dict[str, str] = field(default_factory=dict)  # name -> id; of one that is gone perhaps
    _quiet_until: float = FOREVER  # no container ends by itself before

    def containers(self) -> tuple[ContainerInfo, ...]:
        """Return all containers as they are now, in the order of their creation."""
        self.advance()
        return tuple(each.info for each in self._containers.values())

    def running(self) -> tuple[ContainerInfo, ...]:
        return tuple(each for each in self.containers() if each.phase is Phase.RUNNING)

    def next_event(self) -> float | None:
        """Return when the next container ends by itself, None if none will."""
        if self._quiet_until == FOREVER:
            return None
        due = [each.ends_at for each in self._containers.values() if each.ends_at != FOREVER]
        return min(due, default=None)

    def advance(self) -> None:
        """Let everything happen that is due by the clock, in order."""
        now = self.clock()
        if now < self._quiet_until:
            return
        due = [each for each in self._containers.values() if each.ends_at <= now]
        for each in sorted(due, key=lambda each: each.ends_at):
            self._end(each, each.ends_with, each.ends_at)
        self._quiet_until = min((each.ends_at for each in self._containers.values()), default=FOREVER)

    def listen(self, listener: Callable[[Observation], None]) -> None:
        self._listeners.append(listener)

    def unlisten(self, listener: Callable[[Observation], None]) -> None:
        if listener in self._listeners:
            self._listeners.remove(listener)

    def vanish(self, container_id: str) -> None:
        """Remove a container by force, as a stranger would."""
        self._containers.pop(container_id)
        self._tell(ContainerGone(container_id))

    def add_stranger(self, info: ContainerInfo) -> None:
        """Put a container there that no agent made."""
        self._containers[info.id] = _Container(info, Behaviour(), ())
        self._names[info.name] = info.id

    def perform(self, op: Op) -> Done | Failed:
        """Do `op` now."""
        self.advance()
        match op:
            case Pull():
                return self._pull(op)
            case Create():
                return self._create(op)
            case Start():
                return self._start(op)
            case Stop() | Kill():
                return self._signal(op)
            case Remove():
                return self._remove(op)
            case RunHook():
                return self._hook(op)
            case Refresh():
                return Done(op)

    def _tell(self, observation: Observation) -> None:
        for listener in tuple(self._listeners):
            listener(observation)

    def _pull(self, op: Pull) -> Done | Failed:
        if op.image not in self.missing_images:
            return Done(op)
        reason = Reason.ERR_IMAGE_NEVER_PULL if op.policy == "Never" else Reason.ERR_IMAGE_PULL
        return Failed(op, reason, f"image {op.image} is not there")

    def _create(self, op: Create) -> Done | Failed:
        name = container_name(op.journal)
        holder = self._containers.get(self._names.get(name, ""))
        if holder is not None:
            if holder.info.journal.same_attempt(op.journal):
                return Done(op, holder.info)
            message = f"the name {name} belongs to container {holder.info.id}"
            return Failed(op, Reason.CREATE_CONTAINER_ERROR, message)
        image = SANDBOX_IMAGE if op.journal.is_sandbox else _container_of(op).image
        if image in self.missing_images:
            return Failed(op, Reason.IMAGE_MISSING, f"No such image: {image}")
        self._created += 1
        info = ContainerInfo(
            id=f"hollow-{self._created}",
            name=name,
            journal=op.journal,
            phase=Phase.CREATED,
            image=image,
            created_at=self.clock(),
        )
        granted = op.binding.grants.ports
        ports = tuple((port.host_port, port.protocol) for port in granted if publishes(op, port))
        behaviour = Behaviour() if op.journal.is_sandbox else self.script(op)
        self._containers[info.id] = _Container(info, behaviour, ports, op.sandbox_id)
        self._names[name] = info.id
        return Done(op, info)

    def _start(self, op: Start) -> Done | Failed:
        found = self._containers.get(op.id)
        if found is None:
            return Failed(op, Reason.CONTAINER_GONE, f"container {op.id} is gone")
        if found.info.phase is not Phase.CREATED:
            return Done(op, found.info)
        taken = self._taken_port(found)
        if taken is not None:
            message = f"0.0.0.0:{taken}: bind: address already in use"
            return Done(op, self._not_started(found, Reason.HOST_PORT_TAKEN, message, taken))
        if found.behaviour.cannot_start or not self._has_network(found):
            reason = Reason.CONTAINER_CANNOT_RUN
            why = found.behaviour.cannot_start or "cannot join network of a non running container"
            return Done(op, self._not_started(found, reason, why, None))
        now = self.clock()
        found.info = replace(found.info, phase=Phase.RUNNING, started_at=now)
        found.ends_at, found.ends_with = now + found.behaviour.runs_s, found.behaviour.exit_code
        self._quiet_until = min(self._quiet_until, found.ends_at)
        self.started.append(found.info)
        return Done(op, found.info)

    def _has_network(self, container: _Container) -> bool:
        sandbox = self._containers.get(container.sandbox_id)
        return not container.sandbox_id or (sandbox is not None and sandbox.info.phase is Phase.RUNNING)

    def _hook(self, op: RunHook) -> Done | Failed:
        found = self._containers.get(op.id)
        if found is None or found.info.phase is not Phase.RUNNING:
            return Failed(op, Reason.HOOK_FAILED, f"container {op.id} does not run")
        return Done(op)

    def _taken_port(self, wanted: _Container) -> int | None:
        if not wanted.ports:
            return None
        running = (each for each in self._containers.values() if each.info.phase is Phase.RUNNING)
        taken = {port for each in running for port in each.ports}
        for port in wanted.ports:
            if port in taken or port[0] in self.foreign_ports:
                return port[0]
        return None

    def _not_started(self, found: _Container, reason: Reason, error: str, port: int | None) -> ContainerInfo:
        found.info = replace(
            found.info, phase=Phase.EXITED, exit_code=128, failure=reason, error=error, taken_port=port
        )
        return found.info

    def _signal(self, op: Stop | Kill) -> Done:
        found = self._containers.get(op.id)
        if found is not None and found.info.phase is Phase.RUNNING:
            if isinstance(op, Kill):
                self._end(found, _KILLED, self.clock())
            else:
                end = self.clock() + found.behaviour.stops_in_s
                if end < found.ends_at:
                    found.ends_at, found.ends_with = end, _TERMINATED
                    self._quiet_until = min(self._quiet_until, end)
        return Done(op)

    def _end(self, container: _Container, exit_code: int, at: float) -> None:
        container.ends_at = FOREVER
        container.info = replace(
            container.info,
            phase=Phase.EXITED,
            exit_code=exit_code,
            finished_at=at,
            oom=container.behaviour.oom and exit_code == container.behaviour.exit_code,
        )
        self._tell(ContainerSeen(container.info))

    def _remove(self, op: Remove) -> Done | Failed:
        found = self._containers.get(op.id)
        if found is not None and found.info.phase is Phase.RUNNING:
            return Failed(op, Reason.RUNTIME_ERROR, f"container {op.id} is running")
        if found is not None:
            del self._containers[op.id]
            if self._names.get(found.info.name) == op.id:
                del self._names[found.info.name]
        return Done(op)


@dataclass(slots=True)
class _Pending:
    op: Op
    due: float
    fault: Fault


class HollowRuntime:
    """`agent.runtime.api.Runtime` of one agent on a HollowHost; a crash of the agent drops it, and its replies."""

    def __init__(
        self,
        host: HollowHost,
        *,
        node: str,
        faults: Faults = lambda _op, _now: _NO_FAULT,
        notify: Callable[[], None] = lambda: None,
    ) -> None:
        self._host = host
        self._node = node
        self._faults = faults
        self._notify = notify
        self._pending: list[_Pending] = []
        self._out: list[Observation] = []
        self._wants_listing = False
        self._was_up = True
        self._picture: set[str] = set()  # ids that were there; one that is not listed any more is gone
        host.listen(self._hear)

    def submit(self, op: Op) -> None:
        now = self._host.clock()
        fault = self._faults(op, now)
        sleeps_s = op.hook.sleep.seconds if isinstance(op, RunHook) and op.hook.sleep else 0
        self._pending.append(_Pending(op, now + fault.delay_s + sleeps_s, fault))

    def resync(self) -> None:
        self._wants_listing = True

    def poll(self) -> tuple[Observation, ...]:
        self._host.advance()
        now = self._host.clock()
        if self._wants_listing or self._was_up != self._host.up:
            self._wants_listing, self._was_up = False, self._host.up
            self._list()
        due = [each for each in self._pending if each.due <= now]
        self._pending = [each for each in self._pending if each.due > now]
        for each in sorted(due, key=lambda each: each.due):
            self._out.append(self._land(each))
        found, self._out = tuple(self._out), []
        return found

    def next_due(self) -> float | None:
        """Return when an operation lands or a container ends."""
        due = [each.due for each in self._pending]
        event = self._host.next_event()
        return min([*due, event] if event is not None else due, default=None)

    def close(self) -> None:
        """Forget everything that is under way: nothing of it will happen."""
        self._host.unlisten(self._hear)
        self._pending.clear()

    def tell(self, observation: Observation) -> None:
        """Add what somebody else observed."""
        self._hear(observation)

    def _hear(self, observation: Observation) -> None:
        if self._host.up:
            self._out.append(observation)
            self._notify()

    def _list(self) -> None:
        if not self._host.up:
            self._out.append(RuntimeDown("the hollow host is down"))
            return
        mine = tuple(each for each in self._host.containers() if each.journal.node == self._node)
        gone = self._picture - {each.id for each in mine}
        self._picture = {each.id for each in mine}
        self._out.append(RuntimeUp(mine, "hollow", ""))
        self._out += [ContainerGone(each) for each in sorted(gone)]

    def _land(self, pending: _Pending) -> Observation:
        op, fault = pending.op, pending.fault
        if not self._host.up or fault.error:
            return Failed(op, Reason.RUNTIME_ERROR, fault.error or "the hollow host is down")
        result = self._host.perform(op)
        if isinstance(result, Done) and result.info is not None:
            self._picture.add(result.info.id)
        return Failed(op, Reason.RUNTIME_ERROR, "the reply was lost") if fault.lost_reply else result
