"""A client of Docker's API: how to reach the engine, its words for errors, listing and inspecting.

Only modules named `docker*` import the SDK. Every call has a timeout.
"""

import socket
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any

import docker
import requests
from docker.errors import APIError, DockerException, NotFound

from agent.labels import NODE
from agent.pulled import PulledImages
from agent.runtime.api import ContainerInfo
from agent.runtime.docker_parse import container_info
from agent.runtime.docker_wire import WireClient
from sealing.keys import KeyPair

Client = docker.APIClient

CALL_TIMEOUT_S = 60.0  # a start on a busy host takes seconds; beyond a minute the engine is taken for silent
RUNTIME_SILENT = (requests.exceptions.RequestException, OSError, DockerException)


@dataclass(frozen=True, slots=True)
class DockerOptions:
    """How to reach the engine.

    host: `unix:///var/run/docker.sock` or `tcp://...`. node: value of the node label.
    state_folder: absolute; emptyDir volumes lie in its `volumes/<bindingUid>/`, so the engine must see it there.
    key_pair: this node's, which opens copies of Secrets. secret_dir: a folder in memory, below which files of
    Secrets lie; None: one is looked for.
    """

    host: str
    node: str
    state_folder: Path
    call_timeout_s: float = CALL_TIMEOUT_S
    key_pair: KeyPair | None = None
    pulled: PulledImages | None = None  # where what was pulled is noted, so that it may be removed again
    secret_dir: Path | None = None


def connect(options: DockerOptions, *, timeout_s: float | None = None) -> Client:
    """Return a client that speaks the engine's own API version. Raises RUNTIME_SILENT errors."""
    timeout_s = timeout_s or options.call_timeout_s
    if options.host.startswith("unix://"):
        path = options.host.removeprefix("unix://")
        _knock(path)
        return WireClient(path, timeout_s=timeout_s)
    return docker.APIClient(base_url=options.host, version="auto", timeout=int(timeout_s))


def _knock(path: str) -> None:
    """Find out whether somebody listens there; the SDK leaks a socket where nobody does. Raises OSError."""
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(path)
        except OSError as error:
            raise OSError(f"no Docker Engine answers at {path}: {error.strerror}") from error


def tells_removal(error: Exception) -> bool:
    """Say whether the engine refuses because the container is gone, or "dead or marked for removal"."""
    return isinstance(error, APIError) and error.status_code in (HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT)


def words(error: APIError) -> str:
    """Return the engine's own sentence."""
    return str(error.explanation or error)


def _listed(client: Client, options: DockerOptions, labels: tuple[str, ...]) -> list[dict[str, Any]]:
    wanted = [f"{NODE}={options.node}", *labels]
    found: list[dict[str, Any]] = client.containers(all=True, filters={"label": wanted})
    return found


def list_states(client: Client, options: DockerOptions, *labels: str) -> dict[str, str]:
    """Return container id -> Docker's state word, of this node's containers, dead ones included."""
    return {each["Id"]: each["State"] for each in _listed(client, options, labels)}


def list_labelled(client: Client, options: DockerOptions, *labels: str) -> dict[str, dict[str, str]]:
    """Return container id -> labels, of this node's containers that also carry `labels` (`key=value`)."""
    return {each["Id"]: each["Labels"] or {} for each in _listed(client, options, labels)}


def inspect(client: Client, container_id: str) -> ContainerInfo | None:
    """Return one container; None when it is gone, or its labels are garbled."""
    try:
        return container_info(client.inspect_container(container_id))
    except NotFound:
        return None
