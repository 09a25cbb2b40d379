"""A command's end and its terminal's size, of an engine that tells them late or not at all."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from agent.errors import RuntimeRefused, RuntimeUnavailable
from agent.runtime import docker_streams
from agent.runtime.docker_http import Engine, Reply
from agent.runtime.docker_streams import ENDED_TRIES, AttachedProcess, DockerProcess

Answer = Callable[[str], Awaitable[Any]]


class ToldEngine(Engine):
    """An engine whose replies the test gives."""

    def __init__(self, answer: Answer) -> None:
        super().__init__("unix:///none")
        object.__setattr__(self, "answer", answer)

    async def call(self, method: str, path: str, body: Any = None) -> Any:
        return await self.answer(path)  # type: ignore[attr-defined]  # set above


@pytest.fixture(autouse=True)
def quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ENDED_POLL_S", "SLOW_POLL_S"):
        monkeypatch.setattr(docker_streams, name, 0.0)


def process(kind: type[DockerProcess], answer: Answer) -> DockerProcess:
    reply = Reply(101, {}, None, None)  # type: ignore[arg-type]  # nothing is read or written
    return kind(ToldEngine(answer), reply, is_tty=True, inspect="/inspect", resize="/resize")


def runs_for(looks: int) -> Answer:
    """Answer that it runs for so many looks, and then ends with 7."""
    states = iter([{"Running": True, "ExitCode": None}] * looks)

    async def answer(path: str) -> Any:
        return next(states, {"Running": False, "ExitCode": 7})

    return answer


def test_exec_that_closed_its_output_is_waited_for_until_it_ends() -> None:
    assert asyncio.run(process(DockerProcess, runs_for(3 * ENDED_TRIES)).exit_code()) == 7


def test_main_process_that_goes_on_after_its_stream_has_no_exit_code() -> None:
    assert asyncio.run(process(AttachedProcess, runs_for(3 * ENDED_TRIES)).exit_code()) is None
    assert asyncio.run(process(AttachedProcess, runs_for(3)).exit_code()) == 7


@pytest.mark.parametrize(
    "error", [RuntimeUnavailable("silent"), RuntimeRefused(409, "no terminal yet"), None], ids=str
)
def test_size_that_the_engine_does_not_take_ends_nothing(
    error: Exception | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(docker_streams, "RESIZE_TIMEOUT_S", 0.01)

    async def answer(path: str) -> Any:
        if error is not None:
            raise error
        await asyncio.Event().wait()

    asyncio.run(process(DockerProcess, answer).resize(80, 24))
