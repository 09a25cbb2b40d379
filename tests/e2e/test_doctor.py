"""`doctor` on a healthy cluster and on broken ones: what is wrong is named, with a command."""

import json
from pathlib import Path
from typing import Any

import pytest

from cli.main import run
from tests.client.helpers import World, make_task
from tests.support.cluster import Cluster
from tests.support.etcd import EtcdServer, Tls
from tests.support.fixtures import require_etcd
from tests.support.ports import free_port

pytestmark = [pytest.mark.etcd]

GARBAGE = b"garbage"
OLD = "2020-01-01T00:00:00Z"


@pytest.fixture
def etcd(tmp_path: Path) -> Any:
    require_etcd()
    with EtcdServer(tmp_path / "etcd") as server:
        yield server


def diagnose(
    capsys: pytest.CaptureFixture[str], *arguments: str, **environment: str
) -> tuple[int, dict[str, Any]]:
    """Run doctor in this process; return the exit code, and name -> [(verdict, text)]."""
    capsys.readouterr()
    code = run(["doctor", "-o", "json", *arguments], environment={"BERTH_CONFIG": "/nowhere", **environment})
    out, err = capsys.readouterr()
    assert err == ""
    told: dict[str, Any] = {}
    for check in json.loads(out)["checks"]:
        told.setdefault(check["name"], []).append((check["verdict"], check["text"]))
        assert check["verdict"] == "PASS" or check["remedy"], check
    return code, told


@pytest.mark.docker
def test_healthy_cluster_passes(cluster: Cluster) -> None:
    answer = cluster.berth("doctor")
    assert (answer.code, answer.err) == (0, ""), answer.out
    assert "FAIL" not in answer.out
    assert f"PASS   etcd: member {cluster.etcd.endpoint} leads, version 3." in answer.out
    assert "of its quota\n" in answer.out, "etcd tells its quota"
    assert "WARN   controllers: controller leads, 0 on standby" in answer.out
    assert "       -> start another on a second host: berth controller" in answer.out
    assert "PASS   clocks: " in answer.out
    assert answer.out.splitlines()[-1].endswith(" 0 failed")


def test_wiped_store_and_no_controller_are_told(etcd: EtcdServer, capsys: pytest.CaptureFixture[str]) -> None:
    code, told = diagnose(capsys, BERTH_ETCD=etcd.endpoint)
    assert code == 1
    assert told["etcd"][0][0] == "PASS"
    assert told["cluster"][0] == (
        "FAIL",
        "nothing is initialised under this root: etcd was wiped, or --root names another",
    )
    assert told["controllers"] == [("FAIL", "no controller leads, so nothing is placed or removed")]


def test_garbage_orphans_and_stuck_tasks_are_told(
    etcd: EtcdServer, capsys: pytest.CaptureFixture[str]
) -> None:
    world = World(etcd.store())
    keys = world.keys
    world.put(keys.cluster, {"kind": "Cluster", "clusterUid": "c", "recovering": True, "incarnation": 2})
    world.apply(make_task("waits"), make_task("ends"), make_task("garbled"))
    for name in ("waits", "ends"):
        raw = world.json_at(f"{keys.prefix}/spec/default/tasks/{name}")
        raw["metadata"]["creationTimestamp"] = OLD
        world.put(f"{keys.prefix}/spec/default/tasks/{name}", raw)
    uid = world.json_at(f"{keys.prefix}/spec/default/tasks/ends")["metadata"]["uid"]
    world.put(f"{keys.prefix}/requests/default/tasks/ends/delete", {"uid": uid, "requestedAt": OLD})
    world.put(f"{keys.prefix}/spec/default/tasks/garbled", GARBAGE)
    world.add_node("n1", ready="False", beating=False)
    world.put(keys.node_report("n2"), GARBAGE)
    world.put(keys.binding("nobody", "uid"), GARBAGE)
    code, told = diagnose(capsys, BERTH_ETCD=etcd.endpoint)
    assert code == 1
    assert "history was rewound to incarnation 2" in told["cluster"][0][1]
    texts = {name: " | ".join(text for _, text in each) for name, each in told.items()}
    assert "task/waits is Pending for" in texts["tasks"]
    assert "task/ends is Terminating for" in texts["tasks"]
    assert "node n1 is not Ready (AgentReady), and its agent does not beat" in texts["nodes"]
    assert "node n2 can't be read: not JSON" in texts["nodes"]
    assert f"{keys.prefix}/spec/default/tasks/garbled can't be read: not JSON" in texts["objects"]
    assert f"bindings name nodes that do not exist: {keys.binding('nobody', 'uid')}" in texts["orphans"]


def test_dead_member_beside_a_living_one_fails_and_the_rest_is_still_checked(
    etcd: EtcdServer, capsys: pytest.CaptureFixture[str]
) -> None:
    dead = f"127.0.0.1:{free_port()}"
    code, told = diagnose(capsys, BERTH_ETCD=f"{dead},{etcd.endpoint}")
    assert code == 1
    assert [verdict for verdict, _ in told["etcd"]] == ["FAIL", "PASS"]
    assert dead in told["etcd"][0][1]
    assert "nodes" in told


def test_without_etcd_the_certificates_are_checked(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tls = Tls.create(tmp_path)
    cert, key = tls.issue("me")
    key.chmod(0o644)
    code, told = diagnose(
        capsys,
        BERTH_ETCD=f"127.0.0.1:{free_port()}",
        BERTH_CACERT=str(tmp_path / "missing.crt"),
        BERTH_CERT=str(cert),
        BERTH_KEY=str(key),
    )
    assert code == 1
    assert next(iter(told)) == "etcd"
    assert told["etcd"][0][0] == "FAIL"
    assert {verdict for verdict, _ in told["certificates"]} == {"FAIL", "WARN"}
    texts = " | ".join(text for _, text in told["certificates"])
    assert "missing.crt can't be used: No such file or directory" in texts
    assert "more days" in texts, "a certificate of two days expires soon"
    assert "may be read by others (mode 0644)" in texts
    assert told["cluster"] == [("WARN", "the rest was not checked, as etcd gives no answer")]
