"""Who is held for whom: the members of each attempt, and how many of each gang have begun. Kept up to date by changes.

Owned by a term. What is decided is in the store (`reconcilers.gang`); only that an attempt is released, and which
bindings of it are under way, is known here alone: a new leader finds out for itself.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from controller.reconcilers.gang import GangInputs, Held, Verdict
from controller.reconcilers.placing import gang_of
from controller.records import TaskRecord
from controller.scheduler.schedule import Placed
from controller.view import View
from schemas.affinity import GANG_TIMEOUT_S
from schemas.binding import Binding, Desired
from schemas.gang import GangPlace
from schemas.keys import ObjectRef, gang_ref
from schemas.state import TaskState
from schemas.versioned import Versioned
from store.codec import Unreadable

Name = tuple[str, str]
"""Namespace and name of a gang."""


@dataclass(slots=True)
class Ganging:
    """down_since: of a node. is_busy: whether a write about an object is under way, or not seen yet."""

    view: View
    down_since: Callable[[str], float | None]
    is_busy: Callable[[ObjectRef], bool]
    _members: dict[str, set[ObjectRef]] = field(default_factory=dict)  # attempt -> who is held in it
    _attempts: dict[ObjectRef, frozenset[str]] = field(default_factory=dict)
    _coming: dict[str, set[ObjectRef]] = field(default_factory=dict)  # attempt -> who is being bound in it
    _begun: dict[ObjectRef, Name] = field(default_factory=dict)
    _counts: dict[Name, int] = field(default_factory=dict)
    _told: dict[str, Verdict] = field(default_factory=dict)

    def changed(self, refs: Iterable[ObjectRef]) -> set[ObjectRef]:
        """Take changed tasks in; return the attempts to look at again."""
        found: set[ObjectRef] = set()
        for ref in refs:
            if ref.plural == "tasks":
                record = self.view.tasks.get(ref)
                self._count(ref, record)
                found |= self._regroup(ref, record)
        return found

    def attempts(self) -> set[ObjectRef]:
        """Return every attempt that the store tells of."""
        return {gang_ref(uid) for uid in (*self._members, *self.view.gangs)}

    def begun(self, name: Name) -> int:
        """Return how many members of a gang run, or have come to a good end."""
        return self._counts.get(name, 0)

    def _count(self, ref: ObjectRef, record: TaskRecord | None) -> None:
        before, after = self._begun.pop(ref, None), _begun_in(record)
        if before is not None:
            self._counts[before] -= 1
            if not self._counts[before]:
                del self._counts[before]
        if after is not None:
            self._begun[ref] = after
            self._counts[after] = self._counts.get(after, 0) + 1

    def _regroup(self, ref: ObjectRef, record: TaskRecord | None) -> set[ObjectRef]:
        held = [binding.gang.uid for binding in _held_of(record) if binding.gang is not None]
        if not held and ref not in self._attempts:
            return set()
        before, after = self._attempts.pop(ref, frozenset()), frozenset(held)
        for uid in before - after:
            self._members[uid].discard(ref)
            if not self._members[uid]:
                del self._members[uid]
        for uid in after - before:
            self._members.setdefault(uid, set()).add(ref)
        if after:
            self._attempts[ref] = after
        return {gang_ref(uid) for uid in before | after}

    # Attempts

    def began(self, uid: str, refs: Iterable[ObjectRef]) -> ObjectRef:
        """Take in that members are being bound in a new attempt; return it."""
        self._coming[uid] = set(refs)
        return gang_ref(uid)

    def inputs(self, ref: ObjectRef) -> GangInputs:
        """Return all that is known of an attempt."""
        uid, slot = ref.name, self.view.gangs.get(ref.name)
        bindings = list(self._bindings_in(uid))
        refs = {each for each, _ in bindings} | self._coming.get(uid, set())
        coming = tuple(sorted(each for each in refs if self.is_busy(each)))
        if not coming:
            self._coming.pop(uid, None)
        return GangInputs(
            ref,
            slot if isinstance(slot, Versioned) else None,
            tuple(self._held(each, binding) for each, binding in bindings),
            next((binding.gang.size for _, binding in bindings if binding.gang is not None), 0),
            coming,
            is_unreadable=isinstance(slot, Unreadable),
            is_released=self._told.get(uid) is Verdict.RELEASE,
        )

    def _held(self, ref: ObjectRef, binding: Binding) -> Held:
        down_since = self.down_since(binding.node)
        timeout = binding.spec.gang.timeout if binding.spec.gang is not None else GANG_TIMEOUT_S
        gives_up_at = down_since + timeout if down_since is not None else None
        return Held(ref, binding.task_uid, binding.binding_uid, gives_up_at)

    def _bindings_in(self, uid: str) -> Iterator[tuple[ObjectRef, Binding]]:
        for ref in sorted(self._members.get(uid, ())):
            for binding in _held_of(self.view.tasks.get(ref)):
                if binding.gang is not None and binding.gang.uid == uid:
                    yield ref, binding

    def tell(self, uid: str, verdict: Verdict) -> frozenset[ObjectRef]:
        """Note what the members of an attempt are to do; return those who have to hear of it."""
        members = frozenset(self._members.get(uid, ()))
        is_news = self._told.get(uid) is not verdict
        if members:
            self._told[uid] = verdict
        else:
            self._told.pop(uid, None)
        return members if is_news else frozenset()

    def verdict_for(self, record: TaskRecord) -> Verdict | None:
        """Return what is decided for a member that is held, None for nothing."""
        uids = self._attempts.get(record.ref)
        if not uids:
            return None
        found = {
            Verdict.RUN if isinstance(self.view.gangs.get(uid), Versioned) else self._told.get(uid)
            for uid in uids
        }
        return found.pop() if len(found) == 1 else None


def _held_of(record: TaskRecord | None) -> Iterator[Binding]:
    for versioned in record.bindings.values() if record is not None else ():
        if versioned.value.desired is Desired.HOLD:
            yield versioned.value


def _begun_in(record: TaskRecord | None) -> Name | None:
    if record is None or not isinstance(record.spec, Versioned):
        return None
    gang = gang_of(record.spec.value.spec, record.owner)
    if gang is None:
        return None
    status = record.status.value if isinstance(record.status, Versioned) else None
    is_done = status is not None and status.state is TaskState.SUCCEEDED
    if is_done or any(each.value.desired is Desired.RUN for each in record.bindings.values()):
        return record.ref.namespace, gang.name
    return None


def attempts_of(
    placed: Iterable[Placed], ready: Collection[ObjectRef], new_uid: Callable[[], str]
) -> tuple[Mapping[ObjectRef, GangPlace], frozenset[ObjectRef]]:
    """Return with whom each member is held, and the members that wait, as not all with them can be bound now.

    A member that comes alone, as enough others run, waits for nobody.
    """
    gangs: dict[Name, list[ObjectRef]] = {}
    for each in placed:
        if each.task.gang is not None:
            gangs.setdefault((each.task.ref.namespace, each.task.gang.name), []).append(each.task.ref)
    places: dict[ObjectRef, GangPlace] = {}
    waiting: set[ObjectRef] = set()
    for refs in gangs.values():
        if not all(ref in ready for ref in refs):
            waiting.update(refs)
        elif len(refs) > 1:
            places |= dict.fromkeys(refs, GangPlace(uid=new_uid(), size=len(refs)))
    return places, frozenset(waiting)
