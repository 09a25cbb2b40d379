"""The port to container logs. Calls may block; the server makes them in threads."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from agent.errors import RuntimeRefused

HOLLOW = "this node is hollow: it simulates its containers, so there is nothing in them"


@dataclass(frozen=True, slots=True)
class LogQuery:
    """Which part of a log. tail: number of last lines, None for all. since: seconds since the epoch, 0 for all."""

    follow: bool = False
    tail: int | None = None
    timestamps: bool = False
    since: float = 0.0


class OpenLog(Protocol):
    """The bytes of a log as they come; `close` ends the iteration from another thread."""

    def __iter__(self) -> Iterator[bytes]: ...

    def close(self) -> None: ...


class NoLog:
    """The log of a container that is about to be gone: nothing more comes."""

    def __iter__(self) -> Iterator[bytes]:
        return iter(())

    def close(self) -> None:
        """Nothing is open."""


class Logs(Protocol):
    """Where logs come from. Both raise RuntimeUnavailable and RuntimeRefused."""

    def attempts(self, cluster: str, task_uid: str, binding_uid: str, container: str) -> tuple[str, ...]:
        """Return the ids of a container's attempts, newest first."""

    def open(self, container_id: str, query: LogQuery) -> OpenLog: ...


class NoLogs:
    """Of a runtime that runs nothing."""

    def attempts(self, cluster: str, task_uid: str, binding_uid: str, container: str) -> tuple[str, ...]:
        raise RuntimeRefused(501, HOLLOW)

    def open(self, container_id: str, query: LogQuery) -> OpenLog:
        raise RuntimeRefused(501, HOLLOW)
