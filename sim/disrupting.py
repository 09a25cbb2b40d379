"""What must hold of evictions, whatever fails: no drain and no wish takes a budget below what it promises.

of each transaction   who is told to leave serves nobody, or every budget over it keeps enough without it
in the end            a drained node is empty, or says who is left and for what it waits, and that is so; budgets tell
                      how they stand; every wish to evict is answered or waits for a budget

A leader decides by a cache, and a task may get sick, or a person may want more, just before the write lands. So what
was so a moment ago (RECENTLY_S) still counts in its favour; but what it evicted itself never does.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from schemas.binding import Binding, Desired, StopReason
from schemas.budget import DisruptionBudget
from schemas.keys import BindingKey, ObjectRef, cluster_ref
from schemas.meta import find_condition
from schemas.node import Node
from schemas.owned import UNSCHEDULABLE
from schemas.report import TaskReport
from schemas.request import DeleteRequest, EvictRequest
from schemas.selector import share_of
from schemas.state import FINISHED
from schemas.status import DrainLeft, NodeStatus, TaskStatus
from schemas.workload import Deployment
from schemas.workload_status import DaemonSetStatus, DisruptionBudgetStatus
from sim.stored import Stored
from store.api import Delete, Put

RECENTLY_S = (
    10.0  # a bad network holds a watch's events back for 3 s, and what was decided waits for its turn
)
STEADY_S = 10.0  # who is healthy for less may not be known to be


@dataclass(frozen=True, slots=True)
class _Healthy:
    """A binding that serves, since when."""

    ref: ObjectRef
    labels: Mapping[str, str]
    since: float


@dataclass(frozen=True, slots=True)
class _Stands:
    """How a budget stands: of `expected` tasks it needs so many."""

    budget: DisruptionBudget
    expected: int
    needed: int

    def covers(self, labels: Mapping[str, str] | None) -> bool:
        return labels is None or self.budget.spec.selector.matches(labels)


@dataclass(slots=True)
class Disrupting:
    """`healthy`: bindingUid -> it; `lost`: the same of those that were, and when that ended; `evicted`: bindingUids."""

    stored: Stored
    fail: Callable[[str], None]
    clock: Callable[[], float]
    healthy: dict[str, _Healthy] = field(default_factory=dict)
    lost: dict[str, tuple[_Healthy, float]] = field(default_factory=dict)
    evicted: set[str] = field(default_factory=set)
    needed: dict[str, list[tuple[float, int]]] = field(
        default_factory=dict
    )  # budget's uid -> until when, how many

    def after_txn(self, ops: Iterable[Put | Delete], before: Mapping[str, Binding], *, trusted: bool) -> None:
        """Look at what a controller wrote. before: key -> the binding that stood there; trusted: history is whole."""
        gone = [new for op in ops if (new := self._eviction(op, before)) is not None]
        self.evicted.update(each.binding_uid for each in gone)
        served, stands = self.healthy, self.look()
        for binding in gone if trusted else ():
            was = served.get(binding.binding_uid)
            if was is not None and self.clock() - was.since >= STEADY_S:
                self._check_eviction(was, stands)

    def _eviction(self, op: Put | Delete, before: Mapping[str, Binding]) -> Binding | None:
        if not isinstance(op, Put) or not isinstance(self.stored.keys.parse(op.key), BindingKey):
            return None
        new, old = Binding.model_validate_json(op.value), before.get(op.key)
        was_running = old is not None and old.desired is not Desired.STOP
        evicts = new.desired is Desired.STOP and new.reason is StopReason.DRAINED
        return new if evicts and was_running else None

    def _check_eviction(self, evicted: _Healthy, stands: list[_Stands]) -> None:
        recent = self.clock() - RECENTLY_S
        for each in stands:
            if not each.covers(evicted.labels):
                continue
            name, left = each.budget.metadata.name, self._serving(each)
            needed = min(number for at, number in self.needed[each.budget.metadata.uid] if at >= recent)
            if left < needed:
                self.fail(
                    f"{evicted.ref} is evicted, and budget {name} keeps {left} healthy and needs {needed}"
                )

    def _serving(self, stands: _Stands) -> int:
        """Count who serves under a budget, or did a moment ago and was not evicted."""
        recent = self.clock() - RECENTLY_S
        found = {uid: each for uid, (each, at) in self.lost.items() if at >= recent} | self.healthy
        return sum(stands.covers(each.labels) for uid, each in found.items() if uid not in self.evicted)

    # How it is

    def look(self) -> list[_Stands]:
        """Note who serves now; return how the budgets stand."""
        now = self.clock()
        found: dict[str, _Healthy] = {}
        expected: list[tuple[Mapping[str, str] | None, str]] = []
        for ref, uid, labels, owned in self.stored.tasks():
            request = self.stored.read(DeleteRequest, self.stored.keys.request(ref, "delete"))
            if request is not None and request.uid == uid:
                continue
            status: TaskStatus | None = self.stored.read(TaskStatus, self.stored.keys.status(ref))
            if status is not None and status.state in FINISHED:
                continue
            expected.append((labels, owned.owner.uid if owned else ""))
            if status is not None and labels is not None and self._serves(status, uid):
                known = self.healthy.get(status.binding_uid)
                found[status.binding_uid] = known or _Healthy(ref, labels, now)
        for gone in self.healthy.keys() - found.keys():
            self.lost[gone] = (self.healthy[gone], now)
        self.healthy = found
        return self._stand(expected)

    def _serves(self, status: TaskStatus, uid: str) -> bool:
        keys = self.stored.keys
        ready = find_condition(status.conditions, "Ready")
        if status.uid != uid or ready is None or ready.status != "True":
            return False
        binding: Binding | None = self.stored.read(Binding, keys.binding(status.node, uid))
        if binding is None or binding.desired is not Desired.RUN or binding.binding_uid != status.binding_uid:
            return False
        return self.stored.client().get(keys.heartbeat(status.node)).kv is not None

    def _stand(self, tasks: list[tuple[Mapping[str, str] | None, str]]) -> list[_Stands]:
        found = []
        for _, budget in self.stored.of_kind(DisruptionBudget, "disruptionbudgets"):
            if budget is not None:
                stands = self._stands(budget, tasks)
                found.append(stands)
                self._note_needed(budget.metadata.uid, stands.needed)
        return found

    def _note_needed(self, uid: str, number: int) -> None:
        told = self.needed.setdefault(uid, [(0.0, 0)])
        told[-1] = (self.clock(), told[-1][1])  # it stood so until now
        if told[-1][1] != number:
            told.append((self.clock(), number))
        del told[:-50]

    def _stands(self, budget: DisruptionBudget, tasks: list[tuple[Mapping[str, str] | None, str]]) -> _Stands:
        selector, spec = budget.spec.selector, budget.spec
        owners = [owner for labels, owner in tasks if labels is None or selector.matches(labels)]
        wanted = self._wanted()
        expected = sum(wanted.get(owner, owners.count(owner)) for owner in set(owners))
        if spec.min_available is not None:
            return _Stands(budget, expected, share_of(spec.min_available, expected, round_up=True))
        assert spec.max_unavailable is not None
        may_lack = share_of(spec.max_unavailable, expected, round_up=True)
        return _Stands(budget, expected, max(0, expected - may_lack))

    def _wanted(self) -> dict[str, int]:
        deployments = (each for _, each in self.stored.of_kind(Deployment, "deployments"))
        found = {each.metadata.uid: each.spec.replicas for each in deployments if each is not None}
        sets = (each for _, each in self.stored.of_kind(DaemonSetStatus, "daemonsets", "status"))
        return found | {each.uid: each.desired for each in sets if each is not None}

    # In the end

    def check_end(self) -> None:
        """When all is at rest."""
        stands = self.look()
        for each in stands:
            self._check_told(each)
        for name in ("n1", "n2", "n3"):
            node = self.stored.read(Node, self.stored.keys.spec(cluster_ref("nodes", name)))
            if node is not None and node.spec.drain is not None:
                self._check_drained(name, stands)
        self._check_wishes(stands)

    def _check_told(self, stands: _Stands) -> None:
        name = stands.budget.metadata.name
        ref = ObjectRef("disruptionbudgets", "default", name)
        status: DisruptionBudgetStatus | None = self.stored.read(
            DisruptionBudgetStatus, self.stored.keys.status(ref)
        )
        so = (stands.expected, self._healthy_under(stands), stands.needed)
        told = (status.expected, status.healthy, status.desired_healthy) if status is not None else None
        if told != so:
            self.fail(f"budget {name} says {told} of (expected, healthy, needed), and it is {so}")

    def _healthy_under(self, stands: _Stands) -> int:
        return sum(stands.covers(each.labels) for each in self.healthy.values())

    def _keeps(self, ref: ObjectRef, labels: Mapping[str, str] | None, stands: list[_Stands]) -> bool:
        """Say whether a budget keeps a task where it is."""
        serves = any(each.ref == ref for each in self.healthy.values())
        over = [each for each in stands if each.covers(labels)]
        return serves and any(self._healthy_under(each) <= each.needed for each in over)

    def _check_drained(self, node: str, stands: list[_Stands]) -> None:
        keys = self.stored.keys
        status: NodeStatus | None = self.stored.read(NodeStatus, keys.status(cluster_ref("nodes", node)))
        drain = status.drain if status is not None else None
        if drain is None:
            self.fail(f"node {node} is drained, and does not say how far that is")
            return
        left = {each.task: each for each in drain.left}
        for ref, uid, labels, _ in self.stored.tasks():
            binding: Binding | None = self.stored.read(Binding, keys.binding(node, uid)) if uid else None
            if binding is None or self._has_ended(binding) or _is_for(binding, node):
                continue
            told: DrainLeft | None = left.get(f"{ref.namespace}/{ref.name}")
            if told is None:
                self.fail(f"node {node} is drained, {ref} is still there, and it does not say so")
            elif not self._keeps(ref, labels, stands):
                self.fail(f"node {node} says {ref} is there ({told.reason}), and no budget keeps it")

    def _has_ended(self, binding: Binding) -> bool:
        report: TaskReport | None = self.stored.read(
            TaskReport, self.stored.keys.task_report(binding.node, binding.task_uid)
        )
        return report is not None and report.final and report.binding_uid == binding.binding_uid

    def _check_wishes(self, stands: list[_Stands]) -> None:
        tasks = {ref: (uid, labels) for ref, uid, labels, _ in self.stored.tasks()}
        for ref, (uid, labels) in tasks.items():
            wish: EvictRequest | None = self.stored.read(EvictRequest, self.stored.keys.request(ref, "evict"))
            if wish is not None and wish.uid == uid and not self._keeps(ref, labels, stands):
                self.fail(f"{ref} is to be evicted, no budget keeps it, and it stays")

    def rewound(self) -> None:
        """History went back: who serves is found anew."""
        self.healthy.clear()
        self.lost.clear()
        self.needed.clear()


def _is_for(binding: Binding, node: str) -> bool:
    """Say whether a task is for this very node, drained or not: a DaemonSet's, or one that it left behind."""
    tolerates = any(each.key == UNSCHEDULABLE for each in binding.spec.tolerations)
    return binding.spec.node_name == node and tolerates
