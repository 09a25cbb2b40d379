"""A live agent for the integration tier: its threads, a real Docker Engine, and a store in memory."""

import json
import threading
import uuid
from pathlib import Path
from typing import Any

from agent.assembly import Settings, Wakes, assemble
from agent.identity import StateFolder
from agent.resources import NodeFacts
from agent.runtime.docker import DockerRuntime
from agent.runtime.docker_client import DockerOptions
from schemas.binding import Binding, Desired, GrantedPort, StopReason
from schemas.cluster import Cluster
from schemas.keys import Keys
from schemas.report import ContainerStatus, NodeReport, TaskReport
from schemas.state import ContainerState
from schemas.task import TaskSpec
from store import codec
from store.api import Delete, Put, Txn
from store.loop import Supervisor, steady_clock
from store.memory import MemoryStore
from tests.support.wait import PATIENCE_S, eventually

KEYS = Keys()
IMAGE = "berth/demo:latest"


def shell(script: str, **spec: Any) -> TaskSpec:
    """A task that runs `script`; spec: fields of a Task's spec in JSON, `container` those of its container."""
    container = {
        "name": "main",
        "image": IMAGE,
        "imagePullPolicy": "Never",
        "command": ["sh", "-c", script],
        **spec.pop("container", {}),
    }
    return TaskSpec.parse_written({"containers": [container], "grace": "2s", **spec})


class LiveAgent:
    """One node; `crash` and `start` play a restart of its agent, with the same state folder."""

    def __init__(self, docker_host: str, node: str, folder: Path) -> None:
        self.node, self.folder = node, folder
        self.docker_host = docker_host
        self.clock = steady_clock()
        self.store = MemoryStore(self.clock)
        self.cluster_uid = uuid.uuid4().hex
        self.put(KEYS.cluster, Cluster(cluster_uid=self.cluster_uid))

    def start(self) -> None:
        self._state = StateFolder(self.folder / "state", lambda: str(uuid.uuid4()))
        wakes = {name: threading.Event() for name in ("heartbeat", "core", "reporter")}
        options = DockerOptions(self.docker_host, self.node, self.folder / "state", call_timeout_s=20.0)
        self.runtime = DockerRuntime(options, wakes["core"].set)
        facts = NodeFacts({"cpu": 2000}, {"cpu": 1900})
        self._agent = assemble(
            self.store.another_client(),
            self.runtime,
            self._state.keeper,
            Settings(node=self.node, facts=lambda _: facts, keys=KEYS),
            instance=uuid.uuid4().hex,
            now=self.clock(),
            wakes=Wakes(**{name: event.set for name, event in wakes.items()}),
        )
        self._supervisor = Supervisor(self.clock)
        for actor in self._agent.actors:
            self._supervisor.add(actor, wakes[actor.name])
        self._supervisor.start()

    def crash(self) -> None:
        """End the agent without a word."""
        assert self._supervisor.stop() == []
        self._agent.close()
        self.runtime.close()
        self._state.close()
        assert self._supervisor.error is None

    def stop(self) -> None:
        self.crash()

    def bind(self, spec: TaskSpec, *, ports: tuple[GrantedPort, ...] = (), **fields: Any) -> Binding:
        """Bind a new task here."""
        values: dict[str, Any] = {
            "task_uid": str(uuid.uuid4()),
            "namespace": "default",
            "name": "task",
            "node": self.node,
            "epoch": 1,
            "binding_uid": str(uuid.uuid4()),
            "incarnation": 1,
            "desired": Desired.RUN,
            "generation": 1,
            "template_hash": "hash",
            "grants": {"resources": {"cpu": 100}, "ports": ports},
            "spec": spec,
        }
        binding = Binding(**{**values, **fields})
        self.put(KEYS.binding(self.node, binding.task_uid), binding)
        return binding

    def stop_task(self, binding: Binding) -> None:
        stopped = binding.model_copy(update={"desired": Desired.STOP, "reason": StopReason.DELETED})
        self.put(KEYS.binding(self.node, binding.task_uid), stopped)

    def unbind(self, binding: Binding) -> None:
        self.store.txn(Txn((), (Delete(KEYS.binding(self.node, binding.task_uid)),)))

    def report(self, binding: Binding) -> TaskReport | None:
        kv = self.store.get(KEYS.task_report(self.node, binding.task_uid)).kv
        return None if kv is None else TaskReport.parse_stored(json.loads(kv.value))

    def status(self, binding: Binding) -> ContainerStatus:
        report = self.report(binding)
        assert report is not None
        return report.containers[0]

    def node_report(self) -> NodeReport:
        kv = self.store.get(KEYS.node_report(self.node)).kv
        assert kv is not None
        return NodeReport.parse_stored(json.loads(kv.value))

    def running(self, binding: Binding, timeout_s: float = PATIENCE_S) -> ContainerStatus:
        """Wait until the task runs."""
        return eventually(lambda: self._in(binding, ContainerState.RUNNING), timeout_s)

    def exited(self, binding: Binding, timeout_s: float = PATIENCE_S) -> ContainerStatus:
        """Wait until the newest attempt has ended."""
        return eventually(lambda: self._in(binding, ContainerState.EXITED), timeout_s)

    def waiting(self, binding: Binding, reason: str, timeout_s: float = PATIENCE_S) -> ContainerStatus:
        """Wait until the report gives `reason`."""

        def found() -> ContainerStatus | None:
            status = self.status(binding)
            return status if status.reason == reason else None

        status = eventually(found, timeout_s)
        assert status is not None
        return status

    def final(self, binding: Binding, timeout_s: float = PATIENCE_S) -> TaskReport:
        """Wait for the final report."""
        report = eventually(lambda: (r := self.report(binding)) and r.final and r, timeout_s)
        assert isinstance(report, TaskReport)
        return report

    def _in(self, binding: Binding, state: ContainerState) -> ContainerStatus:
        status = self.status(binding)
        assert status.state is state, status
        return status

    def put(self, key: str, value: Any) -> None:
        self.store.txn(Txn((), (Put(key, codec.encode(value.to_json())),)))
