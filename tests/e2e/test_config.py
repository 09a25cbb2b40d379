"""ConfigMaps and Secrets reach containers, as variables and as files; a Secret's value is in clear nowhere else."""

import base64
import json
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests.support.cluster import SLEEP, STEADY_LEASE_TTL_S, Cluster, Json, shell_task
from tests.support.fixtures import require_etcd
from tests.support.wait import eventually

pytestmark = [pytest.mark.etcd, pytest.mark.docker]

FIRST, SECOND = "first-pa55word-of-db", "second-pa55word-of-db"


@dataclass
class Configured:
    cluster: Cluster

    def put_secret(self, value: str) -> None:
        made = self.cluster.berth(
            "create", "secret", "generic", "db", f"--from-literal=password={value}", "--overwrite"
        )
        assert made.code == 0, made

    def put_config(self, level: str) -> None:
        words = [
            "create",
            "configmap",
            "app",
            f"--from-literal=LEVEL={level}",
            "--from-literal=app.ini=[main]",
        ]
        made = self.cluster.berth(*words, "--overwrite")
        assert made.code == 0, made

    def read(self, name: str, command: str) -> str:
        """Return what a command in the task's container prints."""
        found = self.cluster.berth("exec", name, "--", "sh", "-c", command)
        return found.out.strip()


@pytest.fixture(scope="module")
def configured(
    docker_host: str, demo_image: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Configured]:
    """The engine must see this host's /dev/shm, where the agent puts files of Secrets."""
    require_etcd()
    folder = tmp_path_factory.mktemp("configured")
    with Cluster(folder, docker_host, lease_ttl_s=STEADY_LEASE_TTL_S) as cluster:
        key = folder / "secrets.key"
        assert cluster.berth("secret", "keygen", str(key)).code == 0
        cluster.start_controller("controller", "--secret-key", str(key))
        cluster.start_agent()
        cluster.wait_ready()
        yield Configured(cluster)


def user_of_both(name: str) -> Json:
    container = {
        "env": [
            {"name": "PASSWORD", "valueFrom": {"secretKeyRef": {"name": "db", "key": "password"}}},
            {
                "name": "NOTHING",
                "valueFrom": {"configMapKeyRef": {"name": "none", "key": "x", "optional": True}},
            },
        ],
        "envFrom": [{"prefix": "APP_", "configMapRef": {"name": "app"}}],
        "volumeMounts": [
            {"name": "conf", "mountPath": "/etc/app"},
            {"name": "secret", "mountPath": "/etc/secret"},
        ],
        "user": "1000",
    }
    volumes = [
        {"name": "conf", "configMap": {"name": "app"}},
        {
            "name": "secret",
            "secret": {"secretName": "db", "items": [{"key": "password", "path": "db/pass", "mode": 0o444}]},
        },
    ]
    return shell_task(name, SLEEP, container=container, volumes=volumes)


def in_etcd(cluster: Cluster) -> bytes:
    """All that etcd holds, as it tells it, in its files, and in a snapshot."""
    store = cluster.etcd.store()
    told = b"\n".join(kv.key.encode() + b" " + kv.value for kv in store.list("/").kvs)
    store.close()
    snapshot = cluster.folder / "backup.db"
    command = ["etcdctl", "--endpoints", cluster.etcd.endpoint, "snapshot", "save", str(snapshot)]
    subprocess.run(command, capture_output=True, check=True, env={"ETCDCTL_API": "3", "PATH": "/usr/bin"})
    return b"\n".join([told, snapshot.read_bytes(), cluster.etcd.files()])


def hidden_forms(value: str) -> list[bytes]:
    return [value.encode(), base64.b64encode(value.encode()).rstrip(b"=")[:-2]]


def test_values_reach_the_container_change_in_its_files_and_are_in_clear_nowhere_else(
    configured: Configured,
) -> None:
    cluster = configured.cluster
    cluster.apply(user_of_both("app"))
    waits = cluster.wait_reason("app", "SecretMissing")
    assert waits.state == "Pending"
    assert "secret db does not exist in namespace default" in waits.message
    assert "configmap app does not exist in namespace default" in waits.message
    assert "berth create configmap app" in waits.message

    configured.put_secret(FIRST)
    cluster.wait_reason("app", "ConfigMapMissing")
    configured.put_config("info")
    cluster.wait_running("app")
    seen = configured.read(
        "app", 'echo "$PASSWORD $APP_LEVEL ${NOTHING-unset}"; cat /etc/secret/db/pass /etc/app/LEVEL'
    )
    assert seen == f"{FIRST} info unset\n{FIRST}info"
    assert configured.read("app", "touch /etc/app/x 2>&1; touch /etc/secret/x 2>&1").count("Read-only") == 2

    life = cluster.sign_of_life("app")
    configured.put_config("debug")
    configured.put_secret(SECOND)
    eventually(
        lambda: configured.read("app", "cat /etc/app/LEVEL /etc/secret/db/pass") == f"debug{SECOND}", 30
    )
    assert configured.read("app", 'echo "$PASSWORD $APP_LEVEL"') == f"{FIRST} info"
    assert cluster.sign_of_life("app") == life

    readings = (
        "describe task app",
        "get task app -o yaml",
        "get secret db -o yaml",
        "describe secret db",
        "get events",
    )
    told = [cluster.berth(*each.split()) for each in readings]
    assert [answer for answer in told if answer.code] == []
    shown = "".join(answer.out + answer.err for answer in told).encode()
    logs = b"".join(component.log.read_bytes() for component in cluster.components.values())
    labels = json.dumps([each["Config"]["Labels"] for each in cluster.containers("app")]).encode()
    stored = in_etcd(cluster)
    assert b"[main]" in stored, "the search would not find what is there"
    searched = {"answers": shown, "logs": logs, "labels": labels, "etcd": stored}
    forms = [form for value in (FIRST, SECOND) for form in hidden_forms(value)]
    assert [name for name, text in searched.items() if any(form in text for form in forms)] == []
    cluster.delete("app")


def test_a_missing_key_is_named_and_the_task_goes_on_when_it_comes(configured: Configured) -> None:
    cluster = configured.cluster
    variable = {"name": "X", "valueFrom": {"configMapKeyRef": {"name": "late", "key": "wanted"}}}
    assert cluster.berth("create", "configmap", "late", "--from-literal=other=1").code == 0
    cluster.apply(shell_task("late", SLEEP, container={"env": [variable]}))
    waits = cluster.wait_reason("late", "ConfigMapKeyMissing")
    assert "configmap late in namespace default has no key wanted" in waits.message
    assert cluster.berth("create", "configmap", "late", "--from-literal=wanted=yes", "--overwrite").code == 0
    cluster.wait_running("late")
    assert configured.read("late", "echo $X") == "yes"
    cluster.delete("late")
