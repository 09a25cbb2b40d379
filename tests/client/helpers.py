"""A client on a memory store, a leader that only deletes, and builders of objects."""

import json
import threading
from typing import Any

import yaml

from client.client import Client
from schemas.keys import Keys, ObjectRef, RequestKey, task_ref
from schemas.manifest import Document, load
from store import codec
from store.api import Delete, Put, Store, Txn
from store.memory import MemoryStore

NOW = 1_800_000_000.0  # 2027-01-15T08:00:00Z
KEYS = Keys()


class FakeClock:
    """Seconds that pass only when somebody waits."""

    def __init__(self, start: float = NOW) -> None:
        self.seconds = start

    def __call__(self) -> float:
        return self.seconds


class FakeLeader:
    """Carries out delete requests, as the leader does once a task has ended."""

    def __init__(self, store: Store, keys: Keys = KEYS) -> None:
        self.store = store
        self.keys = keys
        self.is_away = False

    def step(self) -> None:
        for kv in self.store.list(f"{self.keys.prefix}/requests/").kvs:
            parsed = self.keys.parse(kv.key)
            if isinstance(parsed, RequestKey) and parsed.verb == "delete" and not self.is_away:
                self.remove(parsed.ref)

    def remove(self, ref: ObjectRef) -> None:
        keys = self.keys
        gone = (keys.spec(ref), keys.status(ref), keys.request(ref, "delete"))
        ops = (*map(Delete, gone), Delete(keys.applied_range(ref), is_prefix=True))
        self.store.txn(Txn((), ops))


class World:
    """A memory store, a client of it, and what happens while the client waits."""

    def __init__(self, store: Store | None = None, keys: Keys = KEYS) -> None:
        self.clock = FakeClock()
        self.store: Store = store or MemoryStore(self.clock)
        self.leader = FakeLeader(self.store, keys)
        self.said: list[str] = []
        self.while_waiting: list[Any] = []
        self.keys = keys
        self.client = self.new_client()

    def new_client(self, store: Store | None = None, **options: Any) -> Client:
        return Client(
            store or self.store,
            self.keys,
            now=self.clock,
            clock=self.clock,
            pause=self.pause,
            say=self.said.append,
            **options,
        )

    def pause(self, woken: threading.Event, timeout_s: float) -> None:
        self.clock.seconds += timeout_s
        if self.while_waiting:
            self.while_waiting.pop(0)()
        self.leader.step()

    def put(self, key: str, value: Any) -> None:
        data = value if isinstance(value, bytes) else codec.encode(value)
        self.store.txn(Txn((), (Put(key, data),)))

    def json_at(self, key: str) -> Any:
        kv = self.store.get(key).kv
        return None if kv is None else json.loads(kv.value)

    def apply(self, *raws: dict[str, Any], **options: Any) -> list[tuple[str, str]]:
        """Apply, and return (reference, action) of each."""
        return [(str(each.ref), each.action) for each in self.client.apply(docs(*raws), **options)]

    def keys_under(self, prefix: str) -> list[str]:
        return [kv.key for kv in self.store.list(prefix).kvs]

    def set_status(self, name: str, namespace: str = "default", **fields: Any) -> None:
        """Write a task's status as the leader would. fields: JSON names."""
        ref = task_ref(namespace, name)
        uid = self.json_at(self.keys.spec(ref))["metadata"]["uid"]
        self.put(self.keys.status(ref), {"kind": "TaskStatus", "uid": uid, **fields})

    def add_node(self, name: str, *, ready: str | None = "True", beating: bool = True, **report: Any) -> None:
        """Write what an agent and the leader write of a node."""
        told = {
            "kind": "NodeReport",
            "node": name,
            "nodeUid": f"uid-of-{name}",
            "instance": "i1",
            "incarnation": 1,
            "capacity": {"cpu": "4", "memory": "8Gi"},
            "allocatable": {"cpu": "3500m", "memory": "7Gi"},
            "address": "127.0.0.1",
            "agentVersion": "0.1.0",
            "runtimeVersion": "docker://20.10.24",
            "osImage": "Debian GNU/Linux 12",
            "kernelVersion": "6.1.0",
        }
        self.put(self.keys.node_report(name), {**told, **report})
        if beating:
            self.put(self.keys.heartbeat(name), {"nodeUid": f"uid-of-{name}", "instance": "i1"})
        if ready is not None:
            conditions = [{"type": "Ready", "status": ready, "reason": "AgentReady"}]
            ref = ObjectRef("nodes", "_cluster", name)
            self.put(
                self.keys.status(ref),
                {"kind": "NodeStatus", "nodeUid": f"uid-of-{name}", "conditions": conditions},
            )


def make_task(name: str = "web", namespace: str | None = None, **spec: Any) -> dict[str, Any]:
    """Return a task as a person writes it. spec: further fields of the spec."""
    metadata = {"name": name, **({"namespace": namespace} if namespace else {})}
    containers = [{"name": "main", "image": "berth/demo:1"}]
    return {
        "apiVersion": "berth/v1",
        "kind": "Task",
        "metadata": metadata,
        "spec": {"containers": containers, **spec},
    }


def make_object(kind: str, name: str, **spec: Any) -> dict[str, Any]:
    raw: dict[str, Any] = {"apiVersion": "berth/v1", "kind": kind, "metadata": {"name": name}}
    return {**raw, "spec": spec} if spec else raw


def docs(*raws: dict[str, Any], namespace: str = "default") -> tuple[Document, ...]:
    return load([("test.yaml", yaml.safe_dump_all(raws).encode())], default_namespace=namespace)
