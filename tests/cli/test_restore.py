"""`berth restore` asks on a terminal before it writes."""

import io
import sys
from collections.abc import Iterator

import pytest

from cli.main import run
from cli.session import Say, Session
from client.client import Client
from client.connect import Settings
from schemas.keys import ObjectRef
from tests.cli.past import Archived, deployment
from tests.client.helpers import World

WEB = ObjectRef("deployments", "default", "web")


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def past(world: World) -> Iterator[Archived]:
    made = Archived(world)
    yield made
    made.close()


def restore(past: Archived, revision: int, *more: str) -> int:
    def open_client(settings: Settings, say: Say) -> Client:
        return past.client(say=say)

    arguments = ["restore", "deployment/web", "--at-rev", str(revision), *more]
    return run(
        arguments, environment={}, make_session=lambda found: Session(found, open_client, past.world.clock)
    )


@pytest.mark.parametrize(("said", "code", "replicas"), [("y\n", 0, 1), ("n\n", 1, 2), ("", 1, 2)])
def test_it_writes_only_after_a_yes(
    past: Archived, monkeypatch: pytest.MonkeyPatch, said: str, code: int, replicas: int
) -> None:
    first = past.write(deployment("web", "web:1", replicas=1), by="ci")
    past.write(deployment("web", "web:1", replicas=2), by="ci")
    monkeypatch.setattr(sys, "stdin", Terminal(said))
    assert restore(past, first) == code
    assert past.world.json_at(past.world.keys.spec(WEB))["spec"]["replicas"] == replicas


def test_what_managers_wrote_down_stays(past: Archived) -> None:
    first = past.write(deployment("web", "web:1", replicas=1), by="ci")
    past.write(deployment("web", "web:1", replicas=2), by="ci")
    assert restore(past, first, "--yes") == 0
    applied = past.world.json_at(past.world.keys.applied(WEB, "ci"))
    assert applied["spec"]["replicas"] == 2


def test_what_can_not_be_changed_is_refused(past: Archived, capsys: pytest.CaptureFixture[str]) -> None:
    first = past.write(deployment("web", "web:1", selector={"matchLabels": {"a": "b"}}))
    past.write(deployment("web", "web:2"))
    assert restore(past, first, "--yes") == 1
    assert "spec.selector" in capsys.readouterr().err


def test_labels_and_annotations_come_back_and_the_uid_stays(past: Archived) -> None:
    raw = deployment("web", "web:1")
    raw["metadata"] |= {"labels": {"a": "b"}, "annotations": {"note": "x"}}
    first = past.write(raw)
    past.write(deployment("web", "web:2"))
    assert restore(past, first, "--yes") == 0
    metadata = past.world.json_at(past.world.keys.spec(WEB))["metadata"]
    assert (metadata["labels"], metadata["annotations"]) == ({"a": "b"}, {"note": "x"})
    assert metadata["uid"].endswith("900")
