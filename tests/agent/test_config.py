"""What a container takes of ConfigMaps and Secrets, and the files of it: whole before and after each change."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from agent.config import File, Sources, environment_of, files_of
from agent.errors import ConfigError
from agent.files import write_files
from agent.memory_folder import make_private, memory_folder
from agent.refreshing import Refreshing
from agent.runtime.api import Create, Done, Failed, Reason
from schemas.binding import Binding
from schemas.configmap import ConfigCopy
from schemas.owned import ENDPOINTS_FILE, endpoints_copy
from schemas.secret import SealedCopy
from schemas.task import Container, Volume
from sealing.box import Place, box_id, seal
from sealing.keys import new_key_pair
from tests.agent.builders import make_binding, make_journal, make_spec

PAIR = new_key_pair()
CONFIG = ConfigCopy(data={"LEVEL": "info", "1ST": "x", "app.ini": "[main]"}, binaryData={"logo": "/w=="})


def bound(secret: dict[str, bytes] | None = None, **spec: Any) -> Binding:
    """A binding with the ConfigMap `app` and, if given, the Secret `db`."""
    binding = make_binding(spec=make_spec(**spec))
    sealed = {}
    if secret is not None:
        box = seal(PAIR.public, Place(binding.namespace, "db", task_uid=binding.task_uid), secret)
        sealed = {"db": SealedCopy(of=box_id(box), to=PAIR.id, box=box)}
    return binding.model_copy(update={"config": {"app": CONFIG}, "sealed": sealed})


def container(**fields: Any) -> Container:
    return Container.model_validate({"name": "main", "image": "i", **fields})


def variable(name: str, **ref: Any) -> dict[str, Any]:
    return {"name": name, "valueFrom": ref}


def test_env_wins_over_env_from_and_keys_that_are_no_names_are_left_out() -> None:
    wants = container(
        envFrom=[{"configMapRef": {"name": "app"}}, {"prefix": "P_", "secretRef": {"name": "db"}}],
        env=[{"name": "LEVEL", "value": "debug"}],
    )
    copy = CONFIG.model_copy(update={"binary_data": {}})
    binding = bound({"pass": b"word"}).model_copy(update={"config": {"app": copy}})
    found = environment_of(wants, Sources(binding, PAIR))
    assert found.values == {"LEVEL": "debug", "app.ini": "[main]", "P_pass": "word"}
    assert found.without_values("can't set P_pass=word") == "can't set P_pass=***"


def test_what_may_be_missing_stays_unset() -> None:
    secret = {"name": "none", "key": "x", "optional": True}
    key = {"name": "app", "key": "none", "optional": True}
    wants = container(env=[variable("A", secretKeyRef=secret), variable("B", configMapKeyRef=key)])
    assert environment_of(wants, Sources(bound(), PAIR)).values == {}


@pytest.mark.parametrize(
    ("ref", "words"),
    [
        ({"configMapKeyRef": {"name": "gone", "key": "x"}}, "configmap gone is not there"),
        ({"configMapKeyRef": {"name": "app", "key": "x"}}, "configmap app has no key x"),
        ({"secretKeyRef": {"name": "db", "key": "x"}}, "secret db has no key x"),
        ({"configMapKeyRef": {"name": "app", "key": "logo"}}, "key logo of configmap app is no text"),
    ],
)
def test_what_is_missing_is_named(ref: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        environment_of(container(env=[variable("A", **ref)]), Sources(bound({"pass": b"word"}), PAIR))


def test_a_copy_for_another_node_is_not_opened() -> None:
    wants = container(env=[variable("A", secretKeyRef={"name": "db", "key": "pass"})])
    with pytest.raises(ConfigError, match="not sealed to this node's key yet"):
        environment_of(wants, Sources(bound({"pass": b"word"}), new_key_pair()))


def test_items_choose_keys_paths_and_modes() -> None:
    items = [{"key": "LEVEL", "path": "a/level", "mode": 0o400}, {"key": "logo", "path": "logo.png"}]
    volume = Volume.model_validate({"name": "v", "configMap": {"name": "app", "items": items}})
    found = files_of(volume, Sources(bound(), PAIR))
    assert found == (File("a/level", 0o400, b"info"), File("logo.png", 0o644, b"\xff"))


def test_a_path_is_a_file_or_a_folder() -> None:
    items = [{"key": "LEVEL", "path": "a"}, {"key": "logo", "path": "a/b"}]
    volume = Volume.model_validate({"name": "v", "configMap": {"name": "app", "items": items}})
    with pytest.raises(ConfigError, match="path a is a file and"):
        files_of(volume, Sources(bound(), PAIR))


def contents(folder: Path) -> dict[str, bytes]:
    """Return what a container would find, by name."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for entry in folder.iterdir()
        if not entry.name.startswith("..")
        for path in ([entry] if entry.is_file() else entry.rglob("*"))
        if path.is_file()
    }


def test_files_change_together_and_what_is_open_stays_whole(tmp_path: Path) -> None:
    folder = tmp_path / "v"
    assert write_files(folder, [File("a", 0o644, b"1"), File("d/b", 0o400, b"1"), File("gone", 0o644, b"1")])
    assert not write_files(
        folder, [File("a", 0o644, b"1"), File("d/b", 0o400, b"1"), File("gone", 0o644, b"1")]
    )
    assert ((folder / "d/b").stat().st_mode & 0o777, folder.stat().st_mode & 0o777) == (0o400, 0o755)
    with (folder / "a").open("rb") as reader:
        assert write_files(folder, [File("a", 0o644, b"2"), File("d/b", 0o400, b"2")])
        assert reader.read() == b"1"
    assert contents(folder) == {"a": b"2", "d/b": b"2"}
    assert len(list(folder.iterdir())) == 4, "an old version was left"
    write_files(folder, [])
    assert contents(folder) == {}


def test_secrets_go_to_memory_only(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="berth agent --secret-dir"):
        memory_folder("n1", tmp_path, Path("/proc"))
    found = memory_folder("n1", tmp_path, Path("/dev/shm/berth-test"))
    assert found.parent == Path("/dev/shm/berth-test")
    assert found != memory_folder("n1", tmp_path / "other", Path("/dev/shm/berth-test"))


def test_a_folder_that_is_a_link_is_refused(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    with pytest.raises(ConfigError, match="not a folder of this agent's user"):
        make_private(tmp_path / "link" / "mine")
    make_private(tmp_path / "own" / "mine")
    assert (tmp_path / "own" / "mine").stat().st_mode & 0o777 == 0o700
    assert os.listdir(tmp_path / "real") == []


def test_files_are_written_anew_when_copies_differ_and_after_each_create() -> None:
    binding = bound(volumes=[{"name": "v", "configMap": {"name": "app"}}])
    changed = binding.model_copy(update={"config": {"app": ConfigCopy(data={"LEVEL": "debug"})}})
    refreshing = Refreshing()
    uid = binding.task_uid
    assert refreshing.look(uid, binding, has_containers=False) is None
    first = refreshing.look(uid, binding, has_containers=True)
    assert first is not None
    assert refreshing.look(uid, binding, has_containers=True) is None
    assert refreshing.look(uid, changed, has_containers=True) is not None
    create = Create(first.target, binding, make_journal(binding))
    assert refreshing.heard(Done(create)) is None
    again = refreshing.look(uid, changed, has_containers=True)
    assert again is not None
    assert refreshing.heard(Failed(again, Reason.CREATE_CONTAINER_CONFIG_ERROR, "disk full")) == uid
    assert refreshing.look(uid, changed, has_containers=True) is not None


def test_a_task_without_files_of_objects_writes_none() -> None:
    binding = bound(container={"env": [variable("A", configMapKeyRef={"name": "app", "key": "LEVEL"})]})
    assert Refreshing().look(binding.task_uid, binding, has_containers=True) is None


def test_addresses_are_lines_of_the_port_that_is_asked_for() -> None:
    web = {"name": "web", "hostPort": 31001, "containerPort": 80}
    admin = {"name": "admin", "hostPort": 31002, "containerPort": 81}
    listed = [{"ip": "10.0.0.2", "ports": [web, admin]}, {"ip": "fd00::1", "ports": [web]}]
    copy = ConfigCopy(data={ENDPOINTS_FILE: json.dumps({"addresses": listed})})
    binding = make_binding().model_copy(update={"config": {endpoints_copy("shop"): copy}})

    def lines(**source: str) -> bytes:
        volume = Volume.model_validate({"name": "v", "endpoints": {"deployment": "shop", **source}})
        (addresses, _) = files_of(volume, Sources(binding, PAIR))
        return addresses.content

    assert lines() == b"10.0.0.2:31001\n[fd00::1]:31001\n"
    assert lines(port="admin") == b"10.0.0.2:31002\n"


def test_a_list_of_addresses_that_is_not_there_yet_is_empty() -> None:
    volume = Volume.model_validate({"name": "v", "endpoints": {"deployment": "later"}})
    addresses, _ = files_of(volume, Sources(make_binding(), PAIR))
    assert addresses.content == b""
