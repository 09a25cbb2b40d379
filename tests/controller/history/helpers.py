"""A store in memory, a controller's informer, its keeper and a real archive; and a model of what was true when."""

import json
from pathlib import Path
from typing import Any

from controller.history.answers import Kept
from controller.history.archive import Archive
from controller.history.keeper import Keeper
from controller.history.lookup import AtRevision, Moment, Standing, by_object, standing
from schemas.keys import Keys, ObjectRef
from store.api import Delete, Op, Put, Txn
from store.codec import encode
from store.errors import Rewound
from store.informer import Informer
from store.memory import MemoryStore
from tests.store.harness import ManualClock

KEYS = Keys()
Json = dict[str, Any]


def ref_of(name: str, plural: str = "deployments", namespace: str = "default") -> ObjectRef:
    return ObjectRef(plural, namespace, name)


WEB = ref_of("web")


def deployment(name: str, uid: str, **spec: Any) -> Json:
    metadata = {"name": name, "namespace": "default", "uid": uid}
    return {"apiVersion": "berth/v1", "kind": "Deployment", "metadata": metadata, "spec": spec}


class Witness:
    """`put` and `delete` change the store, `look` lets the controller see; `kept` is what its archive then holds."""

    def __init__(self, path: Path) -> None:
        self.clock = ManualClock()
        self.memory = MemoryStore(self.clock)
        self.path = path
        self.states: dict[int, dict[ObjectRef, bytes]] = {0: {}}  # revision -> what there was
        self.times: dict[int, float] = {}
        self._uids = 0
        self.begin()

    # The store

    @property
    def state(self) -> dict[ObjectRef, bytes]:
        return self.states[max(self.states)]

    def put(self, ref: ObjectRef = WEB, *, by: str = "", **spec: Any) -> int:
        """Write an object, by hand or as a manager; return the revision."""
        before = self.state.get(ref)
        self._uids += before is None
        uid = f"uid-{self._uids}" if before is None else json.loads(before)["metadata"]["uid"]
        value = encode(deployment(ref.name, uid, **spec))
        ops: list[Op] = [Put(KEYS.spec(ref), value)]
        if by:
            ops.append(Put(KEYS.applied(ref, by), encode({"spec": spec})))
        return self._note(ops, {**self.state, ref: value})

    def delete(self, ref: ObjectRef = WEB) -> int:
        ops = (Delete(KEYS.spec(ref)), Delete(KEYS.applied_range(ref), is_prefix=True))
        return self._note(ops, {each: value for each, value in self.state.items() if each != ref})

    def noise(self) -> int:
        """Write something that is no spec."""
        return self._note([Put(KEYS.status(WEB), b"{}")], self.state)

    def rewind(self, revision: int) -> None:
        """Restore a backup."""
        self.memory.rewind(revision)
        self.memory = self.memory.another_client()  # one that saw more would refuse to go on

    def _note(self, ops: Any, state: dict[ObjectRef, bytes]) -> int:
        self.clock.now += 1.0
        revision = self.memory.txn(Txn((), tuple(ops))).revision
        self.states[revision], self.times[revision] = state, self.clock.now
        return revision

    # The controller

    def begin(self, size_bytes: int = 0) -> None:
        """A controller starts, with the archive that there is."""
        self.archive = Archive(self.path, size_bytes)
        self.keeper = Keeper(self.archive, KEYS, self.clock)
        self.live()

    def live(self) -> None:
        """A life of it begins."""
        self.informer = Informer(
            self.memory.another_client(), (KEYS.root,), lambda: None, observer=self.keeper
        )

    def look(self) -> None:
        """See what there is to see, and write it down."""
        self.see()
        self.keeper.step(self.clock())

    def see(self) -> None:
        try:
            for _ in range(3):
                self.informer.step(self.clock())
        except Rewound:
            self.keeper.rewound()
            self.live()
            self.see()

    def lose_watch(self) -> None:
        self.informer.relist()

    def end(self) -> None:
        self.keeper.close()

    def crash(self) -> None:
        """End without a last word: what was not written is lost."""
        self.archive.close()

    # What is known

    def kept(self) -> Kept:
        rows, gaps, mark, horizon = self.archive.read(None)
        assert mark is not None
        return Kept(rows, gaps, mark, horizon)

    def at(self, moment: Moment, ref: ObjectRef = WEB) -> Standing:
        kept = self.kept()
        return standing(ref, by_object(kept.rows).get(ref, []), moment, kept.gaps)

    def at_revision(self, revision: int, ref: ObjectRef = WEB) -> Standing:
        return self.at(AtRevision(self.kept().mark.era, revision), ref)

    def value(self, found: Standing) -> bytes | None:
        """Return the content of what stood."""
        if found.row is None or found.row.is_deletion:
            return None
        return self.archive.values([found.row.seq])[found.row.seq]

    def true_at(self, revision: int) -> dict[ObjectRef, bytes]:
        return self.states[max(each for each in self.states if each <= revision)]
