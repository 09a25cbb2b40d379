"""Values for tests of the engine: nodes, tasks that wait or are in a gang, and a cluster that lives by decisions."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace

from controller.scheduler.fairness import QueueRule
from controller.scheduler.fleet import Fleet
from controller.scheduler.node_view import NodeView, Standing
from controller.scheduler.schedule import Decisions, Policy, schedule
from controller.scheduler.shape import Shape
from controller.scheduler.snapshot import Gang, Snapshot, TaskView
from schemas.keys import task_ref

POLICY = Policy()


def node(name: str, **allocatable: int) -> NodeView:
    return NodeView(
        name,
        ready=True,
        cordoned=False,
        labels={},
        taints=(),
        allocatable=allocatable,
        free=allocatable,
        ports_used=frozenset(),
        port_range=(31000, 31010),
        devices_free={},
    )


def waiting(
    name: str, cpu: int, queue: str = "default", priority: int = 0, *, age: int = 1, **more: object
) -> TaskView:
    """A task that asks for cpu, and for memory if `memory` says so."""
    memory = more.pop("memory", 0)
    assert isinstance(memory, int)
    requests = (("cpu", cpu), ("memory", memory)) if memory else (("cpu", cpu),)
    return TaskView(task_ref("default", name), name, Shape(requests), priority, age, queue=queue, **more)  # type: ignore[arg-type]


def gang(
    name: str, size: int, cpu: int, queue: str = "default", priority: int = 0, *, age: int = 1
) -> list[TaskView]:
    """The members of a gang, all of which are needed."""
    return [
        waiting(f"{name}-{number}", cpu, queue, priority, age=age + number, gang=Gang(name, size))
        for number in range(size)
    ]


@dataclass
class Life:
    """A cluster in which what is decided happens: tasks are placed, victims end and wait again, as their owner wants.

    ends_at: task uid -> when it ends by itself. started: when each was placed last. evictions: who went for whom.
    """

    nodes: list[NodeView]
    rules: tuple[QueueRule, ...] = (QueueRule("default"),)
    now: float = 0.0
    tasks: dict[str, TaskView] = field(default_factory=dict)
    where: dict[str, str] = field(default_factory=dict)
    started: dict[str, float] = field(default_factory=dict)
    ends_at: dict[str, float] = field(default_factory=dict)
    nominated: dict[str, str] = field(default_factory=dict)
    evictions: list[tuple[str, str]] = field(default_factory=list)
    length: Callable[[TaskView], float | None] = lambda task: task.estimate

    def come(self, tasks: Iterable[TaskView]) -> None:
        for task in tasks:
            self.tasks[task.uid] = replace(task, waiting_since=self.now)

    def stands(self, uid: str) -> Standing:
        task = self.tasks[uid]
        return Standing(
            uid,
            task.ref,
            self.where[uid],
            task.queue,
            task.priority,
            task.shape.requests,
            started_at=self.started[uid],
            estimate=task.estimate,
        )

    def used(self) -> dict[str, dict[str, int]]:
        found: dict[str, dict[str, int]] = {}
        for uid in self.where:
            held = found.setdefault(self.tasks[uid].queue, {})
            for name, amount in self.tasks[uid].shape.requests:
                held[name] = held.get(name, 0) + amount
        return found

    def free(self, name: str) -> dict[str, int]:
        found = dict(next(each.allocatable for each in self.nodes if each.name == name))
        for uid, where in self.where.items():
            if where == name:
                for resource, amount in self.tasks[uid].shape.requests:
                    found[resource] -= amount
        return found

    def snapshot(self) -> Snapshot:
        there = [replace(each, free=self.free(each.name)) for each in self.nodes]
        pending = tuple(self._waits(task) for uid, task in self.tasks.items() if uid not in self.where)
        fleet = Fleet(there, [self.stands(uid) for uid in self.where])
        return Snapshot(fleet, pending, self.rules, self.used(), dict(self.nominated))

    def _waits(self, task: TaskView) -> TaskView:
        if task.gang is None:
            return task
        run = sum(self.tasks[uid].gang == task.gang for uid in self.where)
        return replace(task, gang=replace(task.gang, least=max(1, task.gang.least - run)))

    def cycle(self) -> Decisions:
        """Decide once, and let it happen at once."""
        decisions = schedule(self.snapshot(), POLICY, self.now, 0)
        for placed in decisions.placed:
            uid = placed.task.uid
            self.where[uid], self.started[uid] = placed.node, self.now
            self.nominated.pop(uid, None)
            length = self.length(placed.task)
            if length is not None:
                self.ends_at[uid] = self.now + length
        for victim in decisions.victims:
            del self.where[victim.uid]
            self.ends_at.pop(victim.uid, None)
            self.evictions.append((victim.uid, victim.for_uid))
            self.tasks[victim.uid] = replace(self.tasks[victim.uid], waiting_since=self.now)
        for rejected in decisions.unschedulable:
            self.nominated.pop(rejected.task.uid, None)
            if rejected.nominated:
                self.nominated[rejected.task.uid] = rejected.nominated
        return decisions

    def advance(self, seconds: float) -> None:
        """Let time pass; who is at its end goes for good."""
        self.now += seconds
        for uid in [uid for uid, at in self.ends_at.items() if at <= self.now]:
            del self.ends_at[uid], self.where[uid], self.tasks[uid]

    def settle(self, cycles: int) -> int:
        """Decide until nothing happens any more; return how many cycles it took."""
        for number in range(cycles):
            decisions = self.cycle()
            if not decisions.placed and not decisions.victims:
                return number
        raise AssertionError(f"no rest after {cycles} cycles: {self.evictions[-20:]}")
