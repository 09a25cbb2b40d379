"""The manifests in the box work as they are: one of every kind, and what they say about themselves."""

from pathlib import Path

import pytest
import yaml

from schemas.kinds import KINDS
from schemas.manifest import load
from tests.support.cluster import ROOT, Cluster
from tests.support.wait import eventually

pytestmark = [pytest.mark.etcd, pytest.mark.docker]

FOLDERS = ("manifests", "manifests/demo")  # the others have a guide of their own, and a test of it
MANIFESTS = sorted(path for folder in FOLDERS for path in (ROOT / folder).glob("*.yaml"))
FILES = [part for folder in FOLDERS for part in ("-f", folder)]


@pytest.fixture
def sealing(own_cluster: Cluster) -> Cluster:
    """A cluster that takes Secrets."""
    key = own_cluster.folder / "secrets.key"
    assert own_cluster.berth("secret", "keygen", str(key)).code == 0
    own_cluster.start_controller("controller", "--secret-key", str(key))
    own_cluster.start_agent()
    own_cluster.wait_ready()
    return own_cluster


def test_there_is_an_example_of_every_kind() -> None:
    written = {yaml.safe_load(path.read_text())["kind"] for path in MANIFESTS}
    assert written == {each.name for each in KINDS}


@pytest.mark.parametrize("path", sorted((ROOT / "manifests").rglob("*.yaml")), ids=lambda path: path.stem)
def test_example_can_be_read(path: Path) -> None:
    assert load([(path.name, path.read_bytes())], default_namespace="default")


def test_every_example_is_applied_and_does_what_it_says(sealing: Cluster) -> None:
    cluster = sealing
    applied = cluster.berth("apply", *FILES, "--wait", "--timeout", "110s")
    assert (applied.code, len(applied.out.splitlines())) == (0, len(MANIFESTS)), applied
    assert cluster.berth("apply", *FILES).out.count("unchanged") == len(MANIFESTS)
    shown = cluster.berth(
        "get", "deployments,daemonsets,jobs,cronjobs,configmaps,secrets,budgets", "-A", "-o", "name"
    )
    assert len(shown.out.splitlines()) == 7, shown
    running = {name: cells[2] for name, cells in cluster.berth("get", "tasks").rows.items()}
    assert {running[name] for name in ("configured", "example", "hello", "web", "shop-1-0")} == {"Running"}
    assert "number 1: 111" in cluster.berth("logs", "job/sums").out
    assert "listen = 9090" in cluster.berth("logs", "configured", "-c", "main").out
    assert cluster.berth("create", "job", "now", "--from=cronjob/nightly").code == 0
    eventually(lambda: "cleaned up" in cluster.berth("logs", "job/now").out)
    assert cluster.berth("delete", "job/now").code == 0
    deleted = cluster.berth("delete", *FILES, "--now", "--timeout", "110s")
    assert (deleted.code, deleted.err) == (0, ""), deleted
    eventually(lambda: not cluster.containers(running_only=True))
