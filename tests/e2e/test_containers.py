"""Several containers in one task, on a real Docker Engine."""

from collections.abc import Iterator
from typing import Any

import pytest

from client.client import Client
from schemas.keys import task_ref
from schemas.status import TaskStatus
from tests.support.cluster import IMAGE, Cluster
from tests.support.wait import PATIENCE_S, eventually

pytestmark = [pytest.mark.etcd, pytest.mark.docker]

Json = dict[str, Any]

FOREVER = "while :; do sleep 0.2; done"
BOTH = {"volumeMounts": [{"name": "work", "mountPath": "/work"}, {"name": "fast", "mountPath": "/fast"}]}
VOLUMES = [{"name": "work", "emptyDir": {}}, {"name": "fast", "emptyDir": {"medium": "Memory"}}]


def shell(name: str, script: str, **fields: Any) -> Json:
    """A container that runs `script`, and ends soon after it is told to."""
    command = ["/bin/sh", "-c", f"trap 'exit 0' TERM; {script}"]
    return {"name": name, "image": IMAGE, "imagePullPolicy": "Never", "command": command, **fields}


def task(name: str, *mains: Json, **spec: Any) -> Json:
    return {
        "apiVersion": "berth/v1",
        "kind": "Task",
        "metadata": {"name": name},
        "spec": {"containers": list(mains), "grace": "20s", **spec},
    }


def several() -> Json:
    """A page made by two init containers, its server, who asks it over localhost, and a sidecar."""
    say_bye = "touch /work/bye; until [ -e /work/seen ]; do sleep 0.1; done"
    hook = {"preStop": {"exec": {"command": ["/bin/sh", "-c", say_bye]}}}
    init = [
        shell("one", "echo one > /work/index.html; echo fast > /fast/note", **BOTH),
        shell("beside", FOREVER, restartPolicy="Always", **BOTH),
        shell("two", "echo two >> /work/index.html", **BOTH),
    ]
    ports = [{"containerPort": 8080, "name": "http"}]
    serve = shell("web", f"httpd -p 8080 -h /work; {FOREVER}", ports=ports, lifecycle=hook, **BOTH)
    ask = shell(
        "client", f"until wget -qO /work/got http://127.0.0.1:8080/; do sleep 0.2; done; {FOREVER}", **BOTH
    )
    return task("several", serve, ask, initContainers=init, volumes=VOLUMES)


@pytest.fixture(scope="module")
def running(cluster: Cluster) -> Iterator[Cluster]:
    cluster.apply(several())
    cluster.wait_running("several")
    yield cluster
    if cluster.get(cluster.keys.status(task_ref("default", "several")), TaskStatus) is not None:
        cluster.delete("several")


def container_of(cluster: Cluster, name: str) -> Json:
    found = [
        each
        for each in cluster.containers("several", running_only=True)
        if each["Config"]["Labels"]["berth.container"] == name
    ]
    assert len(found) == 1, f"{len(found)} containers {name} run"
    return found[0]


def inside(cluster: Cluster, name: str, command: str) -> str:
    """Return what a command prints in a container."""
    made = cluster.docker.exec_create(container_of(cluster, name)["Id"], ["sh", "-c", command])
    return bytes(cluster.docker.exec_start(made["Id"])).decode()


def test_containers_share_a_network_folders_and_an_order(running: Cluster) -> None:
    def asked() -> bool:
        return inside(running, "client", "cat /work/got /fast/note") == "one\ntwo\nfast\n"

    eventually(asked)
    init = {each.name: each for each in running.status("several").containers if each.init}
    assert list(init) == ["one", "beside", "two"]
    assert init["one"].finished_at <= init["beside"].started_at <= init["two"].started_at
    shown = running.berth("logs", "several", "-c", "two")
    assert (shown.code, shown.out) == (0, ""), shown.err
    first = running.berth("exec", "several", "--", "true")
    assert (first.code, first.err) == (0, "task/several: container web of web, client; choose with -c\n")
    assert running.berth("exec", "several", "-c", "client", "--", "true").err == ""


def test_an_agent_that_starts_again_adopts_all_containers(running: Cluster) -> None:
    before = {each["Id"] for each in running.containers("several", running_only=True)}
    assert before
    agent, node = running.components["agent"], running.nodes[0]
    instance = running.node_report(node).instance
    agent.kill()
    agent.start()
    eventually(lambda: running.node_report(node).instance != instance)
    running.wait_ready()
    assert {each["Id"] for each in running.containers("several", running_only=True)} == before


def test_a_dead_sandbox_starts_the_containers_anew(running: Cluster) -> None:
    inside(running, "beside", "touch /work/seen")
    running.docker.kill(container_of(running, "_sandbox")["Id"])

    def anew() -> bool:
        found = {each.name: each for each in running.status("several").containers}
        return found["web"].attempt == 1 and found["web"].state == "Running"

    eventually(anew)
    web = next(each for each in running.status("several").containers if each.name == "web")
    assert web.last_exit is not None
    assert web.last_exit.reason == "SandboxEnded"
    running.wait_running("several")
    inside(running, "beside", "rm -f /work/seen /work/bye")


def test_a_hook_runs_before_the_stop_and_the_sidecar_ends_last(running: Cluster) -> None:
    with Client(running.etcd.store()) as client:
        view = client.get("tasks", "several")
        client.delete(view, wait=False)

        def said() -> bool:
            return inside(running, "beside", "ls /work/bye") == "/work/bye\n"

        eventually(said)
        assert container_of(running, "web")["State"]["Running"]
        inside(running, "beside", "touch /work/seen")
        client.wait_deleted(view, timeout_s=PATIENCE_S)
    eventually(lambda: not running.containers("several"))


def test_a_sidecar_keeps_no_task_alive(cluster: Cluster) -> None:
    beside = shell("beside", FOREVER, restartPolicy="Always")
    cluster.apply(task("brief", shell("main", "echo done"), initContainers=[beside], restartPolicy="Never"))
    cluster.wait_state("brief", "Succeeded")
    eventually(lambda: not cluster.containers("brief", running_only=True))
    cluster.delete("brief")
