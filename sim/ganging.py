"""What must hold of gangs, whatever fails.

of each transaction   what was held runs only if the record of its attempt names it; a record is written only when
                      all of the attempt are held, and removed only when none is any more
in the end            nobody is held, and no record is left
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from schemas.binding import Binding, Desired
from schemas.gang import GangCommit
from schemas.keys import BindingKey, GangKey
from sim.stored import Stored
from store.api import Delete, KeyValue, Put


@dataclass(slots=True)
class Ganging:
    """_were_held: (task uid, bindingUid); a person may remove such a key just before the record is written."""

    stored: Stored
    fail: Callable[[str], None]
    _were_held: set[tuple[str, str]] = field(default_factory=set)

    def after_txn(self, ops: tuple[Put | Delete, ...], before: Mapping[str, KeyValue]) -> None:
        """Check what a controller did; before: key -> the bindings that stood there."""
        for op in ops:
            match self.stored.keys.parse(op.key), op:
                case BindingKey(), Put(_, value):
                    kv = before.get(op.key)
                    old = self.stored.parse(Binding, kv) if kv is not None else None
                    new = Binding.model_validate_json(value)
                    if new.desired is Desired.HOLD:
                        self._were_held.add((new.task_uid, new.binding_uid))
                    if isinstance(old, Binding) and old.binding_uid == new.binding_uid:
                        self._check_start(old, new)
                case GangKey(uid), Put(_, value):
                    self._check_commit(uid, GangCommit.model_validate_json(value), before)
                case GangKey(uid), Delete():
                    if any(each.gang is not None and each.gang.uid == uid for each in self._held(before)):
                        self.fail(f"the record of attempt {uid} was removed while it holds somebody")
                case _:
                    pass

    def _check_start(self, old: Binding, new: Binding) -> None:
        if (old.desired, new.desired) != (Desired.HOLD, Desired.RUN):
            return
        uid = old.gang.uid if old.gang is not None else ""
        commit = self.stored.read(GangCommit, self.stored.keys.gang(uid))
        if commit is None or commit.members.get(new.task_uid) != new.binding_uid:
            self.fail(f"{new.name} was held in attempt {uid} and runs, though no record says so")

    def _check_commit(self, uid: str, commit: GangCommit, before: Mapping[str, KeyValue]) -> None:
        held = [each for each in self._held(before) if each.gang is not None and each.gang.uid == uid]
        if any(each.gang is not None and each.gang.size != len(commit.members) for each in held):
            self.fail(
                f"attempt {uid} was told to run though it is not whole: {len(commit.members)} are named"
            )
        for task_uid, binding_uid in commit.members.items():
            if (task_uid, binding_uid) not in self._were_held:
                self.fail(f"the record of attempt {uid} names task {task_uid}, which was never held")

    def _held(self, bindings: Mapping[str, KeyValue]) -> Iterator[Binding]:
        for kv in bindings.values():
            found = self.stored.parse(Binding, kv)
            if isinstance(found, Binding) and found.desired is Desired.HOLD:
                yield found

    def check_end(self) -> None:
        """Check a cluster that has come to rest."""
        keys, store = self.stored.keys, self.stored.client()
        for held in self._held({kv.key: kv for kv in store.list(f"{keys.root}bindings/").kvs}):
            self.fail(f"{held.name} is still held on {held.node}")
        for kv in store.list(f"{keys.root}gangs/").kvs:
            self.fail(f"{kv.key} is still there")
