"""What a cycle sees: nodes as a fleet, waiting tasks, queues. Values, but for the fleet, which it only reads."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from controller.scheduler.fairness import Amounts, QueueRule
from controller.scheduler.fleet import Fleet
from controller.scheduler.shape import Shape
from schemas.keys import ObjectRef


@dataclass(frozen=True, slots=True)
class Gang:
    """All or nothing: at least `least` of those that wait under one name are placed together, or none."""

    name: str
    least: int


@dataclass(frozen=True, slots=True)
class TaskView:
    """A task that waits for a node. `age` is the create_revision of its spec: lower is older.

    waiting_since: when the scheduler first saw it wait, seconds since the epoch; infinity: not before.
    estimate: seconds that it is expected to run; None: not known.
    """

    ref: ObjectRef
    uid: str
    shape: Shape
    priority: int
    age: int
    previous_node: str = ""
    ending_on: frozenset[str] = frozenset()  # nodes on which an older copy has not ended
    queue: str = "default"
    estimate: float | None = None
    waiting_since: float = 0.0
    gang: Gang | None = None
    failed_on: frozenset[str] = frozenset()  # nodes on which it just failed: only where nothing else fits
    preempts: bool = True


@dataclass(frozen=True, slots=True)
class Snapshot:
    """used: queue -> what its standing tasks hold. nominated: task uid -> the node whose room is kept for it."""

    fleet: Fleet
    pending: tuple[TaskView, ...]
    queues: tuple[QueueRule, ...] = (QueueRule("default"),)
    used: Mapping[str, Amounts] = field(default_factory=dict)
    nominated: Mapping[str, str] = field(default_factory=dict)
