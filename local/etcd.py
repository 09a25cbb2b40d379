"""etcd as a child: where the program is, which ports it takes."""

import os
import shutil
import socket
from collections.abc import Iterable

from local.errors import LocalError

FAVOURITE_PORTS = (2379, 12379, 22379, 32379)  # etcd's own, and the same beside other users'
INSTALL = (
    "install it (Debian, Ubuntu: sudo apt-get install etcd-server; Fedora: sudo dnf install etcd; else from "
    "https://github.com/etcd-io/etcd/releases), or give the address of one that runs with --etcd HOST:PORT"
)


def find_etcd(path: str | None = None) -> str:
    """Return the path of etcd. path: instead of PATH and /usr/bin. Raises LocalError."""
    found = shutil.which("etcd", path=path or f"{os.environ.get('PATH', '')}:/usr/bin")
    if found is None:
        raise LocalError(f"etcd is not installed: there is none on the PATH; {INSTALL}")
    return found


def choose_ports(remembered: tuple[int, int]) -> tuple[int, int]:
    """Return ports for clients and peers: those of last time if they are free, so that contexts stay true."""
    client = pick_port((remembered[0], *FAVOURITE_PORTS), ())
    return client, pick_port((remembered[1], *(port + 1 for port in FAVOURITE_PORTS)), (client,))


def pick_port(wanted: Iterable[int], taken: Iterable[int]) -> int:
    """Return the first free port of the loopback among `wanted`, else any."""
    refused = set(taken)
    return next((port for port in wanted if port and port not in refused and is_free(port)), 0) or _any_port()


def is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def _any_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
