"""What the plans of all owners have in common: who they are, what they read, names, ends, conditions. Pure."""

from collections.abc import Container, Iterator
from itertools import count
from typing import Any, Literal

from controller.reconcilers.owner_inputs import OwnedTask, OwnerInputs
from controller.reconcilers.plan import Plan, RemoveOwned, RemoveRequest, StopBinding
from schemas.binding import Desired, StopReason
from schemas.canonical import canonical_hash
from schemas.keys import ObjectRef
from schemas.meta import Condition, find_condition, set_condition
from schemas.owned import OwnerReference
from schemas.timestamps import format_time
from schemas.workload_status import FROZEN

MAX_NAME = 253  # characters, as in Kubernetes
_HASH_DIGITS = 10

_KINDS: dict[str, Literal["Deployment", "DaemonSet", "Job", "CronJob"]] = {
    "deployments": "Deployment",
    "daemonsets": "DaemonSet",
    "jobs": "Job",
    "cronjobs": "CronJob",
}


def owner_of(inputs: OwnerInputs[Any, Any]) -> OwnerReference:
    """Return the owner as what it makes names it."""
    return OwnerReference(kind=_KINDS[inputs.ref.plural], name=inputs.ref.name, uid=inputs.uid)


def empty_plan(inputs: OwnerInputs[Any, Any]) -> Plan:
    """Return a plan that does nothing, for what was read."""
    return Plan(inputs.ref, inputs.uid, inputs.reads)


def outdated_requests(inputs: OwnerInputs[Any, Any]) -> tuple[RemoveRequest, ...]:
    """Return the removal of a delete request that was meant for an older object of this name."""
    if inputs.delete is None or inputs.is_terminating:
        return ()
    return (RemoveRequest("delete", inputs.delete.mod_revision),)


def removal_of(
    task: OwnedTask, reason: StopReason, message: str, *, grace_s: float | None = None
) -> RemoveOwned:
    """Return the intent that takes a task's key away and stops its binding in the same transaction."""
    assert task.owned is not None, "its key is gone already"
    stop = None
    if task.binding is not None and task.binding.value.desired is not Desired.STOP:
        stop = StopBinding(task.binding, reason, message, grace_s)
    return RemoveOwned(task.ref, task.owned, stop)


def names_of(base: str, suffix: str) -> Iterator[str]:
    """Yield `base-suffix`, then the same with a number, for where that name is somebody else's; none too long."""
    yield short_name(f"{base}-{suffix}")
    for number in count(1):
        yield short_name(f"{base}-{suffix}-{number}")


def short_name(name: str) -> str:
    """Return `name`, or where it is too long its start and a hash of the whole."""
    if len(name) <= MAX_NAME:
        return name
    return f"{name[: MAX_NAME - _HASH_DIGITS - 1].rstrip('-.')}-{canonical_hash(name)[:_HASH_DIGITS]}"


def free_name(base: str, suffix: str, used: Container[str]) -> str:
    """Return the first name of `names_of` that is not used."""
    return next(name for name in names_of(base, suffix) if name not in used)


class UsedNames(Container[str]):
    """Names that nothing new may have: others', those of all that the owner made and is there, and what is added."""

    def __init__(self, inputs: OwnerInputs[Any, Any]) -> None:
        self._taken = inputs.taken
        self._own = {task.ref.name for task in inputs.tasks} | {job.ref.name for job in inputs.jobs}

    def __contains__(self, name: object) -> bool:
        return name in self._own or name in self._taken

    def add(self, name: str) -> None:
        self._own.add(name)


def task_named(inputs: OwnerInputs[Any, Any], name: str) -> ObjectRef:
    return ObjectRef("tasks", inputs.ref.namespace, name)


def with_condition(conditions: tuple[Condition, ...], new: Condition, now: float) -> tuple[Condition, ...]:
    """Return `conditions` with `new`, the very same where it says nothing new; its time moves with the status."""
    old = find_condition(conditions, new.type)
    if old and (old.status, old.reason, old.message) == (new.status, new.reason, new.message):
        return conditions
    return set_condition(conditions, new.model_copy(update={"last_transition_time": format_time(now)}))


def without_condition(conditions: tuple[Condition, ...], type_: str) -> tuple[Condition, ...]:
    return tuple(condition for condition in conditions if condition.type != type_)


def thawed(conditions: tuple[Condition, ...]) -> tuple[Condition, ...]:
    """Return the conditions of an owner of which all can be read (again)."""
    return without_condition(conditions, FROZEN)
