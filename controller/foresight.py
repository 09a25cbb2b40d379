"""Plans and drains before they are done, as JSON: where each task would land, who waits and why, who would have to go.

A question says which tasks would come, which would go, and which queues would have other rules; the pure scheduler
decides about that as it will about the real thing. Pure.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from pydantic import ValidationError

from controller.answers import BadQuestion, Json, Seen, header, named, queue_share
from controller.packing_answers import limits_of, packing_answer
from controller.reconcilers.daemonset import node_fits, place_of_each
from controller.reconcilers.placing import gang_of
from controller.reconcilers.shapes import labels_of, rule_of, shape_of
from controller.scheduler.optimise import pack
from controller.scheduler.program import Limits
from controller.scheduler.rejection import summarize
from controller.scheduler.snapshot import Snapshot, TaskView
from controller.scheduler.whatif import Change, Outcome, changed_by, what_if
from controller.snapshots import Frozen, Mover
from schemas.keys import task_ref
from schemas.namespace import DEFAULT_QUEUE
from schemas.owned import OwnerReference
from schemas.queue import Queue
from schemas.task import TaskSpec

FIRST_AGE = 2**62  # what comes is younger than all that is there
MAX_TASKS = 100_000


@dataclass(frozen=True, slots=True)
class Wanted:
    """`count` equal tasks that would come; per_node: one on each node that it fits, as a DaemonSet's.

    of: which object of the question they are for. age: as create_revision.
    """

    of: str
    namespace: str
    name: str
    labels: dict[str, str]
    owner: OwnerReference | None
    spec: TaskSpec
    count: int
    per_node: bool
    previous_node: str
    age: int


@dataclass(frozen=True, slots=True)
class Question:
    wanted: tuple[Wanted, ...]
    leaving: tuple[tuple[str, str], ...]  # (namespace, task uid)
    queues: tuple[Queue, ...]
    packing: Limits | None = None  # the optimum is asked for, too


def parse_question(body: bytes) -> Question:
    """Return what was asked. Raises BadQuestion."""
    try:
        raw = json.loads(body)
        wanted = tuple(_wanted(each, FIRST_AGE + number) for number, each in enumerate(raw["adding"]))
        leaving = tuple((str(each["namespace"]), str(each["uid"])) for each in raw["leaving"])
        queues = tuple(Queue.parse_stored(each) for each in raw["queues"])
        packing = limits_of(raw["optimal"]) if raw.get("optimal") is not None else None
    except (ValueError, KeyError, TypeError, ValidationError) as error:
        raise BadQuestion(400, f"the question can't be read: {type(error).__name__}: {error}") from None
    if any(each.count < 0 for each in wanted):
        raise BadQuestion(400, "the question can't be read: a count is negative")
    _require_few(sum(each.count for each in wanted))
    return Question(wanted, leaving, queues, packing)


def _require_few(tasks: int) -> None:
    if tasks > MAX_TASKS:
        raise BadQuestion(400, f"more than {MAX_TASKS} tasks in one plan; plan some of its files")


def _wanted(raw: Json, age: int) -> Wanted:
    owner = raw.get("owner")
    return Wanted(
        of=str(raw["of"]),
        namespace=str(raw["namespace"]),
        name=str(raw["name"]),
        labels={str(key): str(value) for key, value in (raw.get("labels") or {}).items()},
        owner=OwnerReference.parse_stored(owner) if owner else None,
        spec=TaskSpec.parse_stored(raw["spec"]),
        count=int(raw.get("count", 1)),
        per_node=bool(raw.get("perNode", False)),
        previous_node=str(raw.get("previousNode", "")),
        age=int(raw.get("age") or age),
    )


def namespaces_of(question: Question, frozen: Frozen) -> set[str]:
    """Return the namespaces whose tasks a question is about, by what is known of them here."""
    known = {each.uid: each.ref.namespace for each in frozen.standing}
    known |= {each.uid: each.ref.namespace for each in frozen.pending}
    going = {known.get(uid, namespace) for namespace, uid in question.leaving}
    return {each.namespace for each in question.wanted} | going


# Plan


def plan(frozen: Frozen, question: Question, seen: Seen) -> Json:
    """Return what would become of the tasks of a question, and what else would change. Raises BadQuestion."""
    _require_few(sum(len(frozen.nodes) if each.per_node else each.count for each in question.wanted))
    tasks = {task.uid: (each, task) for each in question.wanted for task in _tasks(each, frozen)}
    change = Change(
        adding=tuple(task for _, task in tasks.values()),
        leaving=frozenset(uid for _, uid in question.leaving),
        queues=tuple(map(rule_of, question.queues)),
    )
    snapshot = frozen.snapshot()
    outcome = what_if(snapshot, change, frozen.policy, frozen.now, frozen.seed)
    of = {uid: each.of for uid, (each, _) in tasks.items()}
    placed = [
        {"of": of[each.task.uid], "name": each.task.ref.name, "node": each.node} for each in outcome.placed
    ]
    return {
        **header(frozen, "Foresight"),
        "placed": placed,
        "waiting": [
            {
                "of": of[each.task.uid],
                "name": each.task.ref.name,
                "reason": summarize(each.rejection),
                "nominated": each.nominated,
            }
            for each in outcome.waiting
        ],
        **_others(outcome, seen),
        **(_optimum(frozen, changed_by(snapshot, change), question.packing, of) if question.packing else {}),
    }


def _optimum(frozen: Frozen, changed: Snapshot, limits: Limits, of: Mapping[str, str]) -> Json:
    """Return the best placements of all that would wait; an object is named only with its question's own tasks."""
    packing = pack(changed, frozen.policy, frozen.now, frozen.seed, limits)
    return {"packing": packing_answer(packing, len(changed.pending), of)}


def _others(outcome: Outcome, seen: Seen) -> Json:
    """Return what a change does to those who are there already."""
    victims = [
        {
            "task": named(each.task.ref, seen),
            "node": each.task.node,
            "queue": each.task.queue,
            "priority": each.task.priority,
        }
        for each in outcome.victims
    ]
    before = {each.queue: queue_share(each) for each in outcome.before}
    after = {each.queue: queue_share(each) for each in outcome.after}
    return {
        "victims": victims,
        "delayed": [named(each.ref, seen) for each in outcome.delayed],
        "shares": [
            {"queue": name, "before": before.get(name, {}).get("share", 0.0), "after": after[name]["share"]}
            for name in sorted(after)
        ],
    }


def _tasks(wanted: Wanted, frozen: Frozen) -> Iterator[TaskView]:
    """Yield the tasks as the scheduler sees them."""
    spec = wanted.spec
    if wanted.per_node:
        place = place_of_each(spec)
        names = sorted(node.name for node in frozen.nodes if node_fits(place, node))
        for name in names:
            one = spec.model_copy(update={"node_name": name})
            yield _task(wanted, one, f"{wanted.name}-{name}")
        return
    for number in range(wanted.count):
        yield _task(wanted, spec, f"{wanted.name}-{number}" if wanted.owner is not None else wanted.name)


def _task(wanted: Wanted, spec: TaskSpec, name: str) -> TaskView:
    return TaskView(
        ref=task_ref(wanted.namespace, name),
        uid=f"planned/{wanted.of}/{name}",
        shape=shape_of(spec, labels_of(wanted.namespace, wanted.labels, wanted.owner)),
        priority=spec.priority or 0,
        age=wanted.age,
        previous_node=wanted.previous_node,
        queue=spec.queue or DEFAULT_QUEUE,
        estimate=spec.estimated_duration,
        waiting_since=float("inf"),
        gang=gang_of(spec, wanted.owner),
        preempts=spec.preemption_policy != "Never",
    )


# Drain


def drain(frozen: Frozen, node: str, seen: Seen, *, ignore_daemonsets: bool) -> Json:
    """Return where each task of a node would go, which fit nowhere, which a budget keeps. Raises BadQuestion."""
    if node not in {each.name for each in frozen.nodes}:
        raise BadQuestion(404, f"node {node} has never reported; see: berth get nodes")
    movers = [each for each in frozen.movers if not each.is_of_daemonset]
    change = Change(
        adding=tuple(_again(task) for each in movers if (task := each.task()) is not None),
        leaving=frozenset(each.uid for each in movers),
        closed=frozenset({node}),
    )
    outcome = what_if(frozen.snapshot(), change, frozen.policy, frozen.now, frozen.seed)
    places = {each.task.ref: each.node for each in outcome.placed}
    reasons = {each.task.ref: summarize(each.rejection) for each in outcome.waiting}
    stays = [each for each in frozen.movers if each.is_of_daemonset]
    return {
        **header(frozen, "DrainPlan"),
        "node": node,
        "tasks": [_moved(each, places.get(each.ref, ""), reasons.get(each.ref, ""), seen) for each in movers],
        "daemonsetTasks": [named(each.ref, seen) for each in stays],
        "isRefused": bool(stays) and not ignore_daemonsets,
        "longestGraceSeconds": max((each.grace_s for each in movers), default=0.0),
        **_others(outcome, seen),
    }


def _again(task: TaskView) -> TaskView:
    """Return a task as it waits when it has ended where it was."""
    return replace(task, uid=f"moved/{task.uid}")


def _moved(mover: Mover, node: str, reason: str, seen: Seen) -> dict[str, Any]:
    return {
        "task": named(mover.ref, seen),
        "to": node,
        "reason": reason
        if mover.effective is not None
        else "what it asks for can't be read, or is not admitted any more",
        "keptBy": mover.kept_by,
        "graceSeconds": mover.grace_s,
    }
