"""The planner of namespaces, queues, priority classes and sources: they go when nothing uses them any more. Pure."""

from dataclasses import dataclass, replace

from controller.reconcilers.guarantees import told_guarantee
from controller.reconcilers.plan import EventNote, Plan, PutOwnerStatus, Reads, RemoveObject, RemoveRequest
from schemas.gitsource_status import GitSourceStatus
from schemas.keys import ObjectRef
from schemas.status import ObjectStatus
from schemas.versioned import Versioned


@dataclass(frozen=True, slots=True)
class PolicyInputs:
    """`users`: tasks and Secrets that live in it, tasks that name it. The uids are empty where there is no such key.

    lacking: of a queue with a guarantee, what of it is not there, empty for nothing; None for all others.
    """

    ref: ObjectRef
    spec_revision: int
    spec_uid: str
    delete_uid: str
    delete_revision: int
    users: tuple[ObjectRef, ...]
    generation: int = 0
    status: Versioned[ObjectStatus | GitSourceStatus] | None = None
    lacking: str | None = None


def plan_policy(inputs: PolicyInputs, now: float) -> Plan:
    """Answer a wish to delete, and say whether what a queue is guaranteed is there."""
    status = inputs.status
    reads = Reads(spec=inputs.spec_revision, status=status.mod_revision if status is not None else 0)
    plan = Plan(inputs.ref, inputs.spec_uid, reads)
    if not inputs.delete_uid:
        return _plan_status(inputs, plan, now)
    if inputs.spec_uid != inputs.delete_uid:
        return replace(plan, intents=(RemoveRequest("delete", inputs.delete_revision),))
    if not may_remove(inputs):
        names = ", ".join(str(ref) for ref in inputs.users[:3])
        what = "tasks" if all(ref.plural == "tasks" for ref in inputs.users) else "objects"
        text = f"{len(inputs.users)} {what} still use it: {names}"
        return replace(plan, events=(EventNote("Warning", "InUse", text),))
    return replace(plan, intents=(RemoveObject(),))


def _plan_status(inputs: PolicyInputs, plan: Plan, now: float) -> Plan:
    old = inputs.status.value if inputs.status is not None else None
    if not inputs.spec_uid:
        return plan if old is None else replace(plan, intents=(RemoveObject(),))
    if isinstance(old, GitSourceStatus):  # told by who syncs the source
        return plan
    own = old if old is not None and old.uid == inputs.spec_uid else None
    status = told_guarantee(own, inputs.spec_uid, inputs.generation, inputs.lacking, now)
    if status is None or status == old:
        return plan
    notes = (EventNote("Warning", "GuaranteesExceedCluster", inputs.lacking),) if inputs.lacking else ()
    return replace(plan, intents=(PutOwnerStatus(status),), events=notes)


def may_remove(inputs: PolicyInputs) -> bool:
    """The gate that finalizers are elsewhere: nothing uses the object."""
    return not inputs.users
