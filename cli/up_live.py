"""The live view of `berth up` in a terminal: nodes, tasks, recent events. Drawn when something changed, at most
four times a second; what `berth up` itself does stands above it."""

import threading
from collections.abc import Callable
from contextlib import suppress

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from cli.up_board import Board
from cli.up_feed import Feed
from cli.up_screens import stamp
from client.connect import Settings
from local.folder import Folder

DRAW_EVERY_S = 0.25
EVENTS_SHOWN = 6
STYLES = {"Ready": "green", "Running": "green", "Completed": "dim", "NotReady": "red", "Warning": "yellow"}


class LiveScreen:
    def __init__(self, folder: Folder) -> None:
        self._folder = folder
        self._console = Console(stderr=False, highlight=False)
        self._live: Live | None = None
        self._board, self._lock = Board(), threading.Lock()
        self._is_dirty = threading.Event()
        self._drawn_at = 0.0
        self._size = self._console.size

    def say(self, text: str) -> None:
        with suppress(OSError):  # the terminal may be gone
            self._console.print(Text(stamp(text), style="dim"))

    def watch(self, settings: Settings, wake: Callable[[], None]) -> None:
        def told(line: str) -> None:
            if not self._is_dirty.is_set():
                self._is_dirty.set()
                wake()

        Feed(settings, self._board, self._lock, told, only_new=False).start()

    def draw(self, now: float) -> float | None:
        if self._live is None:
            return None
        if not self._is_dirty.is_set() and self._console.size == self._size:
            return None
        if now < self._drawn_at + DRAW_EVERY_S:
            return self._drawn_at + DRAW_EVERY_S
        self._is_dirty.clear()
        self._drawn_at, self._size = now, self._console.size
        with self._lock:
            shown = render(self._board, self._console.size.height, str(self._folder.logs))
        with suppress(OSError):
            self._live.update(shown, refresh=True)
        return None

    def ready(self, lines: tuple[str, ...]) -> None:
        for line in lines:
            self.say(line)
        self._live = Live(
            console=self._console, auto_refresh=False, redirect_stdout=False, redirect_stderr=False
        )
        with suppress(OSError):
            self._live.start()
        self._is_dirty.set()
        self.draw(self._drawn_at + DRAW_EVERY_S)

    def failed(self, why: str) -> None:
        """The error itself is told by who called."""

    def close(self) -> None:
        live, self._live = self._live, None
        if live is not None:
            with suppress(OSError):
                live.stop()


def render(board: Board, height: int, logs: str) -> RenderableType:
    """Return the whole view, no higher than the terminal."""
    room = max(4, height - 10 - EVENTS_SHOWN)
    nodes_shown = min(len(board.nodes), max(2, room // 3))
    tasks_shown = min(len(board.tasks), max(2, room - nodes_shown))
    return Group(
        _nodes(board, nodes_shown),
        Text(),
        _tasks(board, tasks_shown),
        Text(),
        _events(board),
        Text(f"logs: {logs}   stop: Ctrl-C", style="dim"),
    )


def _table(*headers: str) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0), header_style="bold", show_edge=False)
    for header in headers:
        table.add_column(header, no_wrap=True, overflow="ellipsis")
    return table


def _styled(text: str) -> Text:
    return Text(text, style=STYLES.get(text, ""))


def _nodes(board: Board, count: int) -> Table:
    table = _table(f"NODES ({len(board.nodes)})", "STATUS", "ADDRESS", "TASKS")
    tasks: dict[str, int] = {}
    for row in board.tasks.values():
        tasks[row.node] = tasks.get(row.node, 0) + 1
    names = sorted(board.nodes, key=lambda name: (board.nodes[name].status == "Ready", name))  # trouble first
    for name in names[:count]:
        node = board.nodes[name]
        table.add_row(Text(name), _styled(node.status), Text(node.address), Text(str(tasks.get(name, 0))))
    return _more(table, len(names) - count)


def _tasks(board: Board, count: int) -> Table:
    table = _table(f"TASKS ({len(board.tasks)})", "STATUS", "NODE", "PORTS", "REASON")
    refs = sorted(board.tasks, key=lambda ref: (board.tasks[ref].status in ("Running", "Completed"), ref))
    for ref in refs[:count]:
        row = board.tasks[ref]
        name = ref.name if ref.namespace == "default" else f"{ref.namespace}/{ref.name}"
        table.add_row(Text(name), _styled(row.status), Text(row.node), Text(row.ports), Text(row.reason))
    return _more(table, len(refs) - count)


def _more(table: Table, count: int) -> Table:
    if count > 0:
        table.add_row(Text(f"... {count} more", style="dim"))
    return table


def _events(board: Board) -> Table:
    table = _table("EVENTS", "TYPE", "OBJECT", "REASON", "MESSAGE")
    newest = sorted(board.events, key=lambda event: event.last_timestamp)[-EVENTS_SHOWN:]
    for event in newest:
        about = f"{event.object_kind.lower()}/{event.object_name}"
        time_of_day = event.last_timestamp[11:19]
        table.add_row(
            Text(time_of_day), _styled(event.type), Text(about), Text(event.reason), Text(event.message)
        )
    return table
