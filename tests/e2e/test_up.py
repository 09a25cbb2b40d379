"""`berth up` and `berth down` with real etcd, real Docker, real processes, and a real other user."""

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from local.processes import ProcessId, is_alive
from tests.support.cluster import sleeper
from tests.support.fixtures import require_etcd
from tests.support.machine import Machine
from tests.support.wait import PATIENCE_S, eventually

pytestmark = [pytest.mark.etcd, pytest.mark.docker, pytest.mark.timeout(300)]

NOBODY = 65534
CURL_NOBODY_LISTENS = 7


@pytest.fixture(scope="module")
def machine(docker_host: str, demo_image: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    """A machine whose cluster runs; a test that stops it starts it again."""
    require_etcd()
    with Machine(tmp_path_factory.mktemp("machine"), docker_host) as made:
        made.up()
        yield made


def apply_sleeper(machine: Machine, name: str) -> str:
    """Run a task; return the id of its container."""
    done = machine.berth("apply", "-f", "-", "--wait", stdin=sleeper(name))
    assert done.returncode == 0, done.stderr
    (container,) = machine.containers()
    return str(container["Id"])


def children_of(machine: Machine) -> dict[str, ProcessId]:
    return {name: ProcessId(**each) for name, each in machine.record["processes"].items()}


# What the first `up` leaves


def test_other_commands_find_the_cluster_by_its_context(machine: Machine) -> None:
    nodes = machine.json("get", "nodes")["items"]
    assert [each["metadata"]["name"] for each in nodes] == [machine.node]
    assert machine.berth("config", "current-context").stdout == "local\n"
    assert machine.berth("config", "get-contexts").stdout.splitlines()[1].split()[:2] == ["*", "local"]


def test_nothing_in_its_folder_is_for_others(machine: Machine) -> None:
    modes = {path: path.lstat().st_mode & 0o077 for path in (machine.data, *machine.data.rglob("*"))}
    readable = [str(path) for path, mode in modes.items() if mode]
    assert (machine.data / "pki" / "ca.key") in modes
    assert [path for path in readable if not path.startswith(str(machine.data / "etcd" / "member"))] == []
    assert machine.config.stat().st_mode & 0o777 == 0o600


def test_another_user_reaches_neither_etcd_nor_agent_nor_files(machine: Machine) -> None:
    if os.geteuid() != 0 or not (shutil.which("setpriv") and shutil.which("curl")):
        pytest.skip("needs root, to become another user, and curl")
    record = machine.record
    agent = machine.json("get", f"node/{machine.node}")["status"]["apiAddress"]
    assert agent.startswith("https://")
    as_nobody = ("setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups")
    endpoint, peer = record["endpoints"][0], f"https://127.0.0.1:{record['peer_port']}"
    pki = machine.data / "pki"
    own = ("--cert", str(pki / "client.crt"), "--key", str(pki / "client.key"))
    curl = ("curl", "--silent", "--insecure", "--max-time", "60")
    leader = machine.json("version")["leaderApi"]
    for url in (f"{endpoint}/version", f"{peer}/members", f"{agent}/healthz", f"{leader}/metrics"):
        refused = subprocess.run([*as_nobody, *curl, url], check=False, cwd="/", capture_output=True)
        assert refused.returncode not in (0, CURL_NOBODY_LISTENS), url
        assert refused.stdout == b"", url
    for url in (f"{endpoint}/version", f"{agent}/healthz", f"{leader}/metrics"):
        assert subprocess.run([*curl, *own, url], check=False, capture_output=True).returncode == 0, url
    for file in (pki / "client.key", machine.data / "up.json"):
        read = subprocess.run([*as_nobody, "cat", str(file)], check=False, cwd="/", capture_output=True)
        assert b"Permission denied" in read.stderr


def test_second_up_says_who_runs_already(machine: Machine) -> None:
    done = machine.berth("up", *machine.options)
    assert done.returncode == 1
    assert f"berth up with pid {machine.record['up']['pid']}" in done.stderr
    assert "berth down" in done.stderr


def test_logs_come_over_tls_from_the_agent(machine: Machine) -> None:
    task = sleeper("said")
    task["spec"]["containers"][0]["command"][2] = "echo over tls; trap 'exit 0' TERM; sleep 3600 & wait"
    assert machine.berth("apply", "-f", "-", "--wait", stdin=task).returncode == 0
    assert eventually(lambda: machine.berth("logs", "said").stdout) == "over tls\n"
    assert machine.berth("delete", "task", "said").returncode == 0


# Its life


def test_containers_outlive_a_crash_and_a_stop_and_are_adopted(machine: Machine) -> None:
    container = apply_sleeper(machine, "stays")
    children, crashed = children_of(machine), machine.record["up"]["pid"]
    os.kill(crashed, signal.SIGKILL)
    eventually(lambda: not is_alive(ProcessId(**machine.record["up"])))
    machine.up()
    assert [name for name, each in children.items() if is_alive(each)] == []
    assert [each["Id"] for each in machine.containers()] == [container]
    listed = machine.json("get", "task", "stays")["status"]
    assert (listed["state"], listed["containers"][0]["attempt"]) == ("Running", 0)

    children = children_of(machine)
    assert machine.berth("down").returncode == 0
    assert [name for name, each in children.items() if is_alive(each)] == []
    assert [each["Id"] for each in machine.containers()] == [container]
    told = machine.berth("get", "tasks")
    assert (told.returncode, "berth up" in told.stderr, 'context "local"' in told.stderr) == (1, True, True)

    stopped = machine.berth("down", "--stop-tasks")
    assert stopped.returncode == 0
    assert "nothing runs" in stopped.stderr
    assert "still desired" in stopped.stderr
    assert machine.containers() == []
    machine.up()
    eventually(lambda: [each["Id"] for each in machine.containers()] not in ([], [container]))
    assert machine.berth("delete", "task", "stays").returncode == 0


def test_child_that_dies_is_started_again(machine: Machine) -> None:
    before, name = children_of(machine), f"agent-{machine.node}"
    for each in (before[name], before["etcd"]):
        os.kill(each.pid, signal.SIGKILL)

    def are_back() -> bool:
        now = children_of(machine)
        return now.keys() == before.keys() and now[name] != before[name] and now["etcd"] != before["etcd"]

    eventually(are_back)
    eventually(lambda: machine.berth("get", "nodes").returncode == 0, every_s=0.5)
    log = (machine.data / "logs" / "up.log").read_text()
    assert "etcd ended (killed by SIGKILL); it is started again" in log


def test_several_nodes_share_the_machine_and_simulated_ones_stand_beside_them(
    docker_host: str, demo_image: str, tmp_path: Path
) -> None:
    with Machine(tmp_path, docker_host) as machine:
        with machine.foreground("--nodes=2", "--hollow=2", "--capacity=memory=1Gi") as process:
            assert process.stderr is not None
            said = []
            for line in process.stderr:
                said.append(line)
                if "the cluster is ready" in line:
                    break
            assert "4 nodes, 2 of them simulated" in said[-1], said
            nodes = {each["metadata"]["name"]: each for each in machine.json("get", "nodes")["items"]}
            real = [nodes[f"{machine.node}-{number}"]["status"] for number in (1, 2)]
            hollow = [nodes[f"{machine.node}-hollow-000{number}"] for number in (1, 2)]
            assert [each["capacity"]["memory"] for each in real] == ["512Mi", "512Mi"]
            assert real[0]["hostPorts"][1] < real[1]["hostPorts"][0]
            assert [each["spec"]["taints"][0]["key"] for each in hollow] == ["berth/hollow"] * 2
            process.send_signal(signal.SIGINT)
            rest = process.stderr.read()
            assert process.wait(2 * PATIENCE_S) == 0
        order = [rest.index(f"stopping {name}") for name in (f"agent-{machine.node}-1", "controller", "etcd")]
        assert order == sorted(order)
        assert machine.record["processes"] == {}


# Bad input


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--docker-host=unix:///nowhere.sock",), "no Docker Engine answers at unix:///nowhere.sock"),
        (("--etcd=127.0.0.1:1",), "etcd does not answer at 127.0.0.1:1"),
    ],
)
def test_wish_that_can_not_be_fulfilled_is_told_and_nothing_is_left_running(
    machine: Machine, tmp_path: Path, arguments: tuple[str, ...], told: str
) -> None:
    folder = tmp_path / "data"
    done = machine.berth("up", f"--data-dir={folder}", "--context=other", *arguments)
    assert (done.returncode, told in done.stderr) == (1, True), done.stderr
    assert not (folder / "up.json").exists()


def test_folder_with_other_things_is_left_alone(machine: Machine, tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    (tmp_path / "letters.txt").write_text("dear")
    done = machine.berth("up", f"--data-dir={tmp_path}", "--context=other")
    assert (done.returncode, "holds other things (letters.txt)" in done.stderr) == (1, True)
    assert tmp_path.stat().st_mode & 0o777 == 0o755


def test_context_of_another_cluster_is_not_overwritten(machine: Machine, tmp_path: Path) -> None:
    done = machine.berth("up", f"--data-dir={tmp_path / 'data'}", "--nodes=0", "--hollow=1")
    assert done.returncode == 1
    assert 'context "local"' in done.stderr
    assert "--context NAME" in done.stderr
