"""The live side of preemption: room is promised first, then made, so that a new leader keeps the promise.

a decision names node and victims   budgets allow all of them -> status.nominated
the promise is seen                 all victims are evicted, or none
they have ended                     the task is placed; nobody else had that room meanwhile
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace

from controller.evicting import CONCERNING, Evicting, Note
from controller.fleetkeeping import FleetKeeper
from controller.reconcilers.eviction import Candidate, Cause, Waits
from controller.reconcilers.plan import EventNote
from controller.scheduler.node_view import Standing
from controller.scheduler.schedule import Decisions, Unschedulable
from controller.scheduling import Scheduling
from schemas.keys import ObjectRef

PAUSE_S = 0.2  # between two looks at budgets that were in the way


@dataclass(slots=True)
class Preempting:
    """Owns which tasks budgets keep where they are: the scheduler looks for others until that may have changed."""

    evicting: Evicting
    keeper: FleetKeeper
    scheduling: Scheduling
    _protected: dict[str, ObjectRef] = field(default_factory=dict)  # task uid -> its name
    _waiting: dict[ObjectRef, str] = field(default_factory=dict)  # who found only such -> what was told
    _is_dirty: bool = False
    _next_at: float = 0.0

    def is_protected(self, uid: str) -> bool:
        return uid in self._protected

    def changed(self, refs: Iterable[ObjectRef]) -> None:
        """Take in that something differs by which budgets are counted."""
        if self._protected and not self._is_dirty:
            namespaces = {ref.namespace for ref in self._protected.values()}
            self._is_dirty = any(ref.plural in CONCERNING and ref.namespace in namespaces for ref in refs)

    def next_due(self) -> float | None:
        return self._next_at if self._is_dirty else None

    def step(self, now: float) -> None:
        """When budgets may allow more, ask again."""
        if not self._is_dirty or now < self._next_at:
            return
        self._is_dirty, self._next_at = False, now + PAUSE_S
        protected, self._protected = set(self._protected.values()), {}
        self.keeper.touch(protected)
        for ref in self._waiting:
            self.scheduling.retry(ref)
        self._waiting = {ref: told for ref, told in self._waiting.items() if self.scheduling.waits(ref)}

    def answer(
        self, decisions: Decisions, now: float, is_busy: Callable[[ObjectRef], bool], note: Note
    ) -> tuple[tuple[Unschedulable, ...], list[ObjectRef]]:
        """Return what to say of those that wait, and the victims whose end is decided now."""
        victims = self._victims_of(decisions)
        told, gone = [], []
        for rejected in decisions.unschedulable:
            theirs = victims.get(rejected.task.uid)
            if theirs:
                rejected, evicted = self._answer_one(rejected, theirs, now, is_busy, note)
                gone += evicted
            told.append(rejected)
        self.keeper.touch(gone)
        return tuple(told), gone

    def _victims_of(self, decisions: Decisions) -> Mapping[str, list[Standing]]:
        found: dict[str, list[Standing]] = {}
        for victim in decisions.victims:
            standing = self.keeper.fleet.standing.get(victim.uid)
            if standing is not None:
                found.setdefault(victim.for_uid, []).append(standing)
        return found

    def _answer_one(
        self,
        rejected: Unschedulable,
        victims: list[Standing],
        now: float,
        is_busy: Callable[[ObjectRef], bool],
        note: Note,
    ) -> tuple[Unschedulable, list[ObjectRef]]:
        ref = rejected.task.ref
        promised = self.scheduling.waiting(ref).nominated
        candidates = [self._candidate(each, ref) for each in victims]
        refs = [each.ref for each in victims]
        if None in candidates or any(map(is_busy, (ref, *refs))):
            self.scheduling.retry(ref)  # what becomes of them will be seen in a moment
            return replace(rejected, nominated=promised), []
        verdicts = self.evicting.judge([each for each in candidates if each is not None], is_busy)
        waits = {other: each.reason for other, each in verdicts.items() if isinstance(each, Waits)}
        if waits:
            self._protect(victims, waits)
            self._tell(rejected, next(iter(waits.values())), now, note)
            self.scheduling.retry(ref)
            return replace(rejected, nominated=""), []
        if rejected.nominated != promised:
            return rejected, []
        self._waiting.pop(ref, None)
        self.evicting.adopt(verdicts)
        return rejected, refs

    def _candidate(self, victim: Standing, room_for: ObjectRef) -> Candidate | None:
        binding = self.evicting.movable(victim.ref, (victim.node, victim.uid))
        if binding is None:
            return None
        return Candidate(victim.ref, binding.binding_uid, victim.node, Cause.PREEMPTION, room_for=room_for)

    def _protect(self, victims: list[Standing], waits: Mapping[ObjectRef, str]) -> None:
        found = [each for each in victims if each.ref in waits]
        self._protected |= {each.uid: each.ref for each in found}
        self.keeper.touch(each.ref for each in found)

    def _tell(self, rejected: Unschedulable, reason: str, now: float, note: Note) -> None:
        ref, text = rejected.task.ref, f"no room can be made on {rejected.nominated}: {reason}"
        if self._waiting.get(ref) != text:
            note(ref, rejected.task.uid, EventNote("Warning", "PreemptionBlocked", text), now)
        self._waiting[ref] = text
