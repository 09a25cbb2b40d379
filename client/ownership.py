"""What owners mean for changes: what they made is changed through them, some of their fields never change, and their
templates are checked like tasks. Pure."""

from client.composing import owner_text
from client.errors import Refused
from client.views import ObjectView
from schemas.canonical import canonical_hash
from schemas.errors import Problem
from schemas.keys import ObjectRef
from schemas.kinds import OWNERS, WrittenObject
from schemas.owned import OWNER_LABEL
from schemas.task import Task
from store.codec import Json

FROZEN_FIELDS: dict[str, dict[str, object]] = {
    "jobs": {"template": None, "completions": 1, "completionMode": "NonIndexed"},
    "deployments": {"selector": None},
    "daemonsets": {"selector": None},
}
"""Plural -> field of the spec that can't change -> what holds where it is not written."""

_TEMPLATES = {
    "Deployment": ("template",),
    "DaemonSet": ("template",),
    "Job": ("template",),
    "CronJob": ("jobTemplate", "spec", "template"),
}
"""Kind -> where its spec has the template of its tasks."""


def template_path(kind: str) -> tuple[str, ...] | None:
    """Return the path of the template of tasks in an object of that kind, None for kinds without."""
    found = _TEMPLATES.get(kind)
    return None if found is None else ("spec", *found)


def owned_refusal(view: ObjectView) -> Refused:
    """Return the error that says through whom something is changed that an owner made."""
    assert view.owner is not None
    owner = owner_text(view.owner)
    where = f" -n {view.namespace}" if view.namespace != "default" else ""
    return Refused(
        f"{view.ref} was made by {owner} and is as that says; change {owner} instead, such as with: "
        f"berth edit {owner}{where}"
    )


def immutable_problems(ref: ObjectRef, old: Json, new: Json) -> tuple[Problem, ...]:
    """Return a problem for each changed field that can't be changed."""
    before, after = (raw.get("spec") or {} for raw in (old, new))
    return tuple(
        Problem(
            str(ref),
            "",
            f"spec.{field}",
            f"can't be changed while the object exists; delete it and make it anew: berth delete {ref}",
        )
        for field, default in FROZEN_FIELDS.get(ref.plural, {}).items()
        if _differ(before.get(field, default), after.get(field, default))
    )


def _differ(old: object, new: object) -> bool:
    return canonical_hash({"": old}) != canonical_hash({"": new})


def template_tasks(written: WrittenObject, namespace: str) -> tuple[tuple[Task, str], ...]:
    """Return the tasks that admission is asked about, each with the path of its spec in the object."""
    if isinstance(written, Task):
        return ((written, "spec"),)
    path = template_path(written.kind)
    if path is None or f"{written.kind.lower()}s" not in OWNERS:
        return ()
    found: object = written
    for part in path:
        found = getattr(found, "job_template" if part == "jobTemplate" else part)
    labels = {
        **found.metadata.labels,  # type: ignore[attr-defined]  # the path leads to a TaskTemplate
        OWNER_LABEL: f"{written.kind.lower()}.{written.metadata.name}",
    }
    metadata = written.metadata.model_copy(update={"namespace": namespace, "labels": labels})
    task = Task.model_construct(
        api_version="berth/v1",
        kind="Task",
        metadata=metadata,
        spec=found.spec,  # type: ignore[attr-defined]  # the path leads to a TaskTemplate
    )
    return ((task, ".".join((*path, "spec"))),)


def below(reason: str, path: str) -> str:
    """Return a reason that names fields of a task with where they stand in the object."""
    return f"{path}.{reason.removeprefix('spec.')}" if reason.startswith("spec.") else reason
