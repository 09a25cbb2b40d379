"""The end of an owner: what it made goes, or is let go, and then the owner itself. Pure, the same for all owners.

background (also when the owner's key was simply deleted): the keys of all that it made go in groups, and the owner
with the last of them; containers end on their own. foreground: the owner stays until nothing of it is left.
orphan: what it made becomes objects of their own.
"""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from controller.reconcilers.freezing import frozen_plan
from controller.reconcilers.owner_inputs import MAX_OWNED_A_PLAN, OwnedJob, OwnedTask, OwnerInputs
from controller.reconcilers.owner_plan import empty_plan, removal_of
from controller.reconcilers.plan import (
    EventNote,
    Intent,
    OrphanOwned,
    Plan,
    RemoveEndpoints,
    RemoveObject,
    RemoveOwned,
    RemoveRevision,
)
from controller.reconcilers.plan_size import orphans_that_fit, removals_that_fit
from schemas.binding import StopReason

MAX_ORPHANS_A_PLAN = 20  # each is written as a whole object of its own
MAX_REVISIONS_A_PLAN = 40  # one operation each


def plan_owner_ending(inputs: OwnerInputs[Any, Any], now: float) -> Plan:
    """Return the next step of the end of an owner that is terminating.

    It needs only what it made: a kept template that can't be read keeps nothing from ending, but from standing alone.
    """
    plan = empty_plan(inputs)
    if inputs.unreadable and _cascade(inputs) == "orphan":
        return frozen_plan(inputs, inputs.own_status, now)
    everything: tuple[OwnedTask | OwnedJob, ...] = (*inputs.tasks, *inputs.jobs)
    made = [each for each in everything if each.owned is not None]
    if made:
        return _let_go(inputs, made, plan)
    if inputs.stuck:
        return frozen_plan(inputs, inputs.own_status, now)
    if _cascade(inputs) == "foreground" and (inputs.tasks or inputs.jobs):
        return replace(plan, intents=tuple(_without_endpoints(inputs)))
    return _remove_owner(inputs, plan)


def _cascade(inputs: OwnerInputs[Any, Any]) -> str:
    """Return how it goes: as it was asked for, also if somebody removes its key in the middle of that."""
    if inputs.delete is None or inputs.delete.value.uid != inputs.uid:
        return "background"
    return inputs.delete.value.cascade


def _let_go(inputs: OwnerInputs[Any, Any], made: list[OwnedTask | OwnedJob], plan: Plan) -> Plan:
    intents: list[Intent] = list(_without_endpoints(inputs))
    if _cascade(inputs) == "orphan":
        fit = orphans_that_fit(made, MAX_ORPHANS_A_PLAN)
        intents += [_orphan(inputs, each) for each in made[:fit]]
        verb = "left to themselves"
    else:
        removals = [_remove(inputs, each) for each in made[:MAX_OWNED_A_PLAN]]
        intents += removals[: removals_that_fit(removals)]
        verb = "removed"
    done = sum(isinstance(intent, RemoveOwned | OrphanOwned) for intent in intents)
    plural = "jobs" if inputs.ref.plural == "cronjobs" else "tasks"
    note = EventNote("Normal", "Deleting", f"{done} of {len(made)} {plural} {verb}")
    return replace(plan, intents=tuple(intents), events=(note,))


def _remove(inputs: OwnerInputs[Any, Any], made: OwnedTask | OwnedJob) -> RemoveOwned:
    assert made.owned is not None
    if isinstance(made, OwnedJob):
        return RemoveOwned(made.ref, made.owned)
    grace_s = inputs.delete.value.grace_s if inputs.delete is not None and inputs.is_terminating else None
    return removal_of(made, StopReason.DELETED, f"{inputs.ref} was deleted", grace_s=grace_s)


def _orphan(inputs: OwnerInputs[Any, Any], made: OwnedTask | OwnedJob) -> OrphanOwned | RemoveOwned:
    """What can't be put together any more, because its kept template is missing, can't stand alone."""
    assert made.owned is not None
    if made.owned.value.revision not in inputs.revisions:
        return _remove(inputs, made)
    return OrphanOwned(made.ref, made.owned)


def _without_endpoints(inputs: OwnerInputs[Any, Any]) -> Iterator[Intent]:
    if inputs.endpoints is not None:
        yield RemoveEndpoints(inputs.ref, inputs.endpoints)


def _remove_owner(inputs: OwnerInputs[Any, Any], plan: Plan) -> Plan:
    """Nothing names a kept template any more: they go, and with the last of them the owner."""
    numbers = sorted({*inputs.revisions, *inputs.unread_revisions})
    intents: list[Intent] = list(_without_endpoints(inputs))
    intents += [RemoveRevision(inputs.uid, number) for number in numbers[:MAX_REVISIONS_A_PLAN]]
    if len(numbers) > MAX_REVISIONS_A_PLAN:
        return replace(plan, intents=tuple(intents))
    if inputs.spec is not None or inputs.own_status is not None or inputs.delete is not None:
        note = EventNote("Normal", "Deleted", "it and what it made were removed")
        return replace(plan, intents=(*intents, RemoveObject()), events=(note,))
    return replace(plan, intents=tuple(intents))
