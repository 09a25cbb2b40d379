"""The port to container logs. Calls may block; the server makes them in threads."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol


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


class Logs(Protocol):
    """Where logs come from. Both raise RuntimeUnavailable."""

    def attempts(self, cluster: str, task_uid: str, binding_uid: str, container: str) -> tuple[str, ...]:
        """Return the ids of a container's attempts, newest first."""

    def open(self, container_id: str, query: LogQuery) -> OpenLog: ...


class NoLogs:
    """The logs of a runtime that keeps none."""

    def attempts(self, cluster: str, task_uid: str, binding_uid: str, container: str) -> tuple[str, ...]:
        return ()

    def open(self, container_id: str, query: LogQuery) -> OpenLog:
        raise KeyError(container_id)
