"""What must hold of owners and of what they made, whatever fails.

of each transaction   a Deployment's new tasks never make it more than replicas and surge; what an owner leaves behind
                      goes on under the same uid; an address is listed of who is ready, or just was
of the store          ready addresses are those of tasks that are to run; nothing has two owners
in the end            what is there has an owner; what can run is as many as wanted; a Job has counted each success
                      once; ready addresses are those of all who are ready
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from schemas.binding import Binding, Desired, StopReason
from schemas.keys import EndpointsKey, Family, Keys, ObjectRef, OwnedKey, StatusKey
from schemas.meta import find_condition
from schemas.owned import Endpoints, Owned, OwnerReference
from schemas.report import TaskReport
from schemas.request import DeleteRequest
from schemas.selector import share_of
from schemas.state import ContainerState, TaskState
from schemas.status import TaskStatus
from schemas.workload import Deployment, RollingUpdate
from schemas.workload_status import DeploymentStatus, JobStatus
from sim.running import Running
from sim.stored import Stored
from store.api import Delete, Put
from store.codec import uid_of
from store.memory import MemoryStore

INFINITY = float("inf")
RECENTLY_S = 10.0  # from what is seen to what is written; a bad network holds back for 3 s
STEADY_S = 5.0
PLURALS = {"Deployment": "deployments", "DaemonSet": "daemonsets", "Job": "jobs", "CronJob": "cronjobs"}


@dataclass(slots=True)
class Owning:
    """succeeded: job's uid -> uids of its tasks that ran to success. moved_at: owner's uid -> when it last made or
    removed something. left: what is to go on without its owner, uid -> it. ready_at: bindingUid -> when last ready.
    """

    stored: Stored
    running: Running
    fail: Callable[[str], None]
    clock: Callable[[], float]
    succeeded: dict[str, set[str]] = field(default_factory=dict)
    moved_at: dict[str, float] = field(default_factory=dict)
    owned_before: dict[str, Owned] = field(default_factory=dict)  # key -> what stood there last
    left: dict[str, ObjectRef] = field(default_factory=dict)
    given_up: set[str] = field(default_factory=set)  # uids of tasks that a person deleted
    listed: dict[str, frozenset[str]] = field(
        default_factory=dict
    )  # key of endpoints -> uids that were in it
    ready_at: dict[str, float] = field(default_factory=dict)  # task's uid
    was_ready: set[str] = field(
        default_factory=set
    )  # bindingUids of which an agent ever said that all is ready
    has_workloads: bool = False
    was_rewound: bool = False

    @property
    def keys(self) -> Keys:
        return self.stored.keys

    def store(self) -> MemoryStore:
        return self.stored.client()

    def _read(self, model: Any, key: str) -> Any:
        return self.stored.read(model, key)

    def after_txn(self, ops: Iterable[Put | Delete]) -> None:
        """Look at what a controller wrote."""
        grown: dict[tuple[str, str], OwnerReference] = {}
        for op in ops:
            parsed = self.keys.parse(op.key)
            if isinstance(op, Delete):
                if isinstance(parsed, OwnedKey):
                    self._note_gone(parsed.ref, op.key)
            elif isinstance(parsed, OwnedKey):
                owned = Owned.model_validate_json(op.value)
                self._note_made(parsed.ref, op.key, owned)
                if parsed.ref.plural == "tasks":
                    grown[(parsed.ref.namespace, owned.owner.uid)] = owned.owner
            elif isinstance(parsed, StatusKey) and parsed.ref.plural == "tasks":
                self._note_status(parsed.ref, TaskStatus.model_validate_json(op.value))
            elif isinstance(parsed, StatusKey) and parsed.ref.plural == "jobs":
                self._check_count(op.key, JobStatus.model_validate_json(op.value))
            elif isinstance(parsed, EndpointsKey):
                self._check_listed(op.key, Endpoints.model_validate_json(op.value))
        for (namespace, _), owner in grown.items():
            if owner.kind == "Deployment":
                self._check_surge(namespace, owner)

    def note_report(self, report: TaskReport) -> None:
        """Look at what an agent wrote."""
        lasting = [each for each in report.containers if each.state is not ContainerState.EXITED]
        runs = all(each.state is ContainerState.RUNNING and each.ready is not False for each in lasting)
        if lasting and runs:
            self.was_ready.add(report.binding_uid)

    def _check_count(self, key: str, status: JobStatus) -> None:
        seen = len(self.succeeded.get(status.uid, ()))
        if status.succeeded > seen and not self.was_rewound:
            self.fail(f"{key} counts {status.succeeded} successes, and there were {seen}")

    def _note_made(self, ref: ObjectRef, key: str, owned: Owned) -> None:
        self.has_workloads = True
        self.moved_at[owned.owner.uid] = self.clock()
        before = self.owned_before.get(key)
        is_new = before is None or before.metadata.uid != owned.metadata.uid
        if is_new and owned.owner.kind == "CronJob":
            self.running.check_started(ref, owned)
        self.owned_before[key] = owned

    def _note_gone(self, ref: ObjectRef, key: str) -> None:
        """What goes on without its owner is there under its own key from the same moment on."""
        owned = self.owned_before.pop(key, None)
        if owned is None:
            return
        self.moved_at[owned.owner.uid] = self.clock()
        uid = owned.metadata.uid
        if uid not in self.left or self.was_rewound:
            return
        request = self._read(DeleteRequest, self.keys.request(ref, "delete"))
        raw = self.stored.raw(self.keys.spec(ref))
        if uid_of(raw or {}) != uid and (request is None or request.uid != uid):
            self.fail(f"{ref} was to go on without its owner, and is gone")

    def leave(self, owner_uid: str) -> None:
        """A person wants what an owner made to go on; one that is not about to change loses nothing by that."""
        tasks = [(ref, owned) for ref, owned in self._owned() if owned.owner.uid == owner_uid]
        if not tasks or not self._is_steady(tasks[0][1].owner, [owned for _, owned in tasks]):
            return
        for ref, owned in tasks:
            if self._stays(ref, owned):
                self.left[owned.metadata.uid] = ref

    def _is_steady(self, owner: OwnerReference, tasks: list[Owned]) -> bool:
        """Say whether a Deployment is at rest: all as wanted, and nothing moved for a while."""
        ref = ObjectRef("deployments", "default", owner.name)
        kv = self.store().get(self.keys.spec(ref)).kv
        spec: Deployment | None = self.stored.parse(Deployment, kv)
        status: DeploymentStatus | None = self._read(DeploymentStatus, self.keys.status(ref))
        if owner.kind != "Deployment" or kv is None or spec is None or status is None:
            return False
        as_wanted = len(tasks) == spec.spec.replicas and len({each.revision for each in tasks}) == 1
        seen = status.uid == owner.uid and status.observed_generation == kv.version
        return seen and as_wanted and self.clock() - self.moved_at.get(owner.uid, self.clock()) >= STEADY_S

    def _note_status(self, ref: ObjectRef, status: TaskStatus) -> None:
        ready = find_condition(status.conditions, "Ready")
        if ready is not None and ready.status == "True":
            self.ready_at[status.uid] = INFINITY
        elif self.ready_at.get(status.uid) == INFINITY:
            self.ready_at[status.uid] = self.clock()
        self._note_success(ref, status)

    def _check_listed(self, key: str, endpoints: Endpoints) -> None:
        """Who comes to the list is ready, or was a moment ago: its status and the list are two writes."""
        if self.was_rewound:
            return
        before = self.listed.get(key, frozenset())
        self.listed[key] = frozenset(each.uid for each in endpoints.addresses)
        for each in endpoints.addresses:
            binding: Binding | None = self._read(Binding, self.keys.binding(each.node, each.uid))
            if binding is not None and binding.binding_uid not in self.was_ready:
                self.fail(f"{each.task} is listed among the ready addresses, and never was ready")
            if each.uid not in before and self.clock() - self.ready_at.get(each.uid, 0.0) > RECENTLY_S:
                self.fail(f"{each.task} is listed among the ready addresses, and is not ready")

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
        for key, owned in self.owned_before.items():
            ref = ObjectRef("tasks", owned.metadata.namespace, owned.metadata.name)
            if owned.kind == "Task" and self.store().get(self.keys.spec(ref)).kv is not None:
                self.fail(f"{ref} has an owner and stands for itself: {key}")
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
            if uid_of(self.stored.raw(self.keys.spec(owner)) or {}) != owned.owner.uid:
                made: Owned | None = self._read(Owned, self.keys.owned(owner))
                if made is None or made.metadata.uid != owned.owner.uid:
                    self.fail(f"{ref} is there, and its owner {owner} is not")
            tasks.setdefault(owned.owner.uid, []).append(ref)
        for kv in self.store().list(f"{self.keys.root}spec/default/deployments/").kvs:
            spec = Deployment.model_validate_json(kv.value)
            self._check_deployment(spec, tasks.get(spec.metadata.uid, []))
        self._check_addresses(tasks)
        self.running.check_end()
        if not self.was_rewound:
            self._check_jobs()
            self._check_left()

    def _check_deployment(self, deployment: Deployment, tasks: list[ObjectRef]) -> None:
        states = [status.state for ref in tasks if (status := self._read(TaskStatus, self.keys.status(ref)))]
        all_run = len(states) == len(tasks) and all(self._is_ready(ref) for ref in tasks)
        if all_run and len(tasks) != deployment.spec.replicas:
            wanted = deployment.spec.replicas
            self.fail(
                f"deployment {deployment.metadata.name} has {len(tasks)} tasks, and {wanted} are wanted"
            )

    def _is_ready(self, ref: ObjectRef) -> bool:
        status: TaskStatus | None = self._read(TaskStatus, self.keys.status(ref))
        ready = find_condition(status.conditions, "Ready") if status is not None else None
        return ready is not None and ready.status == "True"

    def _check_addresses(self, tasks: dict[str, list[ObjectRef]]) -> None:
        """All who are ready are listed, and nobody else."""
        for ref, deployment in self.stored.of_kind(Deployment, "deployments"):
            if deployment is None:
                continue
            found: Endpoints | None = self._read(Endpoints, self.keys.endpoints(ref.namespace, ref.name))
            listed = {each.task for each in found.addresses} if found is not None else set()
            ready = {each.name for each in tasks.get(deployment.metadata.uid, ()) if self._is_ready(each)}
            if listed != ready:
                self.fail(f"{ref} lists {sorted(listed)}, and ready are {sorted(ready)}")

    def _check_left(self) -> None:
        for uid, ref in self.left.items():
            if uid not in self.given_up and uid_of(self.stored.raw(self.keys.spec(ref)) or {}) != uid:
                self.fail(f"{ref} was to go on without its owner, and is not there")

    def _check_jobs(self) -> None:
        for kv in self.store().list(f"{self.keys.root}status/default/jobs/").kvs:
            status = JobStatus.model_validate_json(kv.value)
            seen = len(self.succeeded.get(status.uid, ()))
            if status.succeeded != seen:
                self.fail(f"{kv.key} counts {status.succeeded} successes, and there were {seen}")

    def _owned(self) -> Iterator[tuple[ObjectRef, Owned]]:
        return ((ref, owned) for ref, owned in self.stored.owned() if ref.plural == "tasks")

    def rewound(self) -> None:
        self.was_rewound = True
        self.owned_before = {self.keys.owned(ref): owned for ref, owned in self.stored.owned()}
        self.running.rewound()
