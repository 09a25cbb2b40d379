"""Waiting for a state: check, wait for the next change of the keys it depends on, check again.

Level-triggered: an event only wakes; `check` reads anew. A lost or compacted watch is opened again.
"""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, TypeVar

from client.errors import TimedOut
from client.naming import not_found
from client.reading import keys_of, read_object
from schemas.keys import Keys, ObjectRef
from schemas.kinds import BY_PLURAL
from store.api import Store, Watch
from store.errors import Compacted, WatchLost

if TYPE_CHECKING:
    from client.wish import Goal

RECHECK_S = 5.0  # a lost wake costs at most this
T = TypeVar("T")


class Pause(Protocol):
    """Waits until `woken` is set, at most `timeout_s`."""

    def __call__(self, woken: threading.Event, timeout_s: float) -> None: ...


def pause(woken: threading.Event, timeout_s: float) -> None:
    woken.wait(timeout_s)


@dataclass(frozen=True, slots=True)
class Waiter:
    """`clock` counts seconds and never goes back; tests bring their own `clock` and `pause`."""

    store: Store
    clock: Callable[[], float] = time.monotonic
    pause: Pause = pause

    def until(
        self, prefixes: tuple[str, ...], check: Callable[[], T | None], *, timeout_s: float, what: str
    ) -> T:
        """Return what `check` returns as soon as that is not None.

        Raises TimedOut with `what`; a timeout of infinity waits for ever.
        """
        deadline = self.clock() + timeout_s
        woken = threading.Event()
        watch: Watch | None = None
        try:
            while True:
                if watch is None:
                    start = self.store.get(prefixes[0]).revision + 1
                    watch = self.store.watch(prefixes, start, woken.set)
                found = check()
                if found is not None:
                    return found
                remaining = deadline - self.clock()
                if remaining <= 0:
                    raise TimedOut(f"timed out after {round(timeout_s, 2):g} s waiting {what}")
                self.pause(woken, min(RECHECK_S, remaining))
                watch = _drained(watch, woken)
        finally:
            if watch is not None:
                watch.close()


def wait_for(waiter: Waiter, keys: Keys, ref: ObjectRef, goal: "Goal", *, timeout_s: float) -> None:
    """Wait until an object is in a state. Raises NotFound for one that goes, TimedOut with what was last seen."""
    kind = BY_PLURAL[ref.plural]
    seen = ""

    def check() -> bool | None:
        nonlocal seen
        view = read_object(waiter.store, kind, ref, keys)
        if view is None and not goal.waits_for_missing:
            raise not_found(kind, ref.name, ref.namespace)
        seen = goal.lacks(view)
        return None if seen else True

    try:
        waiter.until(keys_of(ref, keys), check, timeout_s=timeout_s, what=f"for {goal} of {ref}")
    except TimedOut as error:
        raise TimedOut(f"{error}; last seen: {seen}; see: berth describe {ref}") from None


def _drained(watch: Watch, woken: threading.Event) -> Watch | None:
    """Take all events off the watch; None when it is lost."""
    woken.clear()
    try:
        while watch.poll() is not None:
            pass
    except (Compacted, WatchLost):
        watch.close()
        return None
    return watch
