"""The optimiser on a cluster that runs: its plan comes about, and running tasks are moved as it says."""

from typing import Any

import pytest

from tests.support.cluster import Cluster, sleeper

pytestmark = [pytest.mark.etcd, pytest.mark.docker]

NODES = 3
MIB = 2**20


def wanting(name: str, mebibytes: int, placement: str) -> dict[str, Any]:
    made = sleeper(name)
    requests = {"cpu": "10m", "memory": mebibytes * MIB}
    made["spec"]["containers"][0]["resources"] = {"requests": requests}
    return {**made, "spec": {**made["spec"], "placement": placement, "grace": "1s"}}


def nodes_of(cluster: Cluster, *names: str) -> dict[str, str]:
    return {status.node: name for name, status in zip(names, cluster.wait_running(*names), strict=True)}


def test_running_tasks_are_moved_together_and_an_optimum_is_foreseen_and_comes_about(
    own_cluster: Cluster,
) -> None:
    cluster = own_cluster
    cluster.start_controller()
    for number in range(NODES):
        cluster.start_agent(f"agent{number}", "--capacity", "memory=600Mi", "--reserve", "memory=0")
    cluster.wait_ready()

    names = ("a", "b", "c")
    cluster.apply(*(wanting(name, 100, "spread") for name in names))
    assert len(nodes_of(cluster, *names)) == NODES
    found = cluster.berth("consolidate", "--plan", "-o", "json").json
    assert sorted(each["state"] for each in found["nodes"]) == ["Emptied", "Emptied", "Needed"]
    planned = cluster.berth("rebalance", "--plan", "-o", "json")
    assert (planned.code, len(planned.json["moves"])) == (1, 2), planned.err
    moved = cluster.berth("rebalance", "--apply", "--yes")
    assert moved.code == 0, moved.err
    assert "2 of 2 moves arrived where they were meant to." in moved.out
    assert len(nodes_of(cluster, *names)) == 1
    cluster.delete(*names)

    those = [wanting(f"t{n}", size, "optimal") for n, size in enumerate((300, 200, 300, 200, 200))]
    shown = cluster.berth("plan", "-f", "-", "--optimal", stdin=those)
    assert shown.code == 1, shown.err
    assert "computed here" not in shown.err, "the leader answers"
    assert shown.rows["scheduler"][1:4] == ["3", "5", "0"]
    assert "objective 2 nodes, bound 2, gap 0.0%: proved" in shown.out
    cluster.apply(*those)
    assert len(nodes_of(cluster, "t0", "t1", "t2", "t3", "t4")) == 2
    cluster.delete("t0", "t1", "t2", "t3", "t4")
