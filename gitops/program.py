"""The program git, run without a shell, with a fixed environment and bounds on time and output.

Nothing of the user's or the machine's configuration counts, no hook or filter runs, nothing is asked at a
terminal, and only the transports that a GitSource may name are there at all. What is given as an argument stands
behind `--` wherever it could be taken for an option.
"""

import hashlib
import os
import re
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO
from urllib.parse import unquote

from gitops.errors import GitFailed

TRANSPORTS = "file:https:http:ssh"
MAX_FOLDER_BYTES = 2**28  # what git may write; a repository of manifests has some megabytes
MAX_ERROR_BYTES = 4000
CHUNK_BYTES = 65536
POLL_S = 0.2

_CONFIG = """\
[core]
    hooksPath = /dev/null
    fsmonitor = false
[http]
    followRedirects = false
    lowSpeedLimit = 1
    lowSpeedTime = 30
[submodule]
    recurse = false
[fetch]
    unpackLimit = 1
[gc]
    auto = 0
[maintenance]
    auto = false
[credential]
    helper =
"""
_CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|[\x00-\x08\x0b-\x1f\x7f]")


@dataclass(frozen=True, slots=True)
class Access:
    """How a repository is reached: its url, and the variables that hold where its credentials are."""

    url: str
    variables: Mapping[str, str]


def clean(text: str) -> str:
    """Return what git or a stranger's repository says as one line without control characters."""
    lines = [line.strip() for line in _CONTROL.sub("", text).splitlines()]
    return "; ".join(line for line in lines if line)


class Git:
    """Runs git. `home`: a private folder, for its configuration. `stopping`: set to end what runs."""

    def __init__(self, home: Path, stopping: threading.Event, *, timeout_s: float = 120.0) -> None:
        self._home = home
        self._stopping = stopping
        self._timeout_s = timeout_s

    def run(
        self,
        arguments: Sequence[str],
        *,
        access: Access | None = None,
        max_bytes: int = 2**20,
        feed: bytes = b"",
        fine: tuple[int, ...] = (0,),
        grows: Path | None = None,
    ) -> tuple[int, bytes]:
        """Return exit code and output. Raises GitFailed for a code that is not `fine`, or past a bound.

        grows: the folder that git writes into, which may not become too large.
        """
        verb = next(each for each in arguments if not each.startswith("-"))
        program = shutil.which("git")
        if program is None:
            raise GitFailed(
                "the program git is not installed on the host of the leading controller; install it, on Debian with: "
                "apt install git"
            )
        with tempfile.TemporaryFile() as fed, tempfile.TemporaryFile() as errors:
            fed.write(feed)
            fed.seek(0)
            process = subprocess.Popen(
                [program, *arguments],
                stdin=fed,
                stdout=subprocess.PIPE,
                stderr=errors,
                env=self._environment(access),
                cwd=self._home,
                start_new_session=True,
            )
            watchdog = _Watchdog(process, self._stopping, timeout_s=self._timeout_s, grows=grows)
            try:
                output = _read(process, max_bytes)
            finally:
                watchdog.end()
            code = process.returncode
            if watchdog.why:
                raise GitFailed(f"git {verb} {watchdog.why}")
            if len(output) > max_bytes:
                raise GitFailed(f"git {verb} says more than {max_bytes} bytes")
            if code not in fine:
                raise GitFailed(_why(verb, code, errors))
        return code, output

    def _environment(self, access: Access | None) -> dict[str, str]:
        config = self._home / "gitconfig"
        safe = _safe_folders(access.url) if access is not None else ()
        lines = "".join(f"    directory = {_quoted(each)}\n" for each in safe)
        if safe:
            config = self._home / f"gitconfig-{hashlib.sha256(lines.encode()).hexdigest()[:16]}"
        text = _CONFIG + (f"[safe]\n{lines}" if lines else "")
        if not config.exists() or config.read_text() != text:
            temporary = config.with_name(f"{config.name}.{threading.get_ident()}")
            temporary.write_text(text)
            temporary.replace(config)
        return {
            "PATH": os.environ.get("PATH", os.defpath),
            "LC_ALL": "C.UTF-8",
            "LANGUAGE": "C",
            "HOME": str(self._home),
            "XDG_CONFIG_HOME": str(self._home),
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_CONFIG_GLOBAL": str(config),
            "GIT_ATTR_NOSYSTEM": "1",
            "GIT_TERMINAL_PROMPT": "0",
            "GIT_ASKPASS": "/bin/false",
            "SSH_ASKPASS": "/bin/false",
            "GIT_SSH": "/bin/false",  # without credentials nobody is known
            "GIT_ALLOW_PROTOCOL": TRANSPORTS,
            "GIT_PROTOCOL_FROM_USER": "0",
            "GIT_LITERAL_PATHSPECS": "1",
            "GIT_NO_LAZY_FETCH": "1",
            "GIT_NO_REPLACE_OBJECTS": "1",
            "GIT_OPTIONAL_LOCKS": "0",
            **(access.variables if access is not None else {}),
        }


class _Watchdog:
    """Kills a process, and all that it started, past its time or when everything ends."""

    def __init__(
        self,
        process: "subprocess.Popen[bytes]",
        stopping: threading.Event,
        *,
        timeout_s: float,
        grows: Path | None,
    ) -> None:
        self._process = process
        self._stopping = stopping
        self._timeout_s = timeout_s
        self._grows = grows
        self._ended = threading.Event()
        self.why = ""
        self._thread = threading.Thread(target=self._watch, name="git-watchdog", daemon=True)
        self._thread.start()

    def _watch(self) -> None:
        deadline = time.monotonic() + self._timeout_s
        while not self._ended.wait(POLL_S):
            if self._stopping.is_set():
                self.why = "was ended, as this controller leads no more"
            elif time.monotonic() > deadline:
                self.why = f"took longer than {self._timeout_s:g} s; is the repository's server there?"
            elif self._grows is not None and size_of(self._grows) > MAX_FOLDER_BYTES:
                self.why = (
                    f"got more than {MAX_FOLDER_BYTES // 2**20} MiB, which is more than a source may have"
                )
            if self.why:
                self._kill()
                return

    def _kill(self) -> None:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)

    def end(self) -> None:
        self._ended.set()
        if self._process.poll() is None:
            self._kill()
        self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()
        self._thread.join()


def size_of(folder: Path) -> int:
    """Return the bytes in a folder; files that go meanwhile count for nothing."""
    total = 0
    for place, _, names in os.walk(folder):
        for name in names:
            with suppress(OSError):
                total += os.lstat(os.path.join(place, name)).st_size
    return total


def _read(process: "subprocess.Popen[bytes]", max_bytes: int) -> bytes:
    """Return the output, and no more than a chunk above `max_bytes`."""
    assert process.stdout is not None
    output = bytearray()
    while len(output) <= max_bytes:
        chunk = process.stdout.read1(CHUNK_BYTES)  # type: ignore[attr-defined]  # a BufferedReader
        if not chunk:
            process.wait()
            break
        output += chunk
    return bytes(output)


def _why(verb: str, code: int, errors: IO[bytes]) -> str:
    errors.seek(0)
    text = clean(errors.read(MAX_ERROR_BYTES).decode("utf-8", errors="replace"))
    if "returned error: 30" in text:
        text += "; no redirect is followed: name the address that it leads to in spec.url"
    return f"git {verb}: {text or f'exit code {code}'}"


def _safe_folders(url: str) -> tuple[str, ...]:
    """Return the folders of a local repository: git reads those of other users only where that is said."""
    if not url.startswith("file://"):
        return ()
    path = unquote(url.removeprefix("file://")).rstrip("/")
    return (path, f"{path}/.git", f"{path}.git")


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
