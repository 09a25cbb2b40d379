"""Private images: credentials are sealed on their way, opened by the node that pulls, and in clear nowhere else."""

import base64
import contextlib
import json
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import docker
import pytest

from client.client import Client
from client.secrets import secret_document
from schemas.binding import Binding
from schemas.registry import DOCKER_CONFIG, docker_config
from tests.support.cluster import Cluster, Component, Json, Result, shell_task
from tests.support.fixtures import require_etcd
from tests.support.registry import FIRST, SECOND, USER, Registry, require_registry
from tests.support.wait import eventually

pytestmark = [pytest.mark.etcd, pytest.mark.docker]


@dataclass
class Private:
    """A cluster with a key, and a registry that holds the image `image`."""

    cluster: Cluster
    registry: Registry
    image: str
    key: Path
    controller: Component
    agent: Component

    def type_in(self, password: str, *options: str) -> Result:
        """Make the secret as a person does."""
        arguments = ["create", "secret", "docker-registry", "regcred", "--docker-server", self.registry.host]
        login = ["--docker-username", USER, "--docker-password-stdin"]
        return self.cluster.berth(*arguments, *login, *options, stdin=f"{password}\n")

    def put_secret(self, password: str, *, server: str = "") -> str:
        """Make or change the secret as a program does; return what became of it."""
        content = {DOCKER_CONFIG: docker_config(server or self.registry.host, USER, password)}
        document = secret_document("regcred", "default", "berth/registry", content, "test")
        with Client(self.cluster.etcd.store()) as client:
            return client.apply([document])[0].action

    def remove(self, *names: str) -> None:
        """Remove the secret, and what could be pulled without asking."""
        self.cluster.delete(*names)
        with Client(self.cluster.etcd.store()) as client:
            client.delete(client.get("secrets", "regcred"), timeout_s=60)
        with contextlib.suppress(docker.errors.ImageNotFound):
            self.cluster.docker.remove_image(self.image)

    def binding(self, name: str) -> Binding:
        found = [each for each in self.cluster.bindings(self.cluster.nodes[0]) if each.name == name]
        assert len(found) == 1, f"{name} has {len(found)} bindings"
        return found[0]


@pytest.fixture(scope="module")
def private(docker_host: str, demo_image: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Private]:
    """The engine must run on this host and network: it is what asks the registry."""
    require_etcd()
    require_registry()
    folder = tmp_path_factory.mktemp("private")
    with Registry(folder / "registry") as registry, Cluster(folder, docker_host) as cluster:
        image = registry.push(cluster.docker, demo_image, "team/app:1")
        key = folder / "keys" / "secrets.key"
        made = cluster.berth("secret", "keygen", str(key))
        assert made.code == 0, made
        controller = cluster.start_controller("controller", "--secret-key", str(key))
        agent = cluster.start_agent()
        cluster.wait_ready()
        yield Private(cluster, registry, image, key, controller, agent)
        with contextlib.suppress(docker.errors.ImageNotFound):
            cluster.docker.remove_image(image)


def puller(name: str, image: str, *secrets: str) -> Json:
    """A task of a private image; it is asked of the registry each time."""
    task = shell_task(
        name, "echo up; exec sleep 600", container={"image": image, "imagePullPolicy": "Always"}
    )
    task["spec"]["imagePullSecrets"] = [{"name": each} for each in secrets]
    return task


def everything(cluster: Cluster) -> bytes:
    """All that etcd holds: every key and value as it tells them, and the files with its history."""
    store = cluster.etcd.store()
    told = b"\n".join(kv.key.encode() + b" " + kv.value for kv in store.list("/").kvs)
    store.close()
    return b"\n".join([told, cluster.etcd.files()])


def test_a_private_image_is_pulled_with_the_secret_and_nothing_tells_the_password(private: Private) -> None:
    cluster = private.cluster
    cluster.apply(puller("app", private.image, "regcred"))
    waits = cluster.wait_reason("app", "SecretMissing")
    assert waits.state == "Pending"
    assert "secret regcred does not exist in namespace default" in waits.message
    assert "berth create secret docker-registry regcred" in waits.message

    made = private.type_in(FIRST)
    assert (made.code, made.out) == (0, "secret/regcred created\n"), made
    cluster.wait_running("app")
    sealed = private.binding("app").sealed["regcred"]
    assert cluster.node_report(cluster.nodes[0]).public_key

    assert private.put_secret(FIRST) == "unchanged"
    with ThreadPoolExecutor(2) as pool:
        shown = list(pool.map(lambda words: cluster.berth(*words.split()), READINGS))
    assert [answer for answer in shown if answer.code] == []
    assert shown[0].rows["regcred"][:3] == ["regcred", "berth/registry", "1"]
    assert ".dockerconfigjson" in shown[1].out
    logs = b"".join(component.log.read_bytes() for component in cluster.components.values())
    told = "".join(answer.out + answer.err for answer in shown).encode()
    labels = json.dumps(cluster.containers("app")).encode()
    assert sealed.box.encode() in everything(cluster), "the search would not find what is there"
    for where in (told, logs, labels, everything(cluster)):
        for word in secret_words(FIRST):
            assert word not in where
    private.remove("app")


READINGS = (
    "get secrets",
    "describe secret regcred",
    "get secret regcred -o yaml",
    "describe task app",
    "get events",
)


def secret_words(password: str) -> list[bytes]:
    """The password as it is, and as Docker's own files and headers hide it."""
    login = f"{USER}:{password}".encode()
    return [
        password.encode(),
        *(base64.b64encode(text).rstrip(b"=")[:-2] for text in (password.encode(), login)),
    ]


def test_wrong_credentials_are_told_in_the_registrys_words_and_better_ones_tried_at_once(
    private: Private,
) -> None:
    cluster = private.cluster
    private.put_secret(SECOND)  # which the registry does not take yet
    cluster.apply(puller("refused", private.image, "regcred"))
    failed = cluster.wait_reason("refused", "ImagePullBackOff")
    assert "unauthorized" in failed.message or "no basic auth" in failed.message
    assert SECOND not in failed.message
    uid = private.binding("refused").binding_uid

    assert private.put_secret(FIRST) == "configured"
    cluster.wait_running("refused")
    assert private.binding("refused").binding_uid == uid
    private.remove("refused")


def test_a_rotated_secret_reaches_the_node_while_the_task_runs_on(private: Private) -> None:
    cluster = private.cluster
    private.put_secret(FIRST)
    cluster.apply(puller("rotated", private.image, "regcred"))
    cluster.wait_running("rotated")
    before, life = private.binding("rotated"), cluster.sign_of_life("rotated")

    private.registry.set_password(SECOND)
    try:
        assert private.put_secret(SECOND) == "configured"
        eventually(lambda: private.binding("rotated").sealed != before.sealed)
        after = private.binding("rotated")
        assert (after.binding_uid, after.epoch) == (before.binding_uid, before.epoch)
        assert cluster.sign_of_life("rotated") == life
        cluster.apply(puller("later", private.image, "regcred"))
        cluster.wait_running("later")
        assert not any(word in everything(cluster) for word in secret_words(SECOND))
    finally:
        private.registry.set_password(FIRST)
        private.remove("rotated", "later")


def test_credentials_go_to_no_other_registry(private: Private) -> None:
    cluster = private.cluster
    elsewhere = private.registry.host.replace("127.0.0.1", "127.0.0.2")
    private.put_secret(FIRST, server=elsewhere)
    cluster.apply(puller("stranger", private.image, "regcred"))
    failed = cluster.wait_reason("stranger", "ImagePullBackOff")
    assert f"its imagePullSecrets are for other registries: {elsewhere}" in failed.message
    private.remove("stranger")


def test_an_agent_that_lost_its_key_gets_the_secret_sealed_anew(private: Private) -> None:
    cluster, node = private.cluster, private.cluster.nodes[0]
    private.put_secret(FIRST)
    cluster.apply(puller("kept", private.image, "regcred"))
    cluster.wait_running("kept")
    before, life = private.binding("kept").sealed["regcred"], cluster.sign_of_life("kept")
    old_key = cluster.node_report(node).public_key

    private.agent.terminate()
    key_file = cluster.folder / "state-agent" / "node.key"
    assert key_file.stat().st_mode & 0o777 == 0o600
    key_file.unlink()
    private.agent.start()
    eventually(lambda: private.binding("kept").sealed["regcred"].to != before.to)
    assert cluster.node_report(node).public_key != old_key
    assert cluster.sign_of_life("kept") == life
    cluster.wait_ready()
    cluster.apply(puller("next", private.image, "regcred"))
    cluster.wait_running("next")
    private.remove("kept", "next")


def test_a_controller_with_another_key_refuses_to_lead(private: Private, tmp_path: Path) -> None:
    cluster = private.cluster
    other = tmp_path / "other.key"
    assert cluster.berth("secret", "keygen", str(other)).code == 0
    pretender = cluster.start_controller("pretender", "--secret-key", str(other))
    assert pretender.ends() == 1
    assert "secrets of this cluster are sealed to" in pretender.text
    assert "Traceback" not in pretender.text
    other.chmod(0o644)
    careless = cluster.start_controller("careless", "--secret-key", str(other))
    assert careless.ends() == 1
    assert "may be read by others" in careless.text


def test_etcdctl_shows_no_password_either(private: Private) -> None:
    """Asked with the tool that people ask with, over everything."""
    private.put_secret(FIRST)
    command = ["etcdctl", "--endpoints", private.cluster.etcd.endpoint, "get", "", "--prefix"]
    shown = subprocess.run(
        command, capture_output=True, check=True, env={"ETCDCTL_API": "3", "PATH": "/usr/bin"}
    )
    assert b'"kind":"Secret"' in shown.stdout
    assert not any(word in shown.stdout for word in secret_words(FIRST))
    private.remove()
