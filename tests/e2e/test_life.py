"""The life of a task as its user sees it: apply, look, read a page, read logs, change, delete."""

import http.client
import signal
from collections.abc import Iterator

import pytest
import yaml

from schemas.status import TaskStatus
from tests.support.cluster import Cluster, shell_task, sleeper, web_task
from tests.support.wait import PATIENCE_S, eventually

pytestmark = [pytest.mark.etcd, pytest.mark.docker]

COUNTING = "i=0; while true; do i=$((i+1)); echo line $i; sleep 0.3; done"


@pytest.fixture(scope="module")
def running(cluster: Cluster) -> Iterator[Cluster]:
    """A web server and a task that writes lines, both running."""
    web = web_task("web")
    web["metadata"]["labels"] = {"app": "web", "tier": "front"}
    cluster.apply(web, shell_task("talker", COUNTING, grace="0s"))
    cluster.wait_running("web", "talker")
    yield cluster
    cluster.delete("web", "talker")


def page(status: TaskStatus) -> str:
    connection = http.client.HTTPConnection(status.host_ip, status.ports[0].host_port, timeout=20)
    try:
        connection.request("GET", "/")
        return connection.getresponse().read().decode()
    except OSError as error:
        raise AssertionError(str(error)) from error
    finally:
        connection.close()


def test_page_is_served_at_a_host_port_allotted_from_the_nodes_range(running: Cluster) -> None:
    status = running.status("web")
    first, last = running.node_report(status.node).host_ports
    assert first <= status.ports[0].host_port <= last
    assert "Hello from a container" in eventually(lambda: page(status))


def test_logs_show_what_a_task_wrote(running: Cluster) -> None:
    eventually(lambda: "line 5" in running.berth("logs", "talker").out)
    assert running.berth("logs", "task/talker").out.startswith("line 1\nline 2\n")
    last = running.berth("logs", "talker", "--tail", "2").out.splitlines()
    assert len(last) == 2
    assert last[0] != "line 1"
    stamped = running.berth("logs", "talker", "--timestamps", "--tail=1").out
    assert stamped[:2] == "20"
    assert " line " in stamped


def test_logs_follow_until_interrupted(running: Cluster) -> None:
    with running.command("logs", "-f", "--tail", "1", "talker") as follower:
        assert follower.stdout is not None
        lines = [follower.stdout.readline().decode() for _ in range(3)]
        follower.send_signal(signal.SIGINT)
        assert follower.wait(PATIENCE_S) == 130
        assert follower.stderr is not None
        assert follower.stderr.read() == b""
    numbers = [int(line.removeprefix("line ")) for line in lines]
    assert numbers == [numbers[0], numbers[0] + 1, numbers[0] + 2]


def test_get_shows_tasks_in_every_form(running: Cluster) -> None:
    table = running.berth("get", "tasks")
    assert table.out.splitlines()[0].split() == ["NAME", "READY", "STATUS", "RESTARTS", "AGE"]
    assert table.rows["web"][:4] == ["web", "1/1", "Running", "0"]
    status = running.status("web")
    wide = running.berth("get", "tasks", "-o", "wide").rows["web"]
    assert wide[5:9] == [status.node, "127.0.0.1", f"8080->{status.ports[0].host_port}", "default"]
    shown = running.berth("get", "task", "web", "-o", "json").json
    assert shown["metadata"]["generation"] == 1
    assert shown["status"]["state"] == "Running"
    listed = yaml.safe_load(running.berth("get", "tasks", "-o", "yaml").out)
    assert {each["metadata"]["name"] for each in listed["items"]} >= {"web", "talker"}
    assert "task/web" in running.berth("get", "tasks", "-o", "name").out.splitlines()


def test_get_selects_by_label_and_namespace(running: Cluster) -> None:
    assert running.berth("get", "tasks", "-l", "app=web,tier!=back", "-o", "name").out == "task/web\n"
    none = running.berth("get", "tasks", "-l", "app=other")
    assert (none.code, none.out, none.err) == (0, "", "No resources found in default namespace.\n")
    everywhere = running.berth("get", "tasks,nodes", "-A")
    assert ["default", "task/web"] in [line.split()[:2] for line in everywhere.out.splitlines()]
    assert f"node/{running.nodes[0]}" in everywhere.out
    missing = running.berth("get", "task", "nobody")
    assert (missing.code, missing.out) == (1, "")
    assert missing.err == 'Error: task "nobody" not found in namespace default; see: berth get tasks\n'


def test_watch_adds_a_row_for_each_change(running: Cluster) -> None:
    running.apply(sleeper("passing", restartPolicy="Never"))
    running.wait_running("passing")
    with running.command("get", "task", "passing", "-w", "--no-headers") as watcher:
        assert watcher.stdout is not None
        seen = [watcher.stdout.readline().decode().split()[2]]
        running.docker.kill(running.container("passing")["Id"], "TERM")
        while seen[-1] != "Completed":
            seen.append(watcher.stdout.readline().decode().split()[2])
        watcher.send_signal(signal.SIGINT)
        assert watcher.wait(PATIENCE_S) == 130
    assert seen[0] == "Running"
    running.delete("passing")


def test_describe_tells_state_ports_and_events(running: Cluster) -> None:
    told = eventually(lambda: "bound to" in (text := running.berth("describe", "task/web").out) and text)
    port = running.status("web").ports[0].host_port
    assert f"8080/TCP -> {port} on the node" in told
    events = told[told.index("Events:") :]
    assert f"bound to {running.nodes[0]}" in events
    assert "Running" in events
    node = running.berth("describe", "node", running.nodes[0]).out
    assert "web" in node[node.index("Non-terminated Tasks") :]
    assert "AgentReady" in node
    listed = running.berth("get", "events").rows
    assert listed


def test_change_of_a_live_field_disturbs_nothing(running: Cluster) -> None:
    before, sign = running.status("web"), running.sign_of_life("web")
    web = web_task("web")
    web["metadata"]["labels"] = {"app": "web", "tier": "front"}
    web["spec"]["priority"] = 0
    web["spec"]["grace"] = "1s"
    assert running.berth("diff", "-f", "-", stdin=web).code == 1
    assert running.berth("apply", "-f", "-", stdin=web).out == "task/web configured\n"
    running.wait_state("web", "Running", observed_generation=2)
    eventually(lambda: running.bindings(before.node) and _grace(running, before.uid) == 1.0)
    assert running.sign_of_life("web") == sign
    assert running.status("web").epoch == before.epoch
    same = running.berth("diff", "-f", "-", stdin=web)
    assert (same.code, same.out, same.err) == (0, "", "")
    assert running.berth("apply", "-f", "-", stdin=web).out == "task/web unchanged\n"


def _grace(cluster: Cluster, uid: str) -> float:
    (binding,) = [each for each in cluster.bindings(cluster.nodes[0]) if each.task_uid == uid]
    return binding.spec.grace


def test_change_of_the_command_replaces_the_container(cluster: Cluster) -> None:
    cluster.apply(shell_task("edited", "echo old; sleep 3600", grace="0s"))
    (before,) = cluster.wait_running("edited")
    old = cluster.container("edited")["Id"]
    new = shell_task("edited", "echo new; sleep 3600", grace="0s")
    difference = cluster.berth("diff", "-f", "-", stdin=new)
    assert difference.code == 1
    assert "spec.containers" in difference.out + difference.err
    assert "-    - echo old; sleep 3600" in difference.out
    assert "+    - echo new; sleep 3600" in difference.out
    assert "is replaced (stopped and started anew)" in cluster.berth("apply", "-f", "-", stdin=new).err
    after = cluster.wait_state("edited", "Running", epoch=before.epoch + 1)
    assert after.binding_uid != before.binding_uid
    assert cluster.container("edited")["Id"] != old
    eventually(lambda: len(cluster.containers("edited")) == 1)
    eventually(lambda: cluster.berth("logs", "edited").out == "new\n")
    cluster.delete("edited")


def test_deleted_task_leaves_nothing(cluster: Cluster) -> None:
    cluster.apply(sleeper("short"), sleeper("long"))
    uids = [status.uid for status in cluster.wait_running("short", "long")]
    result = cluster.berth("delete", "task/short", "task/long")
    assert result.out == 'task "short" deleted\ntask "long" deleted\n'
    assert cluster.containers("short", running_only=True) == []
    eventually(lambda: cluster.containers("short") + cluster.containers("long") == [])

    def left() -> list[str]:
        return [
            key
            for key in cluster.list_keys(cluster.keys.root)
            if key.endswith(tuple(uids)) or "/tasks/short" in key or "/tasks/long" in key
        ]

    eventually(lambda: not left())
    again = cluster.berth("delete", "task/short")
    assert (again.code, again.out) == (1, "")
    assert 'task "short" not found in namespace default' in again.err
    assert cluster.berth("delete", "task/short", "--ignore-not-found").code == 0


def test_delete_without_wait_returns_while_the_task_is_terminating(cluster: Cluster) -> None:
    cluster.apply(shell_task("stubborn", "trap '' TERM; while true; do sleep 0.2; done", grace="10m"))
    cluster.wait_running("stubborn")
    assert cluster.berth("delete", "task/stubborn", "--wait=false").code == 0
    shown = cluster.berth("get", "task", "stubborn")
    assert shown.rows["stubborn"][2] == "Terminating"
    assert cluster.container("stubborn")
    assert cluster.berth("delete", "task/stubborn", "--now").code == 0
    with pytest.raises(AssertionError):
        cluster.status("stubborn")


def test_version_names_etcd_and_the_leader(cluster: Cluster) -> None:
    told = cluster.berth("version")
    assert told.code == 0
    assert "etcd: 3." in told.out
    assert "controller" in told.out


def test_logs_of_nobody_are_an_error_that_says_what_to_do(cluster: Cluster) -> None:
    told = cluster.berth("logs", "nobody")
    assert (told.code, told.out) == (1, "")
    assert told.err == 'Error: task "nobody" not found in namespace default; see: berth get tasks\n'
