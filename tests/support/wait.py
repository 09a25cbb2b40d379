"""Wait for the world, at the integration tier only."""

import time
from collections.abc import Callable
from typing import TypeVar

PATIENCE_S = 60.0  # how long a step of ours may take on a busy machine; it costs nothing where things work

NOT_YET = (AssertionError, LookupError, StopIteration)  # what is asked about is otherwise, or not there yet
T = TypeVar("T")


def eventually(check: Callable[[], T], timeout_s: float = PATIENCE_S, *, every_s: float = 0.02) -> T:
    """Return the first true answer of `check`; it may raise what says NOT_YET until the time is over."""
    deadline = time.monotonic() + timeout_s
    while True:
        failure: Exception | None = None
        try:
            if answer := check():
                return answer
        except NOT_YET as error:
            failure = error
        if time.monotonic() >= deadline:
            raise failure or AssertionError(f"still not so after {timeout_s} s: {check}")
        time.sleep(every_s)
