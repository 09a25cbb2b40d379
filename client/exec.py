"""A process in a container and its streams, over a web socket to the agent that has it.

with client.exec("web", "default", ("ls", "-l")) as process:
    for channel, data in process:
        ...
process.exit_code
"""

import json
from collections.abc import Iterator, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from client.agent_http import open_websocket
from client.agent_target import AgentTarget
from client.agent_tls import AgentTls
from client.errors import AgentUnavailable, BadOption
from schemas.stream import Channel

if TYPE_CHECKING:
    from websockets.sync.client import ClientConnection

MAX_QUERY_BYTES = 7_000  # a line of a request may have 8 KiB, as with most servers


class RemoteProcess:
    """Iterate over it for the output; another thread may send input meanwhile. Close it, or use `with`."""

    def __init__(self, socket: "ClientConnection", target: AgentTarget) -> None:
        self._socket = socket
        self.target = target
        self.exit_code: int | None = None
        self.is_detached = False

    def __iter__(self) -> Iterator[tuple[Channel, bytes]]:
        """Yield (STDOUT or STDERR, bytes) until the process has ended. Raises AgentUnavailable."""
        from websockets.exceptions import ConnectionClosed

        try:
            while self.exit_code is None and not self.is_detached:
                frame = self._socket.recv()
                channel, data = (frame[0], frame[1:]) if isinstance(frame, bytes) and frame else (-1, b"")
                if channel == Channel.STATUS:
                    self._take_status(json.loads(data))
                elif channel in (Channel.STDOUT, Channel.STDERR):
                    yield Channel(channel), data
        except ConnectionClosed as error:
            raise self._lost(error.rcvd.reason if error.rcvd else "") from None

    def send_input(self, data: bytes) -> bool:
        """Send input; False when the process takes no more."""
        return self._send(Channel.STDIN, data)

    def end_input(self) -> bool:
        return self._send(Channel.END_OF_STDIN, b"")

    def resize(self, width: int, height: int) -> bool:
        """Tell the size of the terminal in characters."""
        return self._send(Channel.RESIZE, json.dumps({"width": width, "height": height}).encode())

    def close(self) -> None:
        self._socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _send(self, channel: Channel, data: bytes) -> bool:
        from websockets.exceptions import ConnectionClosed

        try:
            self._socket.send(bytes([channel]) + data)
        except ConnectionClosed:
            return False
        return True

    def _take_status(self, told: dict[str, Any]) -> None:  # Any: JSON as the agent sent it
        if "error" in told:
            raise self.target.peer.error(f"lost the process: {told['error']}")
        self.is_detached = bool(told.get("detached"))
        self.exit_code = None if self.is_detached else int(told["exitCode"])

    def _lost(self, reason: str) -> AgentUnavailable:
        why = f" ({reason})" if reason else ""
        return self.target.peer.error(
            f"or its agent went away while the process ran{why}; whether it has ended is unknown"
        )


def start(
    target: AgentTarget, tls: AgentTls, command: Sequence[str], *, tty: bool = False, stdin: bool = False
) -> RemoteProcess:
    """Start a command in a container. Raises AgentUnavailable, BadOption for a command that is too long."""
    query = [*(("command", word) for word in command), *_flags(tty=tty, stdin=stdin)]
    path = target.path("exec", query)
    if len(path) > MAX_QUERY_BYTES:
        raise BadOption(
            f"the command is too long ({len(path)} bytes, at most {MAX_QUERY_BYTES}); send a script as input: "
            f"berth exec -i {target.task} -- sh < script.sh"
        )
    return RemoteProcess(open_websocket(target.peer, tls, path), target)


def attach(target: AgentTarget, tls: AgentTls, *, stdin: bool = False) -> RemoteProcess:
    """Attach to the main process of a container: what it prints from now on. Raises AgentUnavailable."""
    return RemoteProcess(open_websocket(target.peer, tls, target.path("attach", _flags(stdin=stdin))), target)


def _flags(**given: bool) -> list[tuple[str, str]]:
    return [(name, str(value).lower()) for name, value in given.items()]
