"""People who keep workloads in the simulation: they make, change, scale, delete and abandon Deployments and others."""

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from schemas.keys import Family, Keys, ObjectRef, OwnedKey
from schemas.owned import Owned
from schemas.request import DeleteRequest
from sim.templates import labelled, template, varied
from store import objects
from store.api import Delete, Put, Txn
from store.codec import decode, encode
from store.memory import MemoryStore

NAMES = {"deployments": ("web", "api"), "daemonsets": ("probe",), "jobs": ("sum", "mix")}
TOGETHER = "mix"  # a job whose tasks are a gang
KINDS = {"deployments": "Deployment", "daemonsets": "DaemonSet", "jobs": "Job"}


@dataclass(slots=True)
class Operators:
    """`uids`: of every object they wrote, with its kind and name.

    on_leave: told the uid of an owner that is to leave its tasks behind; on_delete: of a task that is to go.
    """

    store: MemoryStore
    keys: Keys
    rng: random.Random
    on_leave: Callable[[str], None]
    on_delete: Callable[[str], None]
    uids: dict[str, ObjectRef] = field(default_factory=dict)

    def act(self) -> str:
        """Do one random thing; return what it was."""
        actions = [self._apply, self._apply, self._apply, self._delete, self._delete_spec, self._delete_task]
        actions += [self._delete_left]
        return self.rng.choice(actions)()

    def _any(self) -> ObjectRef:
        plural = self.rng.choice(["deployments", "deployments", "daemonsets", "jobs"])
        return ObjectRef(plural, "default", self.rng.choice(NAMES[plural]))

    def _apply(self) -> str:
        ref = self._any()
        key = self.keys.spec(ref)
        kv = self.store.get(key).kv
        if self.store.get(self.keys.request(ref, "delete")).kv is not None or (kv and ref.plural == "jobs"):
            return f"waits to apply {ref}"
        metadata = {"name": ref.name, "namespace": "default"}
        before = decode(kv) if kv else {}
        metadata = before.get("metadata", metadata) if isinstance(before, dict) else metadata
        raw = {
            "apiVersion": "berth/v1",
            "kind": KINDS[ref.plural],
            "metadata": metadata,
            "spec": self._spec(ref),
        }
        new_uid = f"owner-{self.rng.getrandbits(48):012x}"
        self.uids[metadata.get("uid", new_uid)] = ref
        objects.write(
            self.store, key, raw, expect_mod_revision=kv.mod_revision if kv else 0, new_uid=lambda: new_uid
        )
        return f"applies {ref}: {raw['spec']}"

    def _spec(self, ref: ObjectRef) -> dict[str, Any]:
        rng = self.rng
        if ref.plural == "jobs":
            image = rng.choice(
                ["hollow/exit-0-after-20s", "hollow/exit-0-after-20s", "hollow/exit-3-after-5s"]
            )
            counts = {"completions": rng.randint(1, 4), "parallelism": rng.randint(1, 3), "backoffLimit": 2}
            gang = {"gang": True} if ref.name == TOGETHER else {}
            packed = {"placement": "optimal"} if gang else {}
            return {**counts, **gang, "template": template(image, restartPolicy="Never", **packed)}
        plain = template("demo", grace=f"{rng.randint(2, 5)}s", restartBackoff={"initial": "2s", "max": "5s"})
        made = varied(rng, plain, ref.name) if rng.random() < 0.6 else labelled(plain, ref.name)
        if ref.plural == "daemonsets":
            return {"template": made}
        spec = {"replicas": rng.randint(0, 4), "template": made}
        if rng.random() < 0.3:
            spec["strategy"] = {"type": "Recreate"}
            made["spec"]["placement"] = "optimal"  # all of them come at once
        return spec

    def _live(self) -> list[tuple[ObjectRef, str]]:
        found = []
        for plural, names in NAMES.items():
            for name in names:
                ref = ObjectRef(plural, "default", name)
                kv = self.store.get(self.keys.spec(ref)).kv
                raw = decode(kv) if kv else {}
                if isinstance(raw, dict) and raw:
                    found.append((ref, raw["metadata"]["uid"]))
        return found

    def _delete(self) -> str:
        live = self._live()
        if not live or self.rng.random() < 0.5:
            return "looks on"
        ref, uid = self.rng.choice(live)
        how: Any = self.rng.choice(["background", "foreground", "orphan", "orphan"])
        if how == "orphan":
            self.on_leave(uid)
        self._put(self.keys.request(ref, "delete"), DeleteRequest(uid=uid, cascade=how).to_json())
        return f"deletes {ref} with --cascade={how}"

    def _delete_spec(self) -> str:
        live = self._live()
        if not live or self.rng.random() < 0.7:
            return "looks on"
        ref, _ = self.rng.choice(live)
        self.store.txn(Txn((), (Delete(self.keys.spec(ref)),)))
        return f"removes the spec key of {ref}"

    def _delete_task(self) -> str:
        kvs = self.store.list(self.keys.family_range(Family.OWNED)).kvs
        if not kvs:
            return "looks on"
        kv = self.rng.choice(kvs)
        parsed = self.keys.parse(kv.key)
        assert isinstance(parsed, OwnedKey)
        uid = Owned.model_validate_json(kv.value).metadata.uid
        self.on_delete(uid)
        self._put(self.keys.request(parsed.ref, "delete"), DeleteRequest(uid=uid).to_json())
        return f"deletes {parsed.ref}"

    def _delete_left(self) -> str:
        """Delete one of the tasks that were left behind."""
        kvs = self.store.list(f"{self.keys.root}spec/default/tasks/").kvs
        found = [raw["metadata"] for kv in kvs if isinstance(raw := decode(kv), dict) and "metadata" in raw]
        left = [each for each in found if not each["uid"].startswith("task-")]
        if not left:
            return "looks on"
        each = self.rng.choice(left)
        self.on_delete(each["uid"])
        request = self.keys.request(ObjectRef("tasks", "default", each["name"]), "delete")
        self._put(request, DeleteRequest(uid=each["uid"]).to_json())
        return f"deletes {each['name']}, which was left behind"

    def _put(self, key: str, value: dict[str, Any]) -> None:
        self.store.txn(Txn((), (Put(key, encode(value)),)))
