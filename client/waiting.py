"""Waiting for a state: check, wait for the next change of the keys it depends on, check again.

Level-triggered: an event only wakes; `check` reads anew. A lost or compacted watch is opened again.
"""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, TypeVar

from client.errors import TimedOut
from store.api import Store, Watch
from store.errors import Compacted, WatchLost

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
                    raise TimedOut(f"timed out after {timeout_s:g} s waiting {what}")
                self.pause(woken, min(RECHECK_S, remaining))
                watch = _drained(watch, woken)
        finally:
            if watch is not None:
                watch.close()


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
