"""The keeper: takes what the informer tells, without ever keeping it waiting, and writes it from a thread of its own.

    the core's thread:  listed, saw    note what concerns history, and go on
    its own thread:     step           write what waits; after a failure or an overflow begin again from a list

What waits is bounded. When it is too much, or can't be written, it is dropped, and the next thing that is written is
all that is there, with a gap before it. The keeper mirrors the keys that it needs for that, sharing their values
with the informer's cache. It outlives the lives of a controller: each rewind of history is told to it.
"""

import logging
import sqlite3
import threading
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from controller.history.archive import Archive, is_damage
from controller.history.changes import ClusterMark, Gone, Listed, Message, Reason, Seen, Stored
from controller.history.tables import NotBegun
from schemas.cluster import Cluster
from schemas.keys import AppliedKey, Family, Keys, ObjectRef, SpecKey
from store import codec
from store.api import KeyValue, WatchEvent
from store.loop import Clock

log = logging.getLogger(__name__)

MAX_WAITING = 20_000  # changes; of such as are not the newest the cache does not hold the values any more
TOGETHER = 500  # changes, or messages, in one transaction: each costs the disk a write of its own
RETRY_S = 10.0  # after a failure of the disk
SAVE_EVERY_S = 60.0  # how far was seen, while nothing changes; a crash makes at most this into a gap


@dataclass(frozen=True, slots=True)
class _Told:
    """One call of the informer. all_: these are all keys there are, and this is why they were listed. number: of it."""

    events: tuple[WatchEvent, ...]
    until: int
    time: float
    all_: Reason | None = None
    number: int = 0


class Keeper:
    """One archive, and what waits for it. wake: makes `step` run, set by the shell."""

    name = "history"

    def __init__(self, archive: Archive, keys: Keys, clock: Clock) -> None:
        self.archive = archive
        self.wake: Callable[[], None] = lambda: None
        self._keys = keys
        self._clock = clock
        self._wanted = (keys.family_range(Family.SPEC), keys.family_range(Family.APPLIED), keys.cluster)
        self._lock = threading.Condition()
        self._mirror: dict[str, KeyValue] = {}
        self._waiting: deque[_Told] = deque()
        self._size = 0  # changes in `_waiting`
        self._until = 0
        self._time = 0.0
        self._lost: Reason | None = None  # why what was told since is only in the mirror
        self._next_reason = Reason.DOWN  # why the next list is one
        self._told = self._written = 0
        self._waiters = 0  # threads that wait for a revision
        self._retry_at = 0.0
        self._saved_at = 0.0
        self._is_failing = False

    # The core's thread

    def listed(self, kvs: tuple[KeyValue, ...], revision: int) -> None:
        """Take all keys in: what happened since the last call was not seen."""
        found = tuple(
            WatchEvent(kv.key, kv, kv.mod_revision) for kv in kvs if kv.key.startswith(self._wanted)
        )
        with self._lock:
            if self._until:  # up to here all was seen, whether it was about spec or not
                self._put(_Told((), self._until, self._time))
            self._mirror = {event.key: event.kv for event in found if event.kv is not None}
            self._until, self._time = revision, self._clock()
            self._put(_Told(found, revision, self._time, self._next_reason))
            self._next_reason = Reason.LOST
            self._lock.notify_all()
        self.wake()

    def saw(self, events: tuple[WatchEvent, ...]) -> None:
        """Take changes in, whole revisions in their order."""
        found = tuple([event for event in events if event.key.startswith(self._wanted)])
        self._time = self._clock()
        if not found and not self._waiters:  # most events: no lock, as only this thread sets both
            self._until = events[-1].mod_revision if events else self._until
            return
        with self._lock:
            self._until = events[-1].mod_revision if events else self._until
            self._lock.notify_all()
            for event in found:
                if event.kv is None:
                    self._mirror.pop(event.key, None)
                else:
                    self._mirror[event.key] = event.kv
            if found:
                self._put(_Told(found, self._until, self._time))
        if found:
            self.wake()

    def rewound(self) -> None:
        """The next list is of another history."""
        with self._lock:
            self._next_reason = Reason.REWOUND
            self._until = 0

    def _put(self, told: _Told) -> None:
        self._told += 1
        told = replace(told, number=self._told)
        if self._lost is not None:
            self._drop(self._lost if told.all_ is None else told.all_)
            return
        self._size += len(told.events)
        self._waiting.append(told)
        if self._size > MAX_WAITING and len(self._waiting) > 1:  # a list alone is as long as it must be
            self._drop(Reason.OVERFLOW)
            log.warning("history lags behind, a gap begins waiting=%d", MAX_WAITING)

    def _drop(self, reason: Reason) -> None:
        """Give up what waits, for this reason; that history was rewound stays the reason until it is written."""
        reasons = {reason, self._lost, *(each.all_ for each in self._waiting)}
        self._waiting.clear()
        self._size = 0
        self._lost = Reason.REWOUND if Reason.REWOUND in reasons else reason

    # Its own thread

    def step(self, now: float) -> float | None:
        """Write what waits; return when to come back if nothing wakes it."""
        if now < self._retry_at:
            return self._retry_at
        taken: tuple[_Told, ...] = ()
        try:
            while taken := self._take():
                self._write(taken)
            self._save(now)
        except (sqlite3.Error, OSError) as error:
            self._failed(error, now, taken)
        return self._retry_at if now < self._retry_at else now + SAVE_EVERY_S

    def _write(self, taken: tuple[_Told, ...]) -> None:
        try:
            self.archive.write(*map(self._message, taken))
        except NotBegun:
            with self._lock:
                self._drop(Reason.FAILED)
            return
        if self._is_failing:
            self._is_failing = False
            log.info("history is written again")
        with self._lock:
            self._written = max(self._written, taken[-1].number)
            self._lock.notify_all()

    def _take(self) -> tuple[_Told, ...]:
        """Return what to write next, in one transaction; nothing when nothing waits."""
        with self._lock:
            if self._lost is not None:
                if not self._until:  # between two lives
                    return ()
                events = tuple(WatchEvent(kv.key, kv, kv.mod_revision) for kv in self._mirror.values())
                told, self._lost = _Told(events, self._until, self._clock(), self._lost, self._told), None
                return (told,)
            taken: list[_Told] = []
            size = 0
            while self._waiting and max(size, len(taken)) < TOGETHER:
                taken.append(self._waiting.popleft())
                size += len(taken[-1].events)
            self._size -= size
            return tuple(taken)

    def _save(self, now: float) -> None:
        """Write down how far was seen, so that a crash makes no long gap."""
        if now < self._saved_at + SAVE_EVERY_S:
            return
        self._saved_at = now
        self._save_mark()

    def _save_mark(self) -> None:
        with self._lock:
            told = _Told((), self._until, self._time, None, self._told)
            is_lost = self._lost is not None or bool(self._waiting)
        if told.until and not is_lost:
            self._write((told,))

    def _failed(self, error: Exception, now: float, taken: tuple[_Told, ...]) -> None:
        with self._lock:
            is_rewound = any(each.all_ is Reason.REWOUND for each in taken)
            self._drop(Reason.REWOUND if is_rewound else Reason.FAILED)
        self._retry_at = now + RETRY_S
        if not self._is_failing:
            log.error(
                "history can't be written, a gap begins file=%s error=%s; trying again every %d s",
                self.archive.path, error, RETRY_S,
            )  # fmt: skip
        self._is_failing = True
        if is_damage(error):
            self.archive.set_aside(error)

    def flush(self, timeout_s: float) -> bool:
        """Wait until all that was told so far is written, from any thread; say whether it is."""
        self.wake()
        with self._lock:
            wanted = self._told
            return self._lock.wait_for(lambda: self._written >= wanted, timeout_s)

    def wait_seen(self, revision: int, timeout_s: float) -> None:
        """Wait until a revision was seen, if it comes in time: who asks may have just written it."""
        with self._lock:
            self._waiters += 1
            self._lock.wait_for(lambda: self._until >= revision, timeout_s)
            self._waiters -= 1

    def seen(self) -> tuple[int, float]:
        """Return up to which revision was seen, and when; it is written down at the latest with the next change."""
        with self._lock:
            return self._until, self._time

    def close(self) -> None:
        """Write what waits, and how far was seen; its thread has ended before."""
        self._retry_at = 0.0
        self.step(self._clock())
        try:
            self._save_mark()
        except (sqlite3.Error, OSError) as error:
            log.warning("history was not closed in good order error=%s", error)
        self.archive.close()

    # From keys to values

    def _message(self, told: _Told) -> Message:
        cluster = self._cluster(told.events)
        changes = tuple(self._changes(told.events))
        if told.all_ is None:
            return Seen(changes, told.until, told.time, cluster)
        stored = tuple(each for each in changes if isinstance(each, Stored))
        return Listed(stored, told.until, told.time, told.all_, cluster)

    def _changes(self, events: tuple[WatchEvent, ...]) -> Iterable[Stored | Gone]:
        """Return the changes of spec; the managers are those whose record came in the same revision."""
        parsed = [(event, self._keys.parse(event.key)) for event in events]
        managers: dict[tuple[ObjectRef, int], list[str]] = {}
        for event, key in parsed:
            if isinstance(key, AppliedKey) and event.kv is not None:
                managers.setdefault((key.ref, event.mod_revision), []).append(key.manager)
        for event, key in parsed:
            if isinstance(key, SpecKey) and key.ref.plural != "secrets":
                who = tuple(sorted(managers.get((key.ref, event.mod_revision), ())))
                change = change_of(key.ref, event, who)
                if change is not None:
                    yield change

    def _cluster(self, events: tuple[WatchEvent, ...]) -> ClusterMark:
        for event in events:
            if event.key == self._keys.cluster and event.kv is not None:
                try:
                    cluster = Cluster.parse_stored(codec.decode(event.kv))
                except ValueError:
                    break
                return ClusterMark(cluster.cluster_uid, cluster.incarnation)
        return ClusterMark()


def change_of(ref: ObjectRef, event: WatchEvent, who: tuple[str, ...]) -> Stored | Gone | None:
    """Return the change of one key, None for what history must not hold: a Secret, wherever somebody put it.

    Of what is no JSON nothing is known, so its content is not kept either.
    """
    kv = event.kv
    if kv is None:
        return Gone(ref, event.mod_revision)
    raw = codec.decode(kv)
    if isinstance(raw, codec.Unreadable):
        return Stored(ref, kv.mod_revision, kv.version, "", None, who)
    if str(raw.get("kind", "")).lower() == "secret":
        return None
    return Stored(ref, kv.mod_revision, kv.version, codec.uid_of(raw) or "", kv.value, who)
