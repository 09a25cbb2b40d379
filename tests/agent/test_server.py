"""The agent's server over real connections: who is let in, what is refused and how, limits, certificates."""

import asyncio
import hashlib
import logging
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from starlette.applications import Starlette

from agent.errors import RuntimeRefused
from agent.runtime.logs import NoLogs
from agent.runtime.streams import ExecRequest, NoStreams
from agent.server.access import Door, Refusal
from agent.server.app import AgentServer, warn_if_open
from agent.server.archive import parse_path
from agent.server.archive import routes as archive_routes
from agent.server.forward import parse_port
from agent.server.limits import StreamLimit
from agent.server.streams import parse_exec, parse_size
from client.agent_http import AgentPeer, open_websocket, request, telling
from client.agent_tls import AgentTls
from client.errors import AgentUnavailable
from store.errors import CannotServe
from store.serving import ServerTls, api_address, bind_socket
from tests.agent.builders import make_binding
from tests.support.etcd import Tls

TOKEN = "the-namespace-token"
TLS = AgentTls()


class NoAttempts(NoLogs):
    """A runtime in which nothing was created yet."""

    def attempts(self, cluster: str, task_uid: str, binding_uid: str, container: str) -> tuple[str, ...]:
        return ()


def serve(logs: NoLogs, tls: ServerTls | None = None) -> Iterator[AgentPeer]:
    binding = make_binding(access_hash=hashlib.sha256(TOKEN.encode()).hexdigest())
    listener = bind_socket("127.0.0.1:0")
    server = AgentServer(
        listener,
        lambda uid: ("c1", binding) if uid == binding.task_uid else None,
        logs,
        NoStreams(),
        tls or ServerTls(),
    )
    server.start()
    try:
        yield AgentPeer("n1", api_address(listener, "", tls or ServerTls()), "last known as Running", TOKEN)
    finally:
        server.stop()


@pytest.fixture
def hollow() -> Iterator[AgentPeer]:
    yield from serve(NoLogs())


@pytest.fixture
def empty() -> Iterator[AgentPeer]:
    yield from serve(NoAttempts())


PLACE = "default/task-1-uid/main"


@pytest.mark.parametrize(
    "path",
    [
        f"/v1/exec/{PLACE}?command=ls",
        f"/v1/attach/{PLACE}",
        "/v1/port-forward/default/task-1-uid/80",
    ],
)
def test_stream_is_refused_with_words(empty: AgentPeer, hollow: AgentPeer, path: str) -> None:
    for peer, wanted, told in (
        (empty, path, "was not created yet"),
        (hollow, path, "this node is hollow"),
        (empty, path.replace("task-1", "task-2"), "has no binding here"),
        (empty, path.replace("default", "other"), "has no binding here"),
        (AgentPeer("n1", empty.api_address, "", "wrong"), path, "refuses the token of this namespace"),
        (AgentPeer("n1", empty.api_address), path, "the namespace's token is missing"),
        (replace(empty, look="berth describe task/web"), path, "created.*; see: berth describe task/web$"),
    ):
        with pytest.raises(AgentUnavailable, match=told) as caught:
            open_websocket(peer, TLS, wanted)
        assert "node n1" in str(caught.value)
        assert TOKEN not in str(caught.value)


def test_silent_agent_is_told_in_plain_words() -> None:
    peer = AgentPeer("n1", "https://10.0.0.5:7601")
    told = "node n1 does not answer at https://10.0.0.5:7601 \\(no answer within 5 s\\)"
    with pytest.raises(AgentUnavailable, match=told), telling(peer, TLS):
        raise TimeoutError("_ssl.c:989: The handshake operation timed out")


def test_container_that_the_task_does_not_have_is_told(empty: AgentPeer) -> None:
    with pytest.raises(AgentUnavailable, match="has no container x; it has: main"):
        open_websocket(empty, TLS, "/v1/exec/default/task-1-uid/x?command=ls")


def test_path_that_an_older_agent_lacks_is_told(empty: AgentPeer) -> None:
    with pytest.raises(AgentUnavailable, match="older than this berth; update it"):
        open_websocket(empty, TLS, "/v1/from-the-future/x")
    with pytest.raises(AgentUnavailable, match="older"), request(empty, TLS, "GET", "/v1/from-the-future"):
        pass


def test_refused_upload_is_told_though_its_body_was_not_wanted(hollow: AgentPeer) -> None:
    chunks = (b"x" * 65_536 for _ in range(50))
    path = f"/v1/archive/{PLACE}?path=/tmp"
    with (
        pytest.raises(AgentUnavailable, match="this node is hollow"),
        request(hollow, TLS, "PUT", path, chunks=chunks),
    ):
        pass


def test_requests_that_make_no_sense_are_refused() -> None:
    wrong_paths = [(parse_path, path) for path in ("etc", "", "/a\nb", "/a\0", "/a\x1b[2J")]
    for call, argument in (*wrong_paths, (parse_port, "0"), (parse_port, "x")):
        with pytest.raises(Refusal) as refused:
            call(argument)
        assert refused.value.status == 400
    with pytest.raises(Refusal, match="after --"):
        parse_exec([("tty", "true")], "main")
    asked = [("command", "ls"), ("command", "-l"), ("tty", "true"), ("stdin", "false")]
    assert parse_exec(asked, "main") == ExecRequest(("ls", "-l"), tty=True, stdin=False, container="main")
    assert parse_size(b'{"width": 80, "height": 24}') == (80, 24)
    for wrong in (b"", b"[]", b'{"width": 0, "height": 1}', b'{"width": "x", "height": 1}'):
        assert parse_size(wrong) is None


def test_streams_over_the_limit_are_refused_until_one_ends() -> None:
    async def scenario() -> list[int]:
        held = asyncio.Event()

        async def app(scope: Any, receive: Any, send: Any) -> None:
            await held.wait()
            await send({"type": "http.response.start", "status": 200})

        limited = StreamLimit(app, limit=1)
        statuses: list[int] = []

        async def send(message: Any) -> None:
            if message["type"] == "http.response.start":
                statuses.append(message["status"])

        async def call(path: str) -> None:
            await limited({"type": "http", "path": path}, lambda: asyncio.sleep(0), send)

        first = asyncio.create_task(call("/v1/logs/x"))
        await asyncio.sleep(0)
        await call("/v1/logs/y")
        held.set()
        await first
        await call("/v1/logs/z")
        return statuses

    assert asyncio.run(scenario()) == [503, 200, 200]


def test_certificates_that_cant_be_used_are_told(tmp_path: Path) -> None:
    for tls, told in (
        (ServerTls("a.crt"), "--server-cert and --server-key belong together"),
        (ServerTls(client_ca_file="ca.crt"), "--client-ca needs"),
        (ServerTls("a.crt", "a.key"), "can't be used"),
    ):
        with pytest.raises(CannotServe, match=told):
            tls.check()
    ServerTls().check()


@pytest.mark.parametrize(
    ("address", "told"),
    [
        ("nonsense", "--webhook-listen 'nonsense' has no port; write it as HOST:PORT"),
        ("127.0.0.1:99999", "choose another with --webhook-listen"),
        ("192.0.2.1:80", "can't listen on 192.0.2.1:80: .*; choose another with --webhook-listen"),
    ],
)
def test_address_that_can_not_be_had_is_told_with_its_option(address: str, told: str) -> None:
    with pytest.raises(CannotServe, match=told):
        bind_socket(address, "--webhook-listen")


def test_server_with_tls_says_https_and_wants_a_client_certificate(tmp_path: Path) -> None:
    made = Tls.create(tmp_path)
    files = ServerTls(str(tmp_path / "server.crt"), str(tmp_path / "server.key"), str(made.ca_file))
    files.check()
    cert, key = made.issue("person")
    cases = (
        (AgentTls(), "not trusted by the system's CAs: give --cacert"),
        (AgentTls(str(made.ca_file)), "it may want a client certificate: give --cert and --key"),
        (AgentTls(str(made.ca_file), str(cert), str(key)), "was not created yet"),
        (AgentTls(str(tmp_path / "none")), "a certificate can't be used"),
    )
    with contextmanager(serve)(NoAttempts(), files) as peer:
        assert peer.api_address.startswith("https://127.0.0.1:")
        for tls, told in cases:
            with pytest.raises(AgentUnavailable, match=told):
                open_websocket(peer, tls, f"/v1/attach/{PLACE}")
            with (
                pytest.raises(AgentUnavailable, match=told),
                request(peer, tls, "GET", f"/v1/archive/{PLACE}?path=/x"),
            ):
                pass


def test_token_never_goes_to_an_agent_on_another_host_in_the_clear() -> None:
    peer = AgentPeer("n1", "http://10.0.0.5:7601", token="secret")
    told = (
        "node n1 serves without TLS at http://10.0.0.5:7601, and a token never crosses a network in the clear"
    )
    with pytest.raises(AgentUnavailable, match=told):
        open_websocket(peer, TLS, f"/v1/attach/{PLACE}")
    with pytest.raises(AgentUnavailable, match=told), request(peer, TLS, "GET", "/v1/usage/default"):
        pass


def test_serving_in_the_clear_beyond_this_host_is_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    for address, warned in (("127.0.0.1:0", 0), ("0.0.0.0:0", 1)):
        caplog.clear()
        with bind_socket(address) as listener, caplog.at_level(logging.WARNING):
            warn_if_open(listener, ServerTls())
            warn_if_open(listener, ServerTls("a.crt", "a.key"))
        assert len(caplog.records) == warned


class FullDisk(NoStreams):
    """Takes the first piece of an upload, and refuses the rest."""

    async def write_archive(self, container_id: str, folder: str, chunks: AsyncIterator[bytes]) -> None:
        await anext(chunks)
        raise RuntimeRefused(507, "no space left")


def test_refused_upload_whose_sender_left_meanwhile_is_no_error() -> None:
    messages = [
        {"type": "http.request", "body": b"x", "more_body": True},
        {"type": "http.disconnect"},
    ]
    told: list[Any] = []

    async def receive() -> Any:
        return messages.pop(0)

    async def send(message: Any) -> None:
        told.append(message)

    class OpenDoor(Door):
        async def container(self, connection: Any) -> str:
            return "c"

    (route,) = archive_routes(OpenDoor(lambda uid: None, NoLogs()), FullDisk())
    scope = {
        "type": "http",
        "method": "PUT",
        "path": f"/v1/archive/{PLACE}",
        "query_string": b"path=/tmp",
        "headers": [],
    }
    asyncio.run(Starlette(routes=[route])(scope, receive, send))
    assert told[0]["status"] == 507
