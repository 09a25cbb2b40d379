"""What leaves the leader: writes behind the fence of its term, each about one object, and notes for people.

It owns the ledger of writes under way, so that nothing is planned again before its last write is seen.
"""

import logging
from collections.abc import Mapping
from types import MappingProxyType

from controller.inputs import InputsOf
from controller.ledger import Ledger
from controller.reconcilers.plan import EventNote, Plan, PutEndpoints, PutOwnerStatus, PutTaskStatus
from controller.recorder import EVENT_REF, Recorder
from controller.source import Random
from controller.writer import Writer
from controller.writes import Stamps, write_of
from schemas.keys import Keys, ObjectRef
from schemas.meta import Model
from store.api import Put
from store.batch import FencedOff, Outcome, Unknown, Write
from store.errors import LeaseExpired
from store.fence import Fence

log = logging.getLogger(__name__)

HANDED_OVER_TOGETHER = 240  # about two full transactions, so that writes flow while a long step goes on
NO_MODELS: Mapping[str, Model] = MappingProxyType({})


class Outbox:
    """The writes and events of one term."""

    def __init__(
        self,
        fence: Fence,
        keys: Keys,
        writer: Writer,
        recorder: Recorder,
        inputs: InputsOf,
        source: Random,
    ) -> None:
        self.fence = fence
        self.ledger = Ledger()
        self._keys = keys
        self._writer = writer
        self._recorder = recorder
        self._inputs = inputs
        self._random = source
        self._ready: list[Write] = []

    def submit(
        self,
        ref: ObjectRef,
        write: Write,
        models: Mapping[str, Model] = NO_MODELS,
        *,
        settles: bool = False,
    ) -> None:
        """Hand over one write about `ref`. models: key -> what is put there, so that it need not be parsed again.

        settles: once it is seen, nothing is left to plan about `ref`, unless something else happens to it.
        """
        for op in write.ops if models else ():
            if isinstance(op, Put) and op.key in models:
                self._inputs.expect(op.key, op.value, models[op.key], settles=settles)
        for subject in subjects_of(write):
            self.ledger.sent(subject)
        self._ready.append(write)
        if len(self._ready) >= HANDED_OVER_TOGETHER:
            self.hand_over()

    def hand_over(self) -> None:
        """Give what was submitted to the writer: at the end of a step, so that it is woken once for all of it."""
        ready, self._ready = self._ready, []
        self._writer.submit(self.fence, ready)

    def submit_plan(self, plan: Plan, now: float) -> None:
        """Hand over what a plan wants, and tell what it tells."""
        for note in plan.events:
            self.note(plan.ref, plan.uid, note, now)
        if not plan.intents:
            return
        stamps = Stamps(self._random.uid, self._inputs.composed, now)
        write = write_of(plan, self._keys, self._inputs.status_of(plan.ref), stamps)
        if write is not None:
            statuses = [each for each in plan.intents if isinstance(each, PutTaskStatus | PutOwnerStatus)]
            models: dict[str, Model] = {self._keys.status(plan.ref): each.status for each in statuses}
            models |= {
                self._keys.endpoints(each.ref.namespace, each.ref.name): each.endpoints
                for each in plan.intents
                if isinstance(each, PutEndpoints)
            }
            rolled_up = len(statuses) == len(plan.intents) and all(
                isinstance(each, PutTaskStatus) and each.status.node for each in statuses
            )
            settles = (
                rolled_up and plan.waiting is None
            )  # of a task without a place it may be the first step only
            self.submit(plan.ref, write, models, settles=settles)

    def note(self, ref: ObjectRef, uid: str, note: EventNote, now: float) -> None:
        """Log a note about an object and record it as an event."""
        log.info("event object=%s reason=%s message=%s", ref, note.reason, note.message)
        self._recorder.note(ref, self._inputs.kind_of(ref), uid, note, now)

    def outcomes(self) -> list[tuple[Write, Outcome]]:
        """Take the outcomes of this term's writes; of events only that somebody else leads."""
        found = []
        for order, outcome in self._writer.results():
            ref = order.write.subject
            if order.fence != self.fence or not isinstance(ref, ObjectRef):
                continue
            if ref == EVENT_REF and not isinstance(outcome, FencedOff):
                if isinstance(outcome, Unknown) and isinstance(outcome.error, LeaseExpired):
                    self._recorder.lease_lost()
                continue  # nothing waits for events
            found.append((order.write, outcome))
        return found

    def flush_events(self, now: float) -> None:
        """Hand over the events that are due."""
        self._ready += self._recorder.flush(now)

    def next_due(self) -> float | None:
        """Return when events are due, None if there are none."""
        return self._recorder.next_due()


def subjects_of(write: Write) -> tuple[ObjectRef, ...]:
    """Return every object that a write of the outbox is about, its own first."""
    return tuple(each for each in (write.subject, *write.touches) if isinstance(each, ObjectRef))
