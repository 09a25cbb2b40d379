"""From what an apply would write to the question what would become of it: which tasks come, and which go.

The leader answers it (`controller.foresight`). A rollout is asked about as a whole: all tasks of the old template go,
all of the new one come; on the way there a rolling update may find other nodes free.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from client.ownership import template_tasks
from client.planned import Planned
from client.policy import LivePolicy
from client.views import ObjectView
from schemas.job import Job
from schemas.keys import ObjectRef
from schemas.kinds import OWNERS
from schemas.queue import Queue
from schemas.state import FINISHED
from schemas.task import Task
from schemas.workload import Deployment

Json = dict[str, Any]
NEW_UID = "planned"  # of an owner that is not there yet
RUNNING = OWNERS | {"tasks"}
"""Plurals of what has tasks, or is one."""


@dataclass(frozen=True, slots=True)
class Expected:
    """What one document does to tasks: how many come, how many go."""

    ref: ObjectRef
    coming: int
    leaving: int
    per_node: bool = False


@dataclass(frozen=True, slots=True)
class Foreseen:
    """question: for the leader. namespaces: whose tokens it takes."""

    question: Json
    expected: tuple[Expected, ...]
    namespaces: tuple[str, ...]


def foresee(
    planned: Iterable[Planned],
    policy: LivePolicy,
    tasks: Mapping[str, tuple[ObjectView, ...]],
    pruned: Iterable[ObjectView] = (),
) -> Foreseen:
    """Return what to ask. policy: with what is planned on top. tasks: owner's uid -> the tasks that it has.

    pruned: tasks that go because they, or their owners, are pruned.
    """
    adding: list[Json] = []
    leaving: list[Json] = _gone(filter(_is_there, pruned))
    queues: list[Json] = []
    expected: list[Expected] = []
    for each in planned:
        if each.action == "unchanged":
            continue
        if isinstance(each.parsed(), Queue):
            queues.append(_complete(each))
        come, go = _of(each, policy, tasks)
        adding += come
        leaving += go
        per_node = any(one.get("perNode") for one in come)
        expected.append(Expected(each.document.ref, sum(one["count"] for one in come), len(go), per_node))
    namespaces = {one["namespace"] for one in (*adding, *leaving)}
    question = {"adding": adding, "leaving": leaving, "queues": queues}
    return Foreseen(question, tuple(expected), tuple(sorted(namespaces)))


def owners_of(planned: Iterable[Planned]) -> tuple[ObjectRef, ...]:
    """Return the owners among the documents that are there already, whose tasks `foresee` wants to know."""
    return tuple(
        each.document.ref
        for each in planned
        if each.replaced is not None and each.document.ref.plural in OWNERS and each.action != "unchanged"
    )


def _complete(planned: Planned) -> Json:
    """Return the object as it would be stored; a new one has no uid yet, which only the store gives."""
    metadata = {"uid": NEW_UID, **planned.merged["metadata"]}
    return {**planned.merged, "metadata": metadata}


def _of(
    planned: Planned, policy: LivePolicy, tasks: Mapping[str, tuple[ObjectView, ...]]
) -> tuple[list[Json], list[Json]]:
    written, ref = planned.parsed(), planned.document.ref
    if isinstance(written, Task):
        return _of_task(planned, written, policy)
    if ref.plural not in OWNERS or ref.plural == "cronjobs":
        return [], []  # a cron job's tasks come when it is time
    there = [view for view in tasks.get(_uid(planned), ()) if _is_there(view)]
    ((task, _),) = template_tasks(written, ref.namespace)
    owner = {"kind": planned.document.kind.name, "name": ref.name, "uid": _uid(planned)}
    one = {**_one(planned, task, policy), "owner": owner}
    if ref.plural == "daemonsets":
        going = there if planned.rolls else []
        return [{**one, "perNode": True}] if planned.rolls or planned.replaced is None else [], _gone(going)
    wanted = _wanted(written)
    if planned.rolls:
        return _some(one, wanted), _gone(there)
    surplus = sorted(there, key=lambda view: -_age(view))[: max(0, len(there) - wanted)]
    return _some(one, max(0, wanted - len(there))), _gone(surplus)


def _of_task(planned: Planned, task: Task, policy: LivePolicy) -> tuple[list[Json], list[Json]]:
    """A change of live fields leaves it where it is; while it waits they decide where it goes."""
    one = _one(planned, task, policy)
    live = planned.live
    if planned.replaced is None or live is None:
        return [one], []
    status = live.task_status
    if status is not None and status.state in FINISHED and not planned.replaces:
        return [], []
    is_placed = status is not None and bool(status.node)
    if is_placed and not planned.replaces:
        return [], []
    again = {**one, "age": _age(live), "previousNode": status.node if status is not None else ""}
    return [again], _gone([live])


def _one(planned: Planned, task: Task, policy: LivePolicy) -> Json:
    spec = policy.effective_spec(task).to_json()
    written = planned.parsed()
    if isinstance(written, Job):
        if written.spec.gang and "gang" not in spec:
            spec["gang"] = {"minMember": written.spec.together}
        if written.spec.estimated_duration is not None and "estimatedDuration" not in spec:
            spec["estimatedDuration"] = written.spec.to_json()["estimatedDuration"]
    ref = planned.document.ref
    labels = dict(task.metadata.labels)
    return {
        "of": f"{ref.namespace}/{ref}",
        "namespace": ref.namespace,
        "name": ref.name,
        "labels": labels,
        "spec": spec,
        "count": 1,
    }


def _some(one: Json, count: int) -> list[Json]:
    return [{**one, "count": count}] if count else []


def _gone(views: Iterable[ObjectView]) -> list[Json]:
    return [{"namespace": view.namespace, "uid": view.uid} for view in views]


def _uid(planned: Planned) -> str:
    return planned.live.uid if planned.live is not None and planned.replaced is not None else NEW_UID


def _age(view: ObjectView) -> int:
    return view.spec_kv.create_revision if view.spec_kv is not None else 0


def _is_there(view: ObjectView) -> bool:
    status = view.task_status
    return not view.is_terminating and not (status is not None and status.state in FINISHED)


def _wanted(written: object) -> int:
    """Return how many tasks an owner has at a time."""
    match written:
        case Deployment():
            return written.spec.replicas
        case Job():
            return 0 if written.spec.suspend else written.spec.together
        case _:
            return 0
