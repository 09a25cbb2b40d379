"""`top`: figures from the agents, which move when a container works, and which nothing writes down."""

import re

import pytest

from tests.support.cluster import Cluster, shell_task, sleeper
from tests.support.wait import eventually

pytestmark = [pytest.mark.etcd, pytest.mark.docker]

BURN = "trap 'exit 0' TERM; while :; do :; done"


def millis(cell: str) -> int:
    found = re.fullmatch(r"(\d+)m", cell)
    assert found, cell
    return int(found[1])


def test_tasks_and_nodes_show_what_they_use_and_a_busy_one_stands_out(cluster: Cluster) -> None:
    cluster.apply(sleeper("idle"), shell_task("busy", BURN))
    cluster.wait_running("idle", "busy")

    def busy_is_seen() -> list[str]:
        answer = cluster.berth("top", "tasks", "--sort-by", "cpu")
        assert (answer.code, answer.err) == (0, "")
        header, *rows = [line.split() for line in answer.out.splitlines()]
        assert header == ["NAME", "CPU(cores)", "MEMORY(bytes)"]
        cells = {row[0]: row for row in rows}
        assert millis(cells["busy"][1]) > millis(cells["idle"][1]) + 100, answer.out
        assert list(cells).index("busy") < list(cells).index("idle")
        return cells["busy"]

    busy = eventually(busy_is_seen)
    assert re.fullmatch(r"\d+Mi", busy[2])
    node = cluster.nodes[0]

    def node_is_busy() -> bool:
        answer = cluster.berth("top", "node", node)
        cells = answer.rows[node]
        assert re.fullmatch(r"\d+%", cells[2]), answer.out
        assert re.fullmatch(r"[1-9]\d*Mi", cells[3]), answer.out
        assert re.fullmatch(r"\d+%", cells[4]), answer.out
        return millis(cells[1]) > 100

    eventually(node_is_busy)
    by_container = cluster.berth("top", "tasks", "busy", "--containers", "-A")
    assert by_container.out.split()[:5] == ["NAMESPACE", "TASK", "NAME", "CPU(cores)", "MEMORY(bytes)"]
    assert by_container.out.splitlines()[1].split()[:3] == ["default", "busy", "main"]
    cluster.delete("idle", "busy")


def test_asking_writes_nothing_to_the_store(cluster: Cluster) -> None:
    quiet = eventually(lambda: _unchanged_while(cluster, lambda: None))
    assert quiet
    assert eventually(lambda: _unchanged_while(cluster, lambda: cluster.berth("top", "nodes")))


def _unchanged_while(cluster: Cluster, work: object) -> bool:
    before = cluster.revision()
    assert callable(work)
    work()
    return cluster.revision() == before
