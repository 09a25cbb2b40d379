"""Gangs with real containers: together or not at all, also when the leader dies in between."""

from typing import Any

import pytest

from tests.support.cluster import Cluster, sleeper
from tests.support.wait import eventually

pytestmark = [pytest.mark.etcd, pytest.mark.docker]


def job(name: str, *, together: int, cpu: str = "10m") -> dict[str, Any]:
    spec = sleeper(name)["spec"]
    container = {**spec["containers"][0], "resources": {"requests": {"cpu": cpu}}}
    template = {"spec": {**spec, "containers": [container], "restartPolicy": "Never"}}
    return {
        "apiVersion": "berth/v1",
        "kind": "Job",
        "metadata": {"name": name},
        "spec": {"completions": together, "parallelism": together, "gang": True, "template": template},
    }


def test_gang_starts_as_one_and_leaves_no_record(cluster: Cluster) -> None:
    cluster.apply(job("ring", together=4))
    names = [f"ring-{number}" for number in range(1, 5)]
    cluster.wait_running(*names)
    bindings = [each for each in cluster.bindings(cluster.nodes[0]) if each.name in names]
    assert len({each.gang.uid for each in bindings if each.gang is not None}) == 1
    assert {each.gang.size for each in bindings if each.gang is not None} == {4}
    eventually(lambda: not cluster.list_keys("/berth/gangs/"))
    cluster.berth("delete", "job", "ring")
    eventually(lambda: not cluster.containers_of("ring"))


def test_gang_that_is_too_large_starts_nothing_and_says_why(cluster: Cluster) -> None:
    cluster.apply(job("horde", together=3, cpu="100"))
    eventually(lambda: "horde" in cluster.berth("get", "tasks").out)
    eventually(lambda: "all nodes together have" in cluster.berth("why", "horde-1").out)
    assert not cluster.containers_of("horde")
    cluster.berth("delete", "job", "horde")
    eventually(lambda: "horde" not in cluster.berth("get", "tasks").out)


def test_gang_starts_whole_though_the_leader_is_killed_on_the_way(cluster: Cluster) -> None:
    names = [f"storm-{number}" for number in range(1, 7)]
    controller = cluster.components["controller"]
    cluster.apply(job("storm", together=6))
    eventually(lambda: [each for each in cluster.bindings(cluster.nodes[0]) if each.name in names])
    controller.kill()
    controller.start()
    cluster.wait_running(*names)
    eventually(lambda: not cluster.list_keys("/berth/gangs/"))
    cluster.berth("delete", "job", "storm")
    eventually(lambda: not cluster.containers_of("storm"))
