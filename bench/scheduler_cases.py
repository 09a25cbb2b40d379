"""Clusters and waiting tasks for the scheduler's bench, the same for the same numbers. Values only."""

import random
from collections.abc import Iterator, Sequence
from dataclasses import replace

from controller.scheduler.fairness import QueueRule
from controller.scheduler.fleet import Fleet
from controller.scheduler.node_view import NodeView, Standing
from controller.scheduler.shape import (
    NODE,
    Cap,
    Company,
    Expression,
    Labels,
    NodePreference,
    Place,
    Shape,
    Spread,
    TaskTerm,
)
from controller.scheduler.snapshot import Gang, Snapshot, TaskView
from schemas.keys import task_ref
from schemas.node import Taint
from schemas.task import Toleration

GIB = 2**30
MIB = 2**20
ZONES = 10
QUEUES = 20
SHAPES = 200
SIZES = ((16_000, 64 * GIB), (32_000, 128 * GIB), (64_000, 256 * GIB))
"""Of nodes: cpu in millicores and memory in bytes."""
DEDICATED = Taint(key="dedicated", value="batch", effect="NoSchedule")
TOLERATES = (Toleration(key="dedicated", operator="Exists", effect="NoSchedule"),)
A_SMALL_TASK = Shape((("cpu", 500), ("memory", GIB)))


def nodes(count: int, share_free: float = 1.0) -> Iterator[NodeView]:
    """Yield nodes of three sizes in ten zones; each tenth is tainted, each second has an SSD."""
    for number in range(count):
        cpu, memory = SIZES[number % len(SIZES)]
        yield NodeView(
            f"node-{number:05}",
            ready=True,
            cordoned=False,
            labels={"zone": f"zone-{number % ZONES}", "disk": "ssd" if number % 2 else "hdd"},
            taints=(DEDICATED,) if number % 10 == 3 else (),
            allocatable={"cpu": cpu, "memory": memory},
            free={"cpu": int(cpu * share_free), "memory": int(memory * share_free)},
            ports_used=frozenset(),
            port_range=(31000, 32767),
            devices_free={},
        )


def waiting(shapes: Sequence[Shape], queues: int = 1) -> tuple[TaskView, ...]:
    """Return a task for each shape, in this order, dealt out to the queues."""
    return tuple(
        TaskView(
            task_ref("default", f"t{number:05}"),
            f"u{number}",
            shape,
            0,
            number,
            queue=_queue(number % queues),
        )
        for number, shape in enumerate(shapes)
    )


def rules(queues: int = 1) -> tuple[QueueRule, ...]:
    return tuple(QueueRule(_queue(number), weight=1.0 + number % 3) for number in range(queues))


def _queue(number: int) -> str:
    return f"queue-{number}"


# The cases


def equal(node_count: int, count: int) -> Snapshot:
    """Equal tasks on empty nodes."""
    return Snapshot(Fleet(nodes(node_count)), waiting([A_SMALL_TASK] * count), rules())


def different(node_count: int, count: int) -> Snapshot:
    """Tasks of which no two ask for the same cpu and memory."""
    dice = random.Random(1)
    shapes = [
        Shape((("cpu", dice.randrange(50, 2000)), ("memory", dice.randrange(64 * MIB, 4 * GIB))))
        for _ in range(count)
    ]
    return Snapshot(Fleet(nodes(node_count)), waiting(shapes), rules())


def mixed(node_count: int, count: int) -> Snapshot:
    """Tasks of 200 shapes with affinity, anti-affinity, spread and taints, all mixed up, in 20 queues under DRF."""
    dice = random.Random(2)
    kinds = [_shape(number, dice) for number in range(SHAPES)]
    return Snapshot(
        Fleet(nodes(node_count)), waiting([dice.choice(kinds) for _ in range(count)], QUEUES), rules(QUEUES)
    )


def _shape(number: int, dice: random.Random) -> Shape:
    """A quarter keeps to a zone, a quarter spreads, some keep apart or prefer, a third tolerates the taint."""
    labels = Labels("default", (("app", f"app-{number}"),))
    own = (Expression("app", "In", (f"app-{number}",)),)
    zones = tuple(f"zone-{dice.randrange(ZONES)}" for _ in range(3))
    near_zone: tuple[Expression, ...] = (Expression("zone", "In", zones),)
    ssd: tuple[Expression, ...] = (Expression("disk", "In", ("ssd",)),)
    place = Place(
        tolerations=TOLERATES if number % 3 == 0 else (),
        affinity=(near_zone,) if number % 4 == 0 else (),
        preferred=(NodePreference(50, ssd),) if number % 5 == 0 else (),
    )
    company = Company(
        repels=(TaskTerm("default", own, NODE),) if number % 8 == 1 else (),
        caps=(Cap(TaskTerm("default", own, NODE), 3),) if number % 8 == 5 else (),
        spreads=(Spread(TaskTerm("default", own, "zone"), 2),) if number % 4 == 2 else (),
    )
    amounts = (("cpu", dice.randrange(1, 21) * 100), ("memory", dice.randrange(1, 17) * 256 * MIB))
    return Shape(amounts, place=place, company=company, labels=labels)


def full(node_count: int, tasks_a_node: int, free: int = 0) -> tuple[list[NodeView], list[Standing]]:
    """Return nodes on which so many tasks stand that nothing is free, but for the last ones, which are empty."""
    found = list(nodes(node_count, share_free=0.0))
    taken = found[: node_count - free]
    standing = [
        Standing(
            f"s{number}-{each}",
            task_ref("default", f"s{number}-{each}"),
            node.name,
            _queue(each % QUEUES),
            0,
            tuple((name, amount // tasks_a_node) for name, amount in node.allocatable.items()),
        )
        for number, node in enumerate(taken)
        for each in range(tasks_a_node)
    ]
    return [*taken, *(replace(node, free=node.allocatable) for node in found[node_count - free :])], standing


def arrival(nodes: list[NodeView], standing: list[Standing]) -> Snapshot:
    """One small task."""
    return Snapshot(Fleet(nodes, standing), waiting([A_SMALL_TASK], QUEUES), rules(QUEUES))


# What could be quadratic: a number of tasks, or with 2 twice that many


def nowhere(times: int) -> Snapshot:
    """Equal tasks that fit nowhere, dealt out to all queues."""
    return Snapshot(Fleet(*full(1000, 10)), waiting([A_SMALL_TASK] * 25_000 * times, QUEUES), rules(QUEUES))


def different_nowhere(times: int) -> Snapshot:
    shapes = [each.shape for each in different(1, 1000 * times).pending]
    return Snapshot(Fleet(*full(1000, 10)), waiting(shapes, QUEUES), rules(QUEUES))


def overflowing(times: int) -> Snapshot:
    """Mixed tasks, more than the nodes hold."""
    return mixed(100, 10_000 * times)


def gangs(times: int) -> Snapshot:
    """Gangs of 1,000 members each, and nodes enough."""
    count = 5000 * times
    tasks = waiting([A_SMALL_TASK] * count)
    members = tuple(
        replace(task, gang=Gang(f"gang-{number % (count // 1000)}", 1000))
        for number, task in enumerate(tasks)
    )
    return Snapshot(Fleet(nodes(1000)), members, rules())


def blocked(times: int) -> Snapshot:
    """Tasks that wait for others to end, each with a reservation of its own as far as there are any."""
    found, standing = full(1000, 10)
    ends = (
        replace(task, started_at=-60.0, estimate=600.0 + number % 97) for number, task in enumerate(standing)
    )
    shapes = [each.shape for each in different(1, 500 * times).pending]
    tasks = tuple(replace(task, estimate=300.0) for task in waiting(shapes, QUEUES))
    return Snapshot(
        Fleet(found, ends), tasks, tuple(replace(rule, backfill="conservative") for rule in rules(QUEUES))
    )


def preempting(times: int) -> Snapshot:
    """Tasks of a higher priority than what runs."""
    tasks = waiting([A_SMALL_TASK] * 250 * times, QUEUES)
    return Snapshot(Fleet(*full(1000, 10)), tuple(replace(task, priority=9) for task in tasks), rules(QUEUES))


GROWING = {
    "equal tasks that fit nowhere": nowhere,
    "different tasks that fit nowhere": different_nowhere,
    "mixed tasks, most of which don't fit": overflowing,
    "gangs of 1,000 members": gangs,
    "blocked tasks, conservative backfill": blocked,
    "tasks that preempt": preempting,
}
