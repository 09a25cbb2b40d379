"""Runs command lines in this process, against a world in memory."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from cli.main import run
from cli.session import Say, Session
from client.client import Client
from client.connect import Settings
from tests.client.helpers import World


@dataclass(frozen=True)
class Result:
    code: int
    out: str
    err: str

    @property
    def lines(self) -> list[str]:
        return self.out.splitlines()

    @property
    def json(self) -> Any:
        return json.loads(self.out)


class LentClient(Client):
    """A client of a store that outlives it."""

    def close(self) -> None:
        """The store is the world's."""


class Shell:
    """`shell("get", "tasks")` -> code, stdout, stderr."""

    def __init__(self, world: World, capture: pytest.CaptureFixture[bytes]) -> None:
        self.world = world
        self._capture = capture

    def __call__(self, *arguments: str, environment: dict[str, str] | None = None) -> Result:
        def make_session(settings: Settings) -> Session:
            return Session(settings, self._open, self.world.clock)

        self._capture.readouterr()
        code = run(arguments, environment=environment or {}, make_session=make_session)
        out, err = self._capture.readouterr()
        return Result(code, out.decode(), err.decode())

    def _open(self, settings: Settings, say: Say) -> Client:
        world = self.world
        return LentClient(
            world.store, world.keys, now=world.clock, clock=world.clock, pause=world.pause, say=say
        )


def write_yaml(path: Path, *raws: Any) -> str:
    path.write_text(yaml.safe_dump_all(raws, sort_keys=False))
    return str(path)
