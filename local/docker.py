"""Whether a Docker Engine answers, before agents are started that need one. Speaks HTTP to its socket, no SDK."""

import http.client
import os
import socket
from pathlib import Path
from urllib.parse import urlsplit

DEFAULT_HOST = "unix:///var/run/docker.sock"
TIMEOUT_S = 5.0
INSTALL = (
    "install and start one (Debian, Ubuntu: sudo apt-get install docker.io; then sudo systemctl start docker)"
)
WITHOUT = "or start only simulated nodes: berth up --nodes 0 --hollow 3"


class _UnixConnection(http.client.HTTPConnection):
    """HTTP over a unix socket."""

    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=TIMEOUT_S)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(TIMEOUT_S)
        self.sock.connect(self._path)


def why_no_docker(host: str) -> str:
    """Return why no engine answers at `host` and what to do, "" if one does."""
    try:
        connection = _connection(host)
    except ValueError as error:
        return f"--docker-host {host} can't be used ({error}); write unix:///path or tcp://host:port"
    try:
        connection.request("GET", "/_ping")
        if connection.getresponse().status == http.HTTPStatus.OK:
            return ""
        told = "it does not know /_ping: is it Docker?"
    except PermissionError:
        return _not_allowed(host)
    except FileNotFoundError:
        told = "there is no such socket"
    except (OSError, http.client.HTTPException) as error:
        told = str(error)
    finally:
        connection.close()
    return (
        f"no Docker Engine answers at {host} ({told}); {INSTALL}, name another with --docker-host, {WITHOUT}"
    )


def _connection(host: str) -> http.client.HTTPConnection:
    url = urlsplit(host)
    if url.scheme == "unix" and url.path:
        return _UnixConnection(url.path)
    if url.scheme in ("tcp", "http") and url.hostname:
        return http.client.HTTPConnection(url.hostname, url.port or 2375, timeout=TIMEOUT_S)
    raise ValueError("it is neither unix:// nor tcp://")


def _not_allowed(host: str) -> str:
    user = os.environ.get("USER") or str(os.geteuid())
    path = urlsplit(host).path
    group = _group_of(path)
    return (
        f"user {user} may not use the Docker Engine at {host}; join its group (sudo usermod -aG {group} {user}, "
        f"then log in again), name another with --docker-host, {WITHOUT}"
    )


def _group_of(path: str) -> str:
    try:
        return Path(path).group()
    except (OSError, KeyError):
        return "docker"
