"""A real sshd on the loopback: its own keys, port and configuration, and one user: who runs the test."""

import os
import pwd
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.support.ports import free_port
from tests.support.wait import eventually

SBIN = "/usr/sbin:/usr/local/sbin"  # where a user's PATH may not look
_CONFIG = """\
ListenAddress 127.0.0.1
Port {port}
HostKey {folder}/host
AuthorizedKeysFile {folder}/authorized
PidFile none
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin prohibit-password
StrictModes no
UsePAM no
"""


def find_sshd() -> str | None:
    return shutil.which("sshd") or shutil.which("sshd", path=SBIN)


@dataclass(frozen=True, slots=True)
class SshServer:
    """Where it is, what its host key is, and the key that opens it."""

    port: int
    known_hosts: bytes
    key: bytes

    def url(self, repository: Path) -> str:
        return f"ssh://{pwd.getpwuid(os.geteuid()).pw_name}@127.0.0.1:{self.port}{repository}"


def make_key(path: Path, passphrase: str = "") -> Path:
    """Make a pair of keys in `path` and beside it; return `path`."""
    subprocess.run(
        ["ssh-keygen", "-q", "-t", "ed25519", "-N", passphrase, "-C", "test", "-f", str(path)], check=True
    )
    return path


def host_line(port: int, public: Path) -> bytes:
    """Return the line of known_hosts for a host key on the loopback."""
    kind, key, *_ = public.read_text().split()
    return f"[127.0.0.1]:{port} {kind} {key}\n".encode()


@contextmanager
def sshd(folder: Path, program: str) -> Iterator[SshServer]:
    """Run it in the foreground until the end of the block."""
    folder.mkdir(mode=0o700)
    port, key = free_port(), make_key(folder / "user")
    make_key(folder / "host")
    shutil.copy(folder / "user.pub", folder / "authorized")
    (folder / "config").write_text(_CONFIG.format(port=port, folder=folder))
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)  # the empty folder of its unprivileged half
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen([program, "-D", "-e", "-f", str(folder / "config")], stderr=log)
    try:
        eventually(lambda: b"listening" in (folder / "log").read_bytes(), timeout_s=10.0)
        yield SshServer(port, host_line(port, folder / "host.pub"), key.read_bytes())
    finally:
        process.terminate()
        process.wait()
