"""Servers that the tools start, and how to find and end all that became of them.

Each server runs in its own session with BERTH_PRIVATE=<its folder> in its environment, which its children
inherit; so whatever a crashed run left behind is found again, and nothing else is ever signalled. The kernel
sends SIGTERM to a server when the thread that started it dies, so even a killed `make` leaves little.
"""

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

MARKER = "BERTH_PRIVATE"
POLL_S = 0.05


def start_server(
    command: Sequence[str], folder: Path, *, log: Path, extra: Mapping[str, str] | None = None
) -> subprocess.Popen[bytes]:
    """Start a server marked as belonging to `folder`, its output appended to `log`."""
    log.parent.mkdir(parents=True, exist_ok=True)
    environment = {**os.environ, **(extra or {}), MARKER: str(folder)}
    with_parent = ["setpriv", "--pdeathsig", "TERM"] if shutil.which("setpriv") else []
    with log.open("ab") as output:
        return subprocess.Popen(
            [*with_parent, *command],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env=environment,
            start_new_session=True,
        )


def stop_server(server: subprocess.Popen[bytes], *, patience_s: float = 15.0) -> None:
    """End one server by its pid: SIGTERM, and SIGKILL when patience is over."""
    if server.poll() is None:
        server.terminate()
    try:
        server.wait(patience_s)
    except subprocess.TimeoutExpired:
        server.kill()
        server.wait()


def kill_marked(folder: Path, *, patience_s: float = 10.0) -> None:
    """Kill all that servers of `folder` left running, containers included."""
    deadline = time.monotonic() + patience_s
    while (left := marked_processes(folder)) and time.monotonic() < deadline:
        for pid in left:
            _kill(pid)
        time.sleep(POLL_S)


def marked_processes(folder: Path) -> dict[int, str]:
    """Return pid -> command line of every process marked with `folder` or a folder in it, and of their descendants.

    A container's processes don't inherit the marker, but descend from a marked shim.
    """
    pids = [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]
    marked = {pid for pid in pids if _is_marked(pid, folder)} - {os.getpid()}
    parents = {pid: parent for pid in pids if (parent := _parent(pid)) is not None}
    found = with_descendants(marked, parents)
    return {pid: _command_line(pid) for pid in sorted(found) if _is_alive(pid)}


def with_descendants(roots: Iterable[int], parents: Mapping[int, int]) -> set[int]:
    """Return the roots and everything below them. `parents`: pid -> pid of its parent."""
    found = set(roots)
    while new := {pid for pid, parent in parents.items() if parent in found} - found:
        found |= new
    return found


def tail(log: Path, *, lines: int = 20) -> str:
    """Return the last lines of a log, for an error message."""
    if not log.exists():
        return f"(no log at {log})"
    return "\n".join(log.read_text(errors="replace").splitlines()[-lines:])


def _is_marked(pid: int, folder: Path) -> bool:
    prefix = f"{MARKER}={folder}".encode()
    variables = _read(pid, "environ").split(b"\0")
    return any(value == prefix or value.startswith(prefix + b"/") for value in variables)


def _parent(pid: int) -> int | None:
    fields = _read(pid, "stat").rpartition(b")")[2].split()
    return int(fields[1]) if len(fields) > 1 else None


def _is_alive(pid: int) -> bool:
    """The process exists and isn't a zombie waiting for its parent."""
    fields = _read(pid, "stat").rpartition(b")")[2].split()
    return bool(fields) and fields[0] not in (b"Z", b"X")


def _command_line(pid: int) -> str:
    return _read(pid, "cmdline").replace(b"\0", b" ").decode(errors="replace").strip()


def _read(pid: int, name: str) -> bytes:
    """Read a file of /proc; empty when the process is gone or another user's."""
    try:
        return Path(f"/proc/{pid}/{name}").read_bytes()
    except OSError:
        return b""


def _kill(pid: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
