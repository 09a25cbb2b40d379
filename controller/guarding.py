"""From the view to what budgets are about: tasks as budgets see them, and the budgets over them."""

from collections.abc import Callable, Collection, Mapping

from controller.reconcilers.eviction import Budget, Guarded
from controller.reconcilers.rollup import NodeHealth
from controller.records import TaskRecord
from controller.view import View
from schemas.binding import Binding, Desired
from schemas.budget import DisruptionBudget
from schemas.keys import ObjectRef
from schemas.meta import find_condition
from schemas.state import FINISHED
from schemas.versioned import Versioned
from schemas.workload import Deployment
from schemas.workload_status import DaemonSetStatus
from store.codec import Unreadable


def budgets_of(view: View, namespaces: Collection[str]) -> list[Budget]:
    """Return the budgets of some namespaces, those that can't be read included."""
    found, wanted = [], _wanted(view, namespaces)
    for record in view.workloads.of("disruptionbudgets"):
        slot = record.spec
        if record.ref.namespace not in namespaces or slot is None:
            continue
        if isinstance(slot, Unreadable):
            found.append(Budget(record.ref, None, {}))
        elif isinstance(slot.value, DisruptionBudget):
            found.append(Budget(record.ref, slot.value.spec, wanted))
    return found


def _wanted(view: View, namespaces: Collection[str]) -> dict[str, int]:
    """Return owner's uid -> how many tasks it wants; of Jobs what is there counts."""
    found: dict[str, int] = {}
    for record in view.workloads.of("deployments", "daemonsets"):
        if record.ref.namespace not in namespaces:
            continue
        if isinstance(record.spec, Versioned) and isinstance(record.spec.value, Deployment):
            found[record.spec.value.metadata.uid] = record.spec.value.spec.replicas
        status = record.status.value if isinstance(record.status, Versioned) else None
        if isinstance(status, DaemonSetStatus):
            found[status.uid] = status.desired
    return found


def guarded_in(
    view: View,
    health: Mapping[str, NodeHealth],
    namespaces: Collection[str],
    is_busy: Callable[[ObjectRef], bool],
) -> dict[ObjectRef, Guarded]:
    """Return the tasks of some namespaces that count: those that are neither finished nor asked to go.

    is_busy: a write about it is under way, so that nobody knows whether it stays.
    """
    found = {}
    for ref, record in view.tasks.items():
        if ref.namespace in namespaces and _counts(record):
            labels = record.spec.value.metadata.labels if isinstance(record.spec, Versioned) else None
            healthy = _is_healthy(record, health) and not is_busy(ref)
            owner = record.owner
            found[ref] = Guarded(ref, labels, healthy, owner.uid if owner else "")
    return found


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
