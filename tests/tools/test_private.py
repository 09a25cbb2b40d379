"""Private servers on the real machine: they serve, and leave nothing behind, even after a crash."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path

import docker
import pytest

from tools import CLONE, bridge, engine
from tools.docker_http import answers, remove_container, request
from tools.engine import OUTSIDE, EnginePaths, private_engine
from tools.errors import EngineUnavailable
from tools.image import IMAGE, ensure_demo_image
from tools.private import private_etcd
from tools.processes import marked_processes


def needs_means() -> None:
    """Skip, or fail in CI, where no private dockerd can run."""
    try:
        engine.require_means()
    except EngineUnavailable as reason:
        (pytest.fail if os.environ.get("CI") else pytest.skip)(str(reason))


def eventually(holds: Callable[[], bool], *, within_s: float = 60.0) -> None:
    deadline = time.monotonic() + within_s
    while not holds():
        assert time.monotonic() < deadline, "still not so"
        time.sleep(0.1)


def run_container(host: str, *command: str) -> str:
    """Start a container of the demo image and return its id."""
    client = docker.DockerClient(base_url=host)
    try:
        return str(client.containers.run(IMAGE, list(command), detach=True).id)
    finally:
        client.close()


def firewall() -> str:
    """The rules of the firewall without counters; empty where the program is missing.

    Those of single containers are left out: another engine on this machine makes them at any time.
    """
    if shutil.which("iptables-save") is None:
        return ""
    saved = subprocess.run(["iptables-save"], capture_output=True, text=True, check=True).stdout
    rules = (line for line in saved.splitlines() if line.startswith("-A"))
    return "\n".join(rule for rule in rules if "/32" not in rule and "--dport" not in rule)


def assert_nothing_left(paths: EnginePaths) -> None:
    assert marked_processes(paths.root) == {}
    assert not bridge.bridge_exists(paths.bridge)
    assert not paths.root.exists()
    assert str(paths.root) not in Path("/proc/mounts").read_text()
    assert list(Path("/sys/fs/cgroup").glob(f"*/{paths.bridge}")) == []
    assert not Path("/sys/fs/cgroup", paths.bridge).exists()


@pytest.mark.docker
def test_private_engine_runs_containers_and_leaves_nothing(tmp_path: Path) -> None:
    needs_means()
    paths = EnginePaths(tmp_path / "1")
    outside, rules = [Path(place).exists() for place in OUTSIDE], firewall()
    with private_engine(tmp_path) as host:
        assert ensure_demo_image(host)
        assert not ensure_demo_image(host)
        run_container(host, "sleep", "1000")
        assert bridge.bridge_exists(paths.bridge)
        assert any("sleep 1000" in command for command in marked_processes(paths.root).values())
    assert_nothing_left(paths)
    assert [Path(place).exists() for place in OUTSIDE] == outside
    assert firewall() == rules


@pytest.mark.docker
def test_two_engines_run_side_by_side_below_a_long_path(tmp_path: Path) -> None:
    needs_means()
    deep = tmp_path / "/".join(["deep" * 10] * 3)
    with private_engine(deep) as first, private_engine(deep) as second:
        assert first != second
        assert "/proc/" in first
        ensure_demo_image(second)
        remove_container(second, run_container(second, "sleep", "1000"))
    assert_nothing_left(EnginePaths(deep / "1"))
    assert_nothing_left(EnginePaths(deep / "2"))


CRASHING = """
import sys
from pathlib import Path
from tools.engine import private_engine
with private_engine(Path(sys.argv[1])) as host:
    print(host, flush=True)
    sys.stdin.read()
"""


@pytest.mark.docker
def test_leftovers_of_a_killed_run_are_cleared(tmp_path: Path) -> None:
    needs_means()
    paths = EnginePaths(tmp_path / "1")
    command = [sys.executable, "-c", CRASHING, str(tmp_path)]
    with subprocess.Popen(
        command, cwd=CLONE, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as run:
        assert run.stdout is not None
        host = run.stdout.readline().strip()
        ensure_demo_image(host)
        run_container(host, "sleep", "1000")
        dockerd = int((paths.root / "pid").read_text())
        os.kill(dockerd, signal.SIGKILL)  # so that it can't even stop its containers
        run.kill()
    assert any("sleep 1000" in command for command in marked_processes(paths.root).values())
    engine.clear_leftovers(tmp_path)
    assert_nothing_left(paths)


@pytest.mark.docker
def test_engine_ends_by_itself_when_its_starter_is_killed(tmp_path: Path) -> None:
    needs_means()
    paths = EnginePaths(tmp_path / "1")
    command = [sys.executable, "-c", CRASHING, str(tmp_path)]
    with subprocess.Popen(
        command, cwd=CLONE, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as run:
        assert run.stdout is not None
        assert answers(run.stdout.readline().strip())
        run.kill()
    eventually(lambda: marked_processes(paths.root) == {})
    engine.clear_leftovers(tmp_path)
    assert_nothing_left(paths)


@pytest.mark.docker
def test_demo_image_serves_its_page(docker_host: str, demo_image: str) -> None:
    container_id = run_container(
        docker_host, "sh", "-c", "httpd -p 8080 -h /www && wget -q -O- 127.0.0.1:8080"
    )
    try:
        request(docker_host, "POST", f"/containers/{container_id}/wait")
        assert b"Berth" in request(docker_host, "GET", f"/containers/{container_id}/logs?stdout=1")
    finally:
        remove_container(docker_host, container_id)


@pytest.mark.etcd
def test_private_etcd_serves_and_leaves_only_its_log(tmp_path: Path) -> None:
    if shutil.which("etcd") is None:
        (pytest.fail if os.environ.get("CI") else pytest.skip)("no etcd; run: make setup")
    with private_etcd(tmp_path) as endpoint, urllib.request.urlopen(f"http://{endpoint}/version") as answer:
        assert json.load(answer)["etcdserver"]
    assert marked_processes(tmp_path) == {}
    assert [path.name for path in tmp_path.iterdir()] == ["etcd.log"]
