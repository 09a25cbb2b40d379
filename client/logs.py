"""Logs come from the agent that ran the task; etcd only says which one that is, and holds the token.

GET {apiAddress}/v1/logs/{namespace}/{task uid}/{container}?follow=&tail=&previous=&timestamps=&since=&after=

The reply names the attempt (the container id) whose log it is; `after=` asks for the attempt that followed it.
Logs of many containers, and following from attempt to attempt, are in `many_logs`.
"""

import http.client
import socket
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass

from client.agent_http import connect, refusal, telling
from client.agent_target import AgentTarget
from client.agent_tls import AgentTls
from client.errors import AgentUnavailable, NodeSilent

ATTEMPT_HEADER = "Berth-Container"
READ_TIMEOUT_S = 30.0  # between two pieces of what is there already
CHUNK_BYTES = 65_536
MAX_REFUSAL_BYTES = 4_000


@dataclass(frozen=True, slots=True)
class LogOptions:
    """`tail`: number of last lines, None for all. `previous`: of the attempt before this one.

    `since`: a duration before now (`10m`) or a time in RFC 3339, "" for all; the node's clock counts.
    """

    follow: bool = False
    tail: int | None = None
    previous: bool = False
    timestamps: bool = False
    since: str = ""

    def query(self, after: str = "") -> list[tuple[str, str]]:
        flags = {"follow": self.follow, "previous": self.previous, "timestamps": self.timestamps}
        wanted = {name: str(value).lower() for name, value in flags.items()}
        more = {"tail": "" if self.tail is None else str(self.tail), "since": self.since, "after": after}
        return [*wanted.items(), *((name, value) for name, value in more.items() if value)]


class OpenLog:
    """The bytes of one attempt's log as they come. `attempt`: the id of its container, "" if the agent is older."""

    def __init__(
        self,
        target: AgentTarget,
        tls: AgentTls,
        connection: http.client.HTTPConnection,
        response: http.client.HTTPResponse,
    ) -> None:
        self.attempt = response.headers.get(ATTEMPT_HEADER, "")
        self._target, self._tls = target, tls
        self._connection, self._response = connection, response
        self._socket = connection.sock  # the connection forgets it when the reply ends with it
        self._is_closed = False

    def __iter__(self) -> Iterator[bytes]:
        """Yield what was written. Raises AgentUnavailable when the node goes away in the middle."""
        try:
            with telling(self._target.peer, self._tls):
                while chunk := self._response.read1(CHUNK_BYTES):
                    yield chunk
        except (AgentUnavailable, ValueError):  # ValueError: closed while it was read
            if not self._is_closed:
                raise
        finally:
            self._response.close()
            self._connection.close()

    def close(self) -> None:
        """End the iteration, which may be in another thread."""
        self._is_closed = True
        if self._socket is not None:
            with suppress(OSError):
                self._socket.shutdown(socket.SHUT_RDWR)


def open_log(target: AgentTarget, tls: AgentTls, options: LogOptions, after: str = "") -> OpenLog | None:
    """Open a log: of the newest attempt, or of the one that followed `after`; None if there is none after it.

    Raises AgentUnavailable, NodeSilent.
    """
    connection = _reach(target, tls)
    try:
        with telling(target.peer, tls):
            path = target.path("logs", options.query(after))
            connection.request("GET", path, headers=target.peer.headers)
            response = connection.getresponse()
        if response.status != http.HTTPStatus.OK:
            _raise_unless_none_after(target, response, after)
            connection.close()
            return None
        if connection.sock is not None:  # a quiet log is no error
            connection.sock.settimeout(None if options.follow else READ_TIMEOUT_S)
        return OpenLog(target, tls, connection, response)
    except BaseException:
        connection.close()
        raise


def _reach(target: AgentTarget, tls: AgentTls) -> http.client.HTTPConnection:
    try:
        with telling(target.peer, tls):
            connection = connect(target.peer, tls)
            connection.connect()
            return connection
    except AgentUnavailable as error:
        raise NodeSilent(str(error)) from None


def _raise_unless_none_after(target: AgentTarget, response: http.client.HTTPResponse, after: str) -> None:
    """Raise why there is no log, unless it is only that no attempt has followed."""
    if not (after and response.status == http.HTTPStatus.NOT_FOUND):
        raise refusal(target.peer, response.status, response.read(MAX_REFUSAL_BYTES))


def stream(target: AgentTarget, tls: AgentTls, options: LogOptions) -> Iterator[bytes]:
    """Yield the bytes of one attempt's log as they come. Raises AgentUnavailable."""
    log = open_log(target, tls, options)
    yield from log or ()
