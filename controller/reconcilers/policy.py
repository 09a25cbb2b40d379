"""The planner of namespaces, queues and priority classes: they go when nothing uses them any more. Pure."""

from dataclasses import dataclass, replace

from controller.reconcilers.plan import EventNote, Plan, Reads, RemoveObject, RemoveRequest
from schemas.keys import ObjectRef


@dataclass(frozen=True, slots=True)
class PolicyInputs:
    """`users`: tasks and Secrets that live in it, tasks that name it. The uids are empty where there is no such key."""

    ref: ObjectRef
    spec_revision: int
    spec_uid: str
    delete_uid: str
    delete_revision: int
    users: tuple[ObjectRef, ...]


def plan_policy(inputs: PolicyInputs, now: float) -> Plan:
    """Answer a wish to delete."""
    plan = Plan(inputs.ref, inputs.spec_uid, Reads(spec=inputs.spec_revision))
    if not inputs.delete_uid:
        return plan
    if inputs.spec_uid != inputs.delete_uid:
        return replace(plan, intents=(RemoveRequest("delete", inputs.delete_revision),))
    if not may_remove(inputs):
        names = ", ".join(str(ref) for ref in inputs.users[:3])
        what = "tasks" if all(ref.plural == "tasks" for ref in inputs.users) else "objects"
        text = f"{len(inputs.users)} {what} still use it: {names}"
        return replace(plan, events=(EventNote("Warning", "InUse", text),))
    return replace(plan, intents=(RemoveObject(),))


def may_remove(inputs: PolicyInputs) -> bool:
    """The gate that finalizers are elsewhere: nothing uses the object."""
    return not inputs.users
