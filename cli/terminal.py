"""This process's terminal or pipes, joined to a process in a container.

    stdin --a thread--> RemoteProcess --this thread--> stdout, stderr

A terminal is raw meanwhile, so that every key goes to the container, and is restored on every way out: the
end of the process, an error, a lost connection, SIGTERM and SIGHUP. Signals only write to a pipe, or raise in
the main thread; the sending thread reads the pipe and passes the terminal's size on.
"""

import os
import select
import shutil
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import TYPE_CHECKING

from cli.session import ExitWith, note

if TYPE_CHECKING:
    from client.exec import RemoteProcess

CHUNK_BYTES = 65_536
STDIN, STDOUT, STDERR = 0, 1, 2
END_TIMEOUT_S = 1.0
RESIZED, ENDED = b"r", b"e"
NO_TTY = "Unable to use a TTY - input is not a terminal"


def may_use_terminal(wanted: bool) -> bool:
    """Say whether a terminal is wanted and there is one; when there is none, tell so as kubectl does."""
    if wanted and not _is_terminal(STDIN):
        note(NO_TTY)
        return False
    return wanted


def _is_open(number: int) -> bool:
    try:
        os.fstat(number)
    except OSError:
        return False
    return True


def _is_terminal(number: int) -> bool:
    try:
        return os.isatty(number)
    except OSError:
        return False


def join(process: "RemoteProcess", *, stdin: bool, tty: bool) -> int | None:
    """Carry input and output until the process ends; return its exit code, None when a person detached."""
    with process, _wake_pipe() as (woken, wake):
        if tty:
            with _signals_of_terminal(wake), _raw(stdin):
                os.write(wake, RESIZED)
                return _carry(process, woken, stdin=stdin)
        return _carry(process, woken, stdin=stdin)


def _carry(process: "RemoteProcess", woken: int, *, stdin: bool) -> int | None:
    sender = threading.Thread(target=_send, args=(process, woken, stdin), daemon=True)
    sender.start()
    for channel, data in process:
        _write(STDERR if channel == STDERR else STDOUT, data)
    return process.exit_code


def _write(number: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(number, view) :]


def _send(process: "RemoteProcess", woken: int, stdin: bool) -> None:
    """Send input and the terminal's size until there is nothing more to send."""
    sources = [woken, STDIN] if stdin and _is_open(STDIN) else [woken]
    if stdin and STDIN not in sources:
        process.end_input()
    while True:
        ready, _, _ = select.select(sources, [], [])
        if woken in ready:
            if ENDED in os.read(woken, CHUNK_BYTES):
                return
            process.resize(*shutil.get_terminal_size())
        if STDIN in ready and not _send_input(process):
            sources.remove(STDIN)


def _send_input(process: "RemoteProcess") -> bool:
    """Send what is there; False after its end."""
    try:
        data = os.read(STDIN, CHUNK_BYTES)
    except OSError:  # a terminal that was closed
        data = b""
    if data:
        return process.send_input(data)
    process.end_input()
    return False


@contextmanager
def _wake_pipe() -> Iterator[tuple[int, int]]:
    """Give both ends of a pipe that wakes the sender. They stay open: it may hang in its last read of stdin."""
    woken, wake = os.pipe()
    os.set_blocking(wake, False)
    try:
        yield woken, wake
    finally:
        os.write(wake, ENDED)


@contextmanager
def _raw(wanted: bool) -> Iterator[None]:
    """Hand every key on as it is, and restore the terminal however the block ends."""
    if not wanted:
        yield
        return
    import termios
    import tty

    before = termios.tcgetattr(STDIN)
    try:
        tty.setraw(STDIN)
        yield
    finally:
        termios.tcsetattr(STDIN, termios.TCSADRAIN, before)


@contextmanager
def _signals_of_terminal(wake: int) -> Iterator[None]:
    """SIGWINCH wakes the sender; signals that end a process do so through Python, so that all is restored."""

    def resized(number: int, frame: FrameType | None) -> None:
        os.write(wake, RESIZED)

    def ended(number: int, frame: FrameType | None) -> None:
        raise ExitWith(128 + number)

    handlers: dict[signal.Signals, Callable[[int, FrameType | None], None]] = {
        signal.SIGWINCH: resized,
        signal.SIGTERM: ended,
        signal.SIGHUP: ended,
    }
    before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
