"""Why a task waits and what would help; who is next and why. Questions to the same scheduler that decides.

A proposed change is checked by deciding again with it: what is proposed, when it is done, does place the task.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np

from controller.scheduler.fairness import accounts_of, dominant, turn_key
from controller.scheduler.filters import checks
from controller.scheduler.line import gang_key
from controller.scheduler.order import in_order
from controller.scheduler.place import fitting
from controller.scheduler.rejection import Rejection
from controller.scheduler.schedule import Decisions, Policy, schedule
from controller.scheduler.scores import Strategy, score_terms
from controller.scheduler.shape import Place, Shape
from controller.scheduler.snapshot import Snapshot, TaskView
from controller.scheduler.work import Work
from schemas.task import Toleration


@dataclass(frozen=True, slots=True)
class Amount:
    """One resource on one node, in base units; short_by 0: enough is free."""

    resource: str
    need: int
    allocatable: int
    free: int

    @property
    def short_by(self) -> int:
        return max(0, self.need - self.free)


@dataclass(frozen=True, slots=True)
class NodeAnswer:
    """One node: all that is in the way, the first being its reason; nothing: it fits."""

    node: str
    reasons: tuple[tuple[str, str], ...]  # (code, detail)
    amounts: tuple[Amount, ...]


@dataclass(frozen=True, slots=True)
class RankedNode:
    """A node that fits: its score, and the parts of it."""

    node: str
    score: float
    terms: dict[str, float]


@dataclass(frozen=True, slots=True)
class Proposal:
    """One change of the task after which it would be placed now. field: as in a manifest; to: None to leave it out."""

    field: str
    before: str
    to: str | None
    node: str
    amount: int | None = None  # of a resource, in base units


@dataclass(frozen=True, slots=True)
class WhyPending:
    """position: 1 is the next of its queue, of `waiting`. node: where it would go now, empty if nowhere.

    kept: nodes that are kept for it, or for its gang, and from when on, seconds since the epoch (`NEVER`: not known).
    """

    task: TaskView
    position: int
    waiting: int
    node: str
    rejection: Rejection | None
    nominated: str
    kept: tuple[tuple[str, float], ...]
    proposals: tuple[Proposal, ...]


@dataclass(frozen=True, slots=True)
class QueueShare:
    """What one queue holds. borrowed: above its guarantee. waiting: how many tasks."""

    queue: str
    weight: float
    resource: str
    share: float
    used: dict[str, int]
    guarantee: dict[str, int]
    limit: dict[str, int]
    borrowed: dict[str, int]
    waiting: int


@dataclass(frozen=True, slots=True)
class Grant:
    """One of the next grants: the weighted share that its queue had just before."""

    task: TaskView
    node: str
    share: float
    is_guaranteed: bool


def why_pending(uid: str, snapshot: Snapshot, policy: Policy, now: float, seed: int) -> WhyPending:
    """Say why a waiting task waits. Raises KeyError if no such task waits."""
    task = next((each for each in snapshot.pending if each.uid == uid), None)
    if task is None:
        raise KeyError(uid)
    decisions = schedule(snapshot, policy, now, seed)
    node = next((each.node for each in decisions.placed if each.task.uid == uid), "")
    found = next((each for each in decisions.unschedulable if each.task.uid == uid), None)
    queue = [each.uid for each in _line_of(snapshot, task, now)]
    proposals = () if node else tuple(_that_help(task, snapshot, policy, now, seed))
    return WhyPending(
        task,
        queue.index(uid) + 1,
        len(queue),
        node,
        found.rejection if found else None,
        found.nominated if found else "",
        _kept_for(task, snapshot, decisions),
        proposals,
    )


def _kept_for(task: TaskView, snapshot: Snapshot, decisions: Decisions) -> tuple[tuple[str, float], ...]:
    """Return what is kept for a task: of a gang for all of its members."""
    key = gang_key(task)
    together = [each.uid for each in snapshot.pending if task.gang is not None and gang_key(each) == key]
    found = (decisions.reservations.get(uid) for uid in {task.uid, *together})
    return tuple(sorted({each for each in found if each is not None}))


def nodes_for(shape: Shape, snapshot: Snapshot, node: str | None = None) -> tuple[NodeAnswer, ...]:
    """Return for each node, or one, what is in the way of a shape and what it needs there."""
    work = Work.of(snapshot.fleet)
    fleet = snapshot.fleet
    rows = (
        [fleet.row_of[node]] if node is not None else [fleet.row_of[name] for name in sorted(fleet.names())]
    )
    failing = [(check, check.fails) for check in checks(shape, work)]
    answers = []
    for row in rows:
        reasons = tuple((str(c.code), c.detail or c.resource) for c, fails in failing if fails[row])
        amounts = tuple(_amount(name, need, work, row) for name, need in shape.requests)
        answers.append(NodeAnswer(fleet.view(row).name, reasons, amounts))
    return tuple(answers)


def _amount(name: str, need: int, work: Work, row: int) -> Amount:
    index = work.fleet.resources.get(name)
    if index is None:
        return Amount(name, need, 0, 0)
    return Amount(name, need, int(work.allocatable[index, row]), int(work.free[index, row]))


def _line_of(snapshot: Snapshot, task: TaskView, now: float) -> list[TaskView]:
    rule = accounts_of(snapshot.queues, {task.queue: {}})[task.queue].rule
    return in_order((each for each in snapshot.pending if each.queue == task.queue), rule, now)


def ranking(shape: Shape, snapshot: Snapshot, strategy: Strategy, most: int) -> tuple[RankedNode, ...]:
    """Return the best nodes that fit, the best first, and why each scores as it does."""
    work = Work.of(snapshot.fleet)
    terms = score_terms(shape, work, strategy)
    totals = sum(terms.values(), np.zeros(snapshot.fleet.size))
    rows = [int(row) for row in np.flatnonzero(fitting(shape, work))]
    name = snapshot.fleet.view
    rows.sort(key=lambda row: (-totals[row], name(row).name))
    return tuple(
        RankedNode(
            name(row).name, float(totals[row]), {term: float(column[row]) for term, column in terms.items()}
        )
        for row in rows[:most]
    )


# What would help


def _that_help(
    task: TaskView, snapshot: Snapshot, policy: Policy, now: float, seed: int
) -> Iterator[Proposal]:
    """Yield the single changes after which the scheduler places the task; each is tried."""
    work = Work.of(snapshot.fleet)
    for proposal, shape in _changes(task.shape, work, _left_to(task, snapshot)):
        if not fitting(shape, work).any():
            continue
        changed = replace(task, shape=shape)
        pending = tuple(changed if each.uid == task.uid else each for each in snapshot.pending)
        decisions = schedule(replace(snapshot, pending=pending), policy, now, seed)
        node = next((each.node for each in decisions.placed if each.task.uid == task.uid), None)
        if node is not None:
            yield replace(proposal, node=node)


def _left_to(task: TaskView, snapshot: Snapshot) -> dict[str, int]:
    """Return what the limit of its queue leaves, of each resource that has one."""
    account = accounts_of(snapshot.queues, {task.queue: snapshot.used.get(task.queue, {})})[task.queue]
    return {name: limit - account.used.get(name, 0) for name, limit in account.rule.limit.items()}


def _changes(shape: Shape, work: Work, left: Mapping[str, int]) -> Iterator[tuple[Proposal, Shape]]:
    yield from _less(shape, work, left)
    yield from _elsewhere(shape, work)
    yield from _other_ports(shape)
    yield from _other_company(shape)


def _less(shape: Shape, work: Work, left: Mapping[str, int]) -> Iterator[tuple[Proposal, Shape]]:
    """Ask of one resource for as much as some node has on which all else fits, and as the queue's limit leaves."""
    for name, asked in shape.requests:
        index = work.fleet.resources.get(name)
        without = replace(shape, requests=tuple(each for each in shape.requests if each[0] != name))
        fits = fitting(without, work)
        if not asked or not fits.any():
            continue
        most = int(work.free[index][fits].max()) if index is not None else 0
        most = min(most, left.get(name, most))
        if 0 <= most < asked:
            requests = tuple((other, most if other == name else amount) for other, amount in shape.requests)
            yield (
                Proposal(f"resources.requests.{name}", str(asked), str(most), "", most),
                replace(shape, requests=requests),
            )


def _elsewhere(shape: Shape, work: Work) -> Iterator[tuple[Proposal, Shape]]:
    place = shape.place
    for key, value in place.selector:
        rest = tuple(each for each in place.selector if each[0] != key)
        yield Proposal(f"nodeSelector.{key}", value, None, ""), _with(shape, replace(place, selector=rest))
    if place.affinity:
        yield (
            Proposal("affinity.nodeAffinity.required", "set", None, ""),
            _with(shape, replace(place, affinity=())),
        )
    if place.node_name is not None:
        yield Proposal("nodeName", place.node_name, None, ""), _with(shape, replace(place, node_name=None))
    for taint in sorted({taint for taints in work.fleet.taint_sets for taint in taints}, key=str):
        if taint.effect == "NoSchedule":
            more = Toleration(key=taint.key, operator="Equal", value=taint.value, effect="NoSchedule")
            text = f"{taint.key}={taint.value}:{taint.effect}"
            yield (
                Proposal("tolerations", "", text, ""),
                _with(shape, replace(place, tolerations=(*place.tolerations, more))),
            )


def _with(shape: Shape, place: Place) -> Shape:
    return replace(shape, place=place)


def _other_ports(shape: Shape) -> Iterator[tuple[Proposal, Shape]]:
    for number, ask in enumerate(shape.ports):
        if ask.host_port is not None:
            any_port = replace(ask, host_port=None)
            ports = (*shape.ports[:number], any_port, *shape.ports[number + 1 :])
            yield Proposal("ports.hostPort", str(ask.host_port), None, ""), replace(shape, ports=ports)


def _other_company(shape: Shape) -> Iterator[tuple[Proposal, Shape]]:
    fields = {
        "near": "affinity.taskAffinity.required",
        "repels": "affinity.taskAntiAffinity.required",
        "spreads": "topologySpread",
    }
    for name, field in fields.items():
        for number in range(len(getattr(shape.company, name))):
            rest = getattr(shape.company, name)[:number] + getattr(shape.company, name)[number + 1 :]
            changed = replace(shape.company, **{name: rest})
            yield Proposal(f"{field}[{number}]", "set", None, ""), replace(shape, company=changed)
    for cap in shape.company.caps:
        rest = tuple(each for each in shape.company.caps if each is not cap)
        field = f"distinct.{cap.term.topology}" if cap.needs_label else "maxPerNode"
        yield (
            Proposal(field, str(cap.most), None, ""),
            replace(shape, company=replace(shape.company, caps=rest)),
        )


# Shares


def shares(snapshot: Snapshot) -> tuple[QueueShare, ...]:
    """Return what each queue holds, the one whose turn is next first."""
    capacity = snapshot.fleet.capacity()
    accounts = accounts_of(snapshot.queues, snapshot.used)
    waiting: dict[str, int] = {}
    for task in snapshot.pending:
        waiting[task.queue] = waiting.get(task.queue, 0) + 1
    answers = []
    for account in sorted(accounts.values(), key=lambda each: turn_key(each, (), capacity)):
        rule = account.rule
        resource, share = dominant(account.used, capacity)
        answers.append(
            QueueShare(
                rule.name,
                rule.weight,
                resource,
                share,
                dict(account.used),
                dict(rule.guarantee),
                dict(rule.limit),
                account.borrowed(),
                waiting.get(rule.name, 0),
            )
        )
    return tuple(answers)


def next_grants(snapshot: Snapshot, policy: Policy, now: float, seed: int, most: int) -> tuple[Grant, ...]:
    """Return who would be placed next, in order, and with what share its queue came to its turn."""
    capacity = snapshot.fleet.capacity()
    accounts = accounts_of(snapshot.queues, snapshot.used)
    grants = []
    for placed in schedule(snapshot, policy, now, seed).placed[:most]:
        requests = placed.task.shape.requests
        account = accounts[placed.task.queue]
        stage, share, _ = turn_key(account, requests, capacity)
        grants.append(Grant(placed.task, placed.node, share, stage == 0))
        account.take(requests)
    return tuple(grants)
