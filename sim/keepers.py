"""People in the simulation who look after the rest: budgets, drains, evictions, CronJobs, ConfigMaps and Secrets."""

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from schemas.binding import Binding, Desired
from schemas.keys import Family, Keys, ObjectRef, cluster_ref, task_ref
from schemas.request import DeleteRequest, EvictRequest
from schemas.secret import SealedValues
from sealing.box import Place, seal
from sealing.keys import KeyPair
from sim.people import People
from sim.templates import BUDGETED, CONFIG_KEYS, SECRET_KEYS, SETTINGS, TOKEN, template
from store import objects
from store.api import Delete, Put, Txn
from store.codec import decode, encode
from store.memory import MemoryStore

CRONJOBS = {"tick": "Forbid", "tock": "Replace", "tack": "Allow"}  # name -> concurrencyPolicy
KINDS = {"cronjobs": "CronJob", "disruptionbudgets": "DisruptionBudget", "configmaps": "ConfigMap"}
EVERYTHING = "guard-all"


@dataclass(slots=True)
class Keepers:
    """`values`: of every ConfigMap and Secret that there ever was, (name, key) -> values."""

    store: MemoryStore
    keys: Keys
    rng: random.Random
    people: People
    pair: KeyPair
    values: dict[tuple[str, str], set[str]] = field(default_factory=dict)
    drains: int = 0
    said: int = 0

    def act(self) -> str:
        """Do one random thing; return what it was."""
        actions: list[Callable[[], str]] = [self._budget, self._drain, self._evict, self._evict]
        actions += [self._cronjob, self._say, self._say, self._unsay]
        return self.rng.choice(actions)()

    def _write(self, ref: ObjectRef, **rest: Any) -> str:
        kv = self.store.get(self.keys.spec(ref)).kv
        before = decode(kv) if kv else {}
        metadata = {"name": ref.name, "namespace": "default"}
        metadata = before.get("metadata", metadata) if isinstance(before, dict) else metadata
        raw = {
            "apiVersion": "berth/v1",
            "kind": KINDS.get(ref.plural, "Secret"),
            "metadata": metadata,
            **rest,
        }
        new_uid = f"kept-{self.rng.getrandbits(48):012x}"
        objects.write(
            self.store,
            self.keys.spec(ref),
            raw,
            expect_mod_revision=kv.mod_revision if kv else 0,
            new_uid=lambda: new_uid,
        )
        return f"applies {ref}: {rest.get('spec') or sorted(rest.get('data', ()))}"

    def _put(self, key: str, value: dict[str, Any]) -> None:
        self.store.txn(Txn((), (Put(key, encode(value)),)))

    def _is_going(self, ref: ObjectRef) -> bool:
        return self.store.get(self.keys.request(ref, "delete")).kv is not None

    def _remove(self, ref: ObjectRef) -> str:
        """Ask for the deletion of an object, or remove its key by hand."""
        kv = self.store.get(self.keys.spec(ref)).kv
        raw = decode(kv) if kv else None
        if not isinstance(raw, dict):
            return "looks on"
        if self.rng.random() < 0.4:
            self.store.txn(Txn((), (Delete(self.keys.spec(ref)),)))
            return f"removes the spec key of {ref}"
        self._put(self.keys.request(ref, "delete"), DeleteRequest(uid=raw["metadata"]["uid"]).to_json())
        return f"deletes {ref}"

    # Budgets, drains, evictions

    def _budget(self) -> str:
        app, name = self.rng.choice([*BUDGETED.items(), ("", EVERYTHING)])
        ref = ObjectRef("disruptionbudgets", "default", name)
        if self._is_going(ref):
            return f"waits to apply {ref}"
        if self.rng.random() < 0.2:
            return self._remove(ref)
        bounds: list[dict[str, Any]] = [
            {"minAvailable": 1},
            {"minAvailable": 2},
            {"maxUnavailable": 1},
            {"minAvailable": "60%"},
        ]
        selector = {"matchLabels": {"app": app}} if app else {}
        bound = self.rng.choice(bounds) if app else {"minAvailable": "40%"}
        return self._write(ref, spec={"selector": selector, **bound})

    def _drain(self) -> str:
        """Begin or end a drain; one node at most is drained or cordoned, so that tasks can move."""
        name = self.people.cordoned or f"n{self.rng.randint(1, 3)}"
        return self.uncordon(name) if self.people.cordoned else self.drain(name)

    def drain(self, name: str) -> str:
        self.drains += 1
        self.people.cordoned = name
        self._node(name, {"unschedulable": True, "drain": {"requestedAt": f"keepers' drain {self.drains}"}})
        return f"drains {name}"

    def uncordon(self, name: str) -> str:
        self.people.cordoned = ""
        self._node(name, {"unschedulable": False})
        return f"uncordons {name}"

    def _node(self, name: str, spec: dict[str, Any]) -> None:
        key = self.keys.spec(cluster_ref("nodes", name))
        kv = self.store.get(key).kv
        before = decode(kv) if kv else {}
        metadata = before.get("metadata", {"name": name}) if isinstance(before, dict) else {"name": name}
        raw = {"apiVersion": "berth/v1", "kind": "Node", "metadata": metadata, "spec": spec}
        new_uid = f"node-{self.rng.getrandbits(48):012x}"
        objects.write(
            self.store, key, raw, expect_mod_revision=kv.mod_revision if kv else 0, new_uid=lambda: new_uid
        )

    def _evict(self) -> str:
        kvs = self.store.list(self.keys.family_range(Family.BINDINGS)).kvs
        found = [Binding.model_validate_json(kv.value) for kv in kvs]
        running = [each for each in found if each.desired is Desired.RUN]
        if not running:
            return "looks on"
        each = self.rng.choice(running)
        wish = EvictRequest(
            uid=each.task_uid, binding_uid=each.binding_uid if self.rng.random() < 0.7 else ""
        )
        self._put(self.keys.request(task_ref(each.namespace, each.name), "evict"), wish.to_json())
        return f"evicts {each.name} ({each.binding_uid})"

    # CronJobs

    def _cronjob(self) -> str:
        name = self.rng.choice(sorted(CRONJOBS))
        ref = ObjectRef("cronjobs", "default", name)
        if self._is_going(ref):
            return f"waits to apply {ref}"
        if self.rng.random() < 0.15:
            return self._remove(ref)
        return self._write(ref, spec=self._cron_spec(name))

    def _cron_spec(self, name: str, *, suspend: bool | None = None) -> dict[str, Any]:
        rng = self.rng
        image = rng.choice(
            ["hollow/exit-0-after-5s", "hollow/exit-0-after-5s", "hollow/exit-3-after-5s", "demo"]
        )
        if name != "tock" and image == "demo":
            image = "hollow/exit-0-after-20s"  # only one that is replaced may go on for ever
        job = {"backoffLimit": 1, "template": template(image, restartPolicy="Never")}
        return {
            "schedule": "* * * * *",
            "concurrencyPolicy": CRONJOBS[name],
            "catchUp": rng.choice(["skip", "runOnce"]),
            "suspend": rng.random() < 0.15 if suspend is None else suspend,
            "successfulJobsHistoryLimit": 1,
            "failedJobsHistoryLimit": 1,
            "jobTemplate": {"spec": job},
        }

    def suspend_all(self) -> None:
        """So that a cluster can come to rest."""
        for name in CRONJOBS:
            ref = ObjectRef("cronjobs", "default", name)
            kv = self.store.get(self.keys.spec(ref)).kv
            raw = decode(kv) if kv else None
            if isinstance(raw, dict):
                self._write(ref, spec={**raw["spec"], "suspend": True})

    # ConfigMaps and Secrets

    def _say(self) -> str:
        """Write the ConfigMap or the Secret, each time with other values, now and then without a key."""
        self.said += 1
        name, known = self.rng.choice([(SETTINGS, CONFIG_KEYS), (TOKEN, SECRET_KEYS)])
        return self.say(name, [key for key in known if self.rng.random() < 0.8])

    def say(self, name: str, names: list[str]) -> str:
        """Write that ConfigMap or Secret with these keys."""
        values = {key: f"{key}-{self.said}" for key in names}
        plural = "configmaps" if name == SETTINGS else "secrets"
        ref = ObjectRef(plural, "default", name)
        if self._is_going(ref):
            return f"waits to apply {ref}"
        for key, value in values.items():
            self.values.setdefault((name, key), set()).add(value)
        if plural == "configmaps":
            return self._write(ref, data=values)
        box = seal(
            self.pair.public,
            Place("default", name, "Opaque"),
            {key: value.encode() for key, value in values.items()},
        )
        sealed = SealedValues(to=self.pair.id, keys=tuple(sorted(values)), box=box)
        self._write(ref, type="Opaque", sealed=sealed.to_json())
        return f"applies {ref}: {sorted(values)}"

    def _unsay(self) -> str:
        plural, name = self.rng.choice([("configmaps", SETTINGS), ("secrets", TOKEN)])
        return self._remove(ObjectRef(plural, "default", name))

    # The end

    def settle(self, *, drain: bool) -> list[str]:
        """Let the cluster come to rest, perhaps with a node under drain.

        All that was ever said is said: a bound task whose ConfigMap is gone tries for ever to restart its container.
        """
        self.suspend_all()
        self.said += 1
        for ref in (ObjectRef("configmaps", "default", SETTINGS), ObjectRef("secrets", "default", TOKEN)):
            self.store.txn(Txn((), (Delete(self.keys.request(ref, "delete")),)))  # they are wanted after all
        done = [self.say(SETTINGS, list(CONFIG_KEYS)), self.say(TOKEN, list(SECRET_KEYS))]
        if drain:
            done.append(self.drain(f"n{self.rng.randint(1, 3)}"))
        return done
