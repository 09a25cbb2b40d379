"""What owners made, by owner: an index that the view keeps up to date change by change.

An owner is named by kind and name here; things made by an older object of that name are found, too. What is asked
with every plan is kept ready, so that a plan for an owner of thousands sorts and searches nothing.
"""

from bisect import bisect_left, insort
from collections.abc import Container, Iterator, Mapping, Sequence
from operator import attrgetter

from controller.composing import Kept
from controller.records import ObjectRecord, Slot, TaskRecord
from schemas.keys import ObjectRef
from schemas.kinds import BY_NAME
from schemas.owned import OwnerReference, Revision
from schemas.versioned import Versioned

Record = TaskRecord | ObjectRecord

_NAME = attrgetter("ref.name")


def owner_ref(owner: OwnerReference, namespace: str) -> ObjectRef:
    """Return which object an owner is."""
    return ObjectRef(BY_NAME[owner.kind].plural, namespace, owner.name)


class NamesInUse(Container[str]):
    """The names of which anything is there, of one kind in one namespace: asked for, never copied."""

    def __init__(self, records: Mapping[ObjectRef, Record], plural: str, namespace: str) -> None:
        self._records = records
        self._plural = plural
        self._namespace = namespace

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and ObjectRef(self._plural, self._namespace, name) in self._records


class Group:
    """What one object made, in order of name. frozen: those of it that can't be read."""

    __slots__ = ("frozen", "records")

    def __init__(self) -> None:
        self.records: list[Record] = []
        self.frozen: set[ObjectRef] = set()

    def add(self, record: Record) -> None:
        insort(self.records, record, key=_NAME)

    def discard(self, ref: ObjectRef) -> None:
        del self.records[bisect_left(self.records, ref.name, key=_NAME)]
        self.frozen.discard(ref)


NOTHING = Group()


class Made:
    """What each owner made, and the templates that were kept for it."""

    def __init__(self) -> None:
        self._of: dict[ObjectRef, dict[str, Group]] = {}  # owner -> its uid -> what that one made
        self._owners: dict[ObjectRef, OwnerReference] = {}
        self._kept: dict[
            tuple[str, str], dict[int, Kept]
        ] = {}  # (namespace, owner's uid) -> number -> template
        self._keepers: dict[ObjectRef, set[str]] = {}  # owner -> uids under which templates are kept

    def owner_of(self, ref: ObjectRef) -> OwnerReference | None:
        return self._owners.get(ref)

    def of(self, owner: ObjectRef, uid: str) -> Group:
        """Return what the object of this name and uid made; not to be changed."""
        return self._of.get(owner, {}).get(uid, NOTHING)

    def uids(self, owner: ObjectRef) -> Sequence[str]:
        """Return the uids of the objects of this kind and name that made something."""
        return sorted(self._of.get(owner, ()))

    def owners(self) -> set[ObjectRef]:
        """Return every owner that made or kept something."""
        return self._of.keys() | self._keepers.keys()

    def note(self, record: Record, owner: OwnerReference | None) -> Iterator[ObjectRef]:
        """Note who owns something now, and whether it can be read; return the owners that this concerns."""
        ref, before = record.ref, self._owners.get(record.ref)
        if before is not None:
            yield owner_ref(before, ref.namespace)
            if owner != before:
                self._drop(before, ref)
        if owner is None:
            return
        new = owner_ref(owner, ref.namespace)
        group = self._of.setdefault(new, {}).setdefault(owner.uid, Group())
        if owner != before:
            self._owners[ref] = owner
            group.add(record)
            yield new
        group.frozen.add(ref) if record.is_frozen else group.frozen.discard(ref)

    def _drop(self, owner: OwnerReference, ref: ObjectRef) -> None:
        del self._owners[ref]
        named = owner_ref(owner, ref.namespace)
        groups = self._of[named]
        groups[owner.uid].discard(ref)
        if not groups[owner.uid].records:
            del groups[owner.uid]
        if not groups:
            del self._of[named]

    def kept(self, namespace: str, owner_uid: str, number: int) -> Kept | None:
        return self._kept.get((namespace, owner_uid), {}).get(number)

    def revisions(self, namespace: str, owner_uid: str) -> dict[int, Kept]:
        """Return number -> kept template of one owner; not to be changed."""
        return self._kept.get((namespace, owner_uid), {})

    def keepers(self, owner: ObjectRef) -> frozenset[str]:
        """Return the uids under which templates are kept for objects of this kind and name."""
        return frozenset(self._keepers.get(owner, ()))

    def set_revision(
        self, namespace: str, owner_uid: str, number: int, slot: Slot[Revision]
    ) -> tuple[ObjectRef, ...]:
        """Keep a template, or drop it; return the owners that this concerns."""
        place = (namespace, owner_uid)
        before = self._kept.get(place, {}).pop(number, None)
        owners = {self._keeper(before, namespace)} if before else set()
        if slot is not None:
            kept = self._kept.setdefault(place, {})[number] = Kept(slot)
            owners.add(self._keeper(kept, namespace))
        elif not self._kept.get(place):
            self._kept.pop(place, None)
        found = tuple(owner for owner in owners if owner is not None)
        for owner in found:
            self._note_keeper(owner, owner_uid)
        return found

    def _note_keeper(self, owner: ObjectRef, uid: str) -> None:
        kept = self._kept.get((owner.namespace, uid), {}).values()
        uids = self._keepers.setdefault(owner, set())
        if any(self._keeper(each, owner.namespace) == owner for each in kept):
            uids.add(uid)
        else:
            uids.discard(uid)
        if not uids:
            del self._keepers[owner]

    @staticmethod
    def _keeper(kept: Kept, namespace: str) -> ObjectRef | None:
        if not isinstance(kept.slot, Versioned):
            return None
        return owner_ref(kept.slot.value.owner, namespace)
