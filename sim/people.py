"""People in the simulation: they apply, edit, delete, mistype and clean up by hand."""

import random
from dataclasses import dataclass, field
from typing import Any

from schemas.keys import Family, Keys, ObjectRef, cluster_ref, task_ref
from schemas.request import DeleteRequest
from store import objects
from store.api import Delete, Put, Txn
from store.codec import decode, encode
from store.memory import MemoryStore

FLAKY = "flaky"  # fails twice, then runs
IMAGES = ("demo", "demo", "demo", FLAKY, FLAKY, "hollow/exit-0-after-20s", "hollow/exit-3-after-5s")
MAX_TASKS = 12
GARBAGE = (b"not json", b"[]", b'{"kind": "Task"}')


@dataclass(slots=True)
class People:
    """They write through a client that never fails: what they meet is shown by the CLI's own tests."""

    store: MemoryStore
    keys: Keys
    rng: random.Random
    made: int = 0
    names: list[str] = field(default_factory=list)
    deleted: set[str] = field(default_factory=set)  # uids
    cordoned: str = ""
    drains: int = 0
    garbage: dict[str, bytes] = field(default_factory=dict)  # key -> what stood there before
    notes: dict[str, bytes] = field(default_factory=dict)  # the same of everything that was ever garbled

    def act(self) -> str:
        """Do one random thing; return what it was."""
        actions = [self._apply, self._apply, self._edit, self._edit_live, self._delete, self._delete_spec]
        actions += [self._garble, self._repair, self._delete_binding, self._cordon]
        return self.rng.choice(actions)()

    def _ref(self, name: str) -> ObjectRef:
        return task_ref("default", name)

    def _raw(self, ref: ObjectRef) -> tuple[dict[str, Any], int] | None:
        kv = self.store.get(self.keys.spec(ref)).kv
        raw = decode(kv) if kv else None
        return (raw, kv.mod_revision) if kv and isinstance(raw, dict) and "metadata" in raw else None

    def _live(self) -> list[str]:
        return [name for name in self.names if self._raw(self._ref(name))]

    def _new_spec(self) -> dict[str, Any]:
        rng = self.rng
        image = rng.choice(IMAGES)
        container: dict[str, Any] = {
            "name": "main",
            "image": image,
            "resources": {"requests": {"cpu": rng.choice(["250m", "1", "1500m"]), "memory": "64Mi"}},
        }
        if rng.random() < 0.4:
            port = {"containerPort": 80}
            container["ports"] = [{**port, "hostPort": 8080} if rng.random() < 0.3 else port]
        if rng.random() < 0.2:
            container["resources"]["requests"]["gpu"] = 1
        spec: dict[str, Any] = {"containers": [container], "grace": "5s"}
        if image == FLAKY:
            spec["restartBackoff"] = {"initial": "2s", "max": "5s"}
        elif image != "demo":
            spec["restartPolicy"] = rng.choice(["Never", "OnFailure"]) if "exit-0" in image else "Never"
        if image in ("demo", FLAKY) and rng.random() < 0.6:
            spec |= {"exactlyOne": True, "unreachable": {"rescheduleAfter": "30s", "stopAfter": "15s"}}
        if rng.random() < 0.2:
            spec["priority"] = rng.choice([5, 10])
        return spec

    def _apply(self) -> str:
        live = self._live()
        if len(live) >= MAX_TASKS:
            return self._delete()
        gone = [name for name in self.names if name not in live]
        if gone and self.rng.random() < 0.4:
            name = self.rng.choice(gone)  # the same name again, perhaps while the old one still ends
        else:
            self.made += 1
            name = f"t{self.made}"
            self.names.append(name)
        ref = self._ref(name)
        key = self.keys.spec(ref)
        if (
            self.store.get(key).kv is not None
            or self.store.get(self.keys.request(ref, "delete")).kv is not None
        ):
            return f"waits to apply {name}"
        metadata = {"name": name, "namespace": "default"}
        raw = {"apiVersion": "berth/v1", "kind": "Task", "metadata": metadata, "spec": self._new_spec()}
        new_uid = f"task-{self.rng.getrandbits(48):012x}"
        objects.write(self.store, key, raw, expect_mod_revision=0, new_uid=lambda: new_uid)
        return f"applies {name}: {raw['spec']}"

    def _change(self, change: dict[str, Any], what: str) -> str:
        live = self._live()
        if not live:
            return "has nothing to edit"
        name = self.rng.choice(live)
        found = self._raw(self._ref(name))
        assert found is not None
        raw, revision = found
        raw = {**raw, "spec": {**raw["spec"], **change}}
        objects.write(self.store, self.keys.spec(self._ref(name)), raw, expect_mod_revision=revision)
        return f"{what} {name}: {change}"

    def _edit(self) -> str:
        """A change that replaces the task."""
        backoff = {"initial": f"{self.rng.randint(1, 5)}s", "max": "5s"}
        return self._change({"restartBackoff": backoff}, "edits")

    def _edit_live(self) -> str:
        """A change that does not."""
        return self._change({"grace": f"{self.rng.randint(2, 5)}s"}, "edits live")

    def _delete(self) -> str:
        live = self._live()
        if not live:
            return "has nothing to delete"
        name = self.rng.choice(live)
        ref = self._ref(name)
        found = self._raw(ref)
        assert found is not None
        uid = found[0]["metadata"]["uid"]
        self.deleted.add(uid)
        request = DeleteRequest(uid=uid).to_json()
        self.store.txn(Txn((), (Put(self.keys.request(ref, "delete"), encode(request)),)))
        return f"deletes {name}"

    def _delete_spec(self) -> str:
        """As with `etcdctl del`."""
        live = self._live()
        if not live or self.rng.random() < 0.5:
            return "looks on"
        name = self.rng.choice(live)
        found = self._raw(self._ref(name))
        assert found is not None
        self.deleted.add(found[0]["metadata"]["uid"])
        self.store.txn(Txn((), (Delete(self.keys.spec(self._ref(name))),)))
        return f"removes the spec key of {name}"

    def _garble(self) -> str:
        """Write nonsense over a spec or a status."""
        live = self._live()
        if not live or len(self.garbage) >= 2:
            return "looks on"
        ref = self._ref(self.rng.choice(live))
        key = self.rng.choice([self.keys.spec(ref), self.keys.status(ref)])
        kv = self.store.get(key).kv
        if kv is None or key in self.garbage:
            return "looks on"
        self.garbage[key] = self.notes[key] = kv.value
        value = self.rng.choice(GARBAGE)
        self.store.txn(Txn((), (Put(key, value),)))
        return f"garbles {key}"

    def _repair(self) -> str:
        if not self.garbage:
            return "looks on"
        key = self.rng.choice(sorted(self.garbage))
        value = self.garbage.pop(key)
        if self.store.get(key).kv is not None:
            self.store.txn(Txn((), (Put(key, value),)))
        return f"repairs {key}"

    def rewound(self, store: MemoryStore) -> None:
        """A backup was restored: see what is garbled now."""
        self.store = store
        found = {key: store.get(key).kv for key in self.notes}
        self.garbage = {key: self.notes[key] for key, kv in found.items() if kv and kv.value in GARBAGE}

    def repair_all(self) -> None:
        while self.garbage:
            self._repair()

    def _delete_binding(self) -> str:
        """A stranger removes a binding: the container must go on, and the binding must come back."""
        kvs = self.store.list(self.keys.family_range(Family.BINDINGS)).kvs
        if not kvs or self.rng.random() < 0.5:
            return "looks on"
        kv = self.rng.choice(kvs)
        if b'"desired":"Run"' not in kv.value:
            return "looks on"  # one that is to stop is nobody's but the leader's memory
        self.store.txn(Txn((), (Delete(kv.key),)))
        return f"removes {kv.key}"

    def _cordon(self) -> str:
        """Cordon or drain a node, or uncordon it; one at most, so that tasks can move."""
        name = self.cordoned or f"n{self.rng.randint(1, 3)}"
        ref = cluster_ref("nodes", name)
        key = self.keys.spec(ref)
        kv = self.store.get(key).kv
        before = decode(kv) if kv else {}
        assert isinstance(before, dict)
        cordoned = not self.cordoned
        self.cordoned = name if cordoned else ""
        spec: dict[str, Any] = {"unschedulable": cordoned}
        if cordoned and self.made % 2:
            self.drains += 1
            spec["drain"] = {"requestedAt": f"drain {self.drains}"}
        metadata = before.get("metadata", {"name": name})
        raw = {
            "apiVersion": "berth/v1",
            "kind": "Node",
            "metadata": metadata,
            "spec": spec,
        }
        objects.write(self.store, key, raw, expect_mod_revision=kv.mod_revision if kv else 0)
        return f"{'drains' if 'drain' in spec else 'cordons' if cordoned else 'uncordons'} {name}"
