"""From the view to what the planners of owners look at. Whatever can't be read freezes its owner."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from controller.composing import Kept
from controller.made import NamesInUse
from controller.reconcilers.owner_inputs import OwnedJob, OwnedTask, OwnerInputs
from controller.reconcilers.rollup import NodeHealth
from controller.reconcilers.strays import Strays
from controller.records import ObjectRecord, TaskRecord
from controller.scheduler.node_view import NodeView
from controller.unread import unread_of
from controller.view import View
from schemas.binding import Binding
from schemas.job import CronJobSpec, Job
from schemas.keys import ObjectRef
from schemas.meta import API_VERSION, Model, ObjectMeta, find_condition
from schemas.owned import Endpoints, Owned, Revision
from schemas.report import TaskReport
from schemas.status import TaskStatus
from schemas.task import Task, TaskSpec
from schemas.timestamps import parse_time
from schemas.versioned import Versioned
from schemas.workload_status import JobStatus

MAKES = {"deployments": "tasks", "daemonsets": "tasks", "jobs": "tasks", "cronjobs": "jobs"}


class Owners:
    """Builds the inputs of owners' planners.

    since: when this leader began, in seconds since 1970. health: node name -> how it is. nodes: all of them, as the
    scheduler sees them. denied: why admission refuses a task of an owner's template, by the owner's spec.
    """

    def __init__(
        self,
        view: View,
        health: Mapping[str, NodeHealth],
        nodes: Callable[[], tuple[NodeView, ...]],
        denied: Callable[[ObjectRef, int, Callable[[], Task]], tuple[str, ...]],
        since: float,
    ) -> None:
        self._view = view
        self._workloads = view.workloads
        self._health = health
        self._nodes = nodes
        self._denied = denied
        self._since = since

    def inputs(self, ref: ObjectRef) -> OwnerInputs[Any, Any] | None:
        """Return all about one owner; None when there is nothing of it, or it can't be read."""
        record = self._workloads.objects.get(ref) or ObjectRecord(ref)
        uid = self.uid_of(record)
        if record.is_frozen or not uid:
            return None
        group = self._workloads.made.of(ref, uid)
        made = group.records
        kept = self._workloads.made.revisions(ref.namespace, uid)
        endpoints = self._workloads.addresses.get(ref)
        if _is_all_gone(record, made, bool(kept), endpoints is not None):
            return None
        spec = record.spec if isinstance(record.spec, Versioned) else None
        unread = unread_of(self._view, ref, group, kept, endpoints)
        readable = [each for each in made if each.ref not in unread.records] if unread.records else made
        return OwnerInputs(
            ref=ref,
            uid=uid,
            spec=spec,
            status=record.status if isinstance(record.status, Versioned) else None,
            delete=record.delete if isinstance(record.delete, Versioned) else None,
            revisions=_readable(kept),
            tasks=self._tasks(readable),
            jobs=_jobs(readable),
            endpoints=endpoints if isinstance(endpoints, Versioned) else None,
            taken=self._taken(ref),
            nodes=self._nodes() if ref.plural == "daemonsets" else (),
            denied=self._denial(ref, spec) if spec is not None else (),
            unreadable=unread.words,
            stuck=unread.stuck,
            unread_revisions=unread.revisions,
            owned=record.owned if record.is_owned and isinstance(record.owned, Versioned) else None,
            leading_since=self._since,
        )

    def strays(self, ref: ObjectRef) -> Strays | None:
        """Return what older objects of this kind and name left, None if nothing."""
        record = self._workloads.objects.get(ref) or ObjectRecord(ref)
        uid = self.uid_of(record)
        if record.is_frozen or not uid:
            return None
        made = self._workloads.made
        older = [each for each in made.uids(ref) if each != uid]
        others = made.keepers(ref) - {uid}
        if not older and not others:
            return None
        left = [each for other in older for each in made.of(ref, other).records if _is_kept(each)]
        readable = [each for each in left if not self._is_frozen(each)]
        named = {(_owner_uid(each), _revision_of(each)) for each in left}
        revisions = tuple(
            (other, number)
            for other in sorted(others)
            for number in sorted(made.revisions(ref.namespace, other))
            if (other, number) not in named
        )
        if not readable and not revisions:
            return None
        owned = record.owned if record.is_owned and isinstance(record.owned, Versioned) else None
        return Strays(
            ref=ref,
            uid=uid,
            spec_revision=record.written.mod_revision if isinstance(record.written, Versioned) else 0,
            owned_revision=owned.mod_revision if owned is not None else 0,
            status_revision=record.status.mod_revision if isinstance(record.status, Versioned) else 0,
            tasks=self._tasks(readable),
            jobs=_jobs(readable),
            revisions=revisions,
            endpoints=self._old_endpoints(ref, uid),
        )

    def _old_endpoints(self, ref: ObjectRef, uid: str) -> Versioned[Endpoints] | None:
        found = self._workloads.addresses.get(ref)
        return found if isinstance(found, Versioned) and found.value.owner.uid != uid else None

    def uid_of(self, record: ObjectRecord) -> str:
        """Return the uid of an owner, or of the one that something is left of; empty for none."""
        if isinstance(record.spec, Versioned):
            return str(record.spec.value.metadata.uid)  # type: ignore[attr-defined]  # of every kind of owner
        if isinstance(record.status, Versioned):
            return str(record.status.value.uid)  # type: ignore[attr-defined]
        uids = {*self._workloads.made.uids(record.ref), *self._workloads.made.keepers(record.ref)}
        endpoints = self._workloads.addresses.get(record.ref)
        if isinstance(endpoints, Versioned):
            uids.add(endpoints.value.owner.uid)
        if isinstance(record.delete, Versioned):
            uids.add(record.delete.value.uid)
        return min(uids - {""}, default="")

    def _is_frozen(self, record: TaskRecord | ObjectRecord) -> bool:
        return self._view.is_frozen(record) if isinstance(record, TaskRecord) else record.is_frozen

    def _taken(self, ref: ObjectRef) -> NamesInUse:
        plural = MAKES[ref.plural]
        records = self._view.tasks if plural == "tasks" else self._workloads.objects
        return NamesInUse(records, plural, ref.namespace)

    def _tasks(self, records: Iterable[TaskRecord | ObjectRecord]) -> tuple[OwnedTask, ...]:
        """Return them as planners see them; each is made once a change of it."""
        return tuple(
            each.derived if isinstance(each.derived, OwnedTask) else self._derive(each)
            for each in records
            if isinstance(each, TaskRecord)
        )

    def _derive(self, record: TaskRecord) -> OwnedTask:
        owned = record.owned if isinstance(record.owned, Versioned) else None
        status = record.status if isinstance(record.status, Versioned) else None
        uid = owned.value.metadata.uid if owned else status.value.uid if status else ""
        own_status = status if status is not None and status.value.uid == uid else None
        binding = _binding_of(record, own_status)
        deleted = isinstance(record.delete, Versioned) and record.delete.value.uid == uid
        node = own_status.value.node if own_status else ""
        health = self._health.get(node)
        derived = record.derived = OwnedTask(
            ref=record.ref,
            uid=uid,
            owned=owned,
            task=record.spec.value if owned and isinstance(record.spec, Versioned) else None,
            status=own_status,
            binding=binding,
            template_hash=self._template_hash(record, owned),
            ready_at=_ready_at(own_status),
            is_deleted=deleted,
            has_ended=self._has_ended(record, uid, is_leaving=deleted or owned is None),
            node_is_up=health is not None and health.down_since is None,
        )
        return derived

    def _template_hash(self, record: TaskRecord, owned: Versioned[Owned] | None) -> str:
        if owned is None:
            return ""
        kept = self._workloads.made.kept(record.ref.namespace, owned.value.owner.uid, owned.value.revision)
        return kept.hash if kept is not None else ""

    def _has_ended(self, record: TaskRecord, uid: str, *, is_leaving: bool) -> bool:
        bindings = [each.value for (_, other), each in record.bindings.items() if other == uid]
        unbound = any(
            other == uid and report.value.unbound and not report.value.final
            for (_, other), report in record.reports.items()
        )
        if unbound or not (bindings or is_leaving):
            return False
        return all(self._is_over(record, binding) for binding in bindings)

    def _is_over(self, record: TaskRecord, binding: Binding) -> bool:
        health = self._health.get(binding.node)
        if health is not None and health.fenced:
            return True
        report: Versioned[TaskReport] | None = record.reports.get((binding.node, binding.task_uid))
        return report is not None and report.value.final and report.value.binding_uid == binding.binding_uid

    def _denial(self, ref: ObjectRef, spec: Versioned[Model]) -> tuple[str, ...]:
        return self._denied(ref, spec.mod_revision, lambda: _task_of(ref, spec.value))


def _task_of(ref: ObjectRef, owner: Model) -> Task:
    """Return a task of an owner's template, as admission is asked about it."""
    metadata = ObjectMeta.model_construct(name=ref.name, namespace=ref.namespace)
    return Task.model_construct(
        api_version=API_VERSION, kind="Task", metadata=metadata, spec=_template_of(owner)
    )


def _template_of(owner: Model) -> TaskSpec:
    """Return the spec that an owner's tasks have."""
    spec = owner.spec  # type: ignore[attr-defined]  # every kind of owner has one
    found: TaskSpec = (spec.job_template.spec if isinstance(spec, CronJobSpec) else spec).template.spec
    return found


def _owner_uid(record: TaskRecord | ObjectRecord) -> str:
    owner = record.owner
    return owner.uid if owner is not None else ""


def _revision_of(record: TaskRecord | ObjectRecord) -> int:
    return record.owned.value.revision if isinstance(record.owned, Versioned) else 0


def _is_kept(record: TaskRecord | ObjectRecord) -> bool:
    return isinstance(record.owned, Versioned)


def _readable(kept: Mapping[int, Kept]) -> dict[int, Versioned[Revision]]:
    return {number: each.slot for number, each in kept.items() if isinstance(each.slot, Versioned)}


def _is_all_gone(
    record: ObjectRecord, made: Iterable[TaskRecord | ObjectRecord], has_revisions: bool, has_endpoints: bool
) -> bool:
    """Of an owner that is gone, what it made may still end; that is no longer its business."""
    return record.is_empty and not (has_revisions or has_endpoints) and not any(map(_is_kept, made))


def _binding_of(record: TaskRecord, status: Versioned[TaskStatus] | None) -> Versioned[Binding] | None:
    if status is None:
        return None
    found = record.bindings.get((status.value.node, status.value.uid))
    return found if found is not None and found.value.binding_uid == status.value.binding_uid else None


def _ready_at(status: Versioned[TaskStatus] | None) -> float | None:
    condition = find_condition(status.value.conditions, "Ready") if status else None
    if condition is None or condition.status != "True":
        return None
    try:
        return parse_time(condition.last_transition_time)
    except ValueError:
        return 0.0  # ready, and nobody knows since when


def _jobs(records: Iterable[TaskRecord | ObjectRecord]) -> tuple[OwnedJob, ...]:
    return tuple(_job(each) for each in records if isinstance(each, ObjectRecord))


def _job(record: ObjectRecord) -> OwnedJob:
    owned = record.owned if isinstance(record.owned, Versioned) else None
    status = record.status if isinstance(record.status, Versioned) else None
    value = status.value if status is not None else None
    uid = owned.value.metadata.uid if owned else value.uid if isinstance(value, JobStatus) else ""
    job = record.spec.value if isinstance(record.spec, Versioned) else None
    return OwnedJob(
        ref=record.ref,
        uid=uid,
        owned=owned,
        job=job if isinstance(job, Job) else None,
        status=status,  # type: ignore[arg-type]  # of jobs it is a JobStatus
        is_deleted=isinstance(record.delete, Versioned) and record.delete.value.uid == uid,
    )
