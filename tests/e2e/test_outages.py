"""etcd or Docker go away under a running cluster: containers go on, people are told, all resumes by itself."""

import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.e2e.conftest import Breakable
from tests.support.cluster import Cluster, Json, manifest, shell_task, sleeper
from tests.support.wait import PATIENCE_S, eventually

pytestmark = [pytest.mark.etcd, pytest.mark.docker]

STEADY: Json = sleeper("steady", restartBackoff={"initial": "300ms", "factor": 1})


@pytest.fixture
def steady(breakable: Breakable) -> Iterator[Cluster]:
    """The breakable cluster with a task that runs."""
    cluster = breakable.cluster
    cluster.apply(STEADY)
    cluster.wait_running("steady")
    yield cluster
    cluster.wait_running("steady")
    cluster.delete("steady")


def still_works(cluster: Cluster, name: str) -> None:
    """Apply a new task, see it run, and delete it."""
    cluster.apply(sleeper(name))
    cluster.wait_running(name)
    cluster.delete(name)


def test_etcd_that_dies_is_told_in_time_and_nothing_stops(steady: Cluster) -> None:
    sign = steady.sign_of_life("steady")
    steady.etcd.kill()
    commands = (["get", "tasks"], ["apply", "-f", "-"], ["logs", "steady"], ["delete", "task/steady"])
    with ThreadPoolExecutor(2) as pool:
        answers = list(pool.map(lambda arguments: steady.berth(*arguments, stdin=manifest(STEADY)), commands))
    for answer in answers:
        assert (answer.code, answer.out) == (1, ""), answer
        assert answer.err.startswith("Error: etcd does not answer at 127.0.0.1:"), answer
        assert "BERTH_ETCD" in answer.err
        assert answer.seconds < PATIENCE_S
    assert steady.sign_of_life("steady") == sign
    steady.etcd.start()
    steady.wait_ready(steady.nodes[0])
    still_works(steady, "after-death")
    eventually(lambda: "store does not answer" in steady.components["controller"].text)
    assert "Traceback" not in "".join(each.text for each in steady.components.values())
    assert steady.sign_of_life("steady") == sign


def test_etcd_that_hangs_is_told_in_time_and_containers_are_restarted_without_it(steady: Cluster) -> None:
    first = steady.container("steady")["Id"]
    with steady.command("get", "tasks", "-w") as watcher:
        assert watcher.stdout is not None
        eventually(lambda: watcher.stdout.readline().startswith(b"steady"))
        steady.etcd.pause()
        try:
            steady.docker.kill(first)
            answer = steady.berth("get", "tasks")
            assert (answer.code, answer.out) == (1, "")
            assert answer.err.startswith("Error: etcd does not answer at 127.0.0.1:")
            assert answer.seconds < PATIENCE_S  # five, and the start of Python on a busy machine
            eventually(lambda: steady.container("steady")["Id"] != first)
        finally:
            steady.etcd.resume()
        sign = steady.sign_of_life("steady")
        steady.wait_ready(steady.nodes[0])
        eventually(lambda: steady.status("steady").containers[0].attempt == 1)
        still_works(steady, "after-hang")
        eventually(lambda: b"after-hang" in watcher.stdout.readline())
        watcher.send_signal(signal.SIGINT)
        assert watcher.wait(PATIENCE_S) == 130
    assert steady.sign_of_life("steady") == sign


def test_docker_that_goes_away_makes_tasks_unknown_and_not_dead(
    steady: Cluster, breakable: Breakable
) -> None:
    node, before, sign = steady.nodes[0], steady.status("steady"), steady.sign_of_life("steady")
    breakable.proxy.cut()
    try:
        eventually(lambda: steady.node_condition(node).reason == "RuntimeDown")
        assert steady.node_condition(node, "RuntimeReady").status == "False"
        eventually(lambda: steady.berth("get", "task", "steady").rows["steady"][2] == "Unknown")
        assert steady.berth("get", "node", node).rows[node][1] == "NotReady"
        assert "the container runtime" in steady.berth("describe", "task/steady").out
        steady.apply(sleeper("meanwhile"))
        waiting = steady.wait_reason("meanwhile", "Unschedulable")
        assert "not ready" in waiting.message.lower()
        logs = steady.berth("logs", "steady")
        assert (logs.code, logs.out) == (1, "")
        assert "the container runtime does not answer" in logs.err
    finally:
        breakable.proxy.mend()
    steady.wait_ready(node)
    steady.wait_running("steady", "meanwhile")
    eventually(lambda: steady.berth("get", "task", "steady").rows["steady"][2] == "Running")
    assert steady.sign_of_life("steady") == sign
    assert steady.status("steady").binding_uid == before.binding_uid
    steady.delete("meanwhile")


def test_container_that_ends_while_docker_is_away_is_found_ended(breakable: Breakable) -> None:
    cluster = breakable.cluster
    cluster.apply(shell_task("unseen", "sleep 3600", restartPolicy="Never"))
    cluster.wait_running("unseen")
    container = cluster.container("unseen")
    breakable.proxy.cut()
    try:
        eventually(lambda: cluster.node_condition(cluster.nodes[0]).reason == "RuntimeDown")
        cluster.docker.kill(container["Id"])
        assert cluster.status("unseen").state == "Running"
    finally:
        breakable.proxy.mend()
    status = cluster.wait_state("unseen", "Failed")
    assert (status.containers[0].exit_code, status.containers[0].signal) == (137, 9)
    cluster.delete("unseen")
