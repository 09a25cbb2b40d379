"""The way from the read API's thread to the core's: who asks waits until the core has frozen its state for him.

No lock: a queue of futures. The core answers between two steps; nothing of it is touched by another thread.
"""

from collections.abc import Callable
from concurrent.futures import Future
from queue import Empty, SimpleQueue

from controller.snapshots import Asked, Frozen


class Questions:
    """`wake` makes the core run a step."""

    def __init__(self, wake: Callable[[], None]) -> None:
        self._wake = wake
        self._waiting: SimpleQueue[tuple[Asked, Future[Frozen | None]]] = SimpleQueue()

    def ask(self, asked: Asked) -> "Future[Frozen | None]":
        """Return what will be the state, or None if this controller leads nothing. From any thread."""
        future: Future[Frozen | None] = Future()
        self._waiting.put((asked, future))
        self._wake()
        return future

    def answer(self, freeze: Callable[[Asked], Frozen | None]) -> None:
        """Answer all who wait. For the core's thread."""
        while True:
            try:
                asked, future = self._waiting.get_nowait()
            except Empty:
                return
            if not future.set_running_or_notify_cancel():
                continue
            try:
                future.set_result(freeze(asked))
            except Exception as error:  # whoever asked is told; the core goes on
                future.set_exception(error)

    def close(self) -> None:
        """Nobody answers any more."""
        self.answer(lambda _: None)
