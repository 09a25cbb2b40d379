"""Clusters and waiting tasks for the scheduler's bench, the same for the same numbers. Values only."""

import random
from collections.abc import Iterator, Sequence

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
from controller.scheduler.snapshot import Snapshot, TaskView
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


def full(node_count: int, tasks_a_node: int) -> tuple[list[NodeView], list[Standing]]:
    """Nodes on which so many tasks stand that nothing is free but on one."""
    found = list(nodes(node_count, share_free=0.0))
    standing = [
        Standing(
            f"s{number}-{each}",
            task_ref("default", f"s{number}-{each}"),
            node.name,
            _queue(each % QUEUES),
            0,
            tuple((name, amount // tasks_a_node) for name, amount in node.allocatable.items()),
        )
        for number, node in enumerate(found)
        for each in range(tasks_a_node)
    ]
    return found, standing
