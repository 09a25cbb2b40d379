"""Processes that are known beyond the life of who started them: by pid and start time, so that none is mistaken.

Each child is in a session of its own, so that Ctrl-C in a terminal reaches only `berth up`, which ends them in
order; the kernel ends them when `berth up` is killed (`setpriv --pdeathsig`, where there is one).
"""

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

POLL_S = 0.05


@dataclass(frozen=True, slots=True)
class ProcessId:
    """One process since the machine started. started: clock ticks after boot; boot: id of the boot."""

    pid: int
    started: int
    boot: str


def identify(pid: int) -> ProcessId | None:
    """Return who has this pid now, None for nobody (a zombie is nobody)."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return None
    return None if fields[0] in ("Z", "X") else ProcessId(pid, int(fields[19]), boot)


def is_alive(process: ProcessId) -> bool:
    return identify(process.pid) == process


def send(process: ProcessId, number: signal.Signals) -> bool:
    """Send a signal to that very process and to no other; say whether it was there."""
    try:
        handle = os.pidfd_open(process.pid)
    except OSError:
        return False
    try:
        if not is_alive(process):  # the handle holds on to whoever this is, so there is no race
            return False
        signal.pidfd_send_signal(handle, number)
    except ProcessLookupError:
        return False
    finally:
        os.close(handle)
    return True


def wait_gone(processes: Iterable[ProcessId], timeout_s: float) -> tuple[ProcessId, ...]:
    """Wait until processes have ended, whoever their parent is; return those that have not."""
    deadline = time.monotonic() + timeout_s
    left = tuple(filter(is_alive, processes))
    while left and time.monotonic() < deadline:
        time.sleep(POLL_S)
        left = tuple(filter(is_alive, left))
    return left


def end(processes: Iterable[ProcessId], patience_s: float) -> None:
    """End processes: SIGTERM, and SIGKILL when patience is over."""
    found = tuple(each for each in processes if send(each, signal.SIGTERM))
    for each in wait_gone(found, patience_s):
        send(each, signal.SIGKILL)
    wait_gone(found, patience_s)


def spawn(
    command: Sequence[str], log: Path, environment: Mapping[str, str], folder: Path
) -> subprocess.Popen[bytes]:
    """Start a child in `folder`, what it prints appended to `log`. Call it from the main thread: the kernel ties
    the child's life to the thread that started it. Raises OSError."""
    tied = ["setpriv", "--pdeathsig", "TERM", "--"] if shutil.which("setpriv") else []
    handle = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    try:
        return subprocess.Popen(
            [*tied, *command],
            stdin=subprocess.DEVNULL,
            stdout=handle,
            stderr=handle,
            env=dict(environment),
            cwd=folder,
            start_new_session=True,
        )
    finally:
        os.close(handle)
