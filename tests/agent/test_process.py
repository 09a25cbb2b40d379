"""The agent as a process: real etcd, real Docker, its log server, SIGTERM."""

import hashlib
import http.client
import json
import os
import signal
import subprocess
import sys
import threading
import uuid
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import docker
import pytest

from agent.main import AgentOptions, run_agent
from schemas.binding import Binding, Desired, StopReason
from schemas.cluster import Cluster
from schemas.keys import Keys
from schemas.report import Heartbeat, NodeReport, TaskReport
from schemas.state import ContainerState
from store import codec
from store.api import Put, Txn
from store.etcd import EtcdStore
from tests.agent.builders import make_binding
from tests.agent.live import shell
from tests.support.docker import list_containers
from tests.support.etcd import EtcdServer
from tests.support.wait import PATIENCE_S, eventually

TOKEN = "the-namespace-token"


class Leader:
    """The leader's hand in a real etcd, under a prefix of its own."""

    def __init__(self, server: EtcdServer) -> None:
        self.server = server
        self.store: EtcdStore = server.store()
        self.keys = Keys(f"/agent-{uuid.uuid4().hex[:8]}")
        self.put(self.keys.cluster, Cluster(cluster_uid=uuid.uuid4().hex))

    def put(self, key: str, value: Binding | Cluster | Heartbeat) -> None:
        self.store.txn(Txn((), (Put(key, codec.encode(value.to_json())),)))

    def node_report(self, node: str) -> NodeReport | None:
        kv = self.store.get(self.keys.node_report(node)).kv
        return None if kv is None else NodeReport.parse_stored(json.loads(kv.value))

    def report(self, binding: Binding) -> TaskReport | None:
        kv = self.store.get(self.keys.task_report(binding.node, binding.task_uid)).kv
        return None if kv is None else TaskReport.parse_stored(json.loads(kv.value))

    def bind(self, binding: Binding) -> None:
        self.put(self.keys.binding(binding.node, binding.task_uid), binding)

    def state(self, binding: Binding) -> ContainerState | None:
        report = self.report(binding)
        return report.containers[0].state if report else None


@pytest.fixture
def leader(etcd_server: EtcdServer) -> Iterator[Leader]:
    made = Leader(etcd_server)
    yield made
    made.store.close()


@pytest.fixture
def options(leader: Leader, docker_host: str, node: str, tmp_path: Path) -> AgentOptions:
    return AgentOptions(
        node=node,
        etcd=(leader.server.endpoint,),
        prefix=leader.keys.prefix,
        docker_host=docker_host,
        state_dir=tmp_path / "state",
    )


@pytest.fixture
def running_agent(options: AgentOptions) -> Iterator[threading.Event]:
    stopping = threading.Event()
    codes: list[int] = []
    thread = threading.Thread(target=lambda: codes.append(run_agent(options, stopping)), name="agent")
    thread.start()
    yield stopping
    stopping.set()
    thread.join(PATIENCE_S)
    assert codes == [0]


def bound(node: str, script: str, **fields: object) -> Binding:
    digest = hashlib.sha256(TOKEN.encode()).hexdigest()
    uids = {"task_uid": str(uuid.uuid4()), "binding_uid": str(uuid.uuid4())}
    return make_binding(**{**uids, "node": node, "access_hash": digest, "spec": shell(script), **fields})  # type: ignore[arg-type]


def fetch(address: str, path: str, token: str = TOKEN) -> tuple[int, str]:
    url = urlsplit(address)
    connection = http.client.HTTPConnection(url.hostname or "", url.port, timeout=PATIENCE_S)
    try:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        connection.request("GET", path, headers=headers)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        connection.close()


@pytest.mark.etcd
@pytest.mark.docker
def test_run_read_logs_and_stop(
    leader: Leader, running_agent: threading.Event, node: str, demo_image: str
) -> None:
    binding = bound(
        node, "echo one; echo two; sleep 1000", spec=shell("echo one; echo two; sleep 1000", grace="0s")
    )
    leader.bind(binding)
    eventually(lambda: leader.state(binding) is ContainerState.RUNNING)
    report = leader.node_report(node)
    assert report is not None
    path = f"/v1/logs/default/{binding.task_uid}/main"
    assert fetch(report.api_address, "/healthz") == (200, "ok\n")
    eventually(lambda: fetch(report.api_address, path) == (200, "one\ntwo\n"))
    assert fetch(report.api_address, f"{path}?tail=1") == (200, "two\n")
    assert fetch(report.api_address, path, token="")[0] == 401
    assert fetch(report.api_address, path, token="wrong")[0] == 403
    assert fetch(report.api_address, path.replace("default", "other"))[0] == 404
    status, body = fetch(report.api_address, f"{path}?previous=true")
    assert status == 404
    assert "no previous attempt" in json.loads(body)["message"]
    leader.bind(binding.model_copy(update={"desired": Desired.STOP, "reason": StopReason.COMPLETED}))
    eventually(lambda: (found := leader.report(binding)) and found.final)
    assert fetch(report.api_address, path) == (200, "one\ntwo\n")  # kept until the binding goes


@pytest.mark.etcd
@pytest.mark.docker
def test_a_log_is_followed_and_a_quiet_one_holds_up_nobody(
    leader: Leader, running_agent: threading.Event, node: str, demo_image: str
) -> None:
    quiet = bound(node, "", spec=shell("sleep 1000", grace="0s"))
    loud = bound(node, "", spec=shell("for i in 1 2 3; do echo $i; sleep 0.7; done", restartPolicy="Never"))
    leader.bind(quiet)
    eventually(lambda: leader.state(quiet) is ContainerState.RUNNING)
    report = leader.node_report(node)
    assert report is not None
    url = urlsplit(report.api_address)
    followers = []
    for _ in range(12):
        connection = http.client.HTTPConnection(url.hostname or "", url.port, timeout=PATIENCE_S)
        path = f"/v1/logs/default/{quiet.task_uid}/main?follow=true"
        connection.request("GET", path, headers={"Authorization": f"Bearer {TOKEN}"})
        assert connection.getresponse().status == 200
        followers.append(connection)
    leader.bind(loud)
    eventually(lambda: leader.state(loud) in (ContainerState.RUNNING, ContainerState.EXITED))
    followed = fetch(report.api_address, f"/v1/logs/default/{loud.task_uid}/main?follow=true")
    assert followed == (200, "1\n2\n3\n")
    for connection in followers:
        connection.close()
    eventually(lambda: not [each for each in threading.enumerate() if each.name == "log-reader"])


@pytest.mark.etcd
@pytest.mark.docker
def test_sigterm_leaves_containers_running_and_gives_the_name_up(
    leader: Leader, options: AgentOptions, node: str, demo_image: str, client: docker.APIClient
) -> None:
    script = (
        "import sys; from pathlib import Path; from agent.main import AgentOptions, run_agent; "
        "node, etcd, prefix, host, state = sys.argv[1:]; "
        "options = AgentOptions(node, (etcd,), prefix, docker_host=host, state_dir=Path(state)); "
        "sys.exit(run_agent(options))"
    )
    arguments = [node, options.etcd[0], options.prefix, options.docker_host or "", str(options.state_dir)]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    process = subprocess.Popen([sys.executable, "-c", script, *arguments], env=environment)
    try:
        binding = bound(node, "sleep 1000")
        leader.bind(binding)
        eventually(lambda: leader.state(binding) is ContainerState.RUNNING)
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE_S) == 0
    finally:
        process.kill()
        process.wait()
    report = leader.node_report(node)
    assert report is not None
    assert report.stopping
    assert leader.store.get(leader.keys.heartbeat(node)).kv is None
    assert len(list_containers(client, filters={"label": f"berth.node={node}"})) == 1


@pytest.mark.etcd
@pytest.mark.docker
def test_a_taken_name_is_one_clear_line(
    leader: Leader, options: AgentOptions, node: str, capsys: pytest.CaptureFixture[str]
) -> None:
    leader.put(leader.keys.heartbeat(node), Heartbeat(node_uid="somebody", instance="x"))
    assert run_agent(options) == 1
    said = capsys.readouterr().err
    assert said.startswith("Error: the name")
    assert "somebody" in said
    assert said.count("\n") == 1


@pytest.mark.etcd
@pytest.mark.docker
def test_two_agents_on_one_state_folder_the_second_refuses(
    options: AgentOptions, leader: Leader, running_agent: threading.Event, capsys: pytest.CaptureFixture[str]
) -> None:
    eventually(lambda: (options.state_dir / "identity.json").exists())  # written under the lock
    assert run_agent(options) == 1
    assert "--state-dir" in capsys.readouterr().err
