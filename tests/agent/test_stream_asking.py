"""Questions of probes to a real HTTP server, a real port, and commands that end or hang."""

import asyncio
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from agent.errors import RuntimeUnavailable
from agent.probes import Answer, ProbeKind
from agent.runtime.asking import Ask
from agent.runtime.stream_asking import StreamAsker
from agent.runtime.streams import ExecRequest, NoStreams, Process
from schemas.probe import Probe
from schemas.stream import Channel
from tests.support.wait import eventually


class Handler(BaseHTTPRequestHandler):
    """/ok, /status/<n>, /to/<where> redirects, /host tells the Host header."""

    def do_GET(self) -> None:
        parts = self.path.split("/", 2)
        code = int(parts[2]) if parts[1] == "status" else 302 if parts[1] == "to" else 200
        if self.path == "/host" and self.headers["Host"] != "shop.example":
            code = 421
        self.send_response(code)
        if parts[1] == "to":
            self.send_header("Location", parts[2])
        self.end_headers()
        self.wfile.write(b"the database\nis away")

    def log_message(self, *_: Any) -> None:
        pass


class Command:
    """A command that says something and ends, or hangs until it is killed."""

    def __init__(self, code: int | None, *, killable: bool) -> None:
        self._code, self._killable = code, killable
        self._pieces = [(Channel.STDOUT, b"no\nluck")]

    async def read(self) -> tuple[Channel, bytes] | None:
        if self._pieces:
            return self._pieces.pop()
        if self._code is None:
            await asyncio.sleep(3600)
        return None

    async def exit_code(self) -> int | None:
        return self._code

    async def kill(self) -> bool:
        return self._killable

    def close(self) -> None:
        pass


class HereStreams(NoStreams):
    """All containers are at 127.0.0.1; `code`: of every command, None hangs."""

    def __init__(self, code: int | None = 0, *, killable: bool = True) -> None:
        self.code, self.killable = code, killable

    async def exec(self, container_id: str, request: ExecRequest) -> Process:
        if container_id == "lost":
            raise RuntimeUnavailable("the container runtime does not answer")
        return Command(self.code, killable=self.killable)  # type: ignore[return-value]  # what probes need of it

    async def address(self, container_id: str) -> str:
        return "127.0.0.1"


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join()


def ask(probe: dict[str, Any], *, port: int | None = None, streams: HereStreams | None = None) -> Answer:
    return ask_all([probe], port=port, streams=streams)[0]


def ask_all(
    probes: list[dict[str, Any]],
    *,
    port: int | None = None,
    streams: HereStreams | None = None,
    container: str = "c1",
) -> list[Answer]:
    """Ask one after the other."""
    asker = StreamAsker(streams or HereStreams(), lambda: None)
    try:
        found = []
        for each in probes:
            probe = Probe.parse_written({"timeoutSeconds": 5, **each})
            asker.submit(Ask(container, ProbeKind.READINESS, probe, port))
            found.append(eventually(asker.poll)[0].answer)
        return found
    finally:
        asker.close()


def http(path: str, **fields: Any) -> dict[str, Any]:
    return {"httpGet": {"path": path, "port": 80, **fields}}


@pytest.mark.parametrize("path", ["/ok", "/status/399", "/to//ok", "/to/http://elsewhere.example/"])
def test_status_below_400_is_success_and_only_redirects_on_the_host_are_followed(
    path: str, port: int
) -> None:
    assert ask(http(path), port=port) == Answer(True)


def test_failure_tells_the_status_and_what_was_said(port: int) -> None:
    assert ask(http("/status/503"), port=port) == Answer(False, "HTTP status 503: the database is away")
    assert ask(http("/to//status/500"), port=port).ok is False
    assert ask(http("/to//to//to/"), port=port).ok is True


def test_endless_redirects_fail(port: int) -> None:
    around = "/to/" + "/to/" * 12
    assert ask(http(around), port=port).ok is False


def test_given_host_header_replaces_our_own(port: int) -> None:
    assert ask(http("/host"), port=port).ok is False
    assert ask(http("/host", httpHeaders=[{"name": "Host", "value": "shop.example"}]), port=port).ok is True


def test_nobody_listening_is_a_failure_in_words() -> None:
    refused = ask(http("/"), port=1)
    assert (refused.ok, "port 1" in refused.text) == (False, True)
    assert ask({"tcpSocket": {"port": 80}}, port=1).ok is False


def test_open_port_is_enough_for_tcp(port: int) -> None:
    assert ask({"tcpSocket": {"port": 80}}, port=port) == Answer(True)


def test_https_speaks_tls(port: int) -> None:
    assert ask(http("/ok", scheme="HTTPS"), port=port).ok is False


COMMAND = {"exec": {"command": ["check"]}, "timeoutSeconds": 1}


def test_exit_code_0_is_success_and_another_tells_the_output() -> None:
    assert ask(COMMAND) == Answer(True)
    assert ask(COMMAND, streams=HereStreams(3)) == Answer(False, "no luck (exit code 3)")


def test_hanging_command_is_killed_and_one_that_cannot_be_is_not_joined_by_another() -> None:
    late = Answer(False, "command timed out after 1s")
    assert ask_all([COMMAND], streams=HereStreams(None)) == [late]
    stuck = Answer(False, "the command of an earlier probe still runs")
    assert ask_all([COMMAND, COMMAND], streams=HereStreams(None, killable=False)) == [late, stuck]


def test_silent_runtime_is_no_answer() -> None:
    assert ask_all([COMMAND], container="lost")[0].ok is None
