"""What must hold after every step, whatever fails; checked against the store and the hosts, never against caches.

of each transaction   a deposed leader's or agent's write never lands; nobody plans on a state older than its own
                      writes; a binding is stopped only for its reason; an epoch is never used twice; no task is
                      collected that has not ended
of the store          no node over its allocatable; no port or device granted twice; one current binding a task
of the hosts          never two running copies of an exactlyOne task; nobody else's container is touched; no
                      container is stopped that should run
in the end            every task that fits runs; nothing of a deleted one remains; an idle cluster writes nothing
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Protocol

from schemas.binding import Binding, Desired, StopReason
from schemas.keys import BindingKey, Family, Keys, SpecKey, StatusKey, TaskReportKey, task_ref
from schemas.owned import Owned
from schemas.report import Heartbeat, NodeReport, TaskReport
from schemas.state import TaskState
from schemas.status import TaskStatus
from schemas.task import template_hash
from sim.configuring import Configuring
from sim.disrupting import Disrupting
from sim.ganging import Ganging
from sim.ordering import Ordering
from sim.owning import Owning
from sim.running import Running
from sim.sharing import Sharing
from sim.store import Observer, applied_ops, failed_txns, puts_of
from sim.stored import Stored
from store.api import Delete, KeyValue, Put, Txn, TxnResult
from store.codec import Unreadable, decode, uid_of
from store.memory import MemoryStore

LEADERS = (
    Family.BINDINGS,
    Family.STATUS,
    Family.META,
    Family.ACCESS,
    Family.OWNED,
    Family.REVISIONS,
    Family.ENDPOINTS,
)


class InvariantViolated(BaseException):
    """Not an Exception: no loop of the code under test may swallow it."""


@dataclass(frozen=True, slots=True)
class Claim:
    """What entitles a process to write: for a controller its election key, for an agent its heartbeat's instance."""

    kind: str  # "controller", "agent" or "person"
    life: str = (
        ""  # one term of a leader: a new one may start with a cache that lags behind the last one's writes
    )
    key: str = ""
    instance: str = ""
    node: str = ""


class Processes(Protocol):
    """What the invariants ask of the world."""

    now: float

    @property
    def is_mending(self) -> bool: ...

    def claim_of(self, process: str) -> Claim: ...

    def fail(self, message: str) -> None: ...

    def saw(self, process: str, op: Put | Delete) -> None: ...


@dataclass(slots=True)
class _History:
    """All bindings that were ever written."""

    stopped: set[str] = field(default_factory=set)  # bindingUids that were told to stop
    order: dict[tuple[str, str], list[str]] = field(default_factory=dict)  # site -> bindingUids, oldest first
    site_of: dict[str, tuple[str, str]] = field(default_factory=dict)
    spec_of: dict[str, Binding] = field(default_factory=dict)
    port_taken: set[str] = field(default_factory=set)  # bindingUids that once met a stranger on their port
    epochs: dict[tuple[str, int], str] = field(default_factory=dict)  # (task uid, epoch) -> bindingUid

    def note(self, binding: Binding) -> None:
        """Take in one that was written."""
        site = (binding.node, binding.task_uid)
        self.site_of[binding.binding_uid] = site
        self.spec_of[binding.binding_uid] = binding
        known = self.order.setdefault(site, [])
        if not known or known[-1] != binding.binding_uid:
            known.append(binding.binding_uid)
        if binding.desired is Desired.STOP:
            self.stopped.add(binding.binding_uid)


class Invariants(Observer):
    """Watches every transaction, and checks the whole state when asked."""

    def __init__(self, store: MemoryStore, keys: Keys, world: Processes) -> None:
        self._store = store  # an admin's own client: it never fails
        self._keys = keys
        self._world = world
        self._stored = Stored(lambda: self._store, keys)
        self._last_writer: dict[str, tuple[str, int]] = {}
        self._lost_replies: set[str] = set()
        self.history = _History()
        self.owning = Owning(self._stored, Running(self._stored, world.fail), world.fail, lambda: world.now)
        self.disrupting = Disrupting(self._stored, world.fail, lambda: world.now)
        self.configuring = Configuring(self._stored, world.fail)
        self.ganging = Ganging(self._stored, world.fail)
        self.sharing = Sharing(self._stored, world.fail)
        self.ordering = Ordering(world.fail, self.history.spec_of.get)

    # Of each transaction

    def before_txn(self, process: str) -> object:
        """Return (may write for the leader, may report for its node, the bindings before)."""
        claim = self._world.claim_of(process)
        return claim, self._is_entitled(claim), dict(self._values("bindings/"))

    def _is_entitled(self, claim: Claim) -> bool:
        if claim.kind == "controller":
            kvs = self._store.list(self._keys.election).kvs
            oldest = min(kvs, key=lambda kv: kv.create_revision, default=None)
            return oldest is not None and oldest.key == claim.key
        if claim.kind == "agent":
            found = self._parse(Heartbeat, self._store.get(self._keys.heartbeat(claim.node)).kv)
            return isinstance(found, Heartbeat) and found.instance == claim.instance
        return True

    def after_txn(self, process: str, txn: Txn, result: TxnResult, before: object) -> None:
        assert isinstance(before, tuple)
        claim, entitled, bindings = before
        ops = applied_ops(txn, result)
        for op in ops:
            self._world.saw(process, op)
            self._check_writer(process, claim, entitled, op)
            if isinstance(self._keys.parse(op.key), BindingKey):
                if isinstance(op, Put):
                    self._check_binding(process, op, bindings.get(op.key), ops)
                elif claim.kind == "controller":
                    self._check_removal(bindings.get(op.key))
            if isinstance(op, Put) and b"HostPortTaken" in op.value and claim.kind == "agent":
                self.history.port_taken.add(TaskReport.model_validate_json(op.value).binding_uid)
            if isinstance(op, Put) and isinstance(self._keys.parse(op.key), TaskReportKey):
                self.owning.note_report(TaskReport.model_validate_json(op.value))
        if claim.kind == "controller":
            for op in ops:
                if isinstance(op, Delete):
                    self._check_collected(op, result.revision)
            self.owning.after_txn(ops)
            self.ganging.after_txn(ops, bindings)
            self.sharing.after_txn(ops, bindings, result.revision, trusted=not self._world.is_mending)
            self._check_disruptions(ops, bindings)
        self._check_own_conflicts(process, txn, result)
        for op in ops:
            self._last_writer[op.key] = (claim.life, result.revision)

    def _check_disruptions(self, ops: tuple[Put | Delete, ...], bindings: dict[str, KeyValue]) -> None:
        if self.owning.has_workloads:
            before = {key: self._stored.parse(Binding, kv) for key, kv in bindings.items()}
            self.disrupting.after_txn(ops, before, trusted=not self._world.is_mending)

    def _check_writer(self, process: str, claim: Claim, entitled: bool, op: Put | Delete) -> None:
        family = op.key.removeprefix(self._keys.root).split("/")[0]
        if claim.kind == "controller" and family in LEADERS and not entitled:
            self._world.fail(f"{process} is deposed, yet wrote {op.key}")
        if claim.kind == "agent" and family == Family.REPORTS and not entitled:
            self._world.fail(f"{process} lost its heartbeat key, yet wrote {op.key}")

    def landed_on_rewound(self, process: str, txn: Txn, revision: int) -> None:
        """The fence came back with the backup, so such a write is normal, and agents act on it."""
        for op in puts_of(txn):
            kv = self._store.get(op.key).kv
            if kv is None or kv.mod_revision != revision or kv.value != op.value:
                continue
            self._world.saw(process, op)
            if isinstance(self._keys.parse(op.key), BindingKey):
                self.history.note(Binding.model_validate_json(op.value))

    def reply_lost(self, process: str) -> None:
        self._lost_replies.add(process)

    def _check_own_conflicts(self, process: str, txn: Txn, result: TxnResult) -> None:
        """A conflict is normal, but not with one's own write that was answered: that is planning on a stale state."""
        if self._world.claim_of(process).kind != "controller" or process in self._lost_replies:
            return
        for failed in failed_txns(txn, result):
            stale = [c.key for c in failed.compares if c.target == "mod" and self._moved_on(c.key, c.value)]
            if stale and all(self._wrote_last(process, key) for key in stale):
                self._world.fail(f"{process} planned before it had seen its own write of {stale[0]}")

    def _moved_on(self, key: str, mod_revision: int | bytes) -> bool:
        kv = self._store.get(key).kv
        return (kv.mod_revision if kv else 0) != mod_revision

    def _wrote_last(self, process: str, key: str) -> bool:
        kv = self._store.get(key).kv
        writer = self._world.claim_of(process).life
        return kv is not None and self._last_writer.get(key) == (writer, kv.mod_revision)

    def _check_binding(
        self, process: str, op: Put, before: KeyValue | None, ops: tuple[Put | Delete, ...]
    ) -> None:
        new = Binding.model_validate_json(op.value)
        self._check_epoch(new)
        is_new = new.binding_uid not in self.history.site_of
        self.history.note(new)
        if is_new and new.desired is not Desired.STOP and not self._world.is_mending:
            self.configuring.check_binding(new)
        if new.desired is Desired.STOP:
            self.ordering.told(new.binding_uid, self._world.now)
            old = self._parse(Binding, before)
            if (
                isinstance(old, Binding)
                and old.binding_uid == new.binding_uid
                and old.desired is not Desired.STOP
            ):
                self._check_stop(new, ops)

    def _check_removal(self, before: KeyValue | None) -> None:
        """A binding is removed after its final report only; while history is mended, also when nothing of it runs."""
        binding = self._parse(Binding, before)
        if not isinstance(binding, Binding) or self._world.is_mending:
            return
        report = self._report_of(binding)
        if report is None or not report.final:
            self._world.fail(f"the binding of {binding.name} was removed before its final report")

    def _check_collected(self, op: Delete, revision: int) -> None:
        """A task that nobody asked to go has ended, with all its bindings, when it is removed with its spec."""
        parsed = self._keys.parse(op.key)
        if not isinstance(parsed, SpecKey) or parsed.ref.plural != "tasks" or self._world.is_mending:
            return
        ref = parsed.ref
        spec = self._before(self._keys.spec(ref), revision)
        if spec is None or self._before(self._keys.request(ref, "delete"), revision) is not None:
            return
        status = self._parse(TaskStatus, self._before(self._keys.status(ref), revision))
        if not isinstance(status, TaskStatus) or status.state not in (TaskState.SUCCEEDED, TaskState.FAILED):
            self._world.fail(f"{ref} was removed, though nobody asked for that and it has not ended")
        if self._before(self._keys.owned(ref), revision) is not None:
            self._world.fail(f"{ref} was collected, though it has an owner")

    def _before(self, key: str, revision: int) -> KeyValue | None:
        """Return what stood at `key` before the transaction that made `revision`."""
        kvs = self._store.list(key, revision - 1).kvs
        return next((kv for kv in kvs if kv.key == key), None)

    def _check_epoch(self, binding: Binding) -> None:
        place = (binding.task_uid, binding.epoch)
        owner = self.history.epochs.setdefault(place, binding.binding_uid)
        if owner != binding.binding_uid:
            self._world.fail(f"epoch {binding.epoch} of task {binding.name} was used twice")

    def _check_stop(self, binding: Binding, ops: tuple[Put | Delete, ...]) -> None:
        """The reason for which a binding is told to stop must be true in the store."""
        ref = task_ref(binding.namespace, binding.name)
        spec = self._store.get(self._keys.spec(ref)).kv
        raw = decode(spec) if spec else None
        if isinstance(raw, Unreadable) or (raw is not None and uid_of(raw) is None):
            self._world.fail(f"task {binding.name} is unreadable, not absent, yet was told to stop")
        deleting = self._store.get(self._keys.request(ref, "delete")).kv is not None
        same = isinstance(raw, dict) and uid_of(raw) == binding.task_uid
        report = self._report_of(binding)
        match binding.reason:
            case StopReason.DELETED:
                true = deleting or (not same and not self._is_owned(binding))
            case StopReason.SUPERSEDED:
                changed = isinstance(raw, dict) and template_hash(raw["spec"]) != binding.template_hash
                true = changed or not same or self._status_names_other(ref, binding)
            case StopReason.COMPLETED:
                true = report is not None and all(c.exit_code is not None for c in report.containers)
            case StopReason.PORT_TAKEN:
                true = binding.binding_uid in self.history.port_taken
            case StopReason.UNREACHABLE:
                true = any(isinstance(op, Put) and op.key == self._keys.status(ref) for op in ops)
            case _:
                true = True
        if not true:
            self._world.fail(
                f"binding of {binding.name} was told to stop as {binding.reason}, which is not so"
            )

    def _is_owned(self, binding: Binding) -> bool:
        owned = self._stored.read(Owned, self._keys.owned(task_ref(binding.namespace, binding.name)))
        return owned is not None and owned.metadata.uid == binding.task_uid

    def _status_names_other(self, ref: Any, binding: Binding) -> bool:
        status = self._parse(TaskStatus, self._store.get(self._keys.status(ref)).kv)
        return not isinstance(status, TaskStatus) or status.binding_uid != binding.binding_uid

    def _report_of(self, binding: Binding) -> TaskReport | None:
        kv = self._store.get(self._keys.task_report(binding.node, binding.task_uid)).kv
        report = self._parse(TaskReport, kv)
        if isinstance(report, TaskReport) and report.binding_uid == binding.binding_uid:
            return report
        return None

    # Of the store

    def _values(self, family: str) -> Iterator[tuple[str, KeyValue]]:
        return ((kv.key, kv) for kv in self._store.list(f"{self._keys.root}{family}").kvs)

    def _parse(self, model: type[Any], kv: KeyValue | None) -> object:
        """Return the parsed value, Unreadable, or None; each revision is parsed once."""
        found: object = self._stored.slot(model, kv)
        return found

    def check_store(self, *, recovering: bool) -> None:
        """Check grants and bindings as they are stored."""
        by_node: dict[str, list[Binding]] = {}
        current: dict[str, int] = {}
        for _, kv in self._values("bindings/"):
            binding = self._parse(Binding, kv)
            if not isinstance(binding, Binding):
                continue
            report = self._report_of(binding)
            if report is None or not report.final:
                by_node.setdefault(binding.node, []).append(binding)
            if binding.desired is not Desired.STOP:
                current[binding.task_uid] = current.get(binding.task_uid, 0) + 1
        if recovering:
            return
        for node, bindings in by_node.items():
            self._check_node(node, bindings)
        for uid, count in current.items():
            if count > 1:
                self._world.fail(f"task {uid} has {count} current bindings")
        self._check_statuses()
        self.owning.check_store()
        if self.owning.has_workloads:
            self.disrupting.look()

    def _check_node(self, node: str, bindings: list[Binding]) -> None:
        report = self._parse(NodeReport, self._store.get(self._keys.node_report(node)).kv)
        if isinstance(report, NodeReport):
            used: dict[str, int] = {}
            for binding in bindings:
                for name, amount in binding.grants.resources.items():
                    used[name] = used.get(name, 0) + amount
            for name, amount in used.items():
                if amount > report.allocatable.get(name, 0):
                    self._world.fail(f"node {node} is over its allocatable {name}")
        ports = [f"port {p.protocol}/{p.host_port}" for b in bindings for p in b.grants.ports]
        devices = [f"device {n}/{i}" for b in bindings for n, ids in b.grants.devices.items() for i in ids]
        granted = ports + devices
        twice = sorted(each for each in set(granted) if granted.count(each) > 1)
        if twice:
            self._world.fail(f"{twice[0]} of node {node} is granted twice")

    def _check_statuses(self) -> None:
        """A task that was asked to stop has not failed."""
        for key, kv in self._values("status/"):
            parsed = self._keys.parse(key)
            if not isinstance(parsed, StatusKey) or parsed.ref.plural != "tasks":
                continue
            status = self._parse(TaskStatus, kv)
            if isinstance(status, TaskStatus) and status.state is TaskState.FAILED and status.node:
                kv_binding = self._store.get(self._keys.binding(status.node, status.uid)).kv
                binding = self._parse(Binding, kv_binding)
                asked = isinstance(binding, Binding) and binding.desired is Desired.STOP
                if asked and isinstance(binding, Binding) and binding.reason is not StopReason.COMPLETED:
                    self._world.fail(f"{parsed.ref} was asked to stop, yet counts as failed")

    # Of the hosts

    def check_copies(self, running: Iterable[tuple[str, str, str]]) -> None:
        """Check (namespace, name, host) of running exactlyOne containers on hosts whose promise holds."""
        seen: dict[tuple[str, str], str] = {}
        for namespace, name, host in running:
            other = seen.setdefault((namespace, name), host)
            if other != host:
                self._world.fail(f"two copies of exactlyOne task {name} run, on {other} and {host}")

    def may_stop(self, binding_uid: str, *, silent_for_s: float) -> bool:
        """Say whether an agent may stop the container of a binding; `silent_for_s`: since its last confirmed beat."""
        site = self.history.site_of.get(binding_uid)
        if site is None or binding_uid in self.history.stopped:
            return True
        if self.history.order[site][-1] != binding_uid:
            return True
        stop_after = self.history.spec_of[binding_uid].spec.unreachable.stop_after
        return stop_after is not None and silent_for_s >= stop_after

    def leftovers(self, uids: Iterable[str], names: Iterable[tuple[str, str]]) -> list[str]:
        """Return keys that still speak of deleted tasks (by uid), and names without a spec that left something."""
        gone, gone_names = set(uids), set(names)
        found = []
        for kv in self._store.list(self._keys.root).kvs:
            parsed = self._keys.parse(kv.key)
            if isinstance(parsed, BindingKey | TaskReportKey) and parsed.task_uid in gone:
                found.append(kv.key)
            ref = getattr(parsed, "ref", None)
            if ref is not None and (ref.namespace, ref.name) in gone_names and ref.plural == "tasks":
                found.append(kv.key)
        return found

    def rewound(self, store: MemoryStore) -> None:
        """History went back: revisions are used again, and so may be epochs that nobody remembers."""
        self._store = store
        self._stored.forget()
        self.disrupting.rewound()
        self._last_writer.clear()
        self.history.epochs.clear()
        self.owning.rewound()
