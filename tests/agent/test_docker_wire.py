"""The light way to Docker: the SDK's answers and errors, and nothing ever sent twice."""

import fcntl
import resource
import socket
import uuid
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import docker
import pytest
from docker.errors import APIError, ImageNotFound, NotFound

from agent.runtime.docker_client import RUNTIME_SILENT
from agent.runtime.docker_wire import WireClient, _UnixConnection
from tests.agent.engine import VERSION, engine, reply
from tests.agent.live import IMAGE


@pytest.fixture
def wire(docker_host: str, demo_image: str) -> Iterator[WireClient]:
    if not docker_host.startswith("unix://"):
        pytest.skip("the engine is not at a unix socket")
    with closing(WireClient(docker_host.removeprefix("unix://"), timeout_s=60)) as client:
        yield client


@pytest.mark.docker
def test_a_container_lives_its_life_over_the_wire(wire: WireClient, client: docker.APIClient) -> None:
    name = f"wire-{uuid.uuid4().hex[:8]}"
    body = {"Image": IMAGE, "Cmd": ["sleep", "60"], "Labels": {"of": "ä test"}}
    made = wire.create_container_from_config(body, name)["Id"]
    try:
        wire.start(made)
        assert wire.inspect_container(made) == client.inspect_container(name)
        wire.kill(made, "SIGKILL")
        client.wait(made)
    finally:
        wire.remove_container(made, v=True, force=True)
    with pytest.raises(NotFound):
        client.inspect_container(made)


@pytest.mark.docker
def test_errors_are_those_of_the_sdk(wire: WireClient, client: docker.APIClient) -> None:
    def told(one: docker.APIClient) -> list[tuple[type, int | None, str]]:
        return [
            refused(lambda: one.inspect_container("absent")),
            refused(lambda: one.inspect_image("absent/image:1")),
        ]

    assert told(wire) == told(client)
    assert told(wire)[0][0] is NotFound
    assert told(wire)[1][0] is ImageNotFound


@pytest.mark.docker
def test_a_taken_name_is_a_conflict(wire: WireClient) -> None:
    name = f"wire-{uuid.uuid4().hex[:8]}"
    made = wire.create_container_from_config({"Image": IMAGE}, name)["Id"]
    try:
        kind, status, text = refused(lambda: wire.create_container_from_config({"Image": IMAGE}, name))
        assert (kind, status) == (APIError, 409)
        assert made in text
    finally:
        wire.remove_container(made)


@pytest.mark.docker
def test_an_image_is_the_same_over_the_wire(wire: WireClient, client: docker.APIClient) -> None:
    assert wire.inspect_image(IMAGE) == client.inspect_image(IMAGE)  # type: ignore[no-untyped-call]


def refused(work) -> tuple[type, int | None, str]:  # type: ignore[no-untyped-def]
    with pytest.raises(APIError) as error:
        work()
    return type(error.value), error.value.status_code, str(error.value.explanation)


# An engine that misbehaves


def test_a_connection_that_the_engine_closed_meanwhile_is_opened_anew(tmp_path: Path) -> None:
    path = tmp_path / "sock"
    with engine(path, reply(VERSION), reply(b'{"Id": "one"}'), reply(b'{"Id": "two"}')) as asked:
        with closing(WireClient(str(path), timeout_s=5)) as client:
            assert client.inspect_container("x") == {"Id": "one"}
            assert client._wire.sock is not None
            client._wire.sock.recv(1, socket.MSG_PEEK)  # until the engine's end is seen
            assert client.inspect_container("x") == {"Id": "two"}
        assert len(asked) == 3


def test_a_call_without_an_answer_is_not_sent_again(tmp_path: Path) -> None:
    path = tmp_path / "sock"
    with engine(path, reply(VERSION), b"", reply(b"{}")) as asked:
        with closing(WireClient(str(path), timeout_s=5)) as client, pytest.raises(RUNTIME_SILENT):
            client.start("x")
        starts = [each for each in asked if b"/start" in each]
        assert len(starts) == 1


def test_an_answer_that_is_no_http_is_silence(tmp_path: Path) -> None:
    path = tmp_path / "sock"
    with (
        engine(path, reply(VERSION), b"what?\r\n\r\n"),
        closing(WireClient(str(path), timeout_s=5)) as client,
        pytest.raises(RUNTIME_SILENT),
    ):
        client.inspect_container("x")


@pytest.fixture
def many_descriptors() -> Iterator[None]:
    """Let this process have descriptors over 1024."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < 2048:
        pytest.skip("this process may not have so many descriptors")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 2048), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.usefixtures("many_descriptors")
def test_an_ended_connection_is_noticed_whatever_its_descriptor() -> None:
    ours, theirs = socket.socketpair()
    connection = _UnixConnection("/none", 5.0)
    with ours, theirs:
        connection.sock = socket.socket(fileno=fcntl.fcntl(ours, fcntl.F_DUPFD_CLOEXEC, 1100))
        connection.drop_if_ended()
        assert connection.sock is not None
        theirs.close()
        connection.drop_if_ended()
        assert connection.sock is None
