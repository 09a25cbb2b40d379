"""The few requests that the tools need of a Docker Engine, with the standard library alone.

Works before the virtual environment exists. A host is written as Docker does: `unix:///path`, or
`tcp://address:port`, with the TLS files of DOCKER_CERT_PATH when DOCKER_TLS_VERIFY is set.
"""

import http
import http.client
import json
import os
import socket
import ssl
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

from tools.errors import DockerError, NoSuchObject

DEFAULT_HOST = "unix:///var/run/docker.sock"
PING_TIMEOUT_S = 3.0  # a healthy daemon answers in milliseconds; a hanging one must not hang us
REQUEST_TIMEOUT_S = 60.0  # an import of a few MB on a slow disk
LABEL_PREFIX = "berth."


class _UnixConnection(http.client.HTTPConnection):
    """HTTP over a unix socket."""

    def __init__(self, path: str, timeout_s: float) -> None:
        super().__init__("localhost", timeout=timeout_s)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


def request(
    host: str, method: str, path: str, *, body: bytes | None = None, timeout_s: float = REQUEST_TIMEOUT_S
) -> bytes:
    """Send one request and return the body of the answer; raise DockerError, or OSError if unreachable."""
    connection = _connection(host, timeout_s)
    try:
        headers = {"Content-Type": "application/x-tar"} if body is not None else {}
        connection.request(method, path, body=body, headers=headers)
        answer = connection.getresponse()
        content = answer.read()
    except http.client.HTTPException as error:
        raise DockerError(f"{host} does not speak Docker's protocol: {error!r}") from error
    finally:
        connection.close()
    if answer.status >= 400:
        kind = NoSuchObject if answer.status == http.HTTPStatus.NOT_FOUND else DockerError
        raise kind(f"docker refused {method} {path}: {answer.status} {_message(content)}")
    return content


def _connection(host: str, timeout_s: float) -> http.client.HTTPConnection:
    url = urlsplit(host)
    if url.scheme == "unix":
        return _UnixConnection(url.path, timeout_s)
    if url.scheme not in ("tcp", "http", "https"):
        raise DockerError(f"can't use DOCKER_HOST={host}: only unix:// and tcp:// are supported")
    name = url.hostname or "localhost"
    if os.environ.get("DOCKER_TLS_VERIFY") or url.scheme == "https":
        return http.client.HTTPSConnection(name, url.port or 2376, timeout=timeout_s, context=_tls())
    return http.client.HTTPConnection(name, url.port or 2375, timeout=timeout_s)


def _tls() -> ssl.SSLContext:
    folder = Path(os.environ.get("DOCKER_CERT_PATH") or Path.home() / ".docker")
    context = ssl.create_default_context(cafile=folder / "ca.pem")
    context.load_cert_chain(folder / "cert.pem", folder / "key.pem")
    return context


def _message(content: bytes) -> str:
    try:
        return str(json.loads(content)["message"])
    except (ValueError, KeyError, TypeError):
        return content.decode(errors="replace").strip()


def answers(host: str) -> bool:
    """A Docker daemon answers at `host` and lets this user in."""
    try:
        return request(host, "GET", "/_ping", timeout_s=PING_TIMEOUT_S).strip() == b"OK"
    except (OSError, DockerError, ValueError):
        return False


def users_engine() -> str | None:
    """Return the host of the user's own daemon (DOCKER_HOST, else the default socket), or None."""
    for host in (os.environ.get("DOCKER_HOST"), DEFAULT_HOST):
        if host and answers(host):
            return host
    return None


def container_labels(host: str) -> dict[str, dict[str, str]]:
    """Return container id -> its labels, of all containers, running or not.

    Docker 20.10 answers 404 when a container vanishes while the list is made: then it is asked again.
    """
    while True:
        try:
            found = json.loads(request(host, "GET", "/containers/json?all=1"))
        except NoSuchObject:
            continue
        return {container["Id"]: container["Labels"] or {} for container in found}


def berth_containers(host: str) -> set[str]:
    """Return the ids of all containers that carry a label of Berth."""
    return {
        container_id
        for container_id, labels in container_labels(host).items()
        if any(label.startswith(LABEL_PREFIX) for label in labels)
    }


def remove_container(host: str, container_id: str) -> None:
    """Kill and remove one container with its anonymous volumes."""
    request(host, "DELETE", f"/containers/{container_id}?force=1&v=1")


def image_labels(host: str, name: str) -> dict[str, str] | None:
    """Return the labels of an image, or None when the engine doesn't have it."""
    listed = json.loads(
        request(host, "GET", "/images/json?filters=" + quote(json.dumps({"reference": [name]})))
    )
    image: dict[str, Any] | None = listed[0] if listed else None
    return None if image is None else image["Labels"] or {}
