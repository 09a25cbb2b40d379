"""What a follower does next, how logs are cut into lines, and logs of nodes of which one is gone."""

import threading
from collections.abc import Iterable, Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from client.log_events import MAX_LINE_BYTES, Failure, Notice, Piece, whole_lines
from client.log_targets import ALL_CONTAINERS, containers_of
from client.logs import LogOptions
from client.many_logs import Next, container_status, next_to_read, sight_of
from client.views import ObjectView
from schemas.state import ContainerState
from tests.client.helpers import World, make_task
from tests.client.test_logs import agent_address, ran
from tests.support.ports import free_port

__all__ = ["agent_address"]


def view(world: World, state: str, *, id_: str = "", container: str = "Running") -> ObjectView:
    containers = [{"name": "main", "state": container, "containerId": id_}] if id_ else []
    world.set_status("web", state=state, node="n1", containers=containers)
    return world.client.get("tasks", "web")


def decide(found: ObjectView | None, seen: Iterable[str] = ()) -> Next:
    known = container_status(found, "main") if found else None
    return next_to_read(found, known, set(seen), None)


def test_follower_reads_an_attempt_that_it_has_not_seen_and_waits_for_the_next(world: World) -> None:
    world.apply(make_task())
    assert decide(world.client.get("tasks", "web")) is Next.WAIT
    assert decide(view(world, "Preparing")) is Next.WAIT
    assert decide(view(world, "Running", id_="a", container="Starting")) is Next.WAIT
    assert decide(view(world, "Running", id_="a")) is Next.READ
    assert decide(view(world, "Running", id_="a"), "a") is Next.WAIT
    assert decide(view(world, "Running", id_="b", container="Exited"), "a") is Next.READ


def test_follower_ends_with_its_task_but_not_before_it_read_the_last_attempt(world: World) -> None:
    world.apply(make_task())
    for state in ("Succeeded", "Failed"):
        assert decide(view(world, state, id_="a", container="Exited")) is Next.READ
        assert decide(view(world, state, id_="a", container="Exited"), "a") is Next.END
    for state in ("Stopped", "Lost", "Pending"):
        assert decide(view(world, state), "a") is Next.WAIT, "it may begin anew"
    assert decide(None) is Next.END


def test_empty_log_is_not_read_again_before_something_is_known_anew(world: World) -> None:
    world.apply(make_task())
    found = view(world, "Running", id_="a")
    known = container_status(found, "main")
    assert known is not None
    assert next_to_read(found, known, set(), sight_of(known)) is Next.WAIT
    ended = known.model_copy(update={"state": ContainerState.EXITED})
    assert next_to_read(found, ended, set(), sight_of(known)) is Next.READ


@pytest.mark.parametrize(
    ("chunks", "pieces"),
    [
        ([b"a\nb\nc"], [b"a\nb\n", b"c\n"]),
        ([b"a", b"b", b"c\n"], [b"abc\n"]),
        ([b"one\ntw", b"o\n"], [b"one\n", b"two\n"]),
        ([], []),
        ([b"\n"], [b"\n"]),
    ],
)
def test_lines_are_never_cut(chunks: list[bytes], pieces: list[bytes]) -> None:
    assert list(whole_lines(chunks)) == pieces


def test_line_without_end_does_not_fill_the_memory() -> None:
    pieces = list(whole_lines(b"x" * 65_536 for _ in range(40)))
    assert max(map(len, pieces)) <= MAX_LINE_BYTES + 1
    assert sum(piece.count(b"x") for piece in pieces) == 40 * 65_536


def test_silent_node_is_asked_once_and_the_others_are_read(world: World, agent_address: str) -> None:
    world.apply(make_task("lost"), make_task("lost-too"))
    ran(world, agent_address)
    for name in ("lost", "lost-too"):
        world.set_status(name, state="Running", node="gone", apiAddress=f"http://127.0.0.1:{free_port()}")
    dead = world.client.get("tasks", "lost").task_status
    assert dead is not None
    world.set_status("lost-too", state="Running", node="gone", apiAddress=dead.api_address)
    views = world.client.list("tasks").objects["tasks"]
    events = list(world.client.many_logs(containers_of(views, ""), LogOptions(tail=5)))
    failures = [event.text for event in events if isinstance(event, Failure)]
    assert "node gone does not answer at" in failures[0]
    assert failures[1] == "task/lost-too/main: node gone does not answer either"
    assert b"".join(event.data for event in events if isinstance(event, Piece)) == b"line 1\nline 2\n"


def test_task_that_does_not_run_yet_is_waited_for_and_said_so(world: World, agent_address: str) -> None:
    world.apply(make_task())
    world.while_waiting.append(lambda: ran(world, agent_address, containers=[running("a")]))
    world.while_waiting.append(lambda: world.leader.remove(world.client.get("tasks", "web").ref))
    targets = containers_of([world.client.get("tasks", "web")], "")
    events = list(world.client.many_logs(targets, LogOptions(follow=True)))
    assert isinstance(events[0], Notice)
    assert "task/web is Pending; waiting until it runs" in events[0].text
    assert [event.data for event in events[1:] if isinstance(event, Piece)] == [b"line 1\nline 2\n"]
    assert not [event for event in events if isinstance(event, Failure)]
    for thread in threading.enumerate():
        if thread.name.startswith("logs-"):
            thread.join(60)
            assert not thread.is_alive()


def running(id_: str) -> dict[str, str]:
    return {"name": "main", "state": "Running", "containerId": id_}


def test_containers_are_the_first_the_named_or_all(world: World) -> None:
    containers = [{"name": name, "image": "berth/demo:1"} for name in ("web", "side")]
    world.apply(make_task())
    found = world.client.get("tasks", "web")
    two = replace(found, raw={**found.raw, "spec": {"containers": containers}})
    assert [each.container for each in containers_of([two], "")] == ["web"]
    assert [each.container for each in containers_of([two], "side")] == ["side"]
    assert [each.container for each in containers_of([two, two], ALL_CONTAINERS)] == ["web", "side"]


class SlowAgent(BaseHTTPRequestHandler):
    """Writes a line of each log and then nothing; that of `side` begins only when it may. No log ends by itself."""

    protocol_version = "HTTP/1.1"
    side_is_asked, side_may_begin, ended = threading.Event(), threading.Event(), threading.Event()

    def do_GET(self) -> None:
        if "/side?" in self.path:
            self.side_is_asked.set()
            self.side_may_begin.wait()
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        self.wfile.write(b"7\r\na line\n\r\n")
        self.ended.wait()
        self.close_connection = True

    def log_message(self, *args: object) -> None:
        """Be quiet."""


@pytest.fixture
def slow_agent() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), SlowAgent)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    SlowAgent.side_may_begin.set()
    SlowAgent.ended.set()
    server.shutdown()
    thread.join()
    server.server_close()


def test_log_that_is_opened_while_following_ends_is_closed_too(world: World, slow_agent: str) -> None:
    ran(world, slow_agent, containers=[running("a")])
    world.apply(make_task("other", containers=[{"name": "side", "image": "berth/demo:1"}]))
    side = {**running("b"), "name": "side"}
    world.set_status("other", state="Running", node="n1", apiAddress=slow_agent, containers=[side])
    targets = containers_of([world.client.get("tasks", name) for name in ("web", "other")], "")
    events = world.client.many_logs(targets, LogOptions(follow=True))
    first = next(events)
    assert isinstance(first, Piece)
    assert first.target.container == "main"
    assert SlowAgent.side_is_asked.wait(60)
    followers = [thread for thread in threading.enumerate() if thread.name.startswith("logs-")]
    events.close()  # type: ignore[attr-defined]
    SlowAgent.side_may_begin.set()
    for thread in followers:
        thread.join(60)
        assert not thread.is_alive()
