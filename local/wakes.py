"""What wakes the main thread of `berth up`: signals, dead children, news from its threads. Nothing is polled."""

import os
import select
import signal
from contextlib import suppress
from types import FrameType, TracebackType
from typing import Self

STOPS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
NEWS = (signal.SIGCHLD, signal.SIGWINCH)


class Wakes:
    """Use it in a `with` block of the main thread. `stops`: how often somebody asked to stop."""

    def __init__(self) -> None:
        self.stops = 0
        self._before: dict[int, object] = {}

    def __enter__(self) -> Self:
        self._read, self._write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        for number in (*STOPS, *NEWS):
            self._before[number] = signal.signal(number, self._stop if number in STOPS else _nothing)
        self._fd_before = signal.set_wakeup_fd(self._write, warn_on_full_buffer=False)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        signal.set_wakeup_fd(self._fd_before)
        for number, handler in self._before.items():
            signal.signal(number, handler)  # type: ignore[arg-type]  # what signal.signal itself returned
        os.close(self._read)
        os.close(self._write)

    def wake(self) -> None:
        """Wake the main thread, from any thread."""
        with suppress(OSError):  # a full pipe wakes as well, a closed one has nobody to wake
            os.write(self._write, b"\0")

    def wait(self, timeout_s: float | None) -> None:
        """Wait until something happens, at most `timeout_s`; None for ever."""
        select.select([self._read], [], [], None if timeout_s is None else max(0.0, timeout_s))
        with suppress(BlockingIOError):
            while os.read(self._read, 4096):
                pass

    def _stop(self, number: int, frame: FrameType | None) -> None:
        self.stops += 1


def _nothing(number: int, frame: FrameType | None) -> None:
    """A handler is needed for the signal to wake; what is to be done is found out by looking."""
