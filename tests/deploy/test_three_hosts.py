"""The example of deploy/three-hosts for real: three etcd members, two controllers, three agents, with TLS and users."""

import socket
import ssl
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from client import Client, ClientError, documents
from store.errors import StoreError
from tests.deploy.hosts import TEAM, USER, Host, ThreeHosts, make, run_script, started
from tests.support.cluster import SLEEP, manifest, sleeper
from tests.support.fixtures import require_etcd
from tests.support.wait import eventually

pytestmark = [pytest.mark.etcd, pytest.mark.docker, pytest.mark.timeout(300)]

AGENT_PORT, CONTROLLER_PORT = 7601, 7602
START_S = 90.0  # three members, two controllers, three agents on two busy cores; 6 s as a rule


@pytest.fixture(scope="module")
def three(
    docker_host: str, demo_image: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ThreeHosts]:
    require_etcd()
    with started(tmp_path_factory.mktemp("three"), docker_host) as made:
        try:
            with made.client("admin") as admin:
                eventually(
                    lambda: ready_nodes(admin) == {host.name for host in made.hosts}, START_S, every_s=0.1
                )
                admin.apply(
                    documents({"apiVersion": "berth/v1", "kind": "Namespace", "metadata": {"name": TEAM}})
                )
            yield made
        except AssertionError as error:
            raise AssertionError(f"{error}\n{made.logs()}") from error


def ready_nodes(admin: Client) -> set[str]:
    nodes = admin.list("nodes").objects["nodes"]
    return {
        node.name
        for node in nodes
        for each in (node.node_status.conditions if node.node_status else ())
        if (each.type, each.status) == ("Ready", "True")
    }


def leader(three: ThreeHosts) -> Host:
    try:
        with three.client("admin") as admin:
            found = admin.leader()
    except (StoreError, ClientError) as error:  # etcd, too, may be choosing who leads
        raise AssertionError(str(error)) from error
    assert found is not None, "nobody leads"
    return next(host for host in three.hosts if host.name == found.identity)


def listens(host: Host, port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex((host.address, port)) == 0


def run_task(three: ThreeHosts, name: str) -> None:
    """Apply a task as the team, which must come to run."""
    volume = {"volumes": [{"name": "scratch", "emptyDir": {}}]}
    task = sleeper(name, metadata={"namespace": TEAM}, **volume)
    task["spec"]["containers"][0]["volumeMounts"] = [{"name": "scratch", "mountPath": "/scratch"}]
    task["spec"]["containers"][0]["command"] = [
        "sh",
        "-c",
        f"echo here is {name} >/scratch/said; cat /scratch/said; {SLEEP}",
    ]
    applied = three.berth(USER, "apply", "-f", "-", "--wait", "--timeout", "100s", stdin=manifest(task))
    assert (applied.returncode, applied.stdout) == (0, f"task/{name} created\n"), applied


def put(three: ThreeHosts, cert: str, key: str) -> str:
    """Try to write a key with a certificate of the hosts'; return what etcd answers."""
    shown = {"ETCDCTL_CERT": f"{cert}.crt", "ETCDCTL_KEY": f"{cert}.key"}
    done = three.run("root", "etcdctl", "put", key, "x", **shown)
    return done.stdout + done.stderr


def test_team_runs_a_task_reads_its_log_and_survives_the_loss_of_a_host(three: ThreeHosts) -> None:
    run_task(three, "first")
    eventually(lambda: three.berth(USER, "-n", TEAM, "logs", "first").stdout == "here is first\n")

    lost = leader(three)
    lost.kill("controller")
    lost.kill("etcd")
    eventually(lambda: leader(three) is not lost, START_S, every_s=0.1)
    run_task(three, "second")
    deleted = three.berth(USER, "-n", TEAM, "delete", "task/first", "task/second", "--timeout", "100s")
    assert deleted.returncode == 0, deleted.stderr
    eventually(lambda: not [path for host in three.hosts for path in (host.root / "state/volumes").glob("*")])
    lost.start_etcd()
    eventually(lambda: three.run("root", "etcdctl", "endpoint", "health").returncode == 0)
    lost.start_controller()
    eventually(lambda: listens(lost, CONTROLLER_PORT))  # the tests below ask it


def test_team_is_refused_outside_of_its_namespace(three: ThreeHosts) -> None:
    refused = three.berth(USER, "apply", "-f", "-", stdin=manifest(sleeper("theirs")))
    assert (refused.returncode, refused.stdout) == (1, "")
    assert "permission denied" in refused.stderr


def test_users_script_can_be_given_again_with_more_people(three: ThreeHosts) -> None:
    said = run_script("users.sh", three.hosts[0].name, f"{TEAM}:bob", **three.variables("root"))
    assert {"bob", USER, "admin", f"agent-{three.hosts[1].name}"} <= set(said.split())


def test_each_machine_writes_only_what_is_its_own(three: ThreeHosts) -> None:
    first, second, _ = three.hosts
    pki = f"{first.root}/etc/berth/pki"
    denied = (
        f"/berth/reports/{second.name}/node",
        f"/berth/heartbeats/{second.name}",
        f"/berth/bindings/{first.name}/x",
        "/berth/spec/default/tasks/x",
    )
    for key in denied:
        assert "permission denied" in put(three, f"{pki}/agent", key), key
    assert "permission denied" in put(three, f"{pki}/controller", "/elsewhere")
    assert "permission denied" in put(three, f"{three.folder}/users/admin", "/berth/status/default/tasks/x")


@pytest.mark.parametrize("name", ["server", "peer"])
def test_certificate_of_an_etcd_member_opens_no_door(three: ThreeHosts, name: str) -> None:
    host = three.hosts[0]
    pki = host.root / "etc/etcd/pki"
    context = ssl.create_default_context(cafile=pki / "ca.crt")
    context.load_cert_chain(pki / f"{name}.crt", pki / f"{name}.key")
    with (
        socket.create_connection((three.hosts[2].address, 2379), timeout=60) as raw,
        pytest.raises((ssl.SSLError, ConnectionError)),
        context.wrap_socket(raw, server_hostname=three.hosts[2].address) as secured,
    ):
        secured.recv(1)  # with TLS 1.3 the server's refusal comes after the handshake


@pytest.mark.parametrize("port", [AGENT_PORT, CONTROLLER_PORT])
def test_agent_and_controller_take_no_connection_without_a_certificate_of_the_cluster(
    three: ThreeHosts, port: int
) -> None:
    host = three.hosts[0]
    context = ssl.create_default_context(cafile=three.variables(USER)["BERTH_CACERT"])
    with pytest.raises((ssl.SSLError, urllib.error.URLError, ConnectionError)):
        urllib.request.urlopen(f"https://{host.address}:{port}/healthz", timeout=60, context=context)
    context.load_cert_chain(three.variables(USER)["BERTH_CERT"], three.variables(USER)["BERTH_KEY"])
    with urllib.request.urlopen(
        f"https://{host.address}:{port}/healthz", timeout=60, context=context
    ) as answer:
        assert answer.status == 200


def test_files_are_kept_when_they_are_made_again_and_keys_are_secret(tmp_path: Path) -> None:
    three = make(tmp_path / "out", ("a",))
    folder = three.folder
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.suffix in (".crt", ".key")}
    words = [f"{host.name}={host.address}" for host in three.hosts]
    said = run_script("make.sh", str(folder), *words, "fourth=127.0.0.99", "user:bob")
    assert "fourth" in said
    assert {path: path.read_bytes() for path in before} == before
    assert (folder / "users/bob.key").exists()
    assert "fourth=https://127.0.0.99:2380" in (folder / "fourth/etc/default/etcd").read_text()
    assert {oct(path.stat().st_mode & 0o777) for path in folder.rglob("*.key")} == {"0o600"}
    assert oct(folder.stat().st_mode & 0o777) == "0o700"


def test_scripts_say_what_is_missing(tmp_path: Path) -> None:
    for arguments, said in (
        ((), "say where"),
        (("out", "host1"), "'host1' is neither"),
        (("out", "user:x"), "no host"),
    ):
        with pytest.raises(AssertionError, match=said):
            run_script("make.sh", *(str(tmp_path / each) if each == "out" else each for each in arguments))
    with pytest.raises(AssertionError, match="say for which nodes"):
        run_script("users.sh")
