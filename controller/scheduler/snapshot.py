"""What the scheduler sees: nodes with what is free, tasks with what they ask. Values only.

Free = allocatable - granted by bindings that have not ended - assumed. Integers only, so that sums are exact.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from schemas.binding import GrantedPort, Grants
from schemas.keys import ObjectRef
from schemas.node import Taint
from schemas.task import Toleration


@dataclass(frozen=True, slots=True)
class NodeView:
    """A node at the start of a cycle.

    free: resource name -> amount; may be negative when a node shrank below what is bound.
    ports_used: (protocol, host port) granted by bindings or seen taken by strangers.
    devices_free: resource name -> ids.
    """

    name: str
    ready: bool
    cordoned: bool
    labels: Mapping[str, str]
    taints: tuple[Taint, ...]
    allocatable: Mapping[str, int]
    free: Mapping[str, int]
    ports_used: frozenset[tuple[str, int]]
    port_range: tuple[int, int]
    devices_free: Mapping[str, tuple[str, ...]]
    task_uids: frozenset[str] = frozenset()  # whose bindings have not been removed from this node
    draining: bool = False  # even who tolerates the cordon stays off, unless it is for this very node
    readable: bool = True  # False: what people said of it can't be read


@dataclass(frozen=True, slots=True)
class PortAsk:
    """A container port to publish; `host_port` None: any free one of the node's range."""

    container: str
    container_port: int
    host_port: int | None
    protocol: str
    name: str | None


@dataclass(frozen=True, slots=True)
class Shape:
    """All that filters and scores ask of a task; tasks of one shape are placed as a group."""

    requests: tuple[tuple[str, int], ...]
    ports: tuple[PortAsk, ...]
    selector: tuple[tuple[str, str], ...]
    tolerations: tuple[Toleration, ...]
    node_name: str | None = None  # the only node that it may go to


@dataclass(frozen=True, slots=True)
class TaskView:
    """A task that waits for a node. `age` is the create_revision of its spec: lower is older."""

    ref: ObjectRef
    uid: str
    shape: Shape
    priority: int
    age: int
    previous_node: str = ""
    ending_on: frozenset[str] = frozenset()  # nodes on which an older copy has not ended


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Nodes and waiting tasks at one moment."""

    nodes: tuple[NodeView, ...]
    pending: tuple[TaskView, ...]


@dataclass(slots=True)
class Room:
    """The free room of one node while a cycle fills it; the scheduler's own working copy."""

    view: NodeView
    free: dict[str, int] = field(default_factory=dict)
    ports_used: set[tuple[str, int]] = field(default_factory=set)
    devices_free: dict[str, tuple[str, ...]] = field(default_factory=dict)
    next_port: int = 0

    @classmethod
    def of(cls, view: NodeView) -> "Room":
        return cls(view, dict(view.free), set(view.ports_used), dict(view.devices_free), view.port_range[0])

    def free_port(self, protocol: str) -> int | None:
        """Return the lowest free host port of the node's range, or None."""
        low, high = self.view.port_range
        port = max(self.next_port, low)
        while port <= high:
            if (protocol, port) not in self.ports_used:
                return port
            port += 1
        return None

    def take(self, shape: Shape) -> Grants:
        """Take the room of one task that fits and return what it is granted."""
        for name, amount in shape.requests:
            self.free[name] = self.free.get(name, 0) - amount
        ports = tuple(self._take_port(ask) for ask in sorted(shape.ports, key=_fixed_first))
        devices = {
            name: self._take_devices(name, amount)
            for name, amount in shape.requests
            if amount and name in self.devices_free
        }
        return Grants(resources=dict(shape.requests), ports=ports, devices=devices)

    def _take_port(self, ask: PortAsk) -> GrantedPort:
        host_port = ask.host_port or self.free_port(ask.protocol)
        assert host_port is not None, "filters ran before"
        self.ports_used.add((ask.protocol, host_port))
        return GrantedPort.model_validate(
            {
                "container": ask.container,
                "containerPort": ask.container_port,
                "hostPort": host_port,
                "protocol": ask.protocol,
                "name": ask.name,
            }
        )

    def _take_devices(self, name: str, amount: int) -> tuple[str, ...]:
        taken, rest = self.devices_free[name][:amount], self.devices_free[name][amount:]
        self.devices_free[name] = rest
        return taken


def _fixed_first(ask: PortAsk) -> bool:
    return ask.host_port is None
