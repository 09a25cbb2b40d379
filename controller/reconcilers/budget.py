"""The planner of disruption budgets: their status, and their end. Pure."""

from dataclasses import dataclass, replace

from controller.reconcilers.eviction import Standing
from controller.reconcilers.plan import Intent, Plan, PutOwnerStatus, Reads, RemoveObject, RemoveRequest
from schemas.budget import DisruptionBudget
from schemas.keys import ObjectRef
from schemas.meta import Condition, set_condition
from schemas.request import DeleteRequest
from schemas.timestamps import format_time
from schemas.versioned import Versioned
from schemas.workload_status import DisruptionBudgetStatus


@dataclass(frozen=True, slots=True)
class BudgetInputs:
    """All that is stored about one budget. standing: how it stands now, None without spec."""

    ref: ObjectRef
    spec: Versioned[DisruptionBudget] | None
    status: Versioned[DisruptionBudgetStatus] | None
    delete: Versioned[DeleteRequest] | None
    standing: Standing | None


def plan_budget(inputs: BudgetInputs, now: float) -> Plan:
    """Say how the budget stands; it may be deleted at any time."""
    uid = inputs.spec.value.metadata.uid if inputs.spec else inputs.status.value.uid if inputs.status else ""
    reads = Reads(
        spec=inputs.spec.mod_revision if inputs.spec else 0,
        status=inputs.status.mod_revision if inputs.status else 0,
    )
    plan = Plan(inputs.ref, uid, reads)
    if inputs.spec is None:
        is_left = inputs.status is not None or inputs.delete is not None
        return replace(plan, intents=(RemoveObject(),)) if is_left else plan
    intents: list[Intent] = []
    if inputs.delete is not None:
        if inputs.delete.value.uid == uid:
            return replace(plan, intents=(RemoveObject(),))
        intents.append(RemoveRequest("delete", inputs.delete.mod_revision))
    status = _status(inputs, inputs.spec, now)
    if inputs.status is None or status != inputs.status.value:
        intents.append(PutOwnerStatus(status))
    return replace(plan, intents=tuple(intents))


def _status(inputs: BudgetInputs, spec: Versioned[DisruptionBudget], now: float) -> DisruptionBudgetStatus:
    uid = spec.value.metadata.uid
    stands = inputs.standing or Standing(0, 0, 0)
    old = inputs.status.value if inputs.status and inputs.status.value.uid == uid else None
    enough = stands.allowed > 0
    condition = Condition(
        type="DisruptionAllowed",
        status="True" if enough else "False",
        reason="SufficientTasks" if enough else "InsufficientTasks",
        message="" if enough else _lack(stands),
        last_transition_time=format_time(now),
    )
    return DisruptionBudgetStatus(
        uid=uid,
        observed_generation=spec.generation,
        expected=stands.expected,
        healthy=stands.healthy,
        desired_healthy=stands.needed,
        disruptions_allowed=stands.allowed,
        conditions=set_condition(old.conditions if old else (), condition),
    )


def _lack(stands: Standing) -> str:
    if not stands.expected:
        return "its selector matches no task"
    return f"{stands.healthy} of {stands.expected} available, needs {stands.needed}"
