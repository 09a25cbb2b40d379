"""A task leaves its node: whoever stops it takes its address off the list in the same transaction, and wishes that
it leaves are answered. Pure."""

from collections.abc import Iterator
from dataclasses import replace

from controller.reconcilers.plan import Plan, PutEndpoints, RemoveRequest, StopBinding
from controller.reconcilers.task_inputs import TaskInputs
from schemas.binding import Binding, Desired, StopReason
from schemas.keys import ObjectRef


def without_address(inputs: TaskInputs, plan: Plan) -> Plan:
    """Return `plan`; if it stops a task that is listed among its deployment's ready addresses, less that address.

    One that is not listed may be about to be: so that the list is not written meanwhile.
    """
    if not any(isinstance(intent, StopBinding) for intent in plan.intents):
        return plan
    listed, owner = inputs.endpoints, inputs.owner
    if listed is None:
        of_deployment = owner is not None and owner.kind == "Deployment"
        addresses = (
            (ObjectRef("endpoints", inputs.ref.namespace, owner.name),) if of_deployment and owner else ()
        )
        return replace(plan, beside=addresses)
    kept = tuple(each for each in listed.value.addresses if each.task != inputs.ref.name)
    deployment = ObjectRef("deployments", inputs.ref.namespace, listed.value.owner.name)
    fewer = listed.value.model_copy(update={"addresses": kept})
    return replace(plan, intents=(*plan.intents, PutEndpoints(deployment, listed, fewer)))


def answered_wishes(inputs: TaskInputs) -> Iterator[RemoveRequest]:
    """Remove a wish to evict once the binding that it names has ended, or there is nothing to move."""
    if inputs.evict is not None and not _is_open(inputs):
        yield RemoveRequest("evict", inputs.evict.mod_revision)


def meant_for(inputs: TaskInputs, binding: Binding) -> str:
    """Return the node to which a binding's task was to move when it was evicted, empty for none.

    The wish stays until the binding has ended, so that a new leader knows it, too.
    """
    wish = inputs.evict.value if inputs.evict is not None else None
    if wish is None or binding.reason is not StopReason.DRAINED:
        return ""
    is_about_it = wish.uid == inputs.uid and wish.binding_uid == binding.binding_uid
    return wish.to if is_about_it else ""


def _is_open(inputs: TaskInputs) -> bool:
    assert inputs.evict is not None
    wish, current, status = inputs.evict.value, inputs.current, inputs.own_status
    if wish.uid != inputs.uid:
        return False
    if current is None:
        return status is not None and bool(status.node) and wish.binding_uid in ("", status.binding_uid)
    binding = current.value
    if wish.binding_uid not in ("", binding.binding_uid):
        return False
    if binding.desired is not Desired.STOP:
        return True
    return bool(wish.binding_uid) and binding.reason is not StopReason.COMPLETED
