"""Logs over a real connection to a stand-in for the agent's server, on the loopback."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

import pytest

from client.errors import AgentUnavailable, NotFound, ObjectUnreadable
from client.logs import LogOptions
from schemas.keys import task_ref
from tests.client.helpers import KEYS, World, make_task
from tests.support.ports import free_port


class Agent(BaseHTTPRequestHandler):
    seen: list[tuple[str, dict[str, list[str]], str]] = []  # noqa: RUF012

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        self.seen.append((url.path, parse_qs(url.query), self.headers["Authorization"]))
        is_known = self.headers["Authorization"] == "Bearer secret"
        body = b"line 1\nline 2\n" if is_known else b'{"message": "this is not the token"}'
        status = 200 if is_known else 403
        if "previous=true&timestamps=true" in self.path:
            status, body = 404, b'{"message": "there was no attempt before"}'
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: object) -> None:
        """Be quiet."""


@pytest.fixture
def agent_address() -> Iterator[str]:
    Agent.seen.clear()
    server = ThreadingHTTPServer(("127.0.0.1", 0), Agent)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def ran(world: World, address: str, **fields: object) -> None:
    world.apply(make_task())
    world.put(KEYS.access("default"), {"kind": "AccessToken", "token": "secret"})
    world.set_status("web", state="Running", node="n1", apiAddress=address, **fields)


def read(world: World, **options: object) -> bytes:
    return b"".join(world.client.logs("web", "default", LogOptions(**options)))  # type: ignore[arg-type]


def test_logs_are_asked_of_the_agent_with_the_token_of_the_namespace(
    world: World, agent_address: str
) -> None:
    ran(world, agent_address)
    assert read(world, tail=5, previous=True) == b"line 1\nline 2\n"
    path, query, authorization = Agent.seen[0]
    assert path == f"/v1/logs/default/{world.client.get('task', 'web').uid}/main"
    assert query == {"follow": ["false"], "previous": ["true"], "timestamps": ["false"], "tail": ["5"]}
    assert authorization == "Bearer secret"


def test_refused_token_is_told(world: World, agent_address: str) -> None:
    ran(world, agent_address)
    world.put(KEYS.access("default"), {"kind": "AccessToken", "token": "stale"})
    with pytest.raises(AgentUnavailable, match="refuses the token"):
        read(world)


def test_refusal_of_the_agent_is_told_in_its_words(world: World, agent_address: str) -> None:
    ran(world, agent_address)
    with pytest.raises(AgentUnavailable, match="node n1 refuses: there was no attempt before; task"):
        read(world, previous=True, timestamps=True)


def test_node_that_is_gone_is_named_with_what_is_known(world: World) -> None:
    ran(world, f"http://127.0.0.1:{free_port()}", startedAt="2027-01-15T07:00:00Z")
    with pytest.raises(AgentUnavailable) as caught:
        read(world)
    assert "node n1 does not answer" in str(caught.value)
    assert "last known as Running since 2027-01-15T07:00:00Z" in str(caught.value)


def test_task_that_never_ran_has_no_logs(world: World) -> None:
    world.apply(make_task())
    with pytest.raises(AgentUnavailable, match='task "web" is Pending, so there is no log'):
        read(world)


def test_missing_token_says_who_makes_it(world: World) -> None:
    world.apply(make_task())
    world.set_status("web", state="Running", node="n1", apiAddress="http://127.0.0.1:1")
    with pytest.raises(AgentUnavailable, match="a controller makes it"):
        read(world)


def test_unknown_container_is_told_with_the_known_ones(world: World) -> None:
    world.apply(make_task())
    with pytest.raises(NotFound, match='no container "x"; it has: main'):
        world.client.logs("web", "default", LogOptions(), "x")


def test_unreadable_task_has_no_logs(world: World) -> None:
    world.put(KEYS.spec(task_ref("default", "web")), b"garbage")
    with pytest.raises(ObjectUnreadable, match="nobody knows where it runs"):
        read(world)
