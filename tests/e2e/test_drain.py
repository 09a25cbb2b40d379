"""Drains on real containers: one by one within the budget, with the addresses following; blocked ones say who waits."""

from collections.abc import Iterator
from typing import Any

import pytest

from schemas.keys import cluster_ref
from schemas.owned import Endpoints
from schemas.status import NodeStatus
from tests.support.cluster import Cluster, web_task
from tests.support.wait import eventually

pytestmark = [pytest.mark.etcd, pytest.mark.docker]

NAME = "drained"


def objects(least: int) -> list[dict[str, Any]]:
    """A deployment of two, and a budget that keeps so many of them."""
    spec = {**web_task(NAME)["spec"], "grace": "1s"}
    labels = {"app": NAME}
    template = {"metadata": {"labels": labels}, "spec": spec}
    start = {"apiVersion": "berth/v1", "metadata": {"name": NAME}}
    deployment = {**start, "kind": "Deployment", "spec": {"replicas": 2, "template": template}}
    budget = {"selector": {"matchLabels": labels}, "minAvailable": least}
    return [deployment, {**start, "kind": "DisruptionBudget", "spec": budget}]


def nodes_of(cluster: Cluster) -> dict[str, str]:
    """Task -> node, of those at the ready addresses."""
    found = cluster.get(cluster.keys.endpoints("default", NAME), Endpoints)
    return {each.task: each.node for each in found.addresses} if found else {}


def left(cluster: Cluster, node: str) -> dict[str, str]:
    """Task -> why it is still on the node, as the drain tells."""
    found = cluster.get(cluster.keys.status(cluster_ref("nodes", node)), NodeStatus)
    return {each.task: each.reason for each in found.drain.left} if found and found.drain else {}


@pytest.fixture
def two_nodes(cluster: Cluster) -> Iterator[tuple[str, str]]:
    """The session's node and another one; both tasks start on the first."""
    first = cluster.nodes[0]
    second = f"{first}-b"
    cluster.apply(*objects(2))
    eventually(lambda: set(nodes_of(cluster).values()) == {first} and len(nodes_of(cluster)) == 2)
    agent = cluster.start_agent("second", node=second)
    cluster.wait_ready(second)
    yield first, second
    cluster.berth("uncordon", first)
    cluster.berth("delete", f"deployment/{NAME}", f"disruptionbudget/{NAME}", "--timeout", "100s")
    eventually(lambda: not cluster.containers(node=second))  # also those that have ended are removed
    agent.terminate()
    del cluster.components["second"]
    cluster.delete_node(second)


def test_drain_says_who_waits_and_then_moves_one_by_one(cluster: Cluster, two_nodes: tuple[str, str]) -> None:
    first, second = two_nodes

    def is_blocked() -> bool:
        result = cluster.berth("drain", first, "--timeout", "1s")
        assert result.code == 1
        assert "was not drained within 1s" in result.err
        return f"waits for budget {NAME}: 2 of 2 available, needs 2" in result.err

    eventually(is_blocked)  # the leader may need longer than that second to say what it waits for
    assert cluster.berth("get", "nodes").rows[first][1] == "Ready,Draining"
    cluster.berth("uncordon", first)
    eventually(lambda: not left(cluster, first))
    assert set(nodes_of(cluster).values()) == {first}, "the blocked drain moved a task"
    cluster.apply(*objects(1))
    seen: set[int] = set()
    with cluster.command("drain", first) as drain:

        def is_over() -> bool:
            seen.add(len(nodes_of(cluster)))
            return drain.poll() is not None

        eventually(is_over)
        assert drain.stdout is not None
        lines = drain.stdout.read().decode().splitlines()
    assert lines[0] == f"node/{first} cordoned"
    moved = {line.removesuffix(" moved") for line in lines[1:-1]}
    assert moved, "nobody was told who moves"
    assert lines[-1] == f"node/{first} drained"
    assert 0 not in seen, "nobody was there to answer"
    eventually(lambda: list(nodes_of(cluster).values()) == [second, second])
    assert moved <= {f"default/{task}" for task in nodes_of(cluster)}
