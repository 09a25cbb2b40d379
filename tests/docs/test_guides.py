"""The guides, word for word: each of their commands is run, and prints what is written. One cluster serves all."""

import os
import shutil
import sys
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.docs.console import run_page
from tests.docs.images import busybox
from tests.support.cluster import ROOT, STEADY_LEASE_TTL_S, Cluster
from tests.support.docker import _docker_engine_host, demo_image, docker_host
from tests.support.fixtures import require_etcd

__all__ = ["_docker_engine_host", "busybox", "demo_image", "docker_host"]

pytestmark = [pytest.mark.etcd, pytest.mark.docker]

GUIDES = sorted(path for path in (ROOT / "docs/guides").glob("*.md") if path.stem != "README")
NODES = ("node-1", "node-2")  # as pages call them


@dataclass(frozen=True)
class Guided:
    """A cluster of two nodes, their real names, and what a shell needs to reach it."""

    cluster: Cluster
    names: dict[str, str]
    environment: dict[str, str]


@pytest.fixture(scope="module")
def guided(docker_host: str, busybox: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guided]:
    require_etcd()
    folder = tmp_path_factory.mktemp("guided")
    names = {each: f"{each}-{uuid.uuid4().hex[:6]}" for each in NODES}
    with Cluster(folder, docker_host, lease_ttl_s=STEADY_LEASE_TTL_S) as cluster:
        key = folder / "secrets.key"
        assert cluster.berth("secret", "keygen", str(key)).code == 0
        kept = ("--history-file", str(folder / "history.db"))
        cluster.start_controller("controller", "--secret-key", str(key), *kept)
        for each, name in names.items():
            cluster.start_agent(each, node=name)
        cluster.wait_ready()
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        own = {key: value for key, value in os.environ.items() if not key.startswith(("BERTH_", "XDG_"))}
        yield Guided(cluster, names, {**own, **cluster.environment, "HOME": str(folder), "PATH": path})


QUICK = ("configuration", "deployment", "job")  # the others take longer; what they show has tests of its own
PAGES = [
    pytest.param(each, marks=[] if each.stem in QUICK else pytest.mark.slow, id=each.stem) for each in GUIDES
]


@pytest.mark.parametrize("path", PAGES)
def test_guide_does_what_it_says(path: Path, guided: Guided, tmp_path: Path) -> None:
    if shutil.which("curl") is None or shutil.which("bash") is None:
        pytest.skip("needs curl and bash on the path")
    page = path.read_text()
    for written, name in guided.names.items():
        page = page.replace(written, name)
    assert run_page(page, tmp_path, guided.environment) > 3
