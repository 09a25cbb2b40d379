"""Fixtures of the agent's tests: a live agent on a real Docker Engine, and a client to look behind its back."""

import uuid
from collections.abc import Iterator
from pathlib import Path

import docker
import pytest

from tests.agent.live import LiveAgent
from tests.support.docker import _docker_engine_host, demo_image, docker_host, remove_containers
from tests.support.fixtures import etcd_server

__all__ = ["_docker_engine_host", "demo_image", "docker_host", "etcd_server"]


@pytest.fixture
def client(docker_host: str) -> Iterator[docker.APIClient]:
    """Docker's API, for looking and for playing the stranger."""
    made = docker.APIClient(base_url=docker_host, version="auto", timeout=60)
    yield made
    made.close()


@pytest.fixture
def node(client: docker.APIClient) -> Iterator[str]:
    """A node name of this test's own; whatever carries its label is removed afterwards."""
    name = f"test-{uuid.uuid4().hex[:8]}"
    yield name
    remove_containers(client, name)


@pytest.fixture
def live(docker_host: str, demo_image: str, node: str, tmp_path: Path) -> Iterator[LiveAgent]:
    """An agent in threads: real Docker, store in memory, its own cluster."""
    agent = LiveAgent(docker_host, node, tmp_path)
    agent.start()
    yield agent
    agent.stop()
