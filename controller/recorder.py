"""Events: counted, folded, and written now and then under a shared lease, so that they cost little and expire.

A repeat within the folding window raises a count instead of making a new key; the count starts anew with a new leader.
"""

import hashlib
from dataclasses import dataclass

from controller.reconcilers.plan import EventNote
from schemas.event import Event
from schemas.keys import Keys, ObjectRef
from schemas.meta import CLUSTER_NAMESPACE
from schemas.timestamps import format_time
from store.api import Put, Store
from store.batch import Write
from store.errors import Rewound, StoreError

EVENT_TTL_S = 3600  # as in Kubernetes
LEASE_SPAN_S = 600  # one lease serves the events of ten minutes
FLUSH_EVERY_S = 1.0
MAX_A_FLUSH = (
    1000  # events are for people and give way to what runs: a storm of them is written over some seconds
)
TOGETHER = 20  # events a write: nothing depends on one of them, and each write has its price
MAX_REMEMBERED = 20_000  # folded events, of 1 KB each; older ones are forgotten first
EVENT_REF = ObjectRef("events", CLUSTER_NAMESPACE, "events")


@dataclass(slots=True)
class _Folded:
    """An event as it was noted; it becomes a value when it is written, which may be some repeats later."""

    ref: ObjectRef
    kind: str
    uid: str
    note: EventNote
    first: str
    last: str
    count: int = 1
    dirty: bool = False


class Recorder:
    """Collects notes; `flush` returns the writes that are due."""

    def __init__(self, store: Store, keys: Keys, source: str) -> None:
        self._store = store
        self._keys = keys
        self._source = source
        self._events: dict[str, _Folded] = {}
        self._dirty: list[str] = []
        self._lease_id = 0
        self._lease_until = 0.0
        self._next_flush = 0.0

    def note(self, ref: ObjectRef, kind: str, uid: str, note: EventNote, now: float) -> None:
        """Take one note about an object in."""
        told = f"{note.type}\n{note.reason}\n{note.message}"
        digest = hashlib.sha256(told.encode(errors="replace")).hexdigest()[:16]
        key = self._keys.event(ref.namespace, uid or "unknown", self._source, digest)
        moment = format_time(now)
        folded = self._events.pop(key, None)
        if folded is None:
            folded = _Folded(ref, kind, uid, note, first=moment, last=moment)
        else:
            folded.count, folded.last = folded.count + 1, moment
        self._events[key] = folded
        if not folded.dirty:
            folded.dirty = True
            self._dirty.append(key)
        while len(self._events) > MAX_REMEMBERED:
            self._events.pop(next(iter(self._events)))

    def flush(self, now: float) -> list[Write]:
        """Return the writes of what was noted, at most once a second; [] when the store gives no lease."""
        if not self._dirty or now < self._next_flush:
            return []
        self._next_flush = now + FLUSH_EVERY_S
        if now >= self._lease_until:
            try:
                self._lease_id = self._store.grant_lease(EVENT_TTL_S + LEASE_SPAN_S)
            except Rewound:
                raise
            except StoreError:
                return []  # events wait; nothing depends on them
            self._lease_until = now + LEASE_SPAN_S
        due, self._dirty = self._dirty[:MAX_A_FLUSH], self._dirty[MAX_A_FLUSH:]
        puts = [
            Put(key, self._written(folded), self._lease_id)
            for key in due
            if (folded := self._events.get(key)) is not None
        ]
        return [Write(EVENT_REF, (), tuple(puts[at : at + TOGETHER])) for at in range(0, len(puts), TOGETHER)]

    def _written(self, folded: _Folded) -> bytes:
        folded.dirty = False
        ref, note = folded.ref, folded.note
        event = Event(
            namespace=ref.namespace,
            object_kind=folded.kind,
            object_name=ref.name,
            object_uid=folded.uid,
            type=note.type,
            reason=note.reason,
            message=note.message,
            source=self._source,
            count=folded.count,
            first_timestamp=folded.first,
            last_timestamp=folded.last,
        )
        return event.to_bytes()

    def lease_lost(self) -> None:
        """The lease of the events is gone: take another, or every batch with an event in it would be refused."""
        self._lease_until = 0.0

    def next_due(self) -> float | None:
        """Return when there is something to flush, None if nothing is noted."""
        return self._next_flush if self._dirty else None
