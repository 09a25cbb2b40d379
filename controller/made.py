"""What owners made, by owner: an index that the view keeps up to date change by change.

An owner is named by kind and name here; things made by an older object of that name are found, too. Names are kept
in order, so that those below an owner's own name cost no walk over a whole namespace.
"""

from bisect import bisect_left, insort
from collections.abc import Iterator

from controller.composing import Kept
from controller.records import Slot
from schemas.keys import ObjectRef
from schemas.kinds import BY_NAME
from schemas.owned import OwnerReference, Revision
from schemas.versioned import Versioned

NameSpace = tuple[str, str]
"""(plural, namespace)"""


def owner_ref(owner: OwnerReference, namespace: str) -> ObjectRef:
    """Return which object an owner is."""
    return ObjectRef(BY_NAME[owner.kind].plural, namespace, owner.name)


class Names:
    """The names in use, by kind and namespace, in order."""

    def __init__(self) -> None:
        self._names: dict[NameSpace, list[str]] = {}

    def add(self, ref: ObjectRef) -> None:
        """Note a name that was not in use."""
        insort(self._names.setdefault((ref.plural, ref.namespace), []), ref.name)

    def remove(self, ref: ObjectRef) -> None:
        names = self._names[(ref.plural, ref.namespace)]
        del names[bisect_left(names, ref.name)]

    def below(self, plural: str, namespace: str, prefix: str) -> list[str]:
        """Return the names that begin with `prefix`."""
        names = self._names.get((plural, namespace), [])
        first = bisect_left(names, prefix)
        last = bisect_left(names, f"{prefix}\U0010ffff", lo=first)
        return names[first:last]


class Made:
    """What each owner made, and the templates that were kept for it."""

    def __init__(self) -> None:
        self._of: dict[ObjectRef, set[ObjectRef]] = {}
        self._owners: dict[ObjectRef, OwnerReference] = {}
        self._kept: dict[
            tuple[str, str], dict[int, Kept]
        ] = {}  # (namespace, owner's uid) -> number -> template
        self._keepers: dict[ObjectRef, set[str]] = {}  # owner -> uids under which templates are kept

    def owner_of(self, ref: ObjectRef) -> OwnerReference | None:
        return self._owners.get(ref)

    def of(self, owner: ObjectRef) -> frozenset[ObjectRef]:
        """Return what objects of this kind and name made, those of older uids included."""
        return frozenset(self._of.get(owner, ()))

    def owners(self) -> set[ObjectRef]:
        """Return every owner that made or kept something."""
        return self._of.keys() | self._keepers.keys()

    def note(self, ref: ObjectRef, owner: OwnerReference | None) -> Iterator[ObjectRef]:
        """Note who owns `ref` now; return the owners that this concerns."""
        before = self._owners.get(ref)
        if before is not None:
            old = owner_ref(before, ref.namespace)
            yield old
            if owner != before:
                self._drop(old, ref)
        if owner is not None and owner != before:
            new = owner_ref(owner, ref.namespace)
            self._owners[ref] = owner
            self._of.setdefault(new, set()).add(ref)
            yield new

    def _drop(self, owner: ObjectRef, ref: ObjectRef) -> None:
        del self._owners[ref]
        left = self._of[owner]
        left.discard(ref)
        if not left:
            del self._of[owner]

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
