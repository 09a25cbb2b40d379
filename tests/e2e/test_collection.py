"""What is collected by itself: dead containers by the agent, finished tasks by the controller."""

import pytest

from tests.support.cluster import Cluster, Json, shell_task, sleeper
from tests.support.wait import eventually

pytestmark = [pytest.mark.etcd, pytest.mark.docker]

NEVER = {"restartPolicy": "Never"}


def job(name: str, script: str) -> Json:
    template = {"spec": shell_task(name, script, **NEVER)["spec"]}
    return {
        "apiVersion": "berth/v1",
        "kind": "Job",
        "metadata": {"name": name},
        "spec": {"template": template},
    }


def test_dead_containers_go_and_then_finished_tasks_of_nobodys(own_cluster: Cluster) -> None:
    cluster = own_cluster
    first = cluster.start_controller("first")
    cluster.start_agent("agent", "--container-gc-max-age", "1")
    cluster.wait_ready()
    cluster.apply(shell_task("done", "exit 0", **NEVER), sleeper("runs"))
    assert cluster.berth("apply", "-f", "-", stdin=job("batch", "exit 0")).code == 0
    cluster.wait_state("done", "Succeeded")
    cluster.wait_running("runs")

    eventually(lambda: not cluster.containers("done"))
    read = cluster.berth("logs", "done")
    assert read.code != 0
    assert "its containers were collected" in read.err
    assert "see: berth describe task/done" in read.err
    assert cluster.status("done").containers[0].exit_code == 0
    (batch,) = eventually(lambda: cluster.list_keys(f"{cluster.keys.prefix}/owned/default/tasks/"))
    cluster.wait_state(batch.rpartition("/")[2], "Succeeded")

    assert first.terminate() == 0
    cluster.components.pop("first")
    cluster.start_controller("second", "--finished-task-ttl", "1s")
    specs = f"{cluster.keys.prefix}/spec/default/tasks/"
    eventually(lambda: cluster.list_keys(specs) == [f"{specs}runs"])
    eventually(lambda: "Collected" in cluster.berth("events").out)
    cluster.wait_running("runs")
    assert cluster.list_keys(f"{cluster.keys.prefix}/owned/default/tasks/") == [batch]
    assert "--finished-task-ttl" in cluster.berth("controller", "--finished-task-ttl", "soon").err
