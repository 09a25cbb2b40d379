"""One controller in virtual time over the memory store, and a scripted agent that answers bindings at once."""

import itertools
from collections.abc import Callable
from typing import Any

from pydantic import ValidationError

from controller.manager import Controller, ControllerSettings
from controller.reconcilers.collection import FinishedPolicy
from controller.scheduler.schedule import Policy
from controller.source import Random
from schemas.binding import Binding, Desired
from schemas.cluster import Cluster as ClusterObject
from schemas.event import Event
from schemas.keys import Keys, ObjectRef, cluster_ref, task_ref
from schemas.report import ContainerStatus, Heartbeat, NodeReport, TaskReport
from schemas.request import DeleteRequest
from schemas.state import ContainerState
from schemas.status import NodeStatus, TaskStatus
from sealing.keys import KeyPair
from store import objects
from store.api import Delete, Put, Txn
from store.codec import decode, encode
from store.errors import LeaseExpired, Rewound
from store.memory import MemoryStore

START = 1_700_000_000.0
CLUSTER_PLURALS = {
    "Node": "nodes",
    "Namespace": "namespaces",
    "Queue": "queues",
    "PriorityClass": "priorityclasses",
}


class NamedController(Controller):
    @property
    def identity(self) -> str:
        return self._settings.identity


class Cluster:
    """The world: `settle` runs every actor until nothing happens; `advance` lets time pass."""

    def __init__(
        self,
        policy: Policy | None = None,
        key_pair: KeyPair | None = None,
        finished: FinishedPolicy | None = None,
    ) -> None:
        self.now = START
        self.store = MemoryStore(lambda: self.now)
        self.keys = Keys()
        self._ids = itertools.count(1)
        self.policy = policy or Policy()
        self.key_pair = key_pair
        self.finished = finished or FinishedPolicy()
        self.agents: dict[str, ScriptedAgent] = {}
        self.controllers = [self.new_controller("c1")]

    def new_controller(self, identity: str, **more: Any) -> NamedController:
        source = Random(lambda: f"uid-{next(self._ids):04d}", lambda: f"token-{next(self._ids)}", 7)
        settings = ControllerSettings(
            identity=identity, policy=self.policy, key_pair=self.key_pair, finished=self.finished
        )
        return NamedController(
            more.pop("store", None) or self.store.another_client(), settings, source, **more
        )

    @property
    def controller(self) -> Controller:
        return self.controllers[0]

    @property
    def leader(self) -> Controller:
        (leader,) = [controller for controller in self.controllers if controller.term is not None]
        return leader

    def settle(self, rounds: int = 200) -> None:
        """Run until three rounds in a row change nothing in the store."""
        quiet = 0
        for _ in range(rounds):
            before = self.revision
            self.step(0.5)
            quiet = quiet + 1 if self.revision == before else 0
            if quiet == 3:
                return
        raise AssertionError("the cluster does not come to rest")

    def advance(self, seconds: float) -> None:
        """Let time pass in steps of one second, everything running."""
        until = self.now + seconds
        while self.now < until:
            self.step(1.0)

    def until(self, happened: Callable[[], Any], within: float = 120.0) -> float:
        """Let time pass until something is true; return how long it took."""
        began = self.now
        while not happened():
            assert self.now < began + within, "it does not happen"
            self.step(0.5)
        return self.now - began

    def step(self, seconds: float) -> None:
        """One step of every actor and agent, then let `seconds` pass."""
        for controller in tuple(self.controllers):
            try:
                for actor in controller.actors:
                    actor.step(self.now)
            except Rewound:  # as the shell does: begin afresh
                controller.close()
                self.controllers[self.controllers.index(controller)] = self.new_controller(
                    controller.identity, saw_rewind=True
                )
        for agent in self.agents.values():
            agent.step()
        self.now += seconds
        self.store.expire_leases()

    def crash_controller(self, index: int = 0) -> None:
        """It is gone without a word: its lease has to expire."""
        self.controllers.pop(index).close()

    def rewind(self, revision: int) -> None:
        """Restore a backup: controllers and agents see it by themselves."""
        seen = self.revision
        self.store.rewind(revision)
        self.store = self.store.another_client()
        for agent in self.agents.values():
            agent.rewound_from = seen
            agent.start() if agent.alive else None

    @property
    def revision(self) -> int:
        return self.store.get("/nothing").revision

    def add_node(self, name: str, **more: Any) -> "ScriptedAgent":
        agent = self.agents[name] = ScriptedAgent(self, name, **more)
        return agent

    def apply(self, name: str, *, namespace: str = "default", kind: str = "Task", **spec: Any) -> None:
        """Write a task (or another kind) as a person would; `spec` replaces fields of a small default."""
        if kind == "Task":
            ref = task_ref(namespace, name)
            container = {"name": "main", "image": "demo", **spec.pop("container", {})}
            spec = {"containers": [container], **spec}
            metadata: dict[str, Any] = {"name": name, "namespace": namespace}
        else:
            ref = cluster_ref(CLUSTER_PLURALS[kind], name)
            metadata = {"name": name}
        raw = {"apiVersion": "berth/v1", "kind": kind, "metadata": metadata, "spec": spec}
        key = self.keys.spec(ref)
        found = self.store.get(key).kv
        objects.write(self.store, key, raw, expect_mod_revision=found.mod_revision if found else 0)

    def delete(self, ref: ObjectRef, **more: Any) -> None:
        kv = self.store.get(self.keys.spec(ref)).kv
        raw = decode(kv) if kv else {}
        assert isinstance(raw, dict)
        request = DeleteRequest(uid=raw["metadata"]["uid"], **more)
        self.put(self.keys.request(ref, "delete"), request.to_json())

    def put(self, key: str, value: dict[str, Any]) -> None:
        self.store.txn(Txn((), (Put(key, encode(value)),)))

    def raw_put(self, key: str, value: bytes) -> None:
        self.store.txn(Txn((), (Put(key, value),)))

    def remove(self, key: str) -> None:
        self.store.txn(Txn((), (Delete(key),)))

    def task_status(self, name: str, namespace: str = "default") -> TaskStatus | None:
        return self._read(TaskStatus, self.keys.status(task_ref(namespace, name)))

    def node_status(self, name: str) -> NodeStatus | None:
        return self._read(NodeStatus, self.keys.status(cluster_ref("nodes", name)))

    def bindings(self) -> list[Binding]:
        kvs = self.store.list("/berth/bindings/").kvs
        return [Binding.model_validate_json(kv.value) for kv in kvs]

    def exists(self, key: str) -> bool:
        return self.store.get(key).kv is not None

    def binding(self, name: str) -> Binding:
        """The only binding of a task."""
        (found,) = [binding for binding in self.bindings() if binding.name == name]
        return found

    def cluster(self) -> ClusterObject | None:
        found: ClusterObject | None = self._read(ClusterObject, self.keys.cluster)
        return found

    def events(self) -> dict[str, int]:
        """Reason -> count, over all objects."""
        found: dict[str, int] = {}
        for kv in self.store.list(self.keys.events_range()).kvs:
            event = Event.model_validate_json(kv.value)
            found[event.reason] = found.get(event.reason, 0) + event.count
        return found

    def _read(self, model: Any, key: str) -> Any:
        kv = self.store.get(key).kv
        return model.model_validate_json(kv.value) if kv else None


class ScriptedAgent:
    """Answers each binding as a perfect agent would; tests switch it off or script a container's end.

    containers: binding uid -> binding of each container that runs. starts: task name -> how many were started.
    """

    def __init__(
        self, world: Cluster, name: str, *, cpu: str = "4", memory: str = "4Gi", **report: Any
    ) -> None:
        self.world = world
        self.name = name
        self.alive = True
        self.exits: dict[str, int] = {}  # task name -> exit code
        self.reasons: dict[str, str] = {}  # task name -> reason of its container
        self.finals = True
        self.report_json = NodeReport.model_validate(
            {
                "node": name,
                "nodeUid": f"node-{name}",
                "instance": f"{name}-1",
                "incarnation": 1,
                "capacity": {"cpu": cpu, "memory": memory},
                "allocatable": {"cpu": cpu, "memory": memory},
                "address": "127.0.0.1",
                **report,
            }
        ).to_json()
        self.lease = 0
        self.containers: dict[str, Binding] = {}
        self.starts: dict[str, int] = {}
        self.rewound_from = 0
        self.start()

    @property
    def running(self) -> list[str]:
        """Names of the tasks that run here."""
        return sorted(binding.name for binding in self.containers.values())

    def start(self) -> None:
        self.alive = True
        self.lease = self.world.store.grant_lease(15)
        heartbeat = Heartbeat(node_uid=f"node-{self.name}", instance=f"{self.name}-1").to_json()
        keys = self.world.keys
        self.world.store.txn(Txn((), (Put(keys.heartbeat(self.name), encode(heartbeat), self.lease),)))
        self._report_all()
        self.report_node(stopping=False, rewoundFrom=self.rewound_from)

    def report_node(self, **changes: Any) -> None:
        self.report_json = {**self.report_json, **changes}
        self.world.put(self.world.keys.node_report(self.name), self.report_json)

    def die(self) -> None:
        """Stop beating and answering; containers go on."""
        self.alive = False

    def host_dies(self) -> None:
        self.die()
        self.containers.clear()

    def stop_cleanly(self) -> None:
        """The agent is stopped in good order: it announces that, and its containers go on."""
        self.report_node(stopping=True)
        self.world.store.revoke_lease(self.lease)
        self.alive = False

    def step(self) -> None:
        if not self.alive:
            return
        store, keys = self.world.store, self.world.keys
        try:
            store.keep_alive(self.lease)
        except LeaseExpired:
            self.start()
        if not self._may_act():
            return
        bound = {kv.key: kv for kv in store.list(keys.bindings_range(self.name)).kvs}
        for kv in bound.values():
            try:
                binding = Binding.model_validate_json(kv.value)
            except ValidationError:
                continue
            if binding.incarnation == self.report_json["incarnation"]:
                self._answer(binding)
        for container in tuple(self.containers.values()):
            if keys.binding(self.name, container.task_uid) not in bound:
                self._report(container, unbound=True)
        for kv in store.list(f"{keys.reports_range(self.name)}tasks/").kvs:
            report = TaskReport.model_validate_json(kv.value)
            if report.final and keys.binding(self.name, report.task_uid) not in bound:
                store.txn(Txn((), (Delete(kv.key),)))

    def _may_act(self) -> bool:
        """Follow the cluster into a new incarnation: report all containers again, then the node."""
        cluster = self.world.cluster()
        if cluster is None:
            return not self.rewound_from
        if cluster.incarnation != self.report_json["incarnation"]:
            self.rewound_from = 0
            self._report_all()
            self.report_node(incarnation=cluster.incarnation, rewoundFrom=0)
        return not cluster.recovering and not self.rewound_from

    def _report_all(self) -> None:
        """Report every container, and of every other binding that nothing of it is here."""
        keys, store = self.world.keys, self.world.store
        uids = {container.task_uid for container in self.containers.values()}
        for kv in store.list(f"{keys.reports_range(self.name)}tasks/").kvs:
            if kv.key.rpartition("/")[2] not in uids:
                store.txn(Txn((), (Delete(kv.key),)))
        for container in self.containers.values():
            kv_now = store.get(keys.binding(self.name, container.task_uid)).kv
            self._report(container, unbound=kv_now is None)

    def _answer(self, binding: Binding) -> None:
        stop = binding.desired is Desired.STOP
        exit_code = self.exits.get(binding.name)
        ended = stop or exit_code is not None
        for uid, other in tuple(self.containers.items()):
            if other.task_uid == binding.task_uid and (uid != binding.binding_uid or ended):
                del self.containers[uid]
        held = binding.desired is Desired.HOLD
        if not ended and not held and binding.binding_uid not in self.containers:
            self.starts[binding.name] = self.starts.get(binding.name, 0) + 1
            self.containers[binding.binding_uid] = binding
        self._report(binding, ended=ended, final=stop and self.finals, exit_code=exit_code, held=held)

    def _report(
        self,
        binding: Binding,
        *,
        ended: bool = False,
        final: bool = False,
        exit_code: int | None = None,
        unbound: bool = False,
        held: bool = False,
    ) -> None:
        state = ContainerState.EXITED if ended else ContainerState.RUNNING
        container = ContainerStatus(
            name="main",
            state=ContainerState.WAITING if held else state,
            exit_code=(exit_code or 0) if ended else None,
            reason=self.reasons.get(binding.name, ""),
            image=binding.spec.containers[0].image,
            started_at="2026-01-01T00:00:00.000Z",
        )
        report = TaskReport(
            task_uid=binding.task_uid,
            namespace=binding.namespace,
            name=binding.name,
            epoch=binding.epoch,
            binding_uid=binding.binding_uid,
            instance=f"{self.name}-1",
            sequence=1,
            final=final,
            unbound=unbound,
            containers=(container,),
            ports=binding.grants.ports,
            grants_resources=binding.grants.resources if unbound else {},
        )
        key = self.world.keys.task_report(self.name, binding.task_uid)
        kv = self.world.store.get(key).kv
        if kv is None or kv.value != encode(report.to_json()):
            self.world.put(key, report.to_json())
