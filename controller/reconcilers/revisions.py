"""Kept templates of an owner: which one its spec has now, and which may be dropped. Pure.

Templates are told apart by the hash of the stored JSON. A template that comes back gets a new number, as in
Kubernetes; tasks of the old number that still run are as good as new, for it is the same template.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from controller.reconcilers.owner_inputs import OwnedTask, OwnerInputs
from controller.reconcilers.owner_plan import owner_of
from controller.reconcilers.plan import PutCause, PutRevision, RemoveRevision
from schemas.canonical import canonical_hash

CHANGE_CAUSE = "berth/change-cause"
MAX_TRIMMED_A_PLAN = 20  # one operation each


@dataclass(frozen=True, slots=True)
class Template:
    """The template that the spec has. `number`: of the newest revision if that is it, else the one that it gets."""

    hash: str
    number: int
    is_new: bool


def template_of(inputs: OwnerInputs[Any, Any]) -> Template:
    """Return the template of the spec, with the number of its revision."""
    assert inputs.spec is not None, "an owner without spec is terminating"
    found = canonical_hash(inputs.spec.raw["spec"]["template"])
    newest = max(inputs.revisions, default=0)
    if newest and inputs.revisions[newest].value.hash == found:
        return Template(found, newest, is_new=False)
    return Template(found, _highest(inputs) + 1, is_new=True)


def _highest(inputs: OwnerInputs[Any, Any]) -> int:
    """The highest number that was ever given, as far as anything still shows it."""
    status = inputs.own_status
    noted = (getattr(status, "revision", 0), getattr(status, "rolled_back", 0))
    of_tasks = {task.revision for task in inputs.tasks}
    return max(*noted, *inputs.revisions, *of_tasks)


def hash_of(inputs: OwnerInputs[Any, Any], task: OwnedTask) -> str:
    """Return the hash of the template that a task was made from."""
    kept = inputs.revisions.get(task.owned.value.revision) if task.owned is not None else None
    return kept.value.hash if kept is not None else task.template_hash


def keep_template(inputs: OwnerInputs[Any, Any], template: Template) -> tuple[PutRevision, ...]:
    """Return what keeps the spec's template, if it is not kept yet."""
    if not template.is_new or inputs.spec is None:
        return ()
    metadata = inputs.spec.value.metadata
    raw = inputs.spec.raw["spec"]["template"]
    cause = metadata.annotations.get(CHANGE_CAUSE, "")
    return (PutRevision(owner_of(inputs), template.number, template.hash, raw, cause),)


def told_cause(inputs: OwnerInputs[Any, Any], template: Template) -> tuple[PutCause, ...]:
    """Return what notes the cause of the newest revision, if people told it after that was kept, as they mostly do."""
    if template.is_new or inputs.spec is None:
        return ()
    newest = inputs.revisions[template.number]
    cause = inputs.spec.value.metadata.annotations.get(CHANGE_CAUSE, "")
    return (PutCause(newest, cause),) if cause and cause != newest.value.cause else ()


def trim_revisions(
    inputs: OwnerInputs[Any, Any], needed: Collection[int], limit: int, coming: Sequence[PutRevision] = ()
) -> tuple[RemoveRevision, ...]:
    """Return the removal of all but the `limit` newest templates that are not needed; of equal ones one stays.

    coming: what the same plan keeps; an older one that is equal goes at once.
    """
    seen = {inputs.revisions[number].value.hash for number in needed if number in inputs.revisions}
    seen.update(each.hash for each in coming)
    spare = []
    for number in sorted(inputs.revisions, reverse=True):
        if number in needed:
            continue
        found = inputs.revisions[number].value.hash
        if found in seen or limit <= 0:
            spare.append(number)
            continue
        seen.add(found)
        limit -= 1
    return tuple(RemoveRevision(inputs.uid, number) for number in sorted(spare)[:MAX_TRIMMED_A_PLAN])
