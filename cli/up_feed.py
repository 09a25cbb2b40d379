"""Threads that follow the cluster's nodes, tasks and events by the client's watches, and put them on a board."""

import threading
from collections.abc import Callable
from functools import partial

from cli.session import open_client
from cli.up_board import Board
from client.connect import Settings
from client.errors import ClientError
from store.errors import StoreError

RETRY_S = 2.0  # before a watch that ended is begun anew; etcd may be starting again


class Feed:
    """Follows until the process ends. told: called with each line, in the thread that found it; only_new: leave out
    events of earlier times."""

    def __init__(
        self,
        settings: Settings,
        board: Board,
        lock: threading.Lock,
        told: Callable[[str], None],
        *,
        only_new: bool,
    ) -> None:
        self._settings, self._board, self._lock, self._told = settings, board, lock, told
        self._only_new = only_new

    def start(self) -> None:
        for name, follow in (("nodes", self._nodes), ("tasks", self._tasks), ("events", self._events)):
            threading.Thread(target=self._forever, args=(follow,), name=f"feed-{name}", daemon=True).start()

    def _forever(self, follow: Callable[[], None]) -> None:
        pause = threading.Event()
        while True:
            try:
                follow()
            except (ClientError, StoreError):
                pause.wait(RETRY_S)  # that etcd is away is told by who starts it again

    def _nodes(self) -> None:
        with open_client(self._settings, lambda text: None) as client:
            for ref, view in client.watch("nodes", None):
                self._put(partial(self._board.put_node, ref.name, view))

    def _tasks(self) -> None:
        with open_client(self._settings, lambda text: None) as client:
            for ref, view in client.watch("tasks", None):
                self._put(partial(self._board.put_task, ref, view))

    def _events(self) -> None:
        with open_client(self._settings, lambda text: None) as client:
            for events in client.watch_events(None, only_new=self._only_new):
                for event in events:
                    self._put(partial(self._board.put_event, event))

    def _put(self, change: Callable[[], str]) -> None:
        with self._lock:
            line = change()
        self._told(line)
