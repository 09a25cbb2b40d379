"""From records to what budgets are about: tasks as budgets see them, and the budgets over them."""

from collections.abc import Mapping

from controller.reconcilers.eviction import Budget, Guarded
from controller.reconcilers.rollup import NodeHealth
from controller.records import ObjectRecord, TaskRecord
from schemas.binding import Binding, Desired
from schemas.budget import DisruptionBudget
from schemas.meta import find_condition
from schemas.state import FINISHED
from schemas.versioned import Versioned
from schemas.workload import Deployment
from schemas.workload_status import DaemonSetStatus
from store.codec import Unreadable


def budget_of(record: ObjectRecord, wanted: Mapping[str, int]) -> Budget | None:
    """Return a budget, also one that can't be read; None for one that is gone. wanted: see Budget."""
    if isinstance(record.spec, Unreadable):
        return Budget(record.ref, None, {})
    if isinstance(record.spec, Versioned) and isinstance(record.spec.value, DisruptionBudget):
        return Budget(record.ref, record.spec.value.spec, wanted)
    return None


def wanted_by(record: ObjectRecord) -> tuple[str, int] | None:
    """Return an owner's uid and how many tasks it wants; None for one of which what is there counts, as of Jobs."""
    if isinstance(record.spec, Versioned) and isinstance(record.spec.value, Deployment):
        return record.spec.value.metadata.uid, record.spec.value.spec.replicas
    status = record.status.value if isinstance(record.status, Versioned) else None
    return (status.uid, status.desired) if isinstance(status, DaemonSetStatus) else None


def guarded_of(record: TaskRecord, health: Mapping[str, NodeHealth]) -> Guarded | None:
    """Return a task as budgets see it, None for one that doesn't count: finished, or asked to go."""
    if not _counts(record):
        return None
    labels = record.spec.value.metadata.labels if isinstance(record.spec, Versioned) else None
    owner = record.owner
    return Guarded(record.ref, labels, _is_healthy(record, health), owner.uid if owner else "")


def _counts(record: TaskRecord) -> bool:
    if record.spec is None or is_deleted(record):
        return False
    return not (isinstance(record.status, Versioned) and record.status.value.state in FINISHED)


def is_deleted(record: TaskRecord) -> bool:
    """Say whether somebody wants this very task gone."""
    if not isinstance(record.delete, Versioned) or not isinstance(record.spec, Versioned):
        return False
    return record.delete.value.uid == record.spec.value.metadata.uid


def is_current(record: TaskRecord, binding: Binding) -> bool:
    """Say whether the task's placement names this binding."""
    status, spec = record.status, record.spec
    if not isinstance(status, Versioned) or not isinstance(spec, Versioned):
        return False
    named = (status.value.uid, status.value.node, status.value.binding_uid)
    is_own = spec.value.metadata.uid == binding.task_uid
    return is_own and named == (binding.task_uid, binding.node, binding.binding_uid)


def _is_healthy(record: TaskRecord, health: Mapping[str, NodeHealth]) -> bool:
    """It is ready, its node answers, and nobody has told it to stop."""
    if not isinstance(record.status, Versioned):
        return False
    status = record.status.value
    binding = record.bindings.get((status.node, status.uid))
    if binding is None or binding.value.desired is not Desired.RUN or not is_current(record, binding.value):
        return False
    node = health.get(status.node)
    ready = find_condition(status.conditions, "Ready")
    return ready is not None and ready.status == "True" and node is not None and node.down_since is None
