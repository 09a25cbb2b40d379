"""What would happen if tasks came, others went, nodes were closed, queues had other rules: the same scheduler, asked.

    what_if(snapshot, change, policy, now, seed) -> Outcome

The snapshot stays as it is: what the change leaves of it is built anew, so that plans and drains can be shown first.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace

from controller.scheduler.explain import QueueShare, shares
from controller.scheduler.fairness import QueueRule
from controller.scheduler.fleet import Fleet
from controller.scheduler.node_view import NodeView, Standing
from controller.scheduler.schedule import Decisions, Placed, Policy, Unschedulable, schedule
from controller.scheduler.snapshot import Snapshot, TaskView


@dataclass(frozen=True, slots=True)
class Change:
    """leaving: uids of tasks that go, whether they stand or wait. closed: nodes that take nothing any more.

    queues: rules in place of those of the same name.
    """

    adding: tuple[TaskView, ...] = ()
    leaving: frozenset[str] = frozenset()
    closed: frozenset[str] = frozenset()
    queues: tuple[QueueRule, ...] = ()


@dataclass(frozen=True, slots=True)
class Preempted:
    """A task that would have to go, and for whom."""

    task: Standing
    for_uid: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """What becomes of the tasks that came; others: those that wait now and would get a place, or lose theirs.

    before, after: shares of queues, as all of it is done.
    """

    placed: tuple[Placed, ...]
    waiting: tuple[Unschedulable, ...]
    victims: tuple[Preempted, ...]
    delayed: tuple[TaskView, ...]
    before: tuple[QueueShare, ...]
    after: tuple[QueueShare, ...]


def what_if(snapshot: Snapshot, change: Change, policy: Policy, now: float, seed: int) -> Outcome:
    """Decide with a change, and compare with what would be decided without it."""
    without = schedule(snapshot, policy, now, seed)
    changed = changed_by(snapshot, change)
    decisions = schedule(changed, policy, now, seed)
    own = {task.uid for task in change.adding}
    placed_now = {each.task.uid for each in decisions.placed}
    delayed = (each.task for each in without.placed if each.task.uid not in placed_now | change.leaving)
    return Outcome(
        tuple(each for each in decisions.placed if each.task.uid in own),
        tuple(each for each in decisions.unschedulable if each.task.uid in own),
        tuple(_victims(changed.fleet, decisions)),
        tuple(delayed),
        shares(snapshot),
        shares(_settled(changed, decisions)),
    )


def changed_by(snapshot: Snapshot, change: Change) -> Snapshot:
    """Return what a cycle would see after a change."""
    gone = [task for uid, task in snapshot.fleet.standing.items() if uid in change.leaving]
    rules = {rule.name: rule for rule in (*snapshot.queues, *change.queues)}
    pending = (task for task in snapshot.pending if task.uid not in change.leaving)
    return replace(
        snapshot,
        fleet=_fleet_without(snapshot.fleet, gone, change.closed),
        pending=(*pending, *change.adding),
        queues=tuple(rules.values()),
        used=_used_without(snapshot.used, gone),
    )


def _fleet_without(fleet: Fleet, gone: Iterable[Standing], closed: Collection[str]) -> Fleet:
    by_node: dict[str, list[Standing]] = {}
    for task in gone:
        by_node.setdefault(task.node, []).append(task)
    left = {task.uid for tasks in by_node.values() for task in tasks}
    nodes = (freed(view, by_node.get(view.name, ())) for view in fleet.views if view is not None)
    return Fleet(
        (replace(node, cordoned=True, draining=True) if node.name in closed else node for node in nodes),
        (task for uid, task in fleet.standing.items() if uid not in left),
    )


def freed(node: NodeView, gone: Collection[Standing]) -> NodeView:
    """Return a node as it is when tasks have ended there; which devices they had is not known, only how many."""
    if not gone:
        return node
    free, devices = dict(node.free), {name: list(ids) for name, ids in node.devices_free.items()}
    for task in gone:
        for name, amount in task.requests:
            free[name] = free.get(name, 0) + amount
            if name in devices:
                devices[name] += [f"of {task.uid}, {number}" for number in range(amount)]
    ports = {port for task in gone for port in task.ports}
    return replace(
        node,
        free=free,
        ports_used=node.ports_used - ports,
        devices_free={name: tuple(ids) for name, ids in devices.items()},
        task_uids=node.task_uids - {task.uid for task in gone},
    )


def _used_without(
    used: Mapping[str, Mapping[str, int]], gone: Iterable[Standing]
) -> dict[str, dict[str, int]]:
    found = {queue: dict(amounts) for queue, amounts in used.items()}
    for task in gone:
        held = found.setdefault(task.queue, {})
        for name, amount in task.requests:
            held[name] = held.get(name, 0) - amount
    return found


def _victims(fleet: Fleet, decisions: Decisions) -> Iterable[Preempted]:
    return (Preempted(fleet.standing[each.uid], each.for_uid) for each in decisions.victims)


def _settled(snapshot: Snapshot, decisions: Decisions) -> Snapshot:
    """Return who holds what when the decisions are done; of the fleet only its size counts for shares."""
    used = _used_without(snapshot.used, (each.task for each in _victims(snapshot.fleet, decisions)))
    done = {each.task.uid for each in decisions.placed}
    for placed in decisions.placed:
        held = used.setdefault(placed.task.queue, {})
        for name, amount in placed.task.shape.requests:
            held[name] = held.get(name, 0) + amount
    pending = tuple(task for task in snapshot.pending if task.uid not in done)
    return replace(snapshot, used=used, pending=pending)
