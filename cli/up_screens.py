"""Where `berth up` tells what happens: a log of lines, or the pipe of `berth up --detach`."""

import os
import queue
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Protocol

from client.connect import Settings
from local.detach import READY
from local.up import Screen


class UpScreen(Screen, Protocol):
    """A screen that also hears why the cluster did not start."""

    def failed(self, why: str) -> None: ...


def stamp(text: str) -> str:
    return f"{time.strftime('%H:%M:%S')} {text}"


def write_line(text: str) -> None:
    """Write to stderr; nobody may be there to read any more, which must not keep the cluster from stopping."""
    with suppress(OSError):
        sys.stderr.write(stamp(text) + "\n")
        sys.stderr.flush()


class PlainScreen:
    """A line for each thing that happens, also in the cluster."""

    def __init__(self) -> None:
        self._lines: queue.SimpleQueue[str] = queue.SimpleQueue()

    def say(self, text: str) -> None:
        write_line(text)

    def watch(self, settings: Settings, wake: Callable[[], None]) -> None:
        from cli.up_board import Board
        from cli.up_feed import Feed

        def told(line: str) -> None:
            if line:
                self._lines.put(line)
                wake()

        Feed(settings, Board(), threading.Lock(), told, only_new=True).start()

    def draw(self, now: float) -> float | None:
        with suppress(queue.Empty):
            while True:
                write_line(self._lines.get_nowait())
        return None

    def ready(self, lines: tuple[str, ...]) -> None:
        for line in lines:
            write_line(line)

    def failed(self, why: str) -> None:
        """The error itself is told by who called."""

    def close(self) -> None:
        """Nothing is held."""


class PipeScreen:
    """Tells `berth up --detach` until the cluster is ready, and the log all the time; follows nothing."""

    def __init__(self, handle: int) -> None:
        self._handle = handle

    def say(self, text: str) -> None:
        write_line(text)
        self._send(text)

    def _send(self, text: str) -> None:
        if self._handle >= 0:
            with suppress(OSError):
                os.write(self._handle, f"{text}\n".encode())

    def watch(self, settings: Settings, wake: Callable[[], None]) -> None:
        """Nobody looks."""

    def draw(self, now: float) -> float | None:
        return None

    def ready(self, lines: tuple[str, ...]) -> None:
        for line in lines:
            self.say(line)
        self._send(READY)
        self._end()

    def failed(self, why: str) -> None:
        escaped = why.replace("\n", "\\n")
        self._send(f"Error: {escaped}")

    def close(self) -> None:
        self._end()

    def _end(self) -> None:
        if self._handle >= 0:
            os.close(self._handle)
            self._handle = -1
