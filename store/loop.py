"""Every loop is `run` around `step(now)`, and one supervisor owns the threads.

`step` is one iteration: it never blocks for long and returns when it wants to be called again if nothing wakes
it earlier. Tests and the simulator call `step` themselves, without threads and under their own time.
"""

import gc
import logging
import threading
import time
from collections.abc import Callable, Sequence
from typing import Protocol

from store.errors import PermissionDenied, Rewound, ServerTooOld

log = logging.getLogger(__name__)

Clock = Callable[[], float]
"""Seconds since the epoch that never go back."""

IDLE_S = 60.0  # an actor without a wish is stepped this often all the same; a lost wake costs at most this


GC_THRESHOLDS = (
    50_000,
    500,
    10,
)  # allocations before a young collection, of those before a middle one, and so on

ANSWERED = (Rewound, PermissionDenied, ServerTooOld)
"""Errors that are no bug, and that the shell tells in its own words: a traceback would only frighten."""


class Actor(Protocol):
    """Something with a loop."""

    @property
    def name(self) -> str: ...

    def step(self, now: float) -> float | None:
        """Do one iteration; return the time of the next one, or None to wait for a wake."""


def steady_clock() -> Clock:
    """Return a clock that starts at the wall clock and then follows boot time.

    It does not jump when the wall clock is set, and it counts time in which the host slept.
    """
    boot_clock = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
    start = time.time() - time.clock_gettime(boot_clock)
    return lambda: start + time.clock_gettime(boot_clock)


def run(actor: Actor, clock: Clock, wake: threading.Event, stopping: threading.Event) -> None:
    """Step `actor` until `stopping` is set; an exception ends the loop and is the supervisor's matter."""
    while not stopping.is_set():
        wake.clear()
        due = actor.step(clock())
        wake.wait(IDLE_S if due is None else min(IDLE_S, max(0.0, due - clock())))


def calm_collector() -> None:
    """Have Python look for cyclic garbage less often, for a process that holds very many objects for long.

    A cache of 10,000 tasks is some million objects without cycles; with the default thresholds (700, 10, 10) a
    fifth of the time goes into looking at them again and again while it grows. A young collection finds nearly all
    of the garbage there is; what it leaves, a middle one looks at once more, for half as much time again.
    """
    gc.collect()
    gc.freeze()  # what was imported stays
    gc.set_threshold(*GC_THRESHOLDS)


class Supervisor:
    """Starts one thread an actor, and ends the process' work when one of them dies."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._stopping = threading.Event()
        self._done = threading.Event()
        self._wakes: list[threading.Event] = []
        self._threads: list[threading.Thread] = []
        self.error: BaseException | None = None

    def add(self, actor: Actor, wake: threading.Event) -> None:
        """Register an actor; its thread starts with `start`."""
        self._wakes.append(wake)
        self._threads.append(
            threading.Thread(target=self._guarded, args=(actor, wake), name=actor.name, daemon=True)
        )

    def _guarded(self, actor: Actor, wake: threading.Event) -> None:
        try:
            run(actor, self._clock, wake, self._stopping)
        except BaseException as error:
            self.error = self.error or error
            if not isinstance(error, ANSWERED):
                log.exception("loop died actor=%s", actor.name)
        finally:
            self._done.set()

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def wait(self, timeout_s: float | None = None) -> bool:
        """Wait until `stop` was asked for or an actor died; say whether it happened in time."""
        return self._done.wait(timeout_s)

    def request_stop(self) -> None:
        """Ask all loops to end after their current step; callable from a signal handler."""
        self._stopping.set()
        self._done.set()
        for wake in self._wakes:
            wake.set()

    def stop(self, timeout_s: float = 10.0) -> Sequence[str]:
        """End all loops; return the names of threads that did not end in time."""
        self.request_stop()
        deadline = self._clock() + timeout_s
        for thread in self._threads:
            thread.join(max(0.0, deadline - self._clock()))
        return [thread.name for thread in self._threads if thread.is_alive()]
