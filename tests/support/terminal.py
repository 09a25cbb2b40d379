"""A command in a terminal of its own, as a person at a keyboard has it."""

import fcntl
import os
import pty
import select
import signal
import struct
import subprocess
import termios
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from tests.support.wait import eventually

STEP_S = 0.05


class Terminal:
    """What the command printed so far, and the keys that are typed."""

    def __init__(self, process: subprocess.Popen[bytes], master: int, slave: int) -> None:
        self.process = process
        self._master, self._slave = master, slave
        self.seen = b""

    def type(self, keys: bytes) -> None:
        os.write(self._master, keys)

    def wait_for(self, text: bytes, timeout_s: float = 60.0) -> None:
        """Wait until `text` was printed, and forget what was printed up to there."""

        def printed() -> bool:
            self._read()
            assert text in self.seen, f"{text!r} is not in {self.seen!r}"
            return True

        eventually(printed, timeout_s)
        self.seen = self.seen.partition(text)[2]

    def resize(self, rows: int, columns: int) -> None:
        """Make the window another size, which the kernel tells the command by SIGWINCH."""
        fcntl.ioctl(self._master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def ends(self, timeout_s: float = 60.0) -> int:
        """Wait until the command has ended; return its exit code."""

        def ended() -> bool:
            self._read()
            assert self.process.poll() is not None, f"it goes on; printed: {self.seen!r}"
            return True

        eventually(ended, timeout_s)
        return self.process.wait()

    @property
    def is_raw(self) -> bool:
        """Whether keys go to the command one by one and unseen, instead of as edited lines with an echo."""
        return not termios.tcgetattr(self._slave)[3] & (termios.ICANON | termios.ECHO)

    def _read(self) -> None:
        while select.select([self._master], [], [], STEP_S)[0]:
            self.seen += os.read(self._master, 65_536)


@contextmanager
def in_terminal(command: Sequence[str], environment: Mapping[str, str]) -> Iterator[Terminal]:
    """Run a command with a new terminal as its controlling one, of 30 rows and 100 columns."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 30, 100, 0, 0))
    process = subprocess.Popen(
        ["setsid", "--ctty", *command],
        stdin=slave,
        stdout=slave,
        stderr=slave,
        env=dict(environment),
    )
    try:
        yield Terminal(process, master, slave)
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGKILL)
            process.wait()
        os.close(master)
        os.close(slave)
