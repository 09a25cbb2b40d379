"""The port to what goes in and out of containers: commands, the main process, files, connections.

Its methods are coroutines of the server's event loop, which carries many quiet streams at little cost. They
raise RuntimeUnavailable, and RuntimeRefused with the runtime's own reason.
"""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Protocol

from agent.errors import RuntimeRefused
from agent.runtime.logs import HOLLOW
from schemas.stream import Channel


@dataclass(frozen=True, slots=True)
class ExecRequest:
    """A command to run in a container. tty: with a terminal, on which stdout and stderr are one.

    container: its name, for messages.
    """

    command: tuple[str, ...]
    tty: bool = False
    stdin: bool = False
    container: str = ""


@dataclass(frozen=True, slots=True)
class PathStat:
    """A file in a container. `link_target`: absolute, of a symbolic link; else empty."""

    name: str
    size_bytes: int
    is_folder: bool
    link_target: str = ""


class Process(Protocol):
    """A command, or a container's main process, with its streams."""

    async def read(self) -> tuple[Channel, bytes] | None:
        """Return the next piece of output; None after the last."""

    async def write(self, data: bytes) -> None:
        """Pass input on; waits while the process does not take it."""

    async def end_input(self) -> None: ...

    async def resize(self, width: int, height: int) -> None: ...

    async def exit_code(self) -> int | None:
        """Return the exit code, after the last output; None if the process goes on without us."""

    async def kill(self) -> bool:
        """End a command, with what it started, at once; say whether nothing of it runs on."""

    def close(self) -> None: ...


class Streams(Protocol):
    """What can be had of a running container; container ids are the runtime's."""

    async def exec(self, container_id: str, request: ExecRequest) -> Process: ...

    async def attach(self, container_id: str, *, stdin: bool) -> Process: ...

    async def address(self, container_id: str) -> str:
        """Return the container's own IP, reachable from this host."""

    async def stat(self, container_id: str, path: str) -> PathStat | None:
        """Return what is at a path, None if nothing is."""

    async def read_archive(self, container_id: str, path: str) -> AsyncIterator[bytes]:
        """Return a tar stream of a file or folder; the caller exhausts or closes it."""

    async def write_archive(self, container_id: str, folder: str, chunks: AsyncIterator[bytes]) -> None:
        """Unpack a tar stream into a folder that exists."""


class NoStreams:
    """Of a runtime that runs nothing."""

    async def exec(self, container_id: str, request: ExecRequest) -> Process:
        raise RuntimeRefused(501, HOLLOW)

    async def attach(self, container_id: str, *, stdin: bool) -> Process:
        raise RuntimeRefused(501, HOLLOW)

    async def address(self, container_id: str) -> str:
        raise RuntimeRefused(501, HOLLOW)

    async def stat(self, container_id: str, path: str) -> PathStat | None:
        raise RuntimeRefused(501, HOLLOW)

    async def read_archive(self, container_id: str, path: str) -> AsyncIterator[bytes]:
        raise RuntimeRefused(501, HOLLOW)

    async def write_archive(self, container_id: str, folder: str, chunks: AsyncIterator[bytes]) -> None:
        raise RuntimeRefused(501, HOLLOW)
