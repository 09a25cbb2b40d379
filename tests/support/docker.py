"""Fixtures for tests that need a real Docker Engine; conftest.py imports them.

`make test` puts the engine's host in BERTH_TEST_DOCKER_HOST. Without it, an engine is found or started as
`make` would. Where there is none, the tests are skipped, but fail in CI.
"""

import os
from collections.abc import Iterator
from http import HTTPStatus
from pathlib import Path
from typing import Any

import docker
import pytest

from tools.docker_http import berth_containers, container_labels
from tools.errors import EngineUnavailable
from tools.image import IMAGE, ensure_demo_image
from tools.private import docker_engine
from tools.with_backends import TEST_HOST

SHARED = "BERTH_TEST_DOCKER_SHARED"  # set where others run their tests on the same engine


@pytest.fixture(scope="session")
def _docker_engine_host() -> Iterator[str]:
    """The host of an engine that lives as long as the test session."""
    given = os.environ.get(TEST_HOST)
    if given:
        yield given
        return
    try:
        with docker_engine() as host:
            yield host
    except EngineUnavailable as reason:
        (pytest.fail if os.environ.get("CI") else pytest.skip)(str(reason))


@pytest.fixture(scope="session")
def docker_host(_docker_engine_host: str) -> Iterator[str]:
    """The host of a Docker Engine, `unix://...`; the run fails if it leaves containers of Berth there.

    tests/conftest.py looks at an engine that was given to us, as other processes may use it, too.
    """
    before = berth_containers(_docker_engine_host)
    yield _docker_engine_host
    left = "" if os.environ.get(TEST_HOST) else left_behind(_docker_engine_host, before)
    assert not left, f"containers left behind: {left}"


def given_engine() -> str:
    """Return the host of the engine that this run was given for itself, empty if there is none.

    On an engine that others use at the same time (BERTH_TEST_DOCKER_SHARED=1) leftovers can't be told from their
    containers, so nothing is checked.
    """
    return "" if os.environ.get(SHARED) else os.environ.get(TEST_HOST, "")


def left_behind(host: str, before: set[str]) -> str:
    """Return the containers of Berth that came since, with their labels; empty if there are none."""
    left = berth_containers(host) - before
    labels = container_labels(host) if left else {}
    return "; ".join(f"{each[:12]} {labels.get(each)}" for each in left)


def list_containers(client: docker.APIClient, **query: Any) -> list[Any]:
    """Return what `client.containers(**query)` does; it is asked again when a container vanished meanwhile.

    Docker 20.10 answers 404 then, whosever container it was.
    """
    while True:
        try:
            return list(client.containers(**query))
        except docker.errors.NotFound:
            continue


def remove_containers(client: docker.APIClient, node: str) -> None:
    """Remove the containers of a node whose agent has ended; what it had under way may still come or go."""
    while found := list_containers(client, all=True, filters={"label": f"berth.node={node}"}):
        for each in found:
            try:
                client.remove_container(each["Id"], force=True, v=True)
            except docker.errors.APIError as error:
                if error.status_code not in (
                    HTTPStatus.NOT_FOUND,
                    HTTPStatus.CONFLICT,
                ):  # its removal has begun
                    raise


@pytest.fixture(scope="session")
def demo_image(docker_host: str) -> str:
    """The name of the demo image, present on the engine: busybox with `httpd -f -p 8080 -h /www`, sh, nc, ..."""
    ensure_demo_image(docker_host)
    return IMAGE


@pytest.fixture
def without_docker(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Hide every Docker daemon from the code under test."""
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/none.sock")
    monkeypatch.setattr("tools.docker_http.DEFAULT_HOST", f"unix://{tmp_path}/none.sock")
