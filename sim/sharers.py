"""People in the simulation who share the cluster: queues with guarantees and limits, priorities, gangs."""

import random
from dataclasses import dataclass
from typing import Any

from schemas.keys import Keys, cluster_ref, task_ref
from schemas.request import DeleteRequest
from sim.people import People
from store import objects
from store.api import Put, Txn
from store.codec import decode, encode
from store.memory import MemoryStore

Json = dict[str, Any]  # Any: JSON of any shape

QUEUES: dict[str, Json] = {
    "red": {"weight": 2, "guarantee": {"cpu": "3"}},
    "green": {"limit": {"cpu": "4"}, "ordering": "sjf", "maxWait": "60s"},
    "blue": {"guarantee": {"cpu": "4"}, "limit": {"cpu": "6"}, "backfill": "conservative"},
    "strict": {"backfill": "none", "maxWait": "60s"},
    "patient": {"maxWait": "20s"},
}
"""They guarantee 7 of the 12 cpus that there are, so that guarantees can always be met."""

MAX_TASKS = 16
SIZES = ("500m", "1", "2", "3")


@dataclass(slots=True)
class Sharers:
    """Queues stay as they are, but for a weight: what a limit or a guarantee promises is checked at every step."""

    store: MemoryStore
    keys: Keys
    rng: random.Random
    people: People
    made: int = 0

    def begin(self) -> None:
        """Write the queues, and let the namespace use them."""
        for name, spec in QUEUES.items():
            self._write(cluster_ref("queues", name), "Queue", {"name": name}, spec)
        spec = {"queues": ["*"], "maxPriority": 1_000_000_000}
        self._write(cluster_ref("namespaces", "default"), "Namespace", {"name": "default"}, spec)

    def _write(self, ref: Any, kind: str, metadata: Json, spec: Json) -> None:
        uid = f"shared-{self.rng.getrandbits(48):012x}"
        raw = {"apiVersion": "berth/v1", "kind": kind, "metadata": metadata, "spec": spec}
        objects.write(self.store, self.keys.spec(ref), raw, expect_mod_revision=0, new_uid=lambda: uid)

    def act(self) -> str:
        """Do one random thing; return what it was."""
        return self.rng.choice([self._apply, self._apply, self._apply, self._apply_gang, self._delete])()

    def _live(self) -> list[str]:
        names = (f"s{number}" for number in range(1, self.made + 1))
        return [name for name in names if self.store.get(self.keys.spec(task_ref("default", name))).kv]

    def _spec(self, queue: str) -> Json:
        rng = self.rng
        ends = rng.random() < 0.4
        image = "hollow/exit-0-after-20s" if ends else "demo"
        requests = {"cpu": rng.choice(SIZES), "memory": "16Mi"}
        container = {"name": "main", "image": image, "resources": {"requests": requests}}
        spec: Json = {"containers": [container], "grace": "2s", "queue": queue}
        if ends:
            spec |= {"restartPolicy": "Never", "estimatedDuration": "20s"}
        if rng.random() < 0.4:
            spec["priority"] = rng.choice([5, 10])
        return spec

    def _new(self, spec: Json) -> str:
        self.made += 1
        name = f"s{self.made}"
        self._write(task_ref("default", name), "Task", {"name": name, "namespace": "default"}, spec)
        return name

    def _apply(self) -> str:
        if len(self._live()) >= MAX_TASKS:
            return self._delete()
        spec = self._spec(self.rng.choice([*QUEUES, "default"]))
        return f"applies {self._new(spec)}: {spec}"

    def _apply_gang(self) -> str:
        """Members of a size that together fit into an empty cluster."""
        if len(self._live()) >= MAX_TASKS:
            return self._delete()
        size = self.rng.randint(2, 4)
        spec = self._spec(self.rng.choice(["red", "default", "strict", "patient"]))
        spec["containers"][0]["resources"]["requests"]["cpu"] = "1"
        spec["gang"] = {"name": f"gang-{self.made}", "minMember": size, "timeout": "30s"}
        return f"applies {', '.join(self._new(spec) for _ in range(size))} as a gang: {spec}"

    def _delete(self) -> str:
        live = self._live()
        if not live:
            return "has nothing to delete"
        ref = task_ref("default", self.rng.choice(live))
        kv = self.store.get(self.keys.spec(ref)).kv
        raw = decode(kv) if kv is not None else None
        assert isinstance(raw, dict)
        uid = raw["metadata"]["uid"]
        self.people.deleted.add(uid)
        request = encode(DeleteRequest(uid=uid).to_json())
        self.store.txn(Txn((), (Put(self.keys.request(ref, "delete"), request),)))
        return f"deletes {ref.name}"
