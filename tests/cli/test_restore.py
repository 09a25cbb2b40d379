"""`berth restore` asks on a terminal before it writes, and what it writes belongs to nobody."""

import io
import sys
from collections.abc import Iterator

import pytest

from cli.main import run
from cli.session import Say, Session
from client.applyset import Verdict
from client.client import Client
from client.connect import Settings
from schemas.keys import ObjectRef
from tests.cli.past import Archived, deployment
from tests.client.helpers import World, docs

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
    return command(past, "restore", "deployment/web", "--at-rev", str(revision), *more)


def command(past: Archived, *arguments: str) -> int:
    def open_client(settings: Settings, say: Say) -> Client:
        return past.client(say=say)

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


SET = "set.default.shop"


def test_what_was_pruned_comes_back_as_nobodys_and_its_set_takes_it_again_and_prunes_it(
    past: Archived,
) -> None:
    first = past.write(deployment("web", "web:1"), by=SET)
    past.remove(WEB)
    assert restore(past, first, "--yes") == 0
    world, client = past.world, past.client()
    assert world.keys_under(world.keys.applied_range(WEB)) == []
    shop = client.apply_set("shop")
    (again,) = shop.apply(shop.plan(docs(deployment("web", "web:2"))))  # no conflict with who restored it
    assert again.action == "configured"
    (removal,) = shop.plan(docs(deployment("other", "web:2"))).removals
    assert removal.verdict is Verdict.PRUNE


def test_a_source_that_keeps_the_object_is_named(past: Archived, capsys: pytest.CaptureFixture[str]) -> None:
    first = past.write(deployment("web", "web:1"), by="git.shop")
    past.write(deployment("web", "web:2"), by="git.shop")
    assert restore(past, first, "--yes") == 0
    assert "gitsource/shop keeps deployment/web as its repository has it" in capsys.readouterr().err


@pytest.mark.parametrize("verb", ["history", "blame"])
def test_sets_and_sources_are_named_as_people_know_them(
    past: Archived, capsys: pytest.CaptureFixture[str], verb: str
) -> None:
    past.write(deployment("web", "web:1"), by=SET)
    past.write(deployment("web", "web:2"), by="git.shop")
    assert command(past, verb, "deployment/web") == 0
    shown = capsys.readouterr().out
    assert [name in shown for name in ("set default/shop", "gitsource/shop")] == [True, True]
    assert [name in shown for name in (SET, "git.shop")] == [False, False]
