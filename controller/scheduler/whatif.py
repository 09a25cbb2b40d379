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
from controller.scheduler.staying import staying

MAX_ROUNDS = 10  # of tasks that wait for each other to come; each is a cycle over all of them


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
    changed = changed_by(_without_parked(snapshot, change, without), change)
    decisions = _decide_to_the_end(changed, policy, now, seed)
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


def _decide_to_the_end(snapshot: Snapshot, policy: Policy, now: float, seed: int) -> Decisions:
    """Decide again while somebody came whom others may wait for; where somebody has to go first, once is all."""
    decisions = schedule(snapshot, policy, now, seed)
    placed = list(decisions.placed)
    for _ in range(MAX_ROUNDS):
        if decisions.victims or not decisions.placed or not decisions.unschedulable:
            break
        snapshot = _with_placed(snapshot, decisions)
        decisions = schedule(snapshot, policy, now, seed)
        placed += decisions.placed
    return replace(decisions, placed=tuple(placed))


def _with_placed(snapshot: Snapshot, decisions: Decisions) -> Snapshot:
    """Return what the next cycle sees: those who were placed stand, the others wait on."""
    came = [_standing(each) for each in decisions.placed]
    by_node: dict[str, list[Placed]] = {}
    for each in decisions.placed:
        by_node.setdefault(each.node, []).append(each)
    nodes = (view for view in snapshot.fleet.views if view is not None)
    return replace(
        snapshot,
        fleet=Fleet(
            (_filled(view, by_node.get(view.name, ())) for view in nodes),
            (*snapshot.fleet.standing.values(), *came),
        ),
        pending=tuple(each.task for each in decisions.unschedulable),
        used=_used_with(snapshot.used, came, +1),
        nominated={each.task.uid: each.nominated for each in decisions.unschedulable if each.nominated},
    )


def _standing(placed: Placed) -> Standing:
    task, grants = placed.task, placed.grants
    return Standing(
        task.uid,
        task.ref,
        placed.node,
        task.queue,
        task.priority,
        task.shape.requests,
        task.shape.labels,
        task.shape.company.repels,
        tuple((each.protocol, each.host_port) for each in grants.ports),
        estimate=task.estimate,
        may_be_preempted=False,
    )


def _filled(node: NodeView, came: Collection[Placed]) -> NodeView:
    """Return a node as it is when tasks have come there."""
    if not came:
        return node
    free, devices = dict(node.free), dict(node.devices_free)
    ports = set(node.ports_used)
    for placed in came:
        grants = placed.grants
        for name, amount in grants.resources.items():
            free[name] = free.get(name, 0) - amount
        for name, ids in grants.devices.items():
            devices[name] = tuple(each for each in devices[name] if each not in ids)
        ports |= {(each.protocol, each.host_port) for each in grants.ports}
    uids = node.task_uids | {placed.task.uid for placed in came}
    return replace(node, free=free, ports_used=frozenset(ports), devices_free=devices, task_uids=uids)


def _without_parked(snapshot: Snapshot, change: Change, decisions: Decisions) -> Snapshot:
    """Leave out who is not tried again when tasks only come, as nothing cures why he waits: he takes no turn."""
    if change.leaving or change.closed or change.queues:
        return snapshot
    stays = {task.uid for task in staying(decisions)}
    parked = {each.task.uid for each in decisions.unschedulable} - stays
    return replace(snapshot, pending=tuple(task for task in snapshot.pending if task.uid not in parked))


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
        used=_used_with(snapshot.used, gone, -1),
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


def _used_with(
    used: Mapping[str, Mapping[str, int]], tasks: Iterable[Standing], sign: int
) -> dict[str, dict[str, int]]:
    """Return what queues hold when tasks have come (+1) or gone (-1)."""
    found = {queue: dict(amounts) for queue, amounts in used.items()}
    for task in tasks:
        held = found.setdefault(task.queue, {})
        for name, amount in task.requests:
            held[name] = held.get(name, 0) + sign * amount
    return found


def _victims(fleet: Fleet, decisions: Decisions) -> Iterable[Preempted]:
    return (Preempted(fleet.standing[each.uid], each.for_uid) for each in decisions.victims)


def _settled(snapshot: Snapshot, decisions: Decisions) -> Snapshot:
    """Return who holds what when the decisions are done; of the fleet only its size counts for shares."""
    used = _used_with(snapshot.used, (each.task for each in _victims(snapshot.fleet, decisions)), -1)
    done = {each.task.uid for each in decisions.placed}
    for placed in decisions.placed:
        held = used.setdefault(placed.task.queue, {})
        for name, amount in placed.task.shape.requests:
            held[name] = held.get(name, 0) + amount
    pending = tuple(task for task in snapshot.pending if task.uid not in done)
    return replace(snapshot, used=used, pending=pending)
