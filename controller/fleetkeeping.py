"""The scheduler's fleet, kept up to date from changes of the view: what changed is taken in, nothing is rebuilt.

Owned by a term. Nodes come in at once (`refresh`), what uses them before the next cycle (`sync`).
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from controller.reconcilers.shapes import company_of, labels_of
from controller.records import NodeRecord, Site, TaskRecord
from controller.scheduler.fleet import Fleet
from controller.scheduler.node_view import NodeView, Standing
from controller.scheduler.schedule import Placed
from controller.scheduler.shape import Labels
from controller.scheduler.snapshot import TaskView
from controller.view import View
from schemas.binding import Binding, Desired, Grants
from schemas.keys import ObjectRef, task_ref
from schemas.meta import find_condition
from schemas.node import Taint
from schemas.report import NodeReport, TaskReport
from schemas.timestamps import parse_time
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


@dataclass(frozen=True, slots=True)
class Freed:
    """What got something back since the last look: names of nodes, names of queues."""

    nodes: frozenset[str] = frozenset()
    queues: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Marks:
    """What others know of tasks that stand. is_leaving: somebody decided that it goes. is_protected: it may not."""

    is_leaving: Callable[[ObjectRef], bool] = lambda ref: False
    is_protected: Callable[[ObjectRef, str], bool] = lambda ref, uid: False


@dataclass(slots=True)
class _Known:
    """A node as it was last put into the fleet."""

    static: _Static
    version: int = -1
    freed: int = 0


@dataclass(slots=True)
class FleetKeeper:
    """fleet: the columns. used: queue -> resource -> what its tasks hold, on nodes that don't answer too."""

    view: View
    marks: Marks = field(default_factory=Marks)
    fleet: Fleet = field(default_factory=Fleet)
    used: dict[str, dict[str, int]] = field(default_factory=dict)
    _nodes: dict[str, _Known] = field(default_factory=dict)
    _standing: dict[str, dict[str, Standing]] = field(default_factory=dict)  # node -> task uid
    _nodes_of: dict[str, set[str]] = field(
        default_factory=dict
    )  # as the fleet knows a task -> where it stands
    _assumed: dict[Site, TaskView] = field(default_factory=dict)
    _views: tuple[NodeView, ...] | None = None

    def __post_init__(self) -> None:
        self.view.sites.touched = {
            (name, uid) for name, record in self.view.nodes.items() for uid in record.usage.holders()
        }

    def close(self) -> None:
        """Nobody looks any more."""
        self.view.sites.touched = None

    # Nodes

    def refresh(self, record: NodeRecord, incarnation: int) -> bool:
        """Take a changed node in; say whether the scheduler could see a difference."""
        static, known = _static_of(record, incarnation), self._nodes.get(record.name)
        if static is None:
            if known is not None:
                del self._nodes[record.name]
                self.fleet.remove(record.name)
                self._views = None
            return known is not None
        if known is not None and known.static == static:
            return False
        freed = known.freed if known is not None else record.usage.freed
        self._nodes[record.name] = _Known(static, freed=freed)
        self._put_node(record)
        if known is None:
            for task in self._standing.get(record.name, {}).values():
                self.fleet.put_task(task)
        self._views = None
        return True

    def _put_node(self, record: NodeRecord) -> None:
        known = self._nodes[record.name]
        if known.version != record.usage.version:
            known.version = record.usage.version
            self.fleet.put(_node_view(record, known.static))

    def views(self) -> tuple[NodeView, ...]:
        """Return every node that has ever reported, by name; what is free there may have changed since."""
        if self._views is None:
            fleet = self.fleet
            self._views = tuple(fleet.view(fleet.row_of[name]) for name in sorted(fleet.row_of))
        return self._views

    # What uses them

    def assume(self, placed: Placed, grants: Grants) -> None:
        """Count a decision that is on its way to etcd."""
        site = placed.node, placed.task.uid
        self._assumed[site] = placed.task
        self.view.nodes[placed.node].usage.assume(placed.task.uid, grants)
        self._touched.add(site)

    def forget(self, node: str, uid: str) -> None:
        """Stop counting a decision: it failed, or its binding is seen."""
        self._assumed.pop((node, uid), None)
        self.view.nodes[node].usage.forget(uid)
        self._touched.add((node, uid))

    def touch(self, refs: Iterable[ObjectRef]) -> None:
        """Look again at the tasks among these, as others know something new of them."""
        for ref in refs:
            record = self.view.tasks.get(ref)
            if record is not None:
                self._touched.update(record.bindings)

    @property
    def _touched(self) -> set[Site]:
        assert self.view.sites.touched is not None, "it was closed"
        return self.view.sites.touched

    def sync(self) -> Freed:
        """Take in what changed in the view since the last time."""
        touched, self.view.sites.touched = self._touched, set()
        queues = {queue for site in touched if (queue := self._restand(site)) is not None}
        nodes = set()
        for name in {name for name, _ in touched}:
            record, known = self.view.nodes.get(name), self._nodes.get(name)
            if record is None or known is None:
                continue
            self._put_node(record)
            if known.freed != record.usage.freed:
                known.freed = record.usage.freed
                nodes.add(name)
        return Freed(frozenset(nodes), frozenset(queues))

    def _restand(self, site: Site) -> str | None:
        """Take in what stands at a site; return the queue that holds less now, if one does."""
        here = self._standing.setdefault(site[0], {})
        before, after = here.get(site[1]), self._standing_at(site)
        if before == after:
            return None
        if before is not None:
            del here[site[1]]
            self._take_out(before)
            self._count(before, -1)
        if after is not None:
            here[site[1]] = after
            self._nodes_of.setdefault(after.uid, set()).add(after.node)
            self.fleet.put_task(after)
            self._count(after, +1)
        if not here:
            del self._standing[site[0]]
        moved = before is not None and (after is None or after.queue != before.queue)
        return before.queue if before is not None and moved else None

    def _take_out(self, task: Standing) -> None:
        """After history was rewound one task may run twice for a while: then the fleet knows one of the two."""
        nodes = self._nodes_of[task.uid]
        nodes.discard(task.node)
        known = self.fleet.standing.get(task.uid)
        if known is not None and known.node == task.node:
            self.fleet.remove_task(task.uid)
            for node in sorted(nodes)[:1]:
                self.fleet.put_task(self._standing[node][task.uid])
        if not nodes:
            del self._nodes_of[task.uid]

    def _count(self, task: Standing, sign: int) -> None:
        if not task.queue:
            return  # nobody knows whose it is
        held = self.used.setdefault(task.queue, {})
        for name, amount in task.requests:
            held[name] = held.get(name, 0) + sign * amount

    def _standing_at(self, site: Site) -> Standing | None:
        record = self.view.nodes.get(site[0])
        grants = record.usage.held(site[1]) if record is not None else None
        if grants is None:
            return None
        binding, assumed = self.view.sites.binding_at(site), self._assumed.get(site)
        if binding is not None:
            return self._bound(binding, grants, self.view.sites.report_at(site))
        if assumed is not None:
            return _assumed_standing(assumed, site, grants)
        return self._without_binding(site, grants)

    def _bound(self, binding: Binding, grants: Grants, report: TaskReport | None) -> Standing:
        spec, ref = binding.spec, task_ref(binding.namespace, binding.name)
        labels = _labels_of(binding, self.view.task(ref))
        ending = binding.desired is Desired.STOP or self.marks.is_leaving(ref)
        return Standing(
            uid=_apart(binding.task_uid, binding.node) if ending else binding.task_uid,
            ref=ref,
            node=binding.node,
            queue=spec.queue or "",
            priority=spec.priority or 0,
            requests=tuple(sorted(grants.resources.items())),
            labels=labels,
            repels=company_of(spec, labels).repels if spec.affinity is not None else (),
            ports=_ports(grants),
            started_at=_started_at(report),
            estimate=spec.estimated_duration,
            is_ending=ending,
            may_be_preempted=not self.marks.is_protected(ref, binding.task_uid),
        )

    def _without_binding(self, site: Site, grants: Grants) -> Standing:
        """Its binding's key is missing, or can't be read: it holds its room, and nobody moves it."""
        report, ref = self.view.sites.report_at(site), self.view.sites.placed_at(site)
        name = (report.namespace, report.name) if report is not None else ("", site[1])
        return Standing(
            uid=_apart(site[1], site[0]),
            ref=ref or task_ref(*name),
            node=site[0],
            queue=self._queue_of(ref) if ref is not None else "",
            priority=0,
            requests=tuple(sorted(grants.resources.items())),
            ports=_ports(grants),
            may_be_preempted=False,
        )

    def _queue_of(self, ref: ObjectRef) -> str:
        """Return the queue that a task says, else that of its namespace; empty if nobody can know."""
        spec, namespace = self.view.task(ref).spec, self.view.namespaces().get(ref.namespace)
        if not isinstance(spec, Versioned) or namespace is None:
            return ""
        return spec.value.spec.queue or namespace.spec.default_queue


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


def _labels_of(binding: Binding, record: TaskRecord) -> Labels:
    """A task of the same name may be another one already: then its owner is not this one's."""
    spec, status = record.spec, record.status
    uids = {spec.value.metadata.uid} if isinstance(spec, Versioned) else set()
    if isinstance(status, Versioned):
        uids.add(status.value.uid)
    owner = record.owner if binding.task_uid in uids else None
    return labels_of(binding.namespace, binding.labels, owner)


def _assumed_standing(task: TaskView, site: Site, grants: Grants) -> Standing:
    return Standing(
        uid=_apart(task.uid, site[0]),
        ref=task.ref,
        node=site[0],
        queue=task.queue,
        priority=task.priority,
        requests=tuple(sorted(grants.resources.items())),
        labels=task.shape.labels,
        repels=task.shape.company.repels,
        ports=_ports(grants),
        estimate=task.estimate,
        may_be_preempted=False,  # it is not known yet whether it is bound
    )


def _apart(uid: str, node: str) -> str:
    """A copy that ends, or is only assumed, stands beside another one of its task on another node."""
    return f"{uid}@{node}"


def _ports(grants: Grants) -> tuple[tuple[str, int], ...]:
    return tuple((port.protocol, port.host_port) for port in grants.ports)


def _started_at(report: TaskReport | None) -> float | None:
    """Return when its first container began, seconds since the epoch."""
    texts = [each.started_at for each in report.containers if each.started_at] if report is not None else []
    try:
        return min(map(parse_time, texts), default=None)
    except ValueError:
        return None  # an agent of another make
