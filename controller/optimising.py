"""The live side of `placement: optimal`: tasks are gathered, a packing is asked for, and they wait for it a while.

    waits -> gathered for a moment -> packed beside the loop -> the answer, or the end of the budget
                                                             -> one cycle with it, or without

An answer is checked against the fleet as it is then; whatever does not fit any more, or is no better, is decided by the
scheduler alone. A leader forgets all of this with its term: tasks wait anew.
"""

import logging
from collections.abc import Callable, Mapping, Set
from dataclasses import dataclass, field

from controller.packing import Packer, job_of
from controller.scheduler.optimise import Packing
from controller.scheduler.program import Limits
from controller.scheduling import Scheduling
from controller.snapshots import Frozen
from schemas.keys import ObjectRef

log = logging.getLogger(__name__)

GATHER_S = 0.3  # what is applied together arrives within that
GRACE_S = 1.0  # beyond the budget: the program is built, and HiGHS looks at its clock only now and then


@dataclass(frozen=True, slots=True)
class Chosen:
    """Who goes into the next cycle. nodes: task uid -> node, as an answer has it; empty without one."""

    refs: frozenset[ObjectRef]
    nodes: Mapping[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class Optimising:
    """Owns whose packing is under way, and who goes without one from here on."""

    scheduling: Scheduling
    packer: Packer
    limits: Limits
    freeze: Callable[[float], Frozen]
    _gathered_at: float | None = None
    _asked: frozenset[ObjectRef] = frozenset()
    _ticket: int = 0
    _deadline: float = 0.0
    _released: set[ObjectRef] = field(default_factory=set)
    _more_at: float | None = None

    def next_due(self) -> float | None:
        due = self._gathered_at if not self._asked else self._deadline
        return min((each for each in (due, self._more_at) if each is not None), default=None)

    def choose(self, ready: Set[ObjectRef], now: float) -> Chosen:
        """Return whom to schedule now: all but those that wait for a packing. With an answer only those it is about."""
        self._more_at = None
        self._released &= self.scheduling.active()
        wanting = self._wanting(ready) if self.limits.seconds > 0 else frozenset()
        if self._asked:
            return self._with_answer(ready, wanting, now)
        if not wanting:
            self._gathered_at = None
        elif self._gathered_at is None:
            self._gathered_at = now + GATHER_S
        elif now >= self._gathered_at:
            self._ask(wanting, now)
            return self._with_answer(ready, wanting, now)
        return Chosen(frozenset(ready - wanting))

    def _wanting(self, ready: Set[ObjectRef]) -> frozenset[ObjectRef]:
        """Return those that want a packing: of a gang all or none."""
        tasks = {ref: self.scheduling.waiting(ref).task for ref in ready - self._released}
        found = {ref for ref, task in tasks.items() if self.scheduling.is_optimal(task)}
        gangs = {(ref.namespace, gang.name) for ref in found if (gang := tasks[ref].gang) is not None}
        members = {
            ref
            for ref, task in tasks.items()
            if task.gang is not None and (ref.namespace, task.gang.name) in gangs
        }
        return frozenset(found | members)

    def _ask(self, wanting: frozenset[ObjectRef], now: float) -> None:
        uids = frozenset(self.scheduling.waiting(ref).task.uid for ref in wanting)
        self._ticket = self.packer.submit(job_of(self.freeze(now), uids, self.limits))
        self._asked, self._gathered_at = wanting, None
        self._deadline = now + self.limits.seconds + GRACE_S

    def _with_answer(self, ready: Set[ObjectRef], wanting: frozenset[ObjectRef], now: float) -> Chosen:
        """With an answer those go that it is about, alone: what is free is as it was when it was made, or nearly."""
        answer = next((each for each in self.packer.poll() if each.ticket == self._ticket), None)
        if answer is None and now < self._deadline:
            return Chosen(frozenset(ready - wanting))
        refs, self._asked = self._asked & ready, frozenset()
        self._released |= refs
        packing = answer.packing if answer is not None else None
        _tell(packing, len(refs))
        if packing is None or not packing.is_better:
            return Chosen(frozenset(ready - (wanting - refs)))
        self._more_at = now
        return Chosen(refs, packing.nodes)


def _tell(packing: Packing | None, tasks: int) -> None:
    if packing is None:
        log.warning("no packing came in time, the scheduler decides alone tasks=%d", tasks)
        return
    log.info(
        "packing came tasks=%d verdict=%s better=%s nodes_used=%d bound=%g seconds=%.2f searched=%d",
        tasks,
        packing.verdict,
        packing.is_better,
        packing.objective,
        packing.bound,
        packing.seconds,
        packing.searched,
    )
