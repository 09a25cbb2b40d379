"""Pages whose commands need a cluster that runs already: what is in etcd, and the Python client."""

import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.docs.console import File, run_page, steps
from tests.docs.images import BUSYBOX, busybox
from tests.support.cluster import Cluster
from tests.support.docker import _docker_engine_host, demo_image, docker_host
from tests.support.fixtures import require_etcd
from tools import CLONE

__all__ = ["_docker_engine_host", "busybox", "demo_image", "docker_host"]

pytestmark = [pytest.mark.etcd, pytest.mark.docker, pytest.mark.timeout(300)]

DOCS = CLONE / "docs"


@pytest.fixture(scope="module")
def cluster(docker_host: str, busybox: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    require_etcd()
    with Cluster(tmp_path_factory.mktemp("cluster"), docker_host) as made:
        made.start_controller()
        made.start_agent()
        made.wait_ready()
        yield made


def environment(cluster: Cluster) -> dict[str, str]:
    """Return what a person's shell has who has followed the page so far."""
    kept = {
        name: value for name, value in os.environ.items() if not name.startswith(("BERTH_", "XDG_", "ETCD"))
    }
    return {
        **kept,
        **cluster.environment,
        "HOME": str(cluster.folder),
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(CLONE),
        "ETCDCTL_API": "3",
        "ETCDCTL_ENDPOINTS": cluster.etcd.endpoint,
    }


def test_etcd_says_what_the_page_says(cluster: Cluster, tmp_path: Path) -> None:
    if shutil.which("bash") is None:
        pytest.skip("needs bash")
    (page,) = [step for step in steps((DOCS / "tutorial.md").read_text()) if isinstance(step, File)]
    (tmp_path / page.name).write_text(page.text)
    assert run_page((DOCS / "reference/etcd.md").read_text(), tmp_path, environment(cluster)) > 8


def test_programs_of_the_python_page_do_what_they_say(cluster: Cluster, tmp_path: Path) -> None:
    if shutil.which("bash") is None:
        pytest.skip("needs bash")
    text = (DOCS / "python.md").read_text()
    assert BUSYBOX in text
    assert run_page(text, tmp_path, environment(cluster)) > 3


@pytest.mark.slow  # tests/e2e/test_gitops.py goes the same way, with fewer commands
def test_a_repository_goes_the_whole_way_that_the_page_describes(cluster: Cluster, tmp_path: Path) -> None:
    if shutil.which("bash") is None:
        pytest.skip("needs bash")
    assert run_page((DOCS / "gitops.md").read_text(), tmp_path, environment(cluster)) > 30
