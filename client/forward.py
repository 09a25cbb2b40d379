"""Local ports that lead to ports of a task's container, each connection over a web socket of its own.

    listener --accept--> web socket to the agent --TCP--> the container
                 two threads a connection, one a direction; an empty frame ends one

A connection that fails is told and ends alone. Forwarding ends when the task does.
"""

import socket
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Self

from client.agent_http import open_websocket
from client.agent_target import AgentTarget
from client.agent_tls import AgentTls
from client.errors import BadOption, ClientError, NotFound
from client.views import ObjectView

if TYPE_CHECKING:
    from websockets.sync.client import ClientConnection

CHUNK_BYTES = 65_536
BACKLOG = 64
END_TIMEOUT_S = 2.0
Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class PortPair:
    """A port of this machine, 0 for any free one, and one of the container."""

    local: int
    remote: int


def parse_pair(text: str, view: ObjectView) -> PortPair:
    """Read `[LOCAL:]REMOTE`, with REMOTE a number or the name of a port; `:REMOTE` takes a free local one.

    Raises BadOption, NotFound for an unknown name.
    """
    local, colon, remote = text.rpartition(":")
    port = _port_number(remote, text) if remote.isdigit() else _named_port(remote, view)
    if not colon:
        return PortPair(port, port)
    return PortPair(_port_number(local, text) if local else 0, port)


def _port_number(text: str, whole: str) -> int:
    if text.isascii() and text.isdigit() and 0 < int(text) < 65_536:
        return int(text)
    raise BadOption(
        f"{whole!r} is no pair of ports; write [LOCAL:]REMOTE, such as 8080:80, 80 or :80 (ports are 1 to 65535)"
    )


def _named_port(name: str, view: ObjectView) -> int:
    ports = [port for each in view.raw["spec"]["containers"] for port in each.get("ports", ())]
    for port in ports:
        if name and port.get("name") == name:
            return int(port["containerPort"])
    known = ", ".join(str(port["name"]) for port in ports if port.get("name")) or "no named port"
    raise NotFound(f'task "{view.name}" has no port named "{name}"; it has: {known}. A number works too')


class Forwarder:
    """Listens from its creation until `close`. `target` may be replaced when the task has moved."""

    def __init__(
        self, target: AgentTarget, tls: AgentTls, pairs: Sequence[PortPair], address: str, *, say: Say
    ) -> None:
        self.target = target
        self._tls, self._say = tls, say
        self._closing = threading.Event()
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()  # of _open, which every connection's thread changes
        self._listeners: list[tuple[socket.socket, PortPair]] = []
        try:
            for pair in pairs:
                self._listeners.append((_listen(address, pair, target.task), pair))
        except BaseException:
            self.close()
            raise
        for listener, pair in self._listeners:
            threading.Thread(target=self._accept, args=(listener, pair), daemon=True).start()

    @property
    def routes(self) -> tuple[tuple[str, int], ...]:
        """(local address, remote port) of each pair, in their order."""
        return tuple((_shown(listener), pair.remote) for listener, pair in self._listeners)

    def close(self) -> None:
        """Stop listening, and end all connections."""
        self._closing.set()
        with self._lock:
            living = [*self._open, *(listener for listener, _ in self._listeners)]
        for each in living:
            _end(each)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _accept(self, listener: socket.socket, pair: PortPair) -> None:
        while not self._closing.is_set():
            try:
                local, _ = listener.accept()
            except OSError as error:
                if not self._closing.is_set():
                    self._say(f"no further connections at {pair.local or 'the local port'}: {error}")
                return
            with self._lock:
                if self._closing.is_set():  # after accept returned; nobody else would end this one
                    _end(local)
                    return
                self._open.add(local)
            threading.Thread(target=self._carry, args=(local, pair), daemon=True).start()

    def _carry(self, local: socket.socket, pair: PortPair) -> None:
        """Carry one connection to its end."""
        try:
            with open_websocket(self.target.peer, self._tls, self._path(pair)) as remote:
                sender = threading.Thread(target=_send_all, args=(local, remote), daemon=True)
                sender.start()
                _receive_all(remote, local)
                _end(local)
                sender.join(END_TIMEOUT_S)
        except ClientError as error:
            self._say(f"a connection to port {pair.remote} failed: {error}")
        finally:
            with self._lock:
                self._open.discard(local)
            local.close()

    def _path(self, pair: PortPair) -> str:
        return f"/v1/port-forward/{self.target.namespace}/{self.target.uid}/{pair.remote}"


def _listen(address: str, pair: PortPair, task: str) -> socket.socket:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((address, pair.local))
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        raise BadOption(
            f"can't listen on {address}:{pair.local} ({error.strerror}); choose another local port, or let one "
            f"be found: berth port-forward {task} :{pair.remote}"
        ) from None
    return listener


def _shown(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _send_all(local: socket.socket, remote: "ClientConnection") -> None:
    from websockets.exceptions import ConnectionClosed

    with suppress(ConnectionClosed):
        with suppress(OSError):
            while data := local.recv(CHUNK_BYTES):
                remote.send(data)
        remote.send(b"")


def _receive_all(remote: "ClientConnection", local: socket.socket) -> None:
    """Pass on what comes until the agent closes; an empty frame says that the container sends no more."""
    from websockets.exceptions import ConnectionClosed

    with suppress(ConnectionClosed, OSError):
        for frame in remote:
            if frame and isinstance(frame, bytes):
                local.sendall(frame)
            else:
                local.shutdown(socket.SHUT_WR)


def _end(each: socket.socket) -> None:
    """Wake whoever waits for it, and close."""
    with suppress(OSError):
        each.shutdown(socket.SHUT_RDWR)
    each.close()
