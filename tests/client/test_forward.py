"""Forwarded ports, on the loopback; a listening socket stands in for the agent."""

import socket
from types import TracebackType

import pytest

from client.agent_http import AgentPeer
from client.agent_target import AgentTarget
from client.agent_tls import AgentTls
from client.forward import Forwarder, PortPair


class ClosesFirst:
    """In place of the forwarder's lock: who asks for it first finds that the forwarder was closed right before."""

    def __init__(self, forwarder: Forwarder) -> None:
        self._forwarder = forwarder
        self._has_closed = False

    def __enter__(self) -> None:
        if not self._has_closed:
            self._has_closed = True
            self._forwarder.close()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Nothing is held."""


def test_connection_that_is_taken_while_forwarding_closes_is_ended_and_not_carried() -> None:
    said: list[str] = []
    with socket.create_server(("127.0.0.1", 0)) as agent:
        peer = AgentPeer("n1", f"http://127.0.0.1:{agent.getsockname()[1]}")
        target = AgentTarget(peer, "default", "web", "u", "main")
        forwarder = Forwarder(target, AgentTls(), [PortPair(0, 80)], "127.0.0.1", say=said.append)
        forwarder._lock = ClosesFirst(forwarder)  # type: ignore[assignment]
        ((address, _),) = forwarder.routes
        with socket.create_connection(("127.0.0.1", int(address.rpartition(":")[2])), timeout=30) as local:
            assert local.recv(1) == b""
        agent.setblocking(False)
        with pytest.raises(BlockingIOError):  # nobody has asked the agent for it
            agent.accept()
    assert said == []
