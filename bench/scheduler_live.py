"""A leader over the store in memory, with a cluster that is full: what one task costs that arrives there."""

import itertools
import time
from collections.abc import Iterable
from itertools import islice
from typing import Any

from controller.manager import Controller, ControllerSettings
from controller.source import Random
from schemas.keys import Keys, ObjectRef, cluster_ref, task_ref
from schemas.report import Heartbeat, NodeReport
from store.api import Put, Txn
from store.codec import encode
from store.memory import MemoryStore

KEYS = Keys()
LEASE_S = 10**6
PUTS_A_TXN = 100
NODE_CPU, NODE_MEMORY = "8", "16Gi"
A_HALF = {"cpu": "4", "memory": "8Gi"}
STEP_S = 0.5
REST_STEPS = 30  # a leader pauses between two cycles of a large cluster


class FullCluster:
    """Nodes that are filled by the controller itself, two tasks on each; nobody answers the bindings."""

    def __init__(self, nodes: int) -> None:
        self._now = 1_700_000_000.0
        self._count = itertools.count()
        self.store = MemoryStore(lambda: self._now)
        source = Random(lambda: f"uid-{next(self._count)}", lambda: f"token-{next(self._count)}", 7)
        self._controller = Controller(
            self.store.another_client(), ControllerSettings(identity="bench"), source
        )
        self._put(self._policies())
        self._put(put for number in range(nodes) for put in self._node(f"node-{number:05}"))
        self._put(self._task(f"big-{number:05}", A_HALF) for number in range(2 * nodes))
        self._bound = 0
        while self._bound < 2 * nodes:
            self._step()
            self._bound = len(self.store.list("/berth/bindings/").kvs)

    def arrive(self, name: str, cpu: str) -> tuple[float, float]:
        """Let one task come; return the seconds of wall and of processor time until the leader has decided."""
        self._rest()
        self._put([self._task(name, {"cpu": cpu, "memory": "1Gi"})])
        term = self._controller.term
        assert term is not None
        before = self._decided()
        begin, cpu_begin = time.perf_counter(), time.process_time()
        while self._decided() == before:
            self._controller.step(self._now)
        return time.perf_counter() - begin, time.process_time() - cpu_begin

    def free(self, number: int) -> None:
        """Take a node's worth of room: one node more."""
        self._put(self._node(f"spare-{number:05}"))
        self._rest()

    def close(self) -> None:
        self._controller.close()

    def _decided(self) -> int:
        term = self._controller.term
        assert term is not None
        return term.counters.bound + term.counters.unschedulable

    def _rest(self) -> None:
        for _ in range(REST_STEPS):
            self._step()

    def _step(self) -> None:
        for actor in self._controller.actors:
            actor.step(self._now)
        self._now += STEP_S

    def _put(self, puts: Iterable[Put]) -> None:
        left = iter(puts)
        while some := tuple(islice(left, PUTS_A_TXN)):
            self.store.txn(Txn((), some))

    def _policies(self) -> Iterable[Put]:
        yield self._object(cluster_ref("namespaces", "default"), "Namespace", {"queues": ["*"]})

    def _task(self, name: str, amounts: dict[str, str]) -> Put:
        container = {"name": "main", "image": "demo", "resources": {"requests": amounts}}
        return self._object(task_ref("default", name), "Task", {"containers": [container]})

    def _object(self, ref: ObjectRef, kind: str, spec: dict[str, Any]) -> Put:
        metadata = {"name": ref.name, "uid": f"uid-of-{ref.name}"}
        if kind == "Task":
            metadata["namespace"] = ref.namespace
        return Put(
            KEYS.spec(ref),
            encode({"apiVersion": "berth/v1", "kind": kind, "metadata": metadata, "spec": spec}),
        )

    def _node(self, name: str) -> Iterable[Put]:
        lease = self.store.grant_lease(LEASE_S)
        heartbeat = Heartbeat(node_uid=f"uid-of-{name}", instance=f"{name}-1").to_json()
        has = {"cpu": NODE_CPU, "memory": NODE_MEMORY}
        report = NodeReport.model_validate(
            {
                "node": name,
                "nodeUid": f"uid-of-{name}",
                "instance": f"{name}-1",
                "incarnation": 1,
                "capacity": has,
                "allocatable": has,
                "address": "127.0.0.1",
            }
        )
        yield Put(KEYS.heartbeat(name), encode(heartbeat), lease)
        yield Put(KEYS.node_report(name), encode(report.to_json()))
