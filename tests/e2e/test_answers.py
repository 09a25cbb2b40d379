"""Questions to a leader that runs: the answers come from it, and who may not read all of etcd gets them, too."""

from typing import Any

import pytest

from tests.support.cluster import Cluster, sleeper
from tests.support.wait import eventually

pytestmark = [pytest.mark.etcd, pytest.mark.docker]


def greedy(name: str, cpu: str = "9000") -> dict[str, Any]:
    made = sleeper(name)
    made["spec"]["containers"][0]["resources"] = {"requests": {"cpu": cpu}}
    return made


def test_leader_says_why_a_task_waits_and_its_proposal_places_it(cluster: Cluster) -> None:
    cluster.apply(greedy("asks-much"))
    cluster.wait_reason("asks-much", "Unschedulable")
    found = cluster.berth("why", "asks-much", "-o", "json")
    assert (found.code, found.err) == (0, "")
    answer = found.json
    assert (answer["computedBy"], answer["state"]) == ("leader", "Waiting")
    assert sum(each["count"] for each in answer["reasons"]) == answer["nodeCount"]
    (proposal,) = [each for each in answer["proposals"] if each["field"] == "resources.requests.cpu"]
    cluster.apply(greedy("asks-much", proposal["to"]))
    assert cluster.wait_running("asks-much")[0].node == proposal["node"]
    assert cluster.berth("why", "asks-much").out.startswith(f"task/asks-much is on node {proposal['node']}")
    cluster.delete("asks-much")


def test_plan_is_shown_by_the_leader_and_then_done(cluster: Cluster) -> None:
    path = str(cluster.folder / "shown.plan")
    shown = cluster.berth("plan", "-f", "-", "--out", path, stdin=sleeper("foreseen"))
    assert shown.code == 1, shown.err
    assert "default/task/foreseen: 1 placed" in shown.out
    assert cluster.berth("apply", "--plan", path).out == "task/foreseen created\n"
    node = cluster.wait_running("foreseen")[0].node
    assert f"1 on node {node}\n" in shown.out
    refused = cluster.berth("apply", "--plan", path)
    assert refused.code == 1
    assert "would be unchanged, and was planned as created" in refused.err
    drain = cluster.berth("drain", node, "--plan")
    assert drain.code == 2, "there is no other node"
    assert "default/foreseen" in drain.out
    cluster.delete("foreseen")


def test_shares_are_told_by_the_leader(cluster: Cluster) -> None:
    def told() -> None:
        found = cluster.berth("shares", "-o", "json")
        assert (found.code, found.json["computedBy"]) == (0, "leader"), found.err
        assert "default" in [each["queue"] for each in found.json["queues"]]

    eventually(lambda: told() is None)
