"""From the view to the pure planners' inputs. Whatever can't be read makes its object's inputs None: frozen."""

import hashlib

from controller.reconcilers.node import NodeInputs
from controller.reconcilers.policy import PolicyInputs
from controller.reconcilers.pull_secrets import NO_SECRETS
from controller.reconcilers.rollup import NodeHealth
from controller.reconcilers.task_inputs import TaskInputs
from controller.records import NodeRecord, TaskRecord
from controller.sealing import Sealer, node_key_of
from controller.view import View
from schemas.admission import Admitted, Denied, Policy, admit
from schemas.keys import ObjectRef
from schemas.kinds import BY_PLURAL
from schemas.meta import Model
from schemas.task import Task, template_hash
from schemas.versioned import Versioned
from sealing.keys import key_id
from store.codec import Unreadable


class InputsOf:
    """Builds inputs; owns what is derived: node health by this leader's own clock, verdicts by revision."""

    def __init__(self, view: View, sealer: Sealer | None = None) -> None:
        self._view = view
        self._sealer = sealer or Sealer(view, None)
        self._down_since: dict[str, float] = {}
        self._health: dict[str, NodeHealth] = {}
        self._verdicts: dict[ObjectRef, tuple[int, Admitted | Denied]] = {}
        self._hashes: dict[str, tuple[str, str]] = {}
        self._templates: dict[ObjectRef, tuple[int, str]] = {}
        self._policy: Policy | None = None

    def of_task(self, ref: ObjectRef) -> TaskInputs | None:
        """Return the inputs of a task, None when there is nothing about it or something can't be read."""
        record = self._view.tasks.get(ref)
        cluster = self._view.cluster
        if record is None:
            self._verdicts.pop(ref, None)
            self._templates.pop(ref, None)
            return None
        if self._view.is_frozen(record) or not isinstance(cluster, Versioned):
            return None
        spec = record.spec if isinstance(record.spec, Versioned) else None
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
            known_template=self._template(ref, spec) if spec else "",
            pull_secrets=self._sealer.pull_secrets(ref.namespace, spec.value.spec) if spec else NO_SECRETS,
        )

    def _template(self, ref: ObjectRef, spec: Versioned[Task]) -> str:
        known = self._templates.get(ref)
        if known is None or known[0] != spec.mod_revision:
            known = self._templates[ref] = (spec.mod_revision, template_hash(spec.raw["spec"]))
        return known[1]

    def _verdict(self, ref: ObjectRef, spec: Versioned[Task]) -> Admitted | Denied | None:
        if self._names_unreadable(ref, spec.value):
            return None
        known = self._verdicts.get(ref)
        if known is None or known[0] != spec.mod_revision:
            known = self._verdicts[ref] = (spec.mod_revision, admit(spec.value, self._admission_policy()))
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
        return changed

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
        )

    def _runs_unbound(self, node: str) -> bool:
        """Say whether a container that no binding names was last seen there; its report must not be lost."""
        reports = (
            report.value
            for task in self._view.tasks.values()
            for site, report in task.reports.items()
            if site[0] == node
        )
        return any(report.unbound and not report.final for report in reports)

    def of_policy(self, ref: ObjectRef) -> PolicyInputs | None:
        """Return the inputs of a namespace, queue or priority class."""
        record = self._view.policies.get(ref) or self._view.secrets.get(ref)
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
        )

    def _users(self, ref: ObjectRef) -> tuple[ObjectRef, ...]:
        """A Secret may go at any time, as in Kubernetes: who names it waits. A namespace goes when it is empty."""
        if ref.plural == "secrets":
            return ()
        within = (secret for secret in self._view.secrets if secret.namespace == ref.name)
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

    def expect(self, key: str, value: bytes, model: Model, *, settles: bool) -> None:
        """Note what a value on its way to the store says; settles: nothing is left to plan when it is there."""
        self._view.expect(key, value, model, settles=settles)

    def status_of(self, ref: ObjectRef) -> Versioned[Model] | None:
        """Return the stored status of a task or node, for the writer to patch."""
        slot: object = None
        if ref.plural == "tasks":
            slot = self._view.task(ref).status
        elif ref.plural == "nodes" and ref.name in self._view.nodes:
            slot = self._view.nodes[ref.name].status
        return slot if isinstance(slot, Versioned) else None

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
