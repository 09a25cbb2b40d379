"""Preemption among real processes: a task that matters more gets the place of one that matters less."""

from typing import Any

import pytest

from tests.support.cluster import Cluster, sleeper

pytestmark = [pytest.mark.etcd, pytest.mark.docker]


def wide(cluster: Cluster, name: str, priority: int) -> dict[str, Any]:
    """Two of these don't fit on the node."""
    made = sleeper(name)
    memory = cluster.node_report(cluster.nodes[0]).allocatable["memory"] * 6 // 10
    made["spec"]["containers"][0]["resources"] = {"requests": {"cpu": "10m", "memory": memory}}
    return {**made, "spec": {**made["spec"], "priority": priority, "grace": "1s"}}


def test_a_task_of_higher_priority_gets_the_place_of_a_lower_one(cluster: Cluster) -> None:
    cluster.apply(wide(cluster, "matters-less", 1))
    cluster.wait_running("matters-less")
    cluster.apply(wide(cluster, "matters-more", 10))
    cluster.wait_running("matters-more")
    cluster.wait_reason("matters-less", "Unschedulable")
    assert cluster.status("matters-more").nominated == ""
    record = cluster.status("matters-more").decision
    assert record is not None
    assert record.node == cluster.status("matters-more").node
    cluster.delete("matters-more")
    cluster.wait_running("matters-less")
    cluster.delete("matters-less")
