"""Fixtures of the end-to-end tests: whole clusters of real processes; their logs are shown when a test fails."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.agent.proxy import SocketProxy
from tests.support.cluster import STEADY_LEASE_TTL_S, Cluster
from tests.support.docker import _docker_engine_host, demo_image, docker_host
from tests.support.fixtures import require_etcd

__all__ = ["_docker_engine_host", "demo_image", "docker_host"]


@dataclass(frozen=True)
class Breakable:
    """A cluster, and the proxy through which its agent speaks to Docker."""

    cluster: Cluster
    proxy: SocketProxy


@pytest.fixture(scope="session")
def cluster(docker_host: str, demo_image: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """One controller and one agent for the whole session. Tests name their tasks apart and remove them."""
    require_etcd()
    folder = tmp_path_factory.mktemp("cluster")
    with Cluster(folder, docker_host, lease_ttl_s=STEADY_LEASE_TTL_S) as made:
        made.start_controller()
        made.start_agent()
        made.wait_ready()
        yield made


@pytest.fixture(scope="session")
def breakable(
    docker_host: str, demo_image: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Breakable]:
    """A cluster whose etcd, Docker, controllers and agents tests take away and give back."""
    require_etcd()
    if not docker_host.startswith("unix://"):
        pytest.skip("needs a Docker Engine on a unix socket, to put a proxy before it")
    folder = tmp_path_factory.mktemp("b")
    with (
        SocketProxy(folder / "d", docker_host.removeprefix("unix://")) as proxy,
        Cluster(folder, docker_host) as made,
    ):
        made.start_controller()
        made.start_agent(docker_host=f"unix://{proxy.path}")
        made.wait_ready()
        yield Breakable(made, proxy)


@pytest.fixture
def own_cluster(docker_host: str, demo_image: str, tmp_path: Path) -> Iterator[Cluster]:
    """An etcd without any process yet, that the test may break."""
    require_etcd()
    with Cluster(tmp_path, docker_host) as made:
        yield made


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    report = yield
    if report.failed:
        for each in Cluster.living:
            report.sections += [(f"end of the log of {name}", text) for name, text in each.logs().items()]
    return report
