"""What the scheduler knows of one node, and of a task that holds room there. Values only."""

from collections.abc import Mapping
from dataclasses import dataclass

from controller.scheduler.shape import NOBODY, Labels, TaskTerm
from schemas.keys import ObjectRef
from schemas.node import Taint


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
    images: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Standing:
    """A task that holds room on a node, or will in a moment.

    repels: required anti-affinities of its own, which hold against those who come later too.
    started_at: when it began to run, seconds since the epoch; None: it does not run yet.
    estimate: how long it is expected to run in all, seconds; None: for ever, as far as is known.
    is_ending: its binding says Stop; its room counts until it has ended.
    """

    uid: str
    ref: ObjectRef
    node: str
    queue: str
    priority: int
    requests: tuple[tuple[str, int], ...]
    labels: Labels = NOBODY
    repels: tuple[TaskTerm, ...] = ()
    ports: tuple[tuple[str, int], ...] = ()
    started_at: float | None = None
    estimate: float | None = None
    is_ending: bool = False
    may_be_preempted: bool = True  # False: never, or a disruption budget has no room for it
