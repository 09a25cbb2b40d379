"""What must hold of owners and of what they made, whatever fails.

of each transaction   a Deployment's new tasks never make it more than replicas and surge
of the store          ready addresses are those of tasks that are to run
in the end            what is there has an owner; what can run is as many as wanted; a Job has counted each success once
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from schemas.binding import Binding, Desired, StopReason
from schemas.keys import EndpointsKey, Family, Keys, ObjectRef, OwnedKey, StatusKey
from schemas.owned import Endpoints, Owned, OwnerReference
from schemas.request import DeleteRequest
from schemas.selector import share_of
from schemas.state import TaskState
from schemas.status import TaskStatus
from schemas.workload import Deployment, RollingUpdate
from schemas.workload_status import JobStatus
from store.api import Delete, Put
from store.codec import decode, uid_of
from store.memory import MemoryStore

PLURALS = {"Deployment": "deployments", "DaemonSet": "daemonsets", "Job": "jobs", "CronJob": "cronjobs"}


@dataclass(slots=True)
class Owning:
    """`store` returns an admin's client. succeeded: job's uid -> uids of its tasks that ran to success."""

    store: Callable[[], MemoryStore]
    keys: Keys
    fail: Callable[[str], None]
    succeeded: dict[str, set[str]] = field(default_factory=dict)
    was_rewound: bool = False

    def after_txn(self, ops: Iterable[Put | Delete]) -> None:
        """Look at what a controller wrote."""
        grown: dict[tuple[str, str], OwnerReference] = {}
        for op in ops:
            parsed = self.keys.parse(op.key)
            if not isinstance(op, Put):
                continue
            if isinstance(parsed, OwnedKey):
                owner = Owned.model_validate_json(op.value).owner
                grown[(parsed.ref.namespace, owner.uid)] = owner
            elif isinstance(parsed, StatusKey) and parsed.ref.plural == "tasks":
                self._note_success(parsed.ref, TaskStatus.model_validate_json(op.value))
        for (namespace, _), owner in grown.items():
            if owner.kind == "Deployment":
                self._check_surge(namespace, owner)

    def _note_success(self, ref: ObjectRef, status: TaskStatus) -> None:
        owned = self._read(Owned, self.keys.owned(ref))
        if status.state is TaskState.SUCCEEDED and owned is not None and owned.owner.kind == "Job":
            self.succeeded.setdefault(owned.owner.uid, set()).add(status.uid)

    def _check_surge(self, namespace: str, owner: OwnerReference) -> None:
        spec = self._read(Deployment, self.keys.spec(ObjectRef("deployments", namespace, owner.name)))
        if spec is None or spec.metadata.uid != owner.uid:
            self.fail(f"tasks were made for {owner.name}, which is gone")
            return
        rolling = spec.spec.strategy.rolling_update or RollingUpdate()
        surge = share_of(rolling.max_surge, spec.spec.replicas, round_up=True)
        most = spec.spec.replicas + (surge if spec.spec.strategy.type == "RollingUpdate" else 0)
        staying = [
            ref for ref, owned in self._owned() if owned.owner.uid == owner.uid and self._stays(ref, owned)
        ]
        if len(staying) > most:
            self.fail(f"deployment {owner.name} has {len(staying)} tasks, and may have {most}")

    def _stays(self, ref: ObjectRef, owned: Owned) -> bool:
        request = self._read(DeleteRequest, self.keys.request(ref, "delete"))
        return request is None or request.uid != owned.metadata.uid

    def check_store(self) -> None:
        """Nobody is sent to a task that was told to stop; one on a node that does not answer is cut off anyway."""
        for kv in self.store().list(self.keys.family_range(Family.ENDPOINTS)).kvs:
            parsed = self.keys.parse(kv.key)
            assert isinstance(parsed, EndpointsKey)
            for each in Endpoints.model_validate_json(kv.value).addresses:
                binding = self._read(Binding, self.keys.binding(each.node, each.uid))
                if binding is None or binding.reason is StopReason.UNREACHABLE:
                    continue
                if binding.desired is Desired.STOP:
                    self.fail(f"{each.task} is told to stop, and still listed for {parsed.name}")

    def check_end(self) -> None:
        """When all is at rest."""
        tasks: dict[str, list[ObjectRef]] = {}
        for ref, owned in self._owned():
            owner = ObjectRef(PLURALS[owned.owner.kind], ref.namespace, owned.owner.name)
            kv = self.store().get(self.keys.spec(owner)).kv
            raw = decode(kv) if kv else {}
            if not isinstance(raw, dict) or uid_of(raw) != owned.owner.uid:
                self.fail(f"{ref} is there, and its owner {owner} is not")
            tasks.setdefault(owned.owner.uid, []).append(ref)
        for kv in self.store().list(f"{self.keys.root}spec/default/deployments/").kvs:
            spec = Deployment.model_validate_json(kv.value)
            self._check_deployment(spec, tasks.get(spec.metadata.uid, []))
        if not self.was_rewound:
            self._check_jobs()

    def _check_deployment(self, deployment: Deployment, tasks: list[ObjectRef]) -> None:
        states = [status.state for ref in tasks if (status := self._read(TaskStatus, self.keys.status(ref)))]
        all_run = len(states) == len(tasks) and all(state is TaskState.RUNNING for state in states)
        if all_run and len(tasks) != deployment.spec.replicas:
            wanted = deployment.spec.replicas
            self.fail(
                f"deployment {deployment.metadata.name} has {len(tasks)} tasks, and {wanted} are wanted"
            )

    def _check_jobs(self) -> None:
        for kv in self.store().list(f"{self.keys.root}status/default/jobs/").kvs:
            status = JobStatus.model_validate_json(kv.value)
            seen = len(self.succeeded.get(status.uid, ()))
            if status.succeeded != seen:
                self.fail(f"{kv.key} counts {status.succeeded} successes, and there were {seen}")

    def _owned(self) -> Iterator[tuple[ObjectRef, Owned]]:
        for kv in self.store().list(self.keys.family_range(Family.OWNED)).kvs:
            parsed = self.keys.parse(kv.key)
            if isinstance(parsed, OwnedKey) and parsed.ref.plural == "tasks":
                yield parsed.ref, Owned.model_validate_json(kv.value)

    def _read(self, model: Any, key: str) -> Any:
        kv = self.store().get(key).kv
        try:
            return model.model_validate_json(kv.value) if kv else None
        except ValueError:
            return None
