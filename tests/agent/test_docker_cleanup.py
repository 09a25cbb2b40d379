"""Removing all containers of a node."""

from pathlib import Path

import docker
import pytest

from agent.labels import CLUSTER, NODE
from agent.runtime.docker_cleanup import WORKERS, remove_all
from agent.runtime.docker_client import DockerOptions
from tests.agent.live import IMAGE


@pytest.mark.docker
def test_many_containers_are_removed_at_once_and_those_of_another_cluster_stay(
    docker_host: str, demo_image: str, client: docker.APIClient, node: str, tmp_path: Path
) -> None:
    def make(cluster: str) -> str:
        return str(client.create_container(IMAGE, labels={NODE: node, CLUSTER: cluster})["Id"])

    ours, other = {make("ours") for _ in range(2 * WORKERS)}, make("other")
    said: list[str] = []
    options = DockerOptions(docker_host, node, tmp_path, call_timeout_s=60.0)
    assert remove_all(options, "ours", said.append) == ()
    assert len(said) == len(ours)
    left = client.containers(all=True, filters={"label": f"{NODE}={node}"})
    assert [each["Id"] for each in left] == [other]
