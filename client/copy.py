"""Files between this machine and a container, as tar streams through the agent.

Where things go is as with `cp -r`: into a folder that exists, else under the name that is given.
"""

import json
import posixpath
import ssl
import tarfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, cast

from client.agent_http import request
from client.agent_target import AgentTarget
from client.agent_tls import AgentTls
from client.errors import BadOption, NotFound
from client.pack import pack
from client.unpack import unpack

STALL_TIMEOUT_S = 60.0  # between two pieces; the engine packs without pauses
Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class RemotePath:
    """What is at a path of the container, links followed."""

    path: str
    is_folder: bool


def download(target: AgentTarget, tls: AgentTls, remote: str, local: Path, *, say: Say) -> int:
    """Copy a file or folder out of a container; return how many members were left out as unsafe.

    Raises NotFound, BadOption, AgentUnavailable.
    """
    source = look(target, tls, remote)
    if source is None:
        raise NotFound(
            f'there is no {remote} in container {target.container} of task "{target.task}"; what is in memory '
            f"(/proc, tmpfs) can't be copied, but read: berth exec {target.task} -- cat {remote}"
        )
    wanted = _local_place(local, posixpath.basename(_absolute(remote)), source.is_folder)
    path = target.path("archive", [("path", source.path)])
    with request(target.peer, tls, "GET", path, timeout_s=STALL_TIMEOUT_S) as reply:
        try:
            return unpack(cast(IO[bytes], reply), wanted, say, root="/" if source.path == "/" else "")
        except tarfile.TarError as error:
            raise target.peer.error(f"sent no archive, or only a part of it ({error})") from None
        except OSError as error:
            if isinstance(error, ConnectionError | TimeoutError | ssl.SSLError):
                raise  # the agent's
            raise BadOption(f"{error.filename or wanted} can't be written: {error.strerror}") from None


def upload(target: AgentTarget, tls: AgentTls, local: Path, remote: str, *, say: Say) -> None:
    """Copy a file or folder into a container. Raises NotFound, BadOption, AgentUnavailable."""
    if not local.exists() and not local.is_symlink():
        raise NotFound(f"there is no {local} on this machine")
    folder, name = _remote_place(target, tls, local, remote)
    path = target.path("archive", [("path", folder)])
    chunks = _readable(pack(local, name, say))
    with request(target.peer, tls, "PUT", path, timeout_s=STALL_TIMEOUT_S, chunks=chunks):
        pass


def _readable(chunks: Iterator[bytes]) -> Iterator[bytes]:
    """Pass on; what goes wrong here is this machine's, and none of the agent's."""
    try:
        yield from chunks
    except OSError as error:
        raise BadOption(f"can't be read: {error}") from None


def look(target: AgentTarget, tls: AgentTls, remote: str) -> RemotePath | None:
    """Return what is at a path of the container, None if nothing is. A link is followed once: to its end."""
    wanted = _absolute(remote)
    told = _stat(target, tls, wanted)
    if told.get("linkTarget"):
        wanted = str(told["linkTarget"])
        told = _stat(target, tls, wanted)
    return RemotePath(wanted, bool(told["isFolder"])) if told["exists"] else None


def _stat(target: AgentTarget, tls: AgentTls, path: str) -> dict[str, object]:
    place = target.path("archive", [("path", path), ("stat", "true")])
    with request(target.peer, tls, "GET", place) as reply:
        found: dict[str, object] = json.loads(reply.read())
    return found


def _absolute(remote: str) -> str:
    """Return the path from the root of the container, where all paths begin."""
    return "/" + posixpath.normpath("/" + remote).lstrip("/")


def _local_place(local: Path, name: str, is_folder: bool) -> Path:
    """Return the path that the copy gets on this machine. Raises BadOption."""
    if local.is_dir():
        return local / name
    if not local.parent.is_dir():
        raise BadOption(
            f"there is no folder {local.parent} on this machine; make it first: mkdir -p {local.parent}"
        )
    if is_folder and local.exists():
        raise BadOption(f"{local} is a file, and what is copied is a folder")
    return local


def _remote_place(target: AgentTarget, tls: AgentTls, local: Path, remote: str) -> tuple[str, str]:
    """Return the folder of the container to unpack in, and the name there. Raises BadOption."""
    found = look(target, tls, remote)
    if found is not None and found.is_folder:
        return found.path, local.resolve().name
    if found is not None:
        if local.is_dir():
            raise BadOption(f"{remote} is a file in the container, and {local} is a folder")
        return posixpath.dirname(found.path), posixpath.basename(found.path)
    parent, name = posixpath.split(_absolute(remote))
    above = look(target, tls, parent)
    if remote.endswith("/") or above is None or not above.is_folder:
        missing = remote.rstrip("/") if remote.endswith("/") else parent
        raise BadOption(
            f"there is no folder {missing} in the container; make it first: "
            f"berth exec {target.task} -- mkdir -p {missing}"
        )
    return above.path, name
