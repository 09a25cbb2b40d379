"""From the view to the pure planners' inputs. Whatever can't be read makes its object's inputs None: frozen."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from controller.evicting import Evicting
from controller.owners import Owners
from controller.reconcilers.gang import Verdict
from controller.reconcilers.node import NodeInputs
from controller.reconcilers.owner_inputs import OwnerInputs
from controller.reconcilers.policy import PolicyInputs
from controller.reconcilers.rollup import NodeHealth
from controller.reconcilers.strays import Strays
from controller.reconcilers.task_config import NO_CONFIG, TaskConfig
from controller.reconcilers.task_inputs import TaskInputs
from controller.records import NodeRecord, TaskRecord
from controller.scheduler.node_view import NodeView
from controller.sealing import Sealer, node_key_of
from controller.view import View
from schemas.admission import Admitted, Denied, Policy, admit
from schemas.gitsource_status import GitSourceStatus
from schemas.keys import ObjectRef
from schemas.kinds import BY_PLURAL
from schemas.meta import Model
from schemas.needs import takes_any
from schemas.owned import Endpoints
from schemas.status import ObjectStatus
from schemas.task import Task, TaskSpec, template_hash
from schemas.versioned import Versioned
from sealing.keys import key_id
from store.codec import Unreadable


@dataclass(frozen=True, slots=True)
class _Known:
    """What is worked out once of a revision of a task's spec. takes: ConfigMaps or Secrets, as most do not."""

    revision: int
    template: str
    takes: bool


class InputsOf:
    """Builds inputs; owns what is derived: node health by this leader's own clock, verdicts by revision."""

    def __init__(
        self,
        view: View,
        sealer: Sealer | None = None,
        nodes: Callable[[], tuple[NodeView, ...]] = tuple,
        is_collected: Callable[[ObjectRef], bool] = lambda _: False,
        lacking: Callable[[str], str | None] = lambda _: None,
        since: float = 0.0,
        gang_of: Callable[[TaskRecord], Verdict | None] = lambda _: None,
    ) -> None:
        self._view = view
        self._sealer = sealer or Sealer(view, None)
        self._is_collected = is_collected
        self._lacking = lacking
        self._gang_of = gang_of
        self._down_since: dict[str, float] = {}
        self._health: dict[str, NodeHealth] = {}
        self._verdicts: dict[ObjectRef, tuple[int, Admitted | Denied]] = {}
        self._hashes: dict[str, tuple[str, str]] = {}
        self._specs: dict[ObjectRef, _Known] = {}
        self._policy: Policy | None = None
        self._shared_verdicts: dict[tuple[str, int], tuple[int, Admitted | Denied]] = {}
        self._denials: dict[ObjectRef, tuple[int, tuple[str, ...]]] = {}
        self.owners = Owners(view, self._health, nodes, self._denied, since)
        self.evicting = Evicting(view, self._health)

    def of_owner(self, ref: ObjectRef) -> OwnerInputs[Any, Any] | Strays | None:
        """Return what is to be looked at next about an owner: first what older objects of its name left."""
        return self.owners.strays(ref) or self.owners.inputs(ref)

    def _denied(self, ref: ObjectRef, revision: int, task: Callable[[], Task]) -> tuple[str, ...]:
        """Return why tasks of an owner's template may not run; asked once a revision of its spec."""
        known = self._denials.get(ref)
        if known is None or known[0] != revision:
            verdict = admit(task(), self._admission_policy())
            reasons = verdict.reasons if isinstance(verdict, Denied) else ()
            known = self._denials[ref] = (revision, reasons)
        return known[1]

    def of_task(self, ref: ObjectRef) -> TaskInputs | None:
        """Return the inputs of a task, None when there is nothing about it or something can't be read."""
        record = self._view.tasks.get(ref)
        cluster = self._view.cluster
        if record is None:
            self._verdicts.pop(ref, None)
            self._specs.pop(ref, None)
            return None
        if self._view.is_frozen(record) or not isinstance(cluster, Versioned):
            return None
        spec = record.spec if isinstance(record.spec, Versioned) else None
        known = self._known(record, spec) if spec is not None else None
        return TaskInputs(
            ref=ref,
            spec=spec,
            status=record.status if isinstance(record.status, Versioned) else None,
            delete=record.delete if isinstance(record.delete, Versioned) else None,
            bindings=dict(record.bindings),
            reports=dict(record.reports),
            verdict=self._verdict(ref, spec) if spec else None,
            nodes=self._health,
            incarnation=cluster.value.incarnation,
            access_hash=self.access_hash(ref.namespace),
            known_template=known.template if known is not None else "",
            is_owned=record.is_owned,
            owner=record.owner,
            endpoints=self._endpoints(record),
            evict=record.evict if isinstance(record.evict, Versioned) else None,
            evicted=self.evicting.evicted(ref),
            collected=self._is_collected(ref),
            gang=self._gang_of(record),
            config=self._config(ref.namespace, spec.value.spec)
            if spec is not None and known is not None and known.takes
            else NO_CONFIG,
        )

    def admitted(self, record: TaskRecord) -> TaskSpec | None:
        """Return what an admitted task asks for; None if it is not, or something about it can't be read."""
        spec = record.spec
        if not isinstance(spec, Versioned) or self._view.is_frozen(record):
            return None
        verdict = self._verdict(record.ref, spec)
        return verdict.spec if isinstance(verdict, Admitted) else None

    def _config(self, namespace: str, spec: TaskSpec) -> TaskConfig:
        """Return how it stands with what a task takes."""
        return self._sealer.config_of(namespace, spec, len(spec.to_bytes()))

    def _endpoints(self, record: TaskRecord) -> Versioned[Endpoints] | None:
        """Return the list of addresses that the task is on, if it is on one."""
        owner = self._view.workloads.owner_ref(record)
        return self._view.workloads.addresses.listing(owner, record.ref.name) if owner is not None else None

    def _known(self, record: TaskRecord, spec: Versioned[Task]) -> "_Known":
        known = self._specs.get(record.ref)
        if known is None or known.revision != spec.mod_revision:
            template = self._view.workloads.task_template_hash(record) or template_hash(spec.raw["spec"])
            known = _Known(spec.mod_revision, template, takes_any(spec.value.spec))
            self._specs[record.ref] = known
        return known

    def _verdict(self, ref: ObjectRef, spec: Versioned[Task]) -> Admitted | Denied | None:
        if self._names_unreadable(ref, spec.value):
            return None
        known = self._verdicts.get(ref)
        if known is None or known[0] != spec.mod_revision:
            known = self._verdicts[ref] = (spec.mod_revision, self._admit(ref, spec.value))
        return known[1]

    def _admit(self, ref: ObjectRef, task: Task) -> Admitted | Denied:
        """Ask admission; once for all tasks of one kept template, as it asks for the spec and the namespace only."""
        kept = self._view.workloads.shared_template(self._view.task(ref))
        if kept is None:
            return admit(task, self._admission_policy())
        place = (kept.value.owner.uid, kept.value.number)
        known = self._shared_verdicts.get(place)
        if known is None or known[0] != kept.mod_revision:
            known = (kept.mod_revision, admit(task, self._admission_policy()))
            self._shared_verdicts[place] = known
        return known[1]

    def _names_unreadable(self, ref: ObjectRef, task: Task) -> bool:
        """What names something unreadable is frozen: it is neither admitted nor denied."""
        if not self._view.unreadable:
            return False
        namespace = self._admission_policy().namespaces.get(ref.namespace)
        queue = task.spec.queue or (namespace.spec.default_queue if namespace else "")
        named = {("namespaces", ref.namespace), ("queues", queue)}
        named.add(("priorityclasses", task.spec.priority_class_name or ""))
        return any(
            (policy.plural, policy.name) in named and isinstance(record.spec, Unreadable)
            for policy, record in self._view.policies.items()
        )

    def _admission_policy(self) -> Policy:
        if self._policy is None:
            view = self._view
            self._policy = Policy(view.namespaces(), view.queues(), view.priority_classes())
        return self._policy

    def refresh_policy(self) -> None:
        """Forget verdicts: a namespace, queue or priority class changed."""
        self._policy = None
        self._verdicts.clear()
        self._shared_verdicts.clear()
        self._denials.clear()

    def refresh_node(self, name: str, now: float) -> bool:
        """Take a changed node in; say whether its health differs. `now` starts the count of a node that went."""
        record = self._view.nodes[name]
        if record.heartbeat is None:
            self._down_since.setdefault(name, now)
        else:
            self._down_since.pop(name, None)
        health = self._health_of(record)
        changed = self._health.get(name) != health
        self._health[name] = health
        for ref in self._view.sites.tasks_on(name) if changed else ():
            self._view.tasks[ref].derived = None
        return changed

    def down_since(self, name: str) -> float | None:
        """Return since when a node has not answered, by this leader's clock; None if it does."""
        return self._down_since.get(name)

    def _health_of(self, record: NodeRecord) -> NodeHealth:
        report = record.report.value if isinstance(record.report, Versioned) else None
        down_since = self._down_since.get(record.name)
        public_key = node_key_of(record)
        return NodeHealth(
            name=record.name,
            down_since=down_since,
            stopping=bool(report and report.stopping),
            fenced=down_since is not None and _is_fenced(record),
            address=report.address if report else "",
            api_address=report.api_address if report else "",
            key_id=key_id(public_key) if public_key else "",
        )

    def access_hash(self, namespace: str) -> str:
        """Return the SHA-256 of the namespace's token, empty while there is none."""
        slot = self._view.access.get(namespace)
        if not isinstance(slot, Versioned):
            return ""
        known = self._hashes.get(namespace)
        if known is None or known[0] != slot.value.token:
            digest = hashlib.sha256(slot.value.token.encode()).hexdigest()
            known = self._hashes[namespace] = (slot.value.token, digest)
        return known[1]

    def of_node(self, ref: ObjectRef) -> NodeInputs | None:
        """Return the inputs of a node, None when something about it can't be read."""
        record = self._view.nodes.get(ref.name)
        cluster = self._view.cluster
        if record is None or not isinstance(cluster, Versioned):
            return None
        if any(isinstance(slot, Unreadable) for slot in (record.spec, record.report, record.status)):
            return None
        return NodeInputs(
            ref=ref,
            spec=record.spec if isinstance(record.spec, Versioned) else None,
            report=record.report if isinstance(record.report, Versioned) else None,
            heartbeat=record.heartbeat if isinstance(record.heartbeat, Versioned) else None,
            status=record.status if isinstance(record.status, Versioned) else None,
            delete=record.delete if isinstance(record.delete, Versioned) else None,
            fence=record.fence if isinstance(record.fence, Versioned) else None,
            has_sites=bool(record.usage.sites) or self._runs_unbound(record.name),
            incarnation=cluster.value.incarnation,
            drain=self.evicting.work_of(ref.name),
        )

    def _runs_unbound(self, node: str) -> bool:
        """Say whether a container that no binding names was last seen there; its report must not be lost."""
        return any(report.unbound and not report.final for report in self._view.sites.reports_on(node))

    def of_policy(self, ref: ObjectRef) -> PolicyInputs | None:
        """Return the inputs of a namespace, queue or priority class."""
        others = self._view.workloads.objects
        record = self._view.policies.get(ref) or self._view.secrets.get(ref) or others.get(ref)
        if record is None or isinstance(record.spec, Unreadable):
            return None
        spec = record.spec
        raw_uid = spec.raw.get("metadata", {}).get("uid", "") if isinstance(spec, Versioned) else ""
        delete = record.delete.value.uid if isinstance(record.delete, Versioned) else ""
        return PolicyInputs(
            ref=ref,
            spec_revision=spec.mod_revision if isinstance(spec, Versioned) else 0,
            spec_uid=raw_uid,
            delete_uid=delete,
            delete_revision=record.delete.mod_revision if isinstance(record.delete, Versioned) else 0,
            users=self._users(ref) if delete else (),
            generation=spec.generation if isinstance(spec, Versioned) else 0,
            status=self._policy_status(ref),
            lacking=self._lacking(ref.name) if ref.plural == "queues" else None,
        )

    def _policy_status(self, ref: ObjectRef) -> Versioned[ObjectStatus | GitSourceStatus] | None:
        record = self._view.policies.get(ref)
        return record.status if record is not None and isinstance(record.status, Versioned) else None

    def _users(self, ref: ObjectRef) -> tuple[ObjectRef, ...]:
        """A Secret may go at any time, as in Kubernetes: who names it waits. A namespace goes when it is empty."""
        if ref.plural in ("secrets", "configmaps", "disruptionbudgets", "gitsources"):
            return ()
        others = (*self._view.secrets, *self._view.workloads.objects, *self._view.workloads.owners())
        within = {other for other in others if other.namespace == ref.name}
        secrets = sorted(within) if ref.plural == "namespaces" else []
        tasks = (task for task, record in sorted(self._view.tasks.items()) if self._uses(record, ref))
        return (*tasks, *secrets)

    def _uses(self, record: TaskRecord, ref: ObjectRef) -> bool:
        if ref.plural == "namespaces":
            return record.ref.namespace == ref.name
        if not isinstance(record.spec, Versioned):
            return record.spec is not None  # unreadable: it might
        spec = record.spec.value.spec
        if ref.plural == "priorityclasses":
            return spec.priority_class_name == ref.name
        verdict = self._verdict(record.ref, record.spec)
        queue = verdict.spec.queue if isinstance(verdict, Admitted) else spec.queue
        return queue == ref.name

    def expect(self, key: str, value: bytes, model: Model, *, settles: bool, is_whole: bool) -> None:
        """Note what a value on its way to the store says, as `View.expect` does."""
        self._view.expect(key, value, model, settles=settles, is_whole=is_whole)

    def status_of(self, ref: ObjectRef) -> Versioned[Model] | None:
        """Return the stored status of a task or node, for the writer to patch."""
        slot: object = None
        if ref.plural == "tasks":
            slot = self._view.task(ref).status
        elif ref.plural == "nodes" and ref.name in self._view.nodes:
            slot = self._view.nodes[ref.name].status
        elif ref in self._view.policies:
            slot = self._view.policies[ref].status
        elif ref in self._view.workloads.objects:
            slot = self._view.workloads.objects[ref].status
        return slot if isinstance(slot, Versioned) else None

    def uid_of(self, ref: ObjectRef) -> str:
        """Return the uid of a task or of an owner, empty where that is not known."""
        if ref.plural != "tasks":
            record = self._view.workloads.objects.get(ref)
            return self.owners.uid_of(record) if record is not None else ""
        spec = self._view.task(ref).spec
        return spec.value.metadata.uid if isinstance(spec, Versioned) else ""

    def composed(self, ref: ObjectRef) -> dict[str, Any]:
        """Return the JSON of something owned, as a spec of its own would be."""
        if ref.plural == "tasks":
            slot: object = self._view.task(ref).spec
        else:
            slot = self._view.workloads.objects[ref].spec
        assert isinstance(slot, Versioned), "what can't be read is not let go"
        return dict(slot.raw)

    @staticmethod
    def kind_of(ref: ObjectRef) -> str:
        kind = BY_PLURAL.get(ref.plural)
        return kind.name if kind else ref.plural


def _is_fenced(record: NodeRecord) -> bool:
    """An operator said that this very host is dead; a wish that can't be read says nothing."""
    if not isinstance(record.fence, Versioned):
        return False
    named = record.fence.value.node_uid
    known = record.report.value.node_uid if isinstance(record.report, Versioned) else named
    return not named or named == known
