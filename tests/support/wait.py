"""Wait for the world, at the integration tier only."""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def eventually(check: Callable[[], T], timeout_s: float = 10.0, *, every_s: float = 0.02) -> T:
    """Return the first true answer of `check`; an assertion in it may fail until the time is over."""
    deadline = time.monotonic() + timeout_s
    while True:
        failure: AssertionError | None = None
        try:
            if answer := check():
                return answer
        except AssertionError as error:
            failure = error
        if time.monotonic() >= deadline:
            raise failure or AssertionError(f"still not so after {timeout_s} s: {check}")
        time.sleep(every_s)
