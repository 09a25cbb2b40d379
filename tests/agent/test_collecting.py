"""Images and dead containers that go when the disk fills up, decided purely and tried on a real engine."""

import io
import json
import tarfile
import uuid
from collections.abc import Iterator
from pathlib import Path

import docker
import pytest

from agent.collecting import DiskUse, ImagePolicy, PulledImage, to_remove
from agent.labels import to_labels
from agent.pulled import PulledImages
from agent.runtime.api import Observation, RoomWanted
from agent.runtime.docker_client import DockerOptions
from agent.runtime.docker_collecting import DiskCollector, image_id
from tests.agent.builders import make_binding, make_journal

NOW = 10_000.0
FULL = DiskUse(90, 100)
NONE: frozenset[str] = frozenset()


def image(name: str, *, used_at: float = 0.0, size: int = 4) -> PulledImage:
    return PulledImage(name, f"sha256:{name}", 0.0, used_at, size)


def names(*images: PulledImage, disk: DiskUse = FULL, needed: frozenset[str] = NONE) -> list[str]:
    return [each.name for each in to_remove(images, disk, ImagePolicy(), NOW, needed=needed)]


def test_nothing_goes_below_the_high_mark() -> None:
    assert names(image("a"), disk=DiskUse(84, 100)) == []
    assert names(image("a"), disk=DiskUse(85, 100)) == ["a"]


def test_longest_unused_go_first_and_only_down_to_the_low_mark() -> None:
    images = (
        image("new", used_at=300),
        image("old", used_at=100),
        image("middle", used_at=200),
        image("x", used_at=900),
    )
    assert names(*images) == ["old", "middle", "new"]


def test_needed_and_young_images_stay() -> None:
    young = image("young", used_at=NOW - 119)
    assert names(image("a"), young, image("b"), needed=frozenset({"a", "sha256:b"})) == []


def test_record_outlives_the_agent_and_garbage_in_it_is_no_record(tmp_path: Path) -> None:
    PulledImages(tmp_path).note(image("a"))
    assert PulledImages(tmp_path).all() == (image("a"),)
    (tmp_path / "images.json").write_text(json.dumps([{"nonsense": 1}]))
    assert PulledImages(tmp_path).all() == ()


@pytest.fixture
def made(client: docker.APIClient) -> Iterator[list[str]]:
    """Two small images of this test's own, which nobody else has."""
    tags = [f"berth-test-{uuid.uuid4().hex[:8]}:{name}" for name in ("pulled", "own")]
    for tag in tags:
        archive = io.BytesIO()
        with tarfile.open(fileobj=archive, mode="w") as tar:
            entry = tarfile.TarInfo(tag.replace(":", "-"))
            tar.addfile(entry)
        client.import_image_from_data(archive.getvalue(), repository=tag.split(":")[0], tag=tag.split(":")[1])
    yield tags
    for tag in tags:
        if image_id(client, tag):
            client.remove_image(tag)


@pytest.mark.docker
def test_only_what_was_pulled_and_nobody_needs_is_removed(
    docker_host: str, client: docker.APIClient, made: list[str], tmp_path: Path
) -> None:
    pulled, own = made
    record = PulledImages(tmp_path)
    record.note(PulledImage(pulled, image_id(client, pulled), 0.0, 0.0))
    needed = frozenset({pulled})
    options = DockerOptions(docker_host, "node", tmp_path)
    collector = DiskCollector(options, record, ImagePolicy(0, 0, 60.0), lambda: needed, lambda: NOW)
    assert collector.look() == (), "a task that is bound here has need of it"
    needed = frozenset()
    assert collector.look() == (), "it was needed less than a minute ago"
    later = DiskCollector(options, record, ImagePolicy(0, 0, 60.0), lambda: needed, lambda: NOW + 61)
    assert later.look() == (pulled,)
    assert image_id(client, pulled) == ""
    assert image_id(client, own) != "", "nobody pulled it for a task"
    assert record.all() == ()


@pytest.mark.docker
def test_name_that_now_means_another_image_is_left_alone(
    docker_host: str, client: docker.APIClient, made: list[str], tmp_path: Path
) -> None:
    record = PulledImages(tmp_path)
    record.note(PulledImage(made[0], "sha256:another", 0.0, 0.0))
    options = DockerOptions(docker_host, "node", tmp_path)
    collector = DiskCollector(options, record, ImagePolicy(0, 0, 0.0), lambda: NONE, lambda: NOW)
    assert collector.look() == ()
    assert image_id(client, made[0]) != ""
    assert record.all() == ()


@pytest.mark.docker
def test_dead_containers_are_named_before_images_go_and_once_only(
    docker_host: str, demo_image: str, client: docker.APIClient, node: str, tmp_path: Path
) -> None:
    binding = make_binding(node=node)
    labels = [to_labels(make_journal(binding, attempt=number)) for number in (0, 1)]
    ended, runs = (
        str(client.create_container("berth/demo:latest", ["sh", "-c", script], labels=each)["Id"])
        for script, each in zip(("exit 1", "sleep 60"), labels, strict=True)
    )
    client.start(ended)
    client.wait(ended)
    client.start(runs)
    told: list[Observation] = []
    options = DockerOptions(docker_host, node, tmp_path)

    def look(collector: DiskCollector) -> Observation:
        collector.look()
        return told[-1]

    full = DiskCollector(
        options, PulledImages(tmp_path), ImagePolicy(0, 0), lambda: NONE, lambda: NOW, told.append
    )
    wanted = RoomWanted(frozenset({ended}))
    assert look(full) == wanted
    assert look(full) == wanted, "it stays named for as long as it is there"
    client.remove_container(ended)
    assert look(full) == RoomWanted(NONE)
    roomy = DiskCollector(
        options, PulledImages(tmp_path), ImagePolicy(100), lambda: NONE, lambda: NOW, told.append
    )
    roomy.look()
    assert len(told) == 3


def test_nothing_goes_while_it_is_not_known_what_is_bound(tmp_path: Path) -> None:
    record = PulledImages(tmp_path)
    record.note(image("a"))
    options = DockerOptions("unix:///none", "node", tmp_path)
    assert DiskCollector(options, record, ImagePolicy(), lambda: None, lambda: NOW).look() == ()
