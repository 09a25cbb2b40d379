"""Logs of containers, from Docker: for the agent's server, independent of the decision loop."""

import threading
from collections.abc import Iterator
from contextlib import closing, suppress
from typing import Any

from agent.errors import RuntimeUnavailable
from agent.labels import CLUSTER, from_labels
from agent.runtime.docker_client import (
    RUNTIME_SILENT,
    Client,
    DockerOptions,
    connect,
    list_labelled,
    tells_removal,
)
from agent.runtime.logs import LogQuery, NoLog, OpenLog


class LogStream:
    """The bytes of one log as they come; `close` ends it from another thread."""

    def __init__(self, client: Client, container_id: str, query: LogQuery) -> None:
        self._client = client
        self._closed = threading.Event()
        # The SDK returns a CancellableStream, which has no public type.
        self._stream: Any = client.logs(
            container_id,
            stdout=True,
            stderr=True,
            stream=True,
            follow=query.follow,
            timestamps=query.timestamps,
            tail=query.tail if query.tail is not None else "all",
            since=query.since or None,
        )

    def __iter__(self) -> Iterator[bytes]:
        try:
            yield from self._stream
        except Exception:
            if not self._closed.is_set():  # else it is how the SDK notices that its socket was closed
                raise

    def close(self) -> None:
        self._closed.set()
        with suppress(Exception):  # it may end by itself at this very moment
            self._stream.close()
        self._client.close()


class DockerLogs:
    """`agent.runtime.logs.Logs` on a Docker Engine; each call has a client of its own."""

    def __init__(self, options: DockerOptions) -> None:
        self._options = options

    def attempts(self, cluster: str, task_uid: str, binding_uid: str, container: str) -> tuple[str, ...]:
        """Return the ids of the attempts of a container, newest first. Raises RuntimeUnavailable."""
        try:
            with closing(connect(self._options)) as client:
                listed = list_labelled(client, self._options, f"{CLUSTER}={cluster}")
        except RUNTIME_SILENT as error:
            raise RuntimeUnavailable(f"the container runtime does not answer: {error}") from error
        wanted = (task_uid, binding_uid, container)
        found = [
            (journal.attempt, container_id)
            for container_id, labels in listed.items()
            if (journal := from_labels(labels)) is not None
            and (journal.task_uid, journal.binding_uid, journal.container) == wanted
        ]
        return tuple(container_id for _, container_id in sorted(found, reverse=True))

    def open(self, container_id: str, query: LogQuery) -> OpenLog:
        """Open a log; it blocks its reader, not others. Raises RuntimeUnavailable.

        A container that was listed may be under removal by now: then its log is at its end, and a follower goes on
        with the attempt that comes next.
        """
        try:
            return self._open(container_id, query)
        except RUNTIME_SILENT as error:
            if tells_removal(error):
                return NoLog()
            raise RuntimeUnavailable(
                f"the log of container {container_id[:12]} can't be read: {error}"
            ) from error

    def _open(self, container_id: str, query: LogQuery) -> LogStream:
        client = connect(self._options)
        try:
            return LogStream(client, container_id, query)
        except BaseException:
            client.close()
            raise
