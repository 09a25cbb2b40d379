"""The live side of the scheduler: who waits, whom to try now, and the snapshot to try them on.

A task that fits nowhere is parked with the changes that could cure its reasons, and tried again when one happens.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from controller.reconcilers.plan import Waiting
from controller.records import NodeRecord
from controller.scheduler.filters import first_reason
from controller.scheduler.reasons import CURES, Code, Cure
from controller.scheduler.schedule import Decisions, Policy, Unschedulable, schedule
from controller.scheduler.snapshot import NodeView, Room, Shape, Snapshot
from controller.view import View
from schemas.keys import ObjectRef
from schemas.meta import find_condition
from schemas.node import Taint
from schemas.report import NodeReport
from schemas.versioned import Versioned
from store.codec import Unreadable


@dataclass(frozen=True, slots=True)
class _Static:
    """What people and the agent say of a node; changes rarely."""

    readable: bool
    ready: bool
    cordoned: bool
    draining: bool
    labels: tuple[tuple[str, str], ...]
    taints: tuple[Taint, ...]
    allocatable: tuple[tuple[str, int], ...]
    ports_taken: tuple[int, ...]
    port_range: tuple[int, int]
    devices: tuple[tuple[str, tuple[str, ...]], ...]


class NodeViews:
    """One NodeView a node, rebuilt only for nodes that changed."""

    def __init__(self) -> None:
        self._static: dict[str, _Static] = {}
        self._views: dict[str, tuple[int, NodeView]] = {}

    def refresh(self, record: NodeRecord, incarnation: int) -> bool:
        """Take a changed node in; say whether the scheduler could see a difference."""
        static = _static_of(record, incarnation)
        if static is None:
            self._views.pop(record.name, None)
            return self._static.pop(record.name, None) is not None
        changed = self._static.get(record.name) != static
        if changed:
            self._static[record.name] = static
            self._views.pop(record.name, None)
        return changed

    def all(self, view: View) -> tuple[NodeView, ...]:
        """Return every node that has ever reported, by name."""
        return tuple(self._view(view.nodes[name]) for name in sorted(self._static) if name in view.nodes)

    def _view(self, record: NodeRecord) -> NodeView:
        known = self._views.get(record.name)
        if known is not None and known[0] == record.usage.version:
            return known[1]
        built = _node_view(record, self._static[record.name])
        self._views[record.name] = (record.usage.version, built)
        return built


def _static_of(record: NodeRecord, incarnation: int) -> _Static | None:
    if not isinstance(record.report, Versioned):
        return None
    report = record.report.value
    spec = record.spec.value if isinstance(record.spec, Versioned) else None
    labels = {**report.labels, **(spec.metadata.labels if spec else {})}
    reserved = spec.spec.reserved if spec else {}
    allocatable = {name: amount - reserved.get(name, 0) for name, amount in report.allocatable.items()}
    return _Static(
        readable=not isinstance(record.spec, Unreadable),
        ready=is_ready(record, report, incarnation),
        cordoned=bool(spec and (spec.spec.unschedulable or spec.spec.drain)),
        draining=bool(spec and spec.spec.drain),
        labels=tuple(sorted(labels.items())),
        taints=spec.spec.taints if spec else (),
        allocatable=tuple(sorted(allocatable.items())),
        ports_taken=report.ports_taken,
        port_range=report.host_ports,
        devices=tuple(sorted(report.devices.items())),
    )


def is_ready(record: NodeRecord, report: NodeReport, incarnation: int) -> bool:
    """Say whether new tasks may go to a node: it lives, its runtime answers, it follows this incarnation."""
    runtime = find_condition(report.conditions, "RuntimeReady")
    return (
        record.heartbeat is not None
        and not report.stopping
        and not report.rewound_from
        and report.incarnation == incarnation
        and (runtime is None or runtime.status == "True")
        and record.delete is None
    )


def _node_view(record: NodeRecord, static: _Static) -> NodeView:
    usage = record.usage
    allocatable = dict(static.allocatable)
    taken = {(protocol, port) for port in static.ports_taken for protocol in ("TCP", "UDP")}
    return NodeView(
        name=record.name,
        ready=static.ready,
        cordoned=static.cordoned,
        draining=static.draining,
        labels=dict(static.labels),
        taints=static.taints,
        allocatable=allocatable,
        free={name: amount - usage.used.get(name, 0) for name, amount in allocatable.items()},
        ports_used=frozenset(usage.ports) | taken,
        port_range=static.port_range,
        devices_free={
            name: tuple(i for i in ids if i not in usage.devices.get(name, ()))
            for name, ids in static.devices
        },
        task_uids=frozenset(usage.sites),
        readable=static.readable,
    )


class Scheduling:
    """Who waits for a node. `want` and `drop` come from planning, `cure` from changes of the cluster."""

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self._waiting: dict[ObjectRef, Waiting] = {}
        self._active: set[ObjectRef] = set()
        self._parked: dict[ObjectRef, frozenset[Cure]] = {}
        self.nodes = NodeViews()

    def want(self, ref: ObjectRef, waiting: Waiting) -> None:
        """A task wants a node; if nothing about it changed since it was parked, it stays parked."""
        before = self._waiting.get(ref)
        same = before is not None and (before.task, before.spec) == (waiting.task, waiting.spec)
        self._waiting[ref] = waiting
        if not same or ref not in self._parked:
            self._parked.pop(ref, None)
            self._active.add(ref)

    def drop(self, ref: ObjectRef) -> None:
        """A task wants no node (any more)."""
        self._waiting.pop(ref, None)
        self._parked.pop(ref, None)
        self._active.discard(ref)

    def waits(self, ref: ObjectRef) -> bool:
        return ref in self._waiting

    def cure(self, happened: Cure) -> None:
        """Try those again whose reasons could have gone with what happened."""
        cured = [ref for ref, cures in self._parked.items() if happened in cures]
        for ref in cured:
            del self._parked[ref]
        self._active.update(cured)

    def freed(self, names: set[str], view: View) -> None:
        """Try those again that fit one of the nodes that got something back, or that waited for a copy there."""
        rooms = [Room.of(node) for node in self.nodes.all(view) if node.name in names]
        fits: dict[Shape, bool] = {}
        for ref, cures in list(self._parked.items()):
            task = self._waiting[ref].task
            if Cure.RESOURCES_FREED not in cures:
                continue
            if task.shape not in fits:
                fits[task.shape] = any(first_reason(task.shape, room) is None for room in rooms)
            if fits[task.shape] or task.ending_on & names:
                del self._parked[ref]
                self._active.add(ref)

    def waiting(self, ref: ObjectRef) -> Waiting:
        return self._waiting[ref]

    def active(self) -> frozenset[ObjectRef]:
        return frozenset(self._active)

    def counts(self) -> Mapping[str, int]:
        """Return how many tasks wait, by "active" and "parked"."""
        return {"active": len(self._active), "parked": len(self._parked)}

    def cycle(self, view: View, refs: Iterable[ObjectRef], now: float, seed: int) -> Decisions:
        """Decide about `refs`; those that fit nowhere are parked."""
        pending = tuple(self._waiting[ref].task for ref in sorted(refs))
        decisions = schedule(Snapshot(self.nodes.all(view), pending), self._policy, now, seed)
        for rejected in decisions.unschedulable:
            self._active.discard(rejected.task.ref)
            self._parked[rejected.task.ref] = _cures(rejected)
        for placed in decisions.placed:
            self._active.discard(placed.task.ref)
        return decisions


def _cures(rejected: Unschedulable) -> frozenset[Cure]:
    codes = {reason.code for reason in rejected.reasons.values()} or {Code.NO_NODES}
    return frozenset().union(*(CURES[code] for code in codes)) | {Cure.NODE_CHANGED}
