"""An owner of which something can't be read: nothing is decided about it, and its status says so. Pure."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from controller.reconcilers.owner_inputs import OwnerInputs
from controller.reconcilers.owner_plan import empty_plan, with_condition
from controller.reconcilers.plan import EventNote, OwnerStatus, Plan, PutOwnerStatus
from schemas.meta import Condition, find_condition
from schemas.workload_status import FROZEN

SHOWN = 2  # of what can't be read; doctor lists all


def frozen_plan(inputs: OwnerInputs[Any, Any], status: OwnerStatus | None, now: float) -> Plan:
    """Return a plan that tells in the owner's status what can't be read, and does nothing else."""
    if status is None:
        return empty_plan(inputs)
    told = inputs.stuck if inputs.is_terminating and inputs.stuck else inputs.unreadable
    what = "it can't be removed" if inputs.is_terminating else "it stays as it is"
    message = f"{what} until this is repaired: {_listed(told)}; see: berth doctor"
    old = find_condition(status.conditions, FROZEN)
    if old is not None and old.message == message:
        return empty_plan(inputs)
    new = Condition(type=FROZEN, status="True", reason="Unreadable", message=message)
    after = status.model_copy(update={"conditions": with_condition(status.conditions, new, now)})
    note = EventNote("Warning", FROZEN, message)
    return replace(empty_plan(inputs), intents=(PutOwnerStatus(after),), events=(note,))


def _listed(words: Sequence[str]) -> str:
    more = len(words) - SHOWN
    return "; ".join(words[:SHOWN]) + (f"; and {more} more" if more > 0 else "")
