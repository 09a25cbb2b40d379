"""Tasks that meet trouble on their node or fit on none: what is told, and how they come out of it."""

import socket
from collections.abc import Iterator
from contextlib import ExitStack, closing

import pytest

from tests.support.cluster import Cluster, Json, manifest, shell_task, sleeper, web_task
from tests.support.ports import free_port
from tests.support.wait import PATIENCE_S, eventually

pytestmark = [pytest.mark.etcd, pytest.mark.docker]

NO_IMAGE = {"image": "127.0.0.1:1/nobody/nothing:1", "imagePullPolicy": "IfNotPresent"}
TASKS: tuple[Json, ...] = (
    sleeper("imageless", container=NO_IMAGE),
    sleeper("neverpull", container={"image": "nobody/nothing:1"}),
    shell_task("commandless", "", restartPolicy="Never", container={"command": ["/no/such/program"]}),
    sleeper("giant", container={"resources": {"limits": {"cpu": "4000", "memory": "9Ti"}}}),
    sleeper("choosy", nodeSelector={"disk": "golden"}),
    sleeper("rich", container={"resources": {"limits": {"unobtainium": 1}}}),
)


@pytest.fixture(scope="module")
def troubled(cluster: Cluster) -> Iterator[Cluster]:
    """All of them at once."""
    cluster.apply(*TASKS)
    yield cluster
    cluster.delete(*(task["metadata"]["name"] for task in TASKS))


def stranger(port: int) -> socket.socket:
    """Somebody else's server on a port of this host."""
    made = socket.socket()
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    made.bind(("0.0.0.0", port))
    made.listen()
    return made


def test_image_that_can_not_be_had_is_told_and_tried_again(troubled: Cluster) -> None:
    status = troubled.wait_reason("imageless", "ImagePullBackOff")
    assert "127.0.0.1:1/nobody/nothing:1" in status.message
    assert "tried again at" in status.message
    troubled.wait_reason("neverpull", "ErrImageNeverPull")

    def shown() -> bool:  # now and then the image is asked for again
        rows = troubled.berth("get", "tasks", "-o", "wide").rows
        assert "imagePullPolicy" in rows["neverpull"][-1]
        return (rows["imageless"][2], rows["neverpull"][2]) == ("ImagePullBackOff", "ErrImageNeverPull")

    eventually(shown)
    eventually(lambda: "ImagePullBackOff" in troubled.berth("describe", "task/imageless").out)


def test_image_that_is_corrected_runs(troubled: Cluster) -> None:
    troubled.wait_reason("neverpull", "ErrImageNeverPull")
    troubled.apply(sleeper("neverpull"))
    troubled.wait_running("neverpull")


def test_command_that_does_not_exist_fails_with_its_name(troubled: Cluster) -> None:
    status = troubled.wait_state("commandless", "Failed")
    assert status.containers[0].exit_code == 127
    assert "/no/such/program" in status.message
    row = troubled.berth("get", "task", "commandless", "-o", "wide").rows["commandless"]
    assert row[2] == "ContainerCannotRun"
    assert "/no/such/program" in row[-1]


def test_apply_that_waits_fails_with_a_task_that_fails_at_once(troubled: Cluster) -> None:
    crash = shell_task("crash", "echo boom; exit 3", restartPolicy="Never")
    waited = troubled.berth("apply", "-f", "-", "--wait", "--timeout", "100s", stdin=crash)
    troubled.delete("crash")
    assert waited.code == 1
    assert "exit code 3" in waited.err
    assert "boom" in waited.err


@pytest.mark.parametrize(
    ("name", "why"), [("giant", "short of cpu"), ("choosy", "disk"), ("rich", "unobtainium")]
)
def test_task_that_fits_nowhere_stays_pending_and_says_why(troubled: Cluster, name: str, why: str) -> None:
    status = troubled.wait_reason(name, "Unschedulable")
    assert status.state == "Pending"
    assert why in status.message
    assert troubled.containers(name) == []

    def shown() -> bool:  # what is short, and by how much, changes with what else runs
        row = troubled.berth("get", "task", name, "-o", "wide").rows[name]
        logs = troubled.berth("logs", name)
        assert (row[2], logs.code, logs.out) == ("Pending", 1, "")
        return row[-1] == troubled.status(name).message and row[-1] in logs.err

    eventually(shown)


def test_waiting_task_runs_once_a_second_agent_brings_room(troubled: Cluster) -> None:
    troubled.wait_reason("rich", "Unschedulable")
    second = troubled.start_agent("second-agent", "--resource", "unobtainium=1", "--label", "disk=golden")
    rich, choosy = troubled.wait_running("rich", "choosy")
    assert rich.node == choosy.node == troubled.nodes[-1]
    troubled.delete("rich", "choosy")
    alive = troubled.berth("delete", "node", rich.node)
    assert alive.code == 1
    assert "stop the agent there" in alive.err
    assert second.terminate() == 0
    assert troubled.berth("delete", "node", rich.node, "--timeout", "100s").code == 0
    assert troubled.berth("get", "node", rich.node).code == 1
    troubled.nodes.remove(rich.node)
    troubled.apply(*TASKS[4:])


def test_allotted_host_port_that_a_stranger_took_is_replaced_by_another(cluster: Cluster) -> None:
    first, last = cluster.node_report(cluster.nodes[0]).host_ports
    tasks = ("get", "tasks", "-A", "-o", "wide")
    eventually(lambda: str(first) not in cluster.berth(*tasks).out)  # nobody's any more
    with ExitStack() as stack:
        held = [stack.enter_context(closing(stranger(port))) for port in (first, first + 1)]
        taken = [each.getsockname()[1] for each in held]
        cluster.apply(web_task("evading"))
        (status,) = cluster.wait_running("evading")
        assert first <= status.ports[0].host_port <= last
        assert status.ports[0].host_port not in taken
        assert status.epoch > 1
        eventually(
            lambda: "host port" in cluster.berth("describe", "task/evading").out
        )  # events follow status
    cluster.delete("evading")


def test_host_port_that_was_asked_for_is_waited_for(cluster: Cluster) -> None:
    port = free_port()
    task = web_task("insisting", hostPort=port)
    task["spec"]["restartBackoff"] = {"initial": "500ms", "factor": 1}
    with closing(stranger(port)):
        cluster.apply(task)
        status = cluster.wait_reason("insisting", "HostPortTaken")
        assert str(port) in status.message
        row = eventually(
            lambda: (
                (row := cluster.berth("get", "task", "insisting", "-o", "wide").rows["insisting"])[2]
                == "HostPortTaken"
                and row
            )
        )
        assert str(port) in row[-1]
    (status,) = cluster.wait_running("insisting")
    assert (status.epoch, status.ports[0].host_port) == (1, port)
    cluster.delete("insisting")


def test_second_task_with_the_same_host_port_waits_for_the_first(cluster: Cluster) -> None:
    port = free_port()
    cluster.apply(web_task("holder", hostPort=port))
    cluster.wait_running("holder")
    cluster.apply(web_task("heir", hostPort=port))
    status = cluster.wait_reason("heir", "Unschedulable")
    assert str(port) in status.message
    cluster.delete("holder")
    cluster.wait_running("heir")
    cluster.delete("heir")


def test_task_is_deleted_while_it_starts(cluster: Cluster) -> None:
    names = [f"early-{number}" for number in range(4)]
    cluster.apply(*map(sleeper, names))
    cluster.delete(*names)
    assert [name for name in names if cluster.containers(name, running_only=True)] == []
    eventually(lambda: not [name for name in names if cluster.containers(name)])


def test_task_that_is_applied_while_it_is_deleted_is_made_anew(cluster: Cluster) -> None:
    until_told = "trap '' TERM; until [ -e /tmp/told ]; do sleep 0.1; done"
    cluster.apply(shell_task("phoenix", until_told, grace="10m"))
    (before,) = cluster.wait_running("phoenix")
    assert cluster.berth("delete", "task/phoenix", "--wait=false").code == 0
    ending = cluster.container("phoenix")["Id"]
    with cluster.command("apply", "-f", "-", stdin=b"") as again:
        assert again.stdin is not None
        assert again.stdout is not None
        assert again.stderr is not None
        again.stdin.write(manifest(sleeper("phoenix")).encode())
        again.stdin.close()
        said = again.stderr.readline().decode()
        assert "task/phoenix is being deleted; waiting until it is gone" in said
        made = cluster.docker.exec_create(ending, ["touch", "/tmp/told"])
        cluster.docker.exec_start(made["Id"])
        assert (again.stdout.read(), again.wait(PATIENCE_S)) == (b"task/phoenix created\n", 0)
    (after,) = cluster.wait_running("phoenix")
    assert after.uid != before.uid
    eventually(lambda: len(cluster.containers("phoenix")) == 1)
    cluster.delete("phoenix")


def test_object_of_a_deleted_key_is_stopped_as_if_it_was_deleted(cluster: Cluster) -> None:
    cluster.apply(sleeper("rubbed-out"))
    (status,) = cluster.wait_running("rubbed-out")
    cluster.etcd.ctl("del", f"{cluster.keys.prefix}/spec/default/tasks/rubbed-out")
    eventually(lambda: cluster.containers("rubbed-out") == [])
    eventually(lambda: not [key for key in cluster.list_keys(cluster.keys.root) if status.uid in key])
