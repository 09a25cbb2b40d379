"""Logs of containers that are removed while they are asked for: the log is at its end, and nothing is wrong."""

from pathlib import Path

import pytest

from agent.errors import RuntimeUnavailable
from agent.runtime.docker_client import DockerOptions
from agent.runtime.docker_logs import DockerLogs
from agent.runtime.logs import LogQuery
from tests.agent.engine import VERSION, engine, reply

NO_TERMINAL = reply(b'{"Config": {"Tty": false}}')
DEAD = b'{"message": "can not get logs from container which is dead or marked for removal"}'


def read(path: Path, answer: bytes) -> bytes:
    """Follow a log of an engine that answers so."""
    logs = DockerLogs(DockerOptions(f"unix://{path}", "n", path.parent))
    with engine(path, reply(VERSION), answer, NO_TERMINAL):
        opened = logs.open("c1", LogQuery(follow=True))
        read = b"".join(opened)
        opened.close()
    return read


def test_log_of_a_container_that_is_being_removed_is_at_its_end(tmp_path: Path) -> None:
    assert read(tmp_path / "sock", reply(DEAD, "409 Conflict")) == b""


def test_log_of_a_container_that_was_removed_since_it_was_listed_is_at_its_end(tmp_path: Path) -> None:
    assert read(tmp_path / "sock", reply(b'{"message": "No such container: c1"}', "404 Not Found")) == b""


def test_engine_that_fails_is_no_end_of_a_log(tmp_path: Path) -> None:
    with pytest.raises(RuntimeUnavailable, match="the log of container c1 can't be read"):
        read(tmp_path / "sock", reply(b'{"message": "no space left"}', "500 Internal Server Error"))
