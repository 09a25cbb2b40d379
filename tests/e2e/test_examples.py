"""The manifests in the box work as they are."""

import pytest
import yaml

from tests.support.cluster import ROOT, Cluster
from tests.support.wait import eventually

pytestmark = [pytest.mark.etcd, pytest.mark.docker]

MANIFESTS = sorted((ROOT / "manifests").rglob("*.yaml"))


def test_every_example_is_applied_and_its_tasks_run(cluster: Cluster) -> None:
    written = [yaml.safe_load(path.read_text()) for path in MANIFESTS]
    assert {each["kind"] for each in written} == {"Namespace", "Node", "PriorityClass", "Queue", "Task"}
    applied = cluster.berth("apply", "-R", "-f", "manifests", "--wait", "--timeout", "40s")
    assert applied.code == 0, applied
    assert len(applied.out.splitlines()) == len(written)
    assert cluster.berth("apply", "-R", "-f", "manifests").out.count("unchanged") == len(written)
    tasks = [each["metadata"]["name"] for each in written if each["kind"] == "Task"]
    rows = cluster.berth("get", "tasks").rows
    assert {rows[name][2] for name in tasks} == {"Running"}
    shown = cluster.berth("get", "tasks,queues,priorityclasses,namespaces,nodes", "-o", "wide")
    assert shown.code == 0
    deleted = cluster.berth("delete", "-R", "-f", "manifests", "--now", "--timeout", "40s")
    assert (deleted.code, deleted.err) == (0, "")
    eventually(lambda: not [name for name in tasks if cluster.containers(name)])
