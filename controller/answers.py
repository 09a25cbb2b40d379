"""Answers of the read API as JSON: why a task waits or is where it is, and who has which share. Pure.

Whoever asks sees by name what the tokens that he shows are for; of other namespaces he sees that there is something.
"""

from collections.abc import Collection, Iterable, Iterator
from typing import Any

from controller.scheduler.crowd import NEVER
from controller.scheduler.explain import (
    Amount,
    Grant,
    NodeAnswer,
    Proposal,
    QueueShare,
    RankedNode,
    WhyPending,
    next_grants,
    nodes_for,
    ranking,
    shares,
    why_pending,
)
from controller.scheduler.fairness import accounts_of
from controller.scheduler.node_view import Standing
from controller.scheduler.reasons import PHRASES, Code
from controller.scheduler.rejection import Rejection, summarize
from controller.scheduler.scores import STRATEGIES, Strategy
from controller.scheduler.snapshot import Snapshot, TaskView
from controller.scheduler.whatif import Change, changed_by
from controller.snapshots import Frozen
from schemas.keys import ObjectRef
from schemas.quantity import format_quantity, format_resources, show_shortfall
from schemas.status import TOP_NODES
from schemas.timestamps import format_time

Json = dict[str, Any]
NEXT_GRANTS = 10  # who is next; as many as fit on a screen with the queues

Seen = Collection[str] | None
"""Namespaces whose tasks may be named; None: all."""


class BadQuestion(Exception):
    """A question that can't be answered; status: of HTTP."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


def header(frozen: Frozen, kind: str) -> Json:
    """Return what each answer begins with: of which cluster and moment it is."""
    return {"kind": kind, "clusterUid": frozen.cluster_uid, "revision": frozen.revision}


def named(ref: ObjectRef, seen: Seen) -> Json:
    """Return a task by name, or that it is one of another namespace."""
    if seen is not None and ref.namespace not in seen:
        return {"namespace": None, "name": None}
    return {"namespace": ref.namespace, "name": ref.name}


# Why


def why(frozen: Frozen, ref: ObjectRef, node: str = "") -> Json:
    """Say why a task waits, or why it is where it is; node: all about that one. Raises BadQuestion.

    state: Waiting, Placeable (it gets a place in the next cycle), Bound, or Unknown (the scheduler was not asked for
    a place for it: its status says why).
    """
    snapshot = frozen.snapshot()
    if node and node not in snapshot.fleet.row_of:
        raise BadQuestion(404, f"node {node} has never reported; see: berth get nodes")
    body = {**header(frozen, "Why"), "namespace": ref.namespace, "name": ref.name}
    task = next((each for each in frozen.pending if each.ref == ref), None)
    if task is not None:
        return {**body, **_waiting(frozen, snapshot, task, node)}
    standing = next((each for each in frozen.standing if each.ref == ref and not each.is_ending), None)
    known = frozen.tasks.get(ref)
    if standing is None or known is None:
        return {**body, "state": "Unknown", "nodeCount": len(frozen.nodes)}
    return {**body, **_bound(frozen, snapshot, standing, known, node)}


def _waiting(frozen: Frozen, snapshot: Snapshot, task: TaskView, node: str) -> Json:
    found = why_pending(task.uid, snapshot, frozen.policy, frozen.now, frozen.seed)
    return {
        "state": "Placeable" if found.node else "Waiting",
        "queue": task.queue,
        "priority": task.priority,
        "position": found.position,
        "waiting": found.waiting,
        "node": found.node,
        "nominated": found.nominated,
        "kept": [{"node": node, "at": _time_of(at)} for node, at in found.kept],
        "summary": summarize(found.rejection) if found.rejection is not None else "",
        "queueReason": _queue_reason(found.rejection),
        "nodeCount": len(frozen.nodes),
        "reasons": [] if found.rejection is None else _reasons(found.rejection),
        "nodes": _table(nodes_for(task.shape, snapshot, node or None), found),
        "proposals": [_proposal(each) for each in found.proposals],
    }


def _time_of(at: float) -> str:
    return format_time(at) if at < NEVER else ""


def _queue_reason(rejection: Rejection | None) -> Json | None:
    if rejection is None or rejection.queue is None:
        return None
    return {"code": str(rejection.queue), "detail": rejection.queue_detail}


def _reasons(rejection: Rejection) -> list[Json]:
    """Return the groups of nodes by first failing reason; those that would fit are not among them."""
    return [
        {
            "code": str(group.code),
            "count": group.count,
            "detail": group.detail or group.resource,
            "leastShort": format_quantity(group.resource, group.least_short) if group.least_short else "",
            "nodes": sorted(group.nodes),
        }
        for group in rejection.groups
    ]


def _table(nodes: Iterable[NodeAnswer], found: WhyPending) -> list[Json]:
    """Return node by node what is in the way, the first reason first, as the counts have it."""
    groups = found.rejection.groups if found.rejection is not None and found.rejection.queue is None else ()
    first = {name: group for group in groups for name in group.nodes}
    return [_node(each, first[each.node].code if each.node in first else None) for each in nodes]


def _node(answer: NodeAnswer, first: Code | None) -> Json:
    reasons = [_reason(code, detail, answer) for code, detail in answer.reasons]
    if first is not None and str(first) not in [code for code, _ in answer.reasons]:
        reasons.insert(0, {"code": str(first), "text": _taken(first), "detail": ""})
    return {"node": answer.node, "reasons": reasons, "amounts": [_amount(each) for each in answer.amounts]}


def _taken(code: Code) -> str:
    """Say what is in the way only by the time that it is this task's turn."""
    if code is Code.KEPT_FOR_OTHERS:
        return PHRASES[code]
    return "what is free there goes to tasks that are before it"


def _reason(code: str, detail: str, answer: NodeAnswer) -> Json:
    short = next((each for each in answer.amounts if each.resource == detail and each.short_by), None)
    if code == Code.INSUFFICIENT and short is not None:
        text = f"short of {detail} by {show_shortfall(detail, short.short_by)}"
    else:
        text = PHRASES.get(Code(code), code) + (f" ({detail})" if detail else "")
    return {"code": code, "text": text, "detail": detail}


def _amount(amount: Amount) -> Json:
    shown = {
        "need": amount.need,
        "allocatable": amount.allocatable,
        "free": amount.free,
        "shortBy": amount.short_by,
    }
    texts = {name: format_quantity(amount.resource, value) for name, value in shown.items()}
    return {"resource": amount.resource, **texts}


def _proposal(proposal: Proposal) -> Json:
    before, to = proposal.before, proposal.to
    if proposal.amount is not None:
        resource = proposal.field.removeprefix("resources.requests.")
        before = format_quantity(resource, int(before))
        to = format_quantity(resource, proposal.amount)
    return {"field": proposal.field, "from": before, "to": to, "node": proposal.node}


def _bound(frozen: Frozen, snapshot: Snapshot, standing: Standing, task: TaskView, node: str) -> Json:
    """Rank nodes as they are now, without this task; what counted when it was bound is in its status."""
    without = changed_by(snapshot, Change(leaving=frozenset({standing.uid})))
    ranked = ranking(task.shape, without, _strategy(frozen, task), len(frozen.nodes))
    own = next((place for place, each in enumerate(ranked, 1) if each.node == standing.node), None)
    return {
        "state": "Bound",
        "queue": task.queue,
        "priority": task.priority,
        "node": standing.node,
        "nodeCount": len(frozen.nodes),
        "fitting": len(ranked),
        "rank": own,
        "top": [_ranked(each) for each in ranked[:TOP_NODES]],
        "nodes": [_node(each, None) for each in nodes_for(task.shape, without, node or None)],
    }


def _strategy(frozen: Frozen, task: TaskView) -> Strategy:
    rules = accounts_of(frozen.queues, {task.queue: {}})
    written = task.shape.strategy or rules[task.queue].rule.strategy
    return next((each for each in STRATEGIES if each == written), frozen.policy.strategy)


def _ranked(node: RankedNode) -> Json:
    terms = {name: round(value, 4) for name, value in node.terms.items()}
    return {"node": node.node, "score": round(node.score, 4), "terms": terms}


# Shares


def share_table(frozen: Frozen, seen: Seen) -> Json:
    """Return what each queue holds, and who would be placed next and why."""
    snapshot = frozen.snapshot()
    grants = next_grants(snapshot, frozen.policy, frozen.now, frozen.seed, NEXT_GRANTS)
    return {
        **header(frozen, "Shares"),
        "capacity": format_resources(snapshot.fleet.capacity()),
        "queues": [queue_share(each) for each in shares(snapshot)],
        "next": list(_grants(grants, seen)),
        "waiting": len(frozen.pending),
    }


def queue_share(share: QueueShare) -> Json:
    return {
        "queue": share.queue,
        "weight": share.weight,
        "dominantResource": share.resource,
        "share": round(share.share, 6),
        "weightedShare": round(share.share / share.weight, 6),
        "used": _amounts(share.used),
        "guarantee": _amounts(share.guarantee),
        "limit": _amounts(share.limit),
        "borrowed": _amounts(share.borrowed),
        "waiting": share.waiting,
    }


def _amounts(amounts: dict[str, int]) -> dict[str, str]:
    return {name: text for name, text in format_resources(amounts).items() if amounts[name]}


def _grants(grants: Iterable[Grant], seen: Seen) -> Iterator[Json]:
    for grant in grants:
        yield {
            "task": named(grant.task.ref, seen),
            "queue": grant.task.queue,
            "node": grant.node,
            "weightedShare": round(grant.share, 6),
            "withinGuarantee": grant.is_guaranteed,
        }
