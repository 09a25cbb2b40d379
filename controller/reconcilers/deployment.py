"""The planner of Deployments: from one deployment and its tasks to what should happen next. Pure.

Reads top to bottom: which template is kept (`course`) -> who goes and how many come (`rollout`) -> endpoints, kept
templates and status of what that leaves. A plan is one transaction of at most MAX_OWNED_A_PLAN tasks; it may
be made again at any time, and a newer spec takes over a running rollout at once, as there is nothing to take over.
"""

from collections import Counter
from collections.abc import Container, Sequence
from dataclasses import dataclass, replace

from controller.reconcilers.course import Course, DeploymentInputs, course_of, replicas_of, status_of
from controller.reconcilers.deployment_status import Outcome, next_status, notes_of, wake_at
from controller.reconcilers.endpoints import notes_of_list, plan_endpoints
from controller.reconcilers.freezing import frozen_plan
from controller.reconcilers.owner_ending import plan_owner_ending
from controller.reconcilers.owner_inputs import MAX_OWNED_A_PLAN, OwnedTask
from controller.reconcilers.owner_plan import (
    UsedNames,
    empty_plan,
    free_name,
    outdated_requests,
    owner_of,
    removal_of,
    task_named,
)
from controller.reconcilers.plan import CreateOwned, EventNote, Intent, Plan, PutOwnerStatus, RemoveOwned
from controller.reconcilers.plan_size import list_bytes, removals_that_fit, template_bytes
from controller.reconcilers.revisions import hash_of, keep_template, told_cause, trim_revisions
from controller.reconcilers.rollout import Moves, Replica, bounds_of, hold, recreate, roll
from schemas.binding import StopReason


def plan_deployment(inputs: DeploymentInputs, now: float) -> Plan:
    """Return what should happen next about one deployment."""
    if inputs.is_terminating:
        return plan_owner_ending(inputs, now)
    if inputs.unreadable:
        return frozen_plan(inputs, status_of(inputs), now)
    course = course_of(inputs, now)
    before = replicas_of(inputs, course.hash, now)
    changes = _changes(inputs, course, before, room=MAX_OWNED_A_PLAN)
    fit = _that_fit(inputs, course, changes.removals)
    if fit < len(changes.removals):
        changes = _changes(inputs, course, before, room=fit)
    return _complete_plan(inputs, course, changes, now)


@dataclass(frozen=True, slots=True)
class _Changes:
    before: tuple[Replica, ...]
    removals: list[RemoveOwned]
    creations: list[CreateOwned]

    @property
    def gone(self) -> frozenset[str]:
        return frozenset(removal.ref.name for removal in self.removals)


def _changes(inputs: DeploymentInputs, course: Course, before: tuple[Replica, ...], room: int) -> _Changes:
    """Return who goes and who comes, `room` at most."""
    dead = _dead(inputs)[:room]
    moves = _moves(inputs, course, before, room=room - len(dead))
    removals = [*(_removal(each) for each in dead), *(_removal_of(each, course) for each in moves.remove)]
    return _Changes(before, removals, _creations(inputs, course, before, moves.create))


def _that_fit(inputs: DeploymentInputs, course: Course, removals: list[RemoveOwned]) -> int:
    """Return how many of them go into one transaction, beside what else this plan writes."""
    if not removals:
        return 0
    keeps = course.puts_template or bool(told_cause(inputs, course.template))
    beside_bytes = list_bytes(inputs) + (template_bytes(inputs) if keeps else 0)
    return removals_that_fit(removals, beside_bytes=beside_bytes, least=0 if keeps else 1)


def _complete_plan(inputs: DeploymentInputs, course: Course, changes: _Changes, now: float) -> Plan:
    """Add what follows from the moves: kept templates, endpoints, status, what people are told."""
    assert inputs.spec is not None
    gone = changes.gone
    left = (
        tuple(each for each in changes.before if each.task.ref.name not in gone) if gone else changes.before
    )
    outcome = Outcome(course, left, _created_new(inputs, course, changes), len(changes.creations))
    status = next_status(inputs, outcome, now)
    needed = _revisions_in_use(inputs, changes, gone) | {
        status.revision,
        status.good_revision,
        status.rolled_back,
    }
    limit = inputs.spec.value.spec.revision_history_limit
    listed = plan_endpoints(inputs, gone)
    coming = keep_template(inputs, course.template) if course.puts_template else ()
    intents: list[Intent] = [
        *outdated_requests(inputs),
        *coming,
        *told_cause(inputs, course.template),
        *changes.removals,
        *changes.creations,
        *listed,
        *trim_revisions(inputs, needed | {course.template.number}, limit, coming),
    ]
    if status != inputs.own_status:
        intents.append(PutOwnerStatus(status))
    events = (*_notes_of_moves(changes), *notes_of_list(inputs, listed), *notes_of(inputs, status))
    return replace(
        empty_plan(inputs),
        intents=tuple(intents),
        events=events,
        requeue_at=wake_at(inputs, outcome, status, now),
    )


def _dead(inputs: DeploymentInputs) -> list[OwnedTask]:
    """Tasks that are over: finished by themselves or lost, or deleted by a person and ended."""
    return [
        task
        for task in inputs.tasks
        if task.owned is not None and (task.has_ended if task.is_deleted else task.is_finished)
    ]


def _moves(inputs: DeploymentInputs, course: Course, replicas: tuple[Replica, ...], room: int) -> Moves:
    assert inputs.spec is not None
    spec = inputs.spec.value.spec
    bounds = bounds_of(spec)
    if course.is_held:
        moves = hold(replicas, bounds, room)
    elif spec.strategy.type == "Recreate":
        moves = recreate(replicas, bounds, room, others_end=_others_end(inputs, course))
    else:
        moves = roll(replicas, bounds, room)
    return moves if course.may_create else replace(moves, create=0)


def _others_end(inputs: DeploymentInputs, course: Course) -> bool:
    """Say whether something of another template is still on its way out."""
    return any(
        task.is_leaving and not task.has_ended and hash_of(inputs, task) != course.hash
        for task in inputs.tasks
    )


def _removal(task: OwnedTask) -> RemoveOwned:
    return removal_of(task, StopReason.DELETED, "")


def _removal_of(replica: Replica, course: Course) -> RemoveOwned:
    if replica.is_new or course.is_held:
        return removal_of(replica.task, StopReason.DELETED, "scaled down")
    return removal_of(replica.task, StopReason.SUPERSEDED, f"revision {course.revision} takes its place")


def _creations(
    inputs: DeploymentInputs, course: Course, replicas: tuple[Replica, ...], number: int
) -> list[CreateOwned]:
    if number <= 0:
        return []
    used = UsedNames(inputs)
    revision = _revision_to_create(inputs, course, replicas)
    owner = owner_of(inputs)
    made = []
    slot = 0
    for _ in range(number):
        while f"{inputs.ref.name}-{revision}-{slot}" in used:
            slot += 1
        name = free_name(inputs.ref.name, f"{revision}-{slot}", used)
        used.add(name)
        made.append(CreateOwned(task_named(inputs, name), owner, revision))
    return made


def _revision_to_create(inputs: DeploymentInputs, course: Course, replicas: Sequence[Replica]) -> int:
    """While held in the middle of a rollout: that of which there is most, so that the rollout stays where it is."""
    if not course.is_held:
        return course.revision
    there = [each.task.owned.value.revision for each in replicas if each.task.owned is not None]
    leaving = [task.owned.value.revision for task in inputs.tasks if task.is_deleted and task.owned]
    counts = Counter(there) or Counter(leaving)
    if not counts:
        return course.revision
    return max(counts, key=lambda revision: (counts[revision], revision))


def _created_new(inputs: DeploymentInputs, course: Course, changes: _Changes) -> int:
    """How many of the tasks that are made have the template that is kept."""
    kept = {number for number, each in inputs.revisions.items() if each.value.hash == course.hash}
    return sum(each.revision in kept or each.revision == course.revision for each in changes.creations)


def _revisions_in_use(inputs: DeploymentInputs, changes: _Changes, gone: Container[str]) -> set[int]:
    there = {task.revision for task in inputs.tasks if task.owned is not None and task.ref.name not in gone}
    return there | {each.revision for each in changes.creations}


def _notes_of_moves(changes: _Changes) -> tuple[EventNote, ...]:
    notes = []
    if changes.creations:
        revision = changes.creations[0].revision
        notes.append(
            EventNote("Normal", "ScaledUp", f"made {_tasks(len(changes.creations))} of revision {revision}")
        )
    for revision, number in sorted(Counter(each.owned.value.revision for each in changes.removals).items()):
        notes.append(EventNote("Normal", "ScaledDown", f"removed {_tasks(number)} of revision {revision}"))
    return tuple(notes)


def _tasks(number: int) -> str:
    return "1 task" if number == 1 else f"{number} tasks"
