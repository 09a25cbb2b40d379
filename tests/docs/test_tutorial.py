"""The tutorial, word for word: each of its commands is run, and prints what is written."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.docs.console import run_page
from tests.docs.images import busybox
from tests.support.docker import _docker_engine_host, demo_image, docker_host
from tests.support.fixtures import require_etcd
from tests.support.ports import free_port
from tools import CLONE
from tools.docker_http import container_labels, remove_container

__all__ = ["_docker_engine_host", "busybox", "demo_image", "docker_host"]

pytestmark = [pytest.mark.etcd, pytest.mark.docker, pytest.mark.timeout(600)]

FORWARDED = "9090"  # the tutorial's local port, which others may use
BIN = Path(sys.executable).parent


@pytest.fixture
def home(tmp_path: Path, docker_host: str) -> Iterator[dict[str, str]]:
    """The environment of a person with an empty home, whose cluster and containers are gone afterwards."""
    folder = tmp_path / "home"
    folder.mkdir()
    kept = {
        name: value for name, value in os.environ.items() if not name.startswith(("BERTH_", "XDG_", "ETCD"))
    }
    path = f"{BIN}{os.pathsep}{os.environ['PATH']}"
    environment = {**kept, "HOME": str(folder), "PATH": path, "DOCKER_HOST": docker_host}
    yield environment
    subprocess.run([BIN / "berth", "down"], env=environment, capture_output=True, timeout=120, check=False)
    identities = [json.loads(path.read_text()) for path in folder.rglob("identity.json")]
    clusters = {identity["cluster_uid"] for identity in identities}
    for container, labels in container_labels(docker_host).items():
        if labels.get("berth.cluster") in clusters:
            remove_container(docker_host, container)


def test_tutorial_does_what_it_says(home: dict[str, str], busybox: None, tmp_path: Path) -> None:
    require_etcd()
    if missing := [tool for tool in ("curl", "pgrep", "bash") if shutil.which(tool) is None]:
        pytest.skip(f"needs {', '.join(missing)} on the path")
    page = (CLONE / "docs/tutorial.md").read_text().replace(FORWARDED, str(free_port()))
    work = tmp_path / "work"
    work.mkdir()
    assert run_page(page, work, home) > 30
