"""The folder pki/: ca, server (etcd, controller, agents) and client (whoever may use them), made where missing.

A certificate and its key are two files; a crash between the two is found at the next start, as they don't match.
"""

import socket
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from local.errors import LocalError
from local.files import write_private
from sealing.errors import SealingError

if TYPE_CHECKING:
    from local.certificates import Issued

USER = "root"  # CN of the client's certificate: etcd's administrator, should users ever be turned on there


@dataclass(frozen=True, slots=True)
class Pki:
    """Where the files are."""

    folder: Path

    @property
    def ca(self) -> Path:
        return self.folder / "ca.crt"

    @property
    def server_cert(self) -> Path:
        return self.folder / "server.crt"

    @property
    def server_key(self) -> Path:
        return self.folder / "server.key"

    @property
    def client_cert(self) -> Path:
        return self.folder / "client.crt"

    @property
    def client_key(self) -> Path:
        return self.folder / "client.key"

    @property
    def secret_key(self) -> Path:
        """The private key of the cluster, which opens secrets."""
        return self.folder / "secrets.key"


def ensure(pki: Pki, names: Sequence[str], now: datetime) -> tuple[str, ...]:
    """Make what is missing, broken or about to expire; return a sentence for each. Raises LocalError."""
    try:
        return tuple(_ensure(pki, names, now))
    except (OSError, SealingError) as error:
        raise LocalError(f"the certificates in {pki.folder} can't be read or written: {error}") from None


def _ensure(pki: Pki, names: Sequence[str], now: datetime) -> Iterator[str]:
    from local.certificates import issue, make_ca, why_renew
    from sealing.keys import ensure_key_pair

    _refuse_foreign_ca(pki)
    ensure_key_pair(pki.secret_key)
    ca = _read(pki.folder, "ca")
    why = "" if ca is None else why_renew(ca, ca, (), now)
    if ca is None or why:
        ca = make_ca(f"berth {socket.gethostname()}", now)
        _write(pki.folder, "ca", ca)
        yield _told("the CA", pki.ca, why)
    for kind, common_name, wanted in (("server", "berth-server", names), ("client", USER, ())):
        leaf = _read(pki.folder, kind)
        why = "" if leaf is None else why_renew(leaf, ca, wanted, now)
        if leaf is None or why:
            _write(pki.folder, kind, issue(ca, kind, common_name, wanted, now))
            yield _told(f"the certificate of the {kind}", pki.folder / f"{kind}.crt", why)


def _refuse_foreign_ca(pki: Pki) -> None:
    """A CA whose key is kept elsewhere is somebody's own. A crash of ours leaves a key without certificate."""
    key = pki.folder / "ca.key"
    if pki.ca.exists() and not key.exists():
        raise LocalError(
            f"{pki.ca} is there, but its key {key} is not, so nothing was changed; put the key back, or name "
            "another folder with --data-dir"
        )


def _told(what: str, path: Path, why: str) -> str:
    return f"made {what} anew, as {why}: {path}" if why else f"made {what}: {path}"


def _read(folder: Path, name: str) -> "Issued | None":
    from local.certificates import Issued

    try:
        return Issued((folder / f"{name}.crt").read_bytes(), (folder / f"{name}.key").read_bytes())
    except FileNotFoundError:
        return None


def _write(folder: Path, name: str, issued: "Issued") -> None:
    write_private(folder / f"{name}.key", issued.key)
    write_private(folder / f"{name}.crt", issued.certificate)


def names_of_this_host() -> tuple[str, ...]:
    """Return the names and addresses under which this machine's servers are called."""
    found = ["localhost", "127.0.0.1", "::1", socket.gethostname()]
    with suppress(OSError), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect(("192.0.2.1", 9))  # sends nothing; an address for documentation (RFC 5737)
        found.append(str(probe.getsockname()[0]))
    return tuple(dict.fromkeys(found))
