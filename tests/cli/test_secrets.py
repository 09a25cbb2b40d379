"""`berth create secret`, `berth secret`, and how secrets are shown."""

import io
import json
import sys
from pathlib import Path

import pytest
import yaml

from schemas.keys import ObjectRef
from schemas.registry import DOCKER_CONFIG
from sealing.box import Place, unseal
from sealing.keys import load_key_pair, new_key_pair
from tests.cli.helpers import Shell, write_yaml
from tests.client.helpers import KEYS, World

PAIR = new_key_pair()
WORD = "hunter2hunter2"
REGISTRY = (
    "create",
    "secret",
    "docker-registry",
    "s",
    "--docker-server",
    "r.example.com",
    "--docker-username",
    "u",
)


@pytest.fixture
def world() -> World:
    made = World()
    made.put(KEYS.cluster, {"kind": "Cluster", "clusterUid": "c", "publicKey": PAIR.public})
    return made


def type_in(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text.encode())))


def opened(world: World, name: str = "s") -> dict[str, bytes]:
    raw = world.json_at(KEYS.spec(ObjectRef("secrets", "default", name)))
    return unseal(PAIR, Place("default", name, raw["type"]), raw["sealed"]["box"])


def test_credentials_of_a_registry_are_typed_in_and_sealed(
    berth: Shell, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    type_in(monkeypatch, f"{WORD}\n")
    made = berth(*REGISTRY, "--docker-password-stdin")
    assert (made.code, made.out, made.err) == (0, "secret/s created\n", "")
    config = json.loads(opened(world)[DOCKER_CONFIG])
    assert config["auths"]["r.example.com"]["password"] == WORD
    shown = [
        berth("get", "secrets"),
        berth("get", "secret", "s", "-o", "json"),
        berth("describe", "secret", "s"),
    ]
    assert shown[0].lines[0].split() == ["NAME", "TYPE", "DATA", "AGE"]
    assert shown[0].lines[1].split()[:3] == ["s", "berth/registry", "1"]
    assert shown[1].json["sealed"]["keys"] == [DOCKER_CONFIG]
    assert f"Sealed To:          key {PAIR.id}" in shown[2].out
    assert f"Data:               {DOCKER_CONFIG}" in shown[2].out
    assert world.json_at(KEYS.spec(ObjectRef("secrets", "default", "s")))["sealed"]["box"] not in shown[2].out
    assert WORD not in "".join(each.out + each.err for each in shown)


def test_a_password_in_the_command_is_warned_of(berth: Shell) -> None:
    made = berth(*REGISTRY, "--docker-password", WORD)
    assert (made.code, made.out) == (0, "secret/s created\n")
    assert "--docker-password-stdin" in made.err
    assert WORD not in made.err


def test_a_secret_that_is_there_is_changed_only_when_asked(
    berth: Shell, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    generic = ("create", "secret", "generic", "s")
    assert berth(*generic, "--from-literal", "a=1").out == "secret/s created\n"
    refused = berth(*generic, "--from-literal", "a=2")
    assert (refused.code, refused.out) == (1, "")
    assert "already exists" in refused.err
    assert "--overwrite" in refused.err
    assert opened(world) == {"a": b"1"}
    assert berth(*generic, "--from-literal", "a=2", "--overwrite").out == "secret/s configured\n"
    assert berth(*generic, "--from-literal", "a=2", "--overwrite").out == "secret/s unchanged\n"
    assert opened(world) == {"a": b"2"}


def test_values_come_from_files_and_literals(berth: Shell, world: World, tmp_path: Path) -> None:
    (tmp_path / "cert.pem").write_bytes(b"\x00\xff")
    path = str(tmp_path / "cert.pem")
    files = ("--from-file", path, "--from-file", f"tls.crt={path}")
    made = berth("create", "secret", "generic", "s", *files, "--from-literal", "a=b=c")
    assert made.code == 0, made
    assert opened(world) == {"cert.pem": b"\x00\xff", "tls.crt": b"\x00\xff", "a": b"b=c"}


def test_path_of_a_value_may_hold_an_equals_sign(berth: Shell, world: World, tmp_path: Path) -> None:
    (tmp_path / "a=b").write_bytes(b"inside")
    made = berth("create", "secret", "generic", "s", "--from-file", f"key={tmp_path / 'a=b'}")
    assert made.code == 0, made
    assert opened(world) == {"key": b"inside"}


def test_password_that_is_no_text_is_told_without_it(
    berth: Shell, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(WORD.encode() + b"\xff\xfe")))
    answer = berth(*REGISTRY, "--docker-password-stdin")
    assert (answer.code, answer.out) == (1, "")
    assert "stdin is not UTF-8 text" in answer.err
    assert WORD not in answer.err
    assert world.keys_under("/berth/secrets/") == []


def test_a_sealed_manifest_is_printed_and_nothing_is_written(
    berth: Shell, world: World, tmp_path: Path
) -> None:
    printed = berth(
        "create", "secret", "generic", "s", "--from-literal", f"a={WORD}", "--dry-run", "-o", "yaml"
    )
    assert printed.code == 0, printed
    assert WORD not in printed.out
    assert world.keys_under("/berth/secrets/") == []
    path = write_yaml(tmp_path / "s.yaml", yaml.safe_load(printed.out))
    assert berth("apply", "-f", path).out == "secret/s created\n"
    assert opened(world) == {"a": WORD.encode()}


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("generic", "s", "--from-literal", WORD), "KEY=VALUE"),
        (("generic", "s", "--from-literal", f"a b={WORD}"), "data"),
        (("generic", "s", "--from-literal", f"a={WORD}", "--from-literal", "a=2"), "given twice"),
        (("generic", "s", "--from-file", "/no/such/file"), "can't be read"),
        (("generic", "s", "--type", "berth/registry", "--from-literal", f"a={WORD}"), DOCKER_CONFIG),
        (("generic", "S", "--from-literal", f"a={WORD}"), "lower case"),
        (("docker-registry", "s", "--docker-username", "u"), "--docker-password-stdin"),
    ],
)
def test_bad_input_is_told_without_the_value(berth: Shell, arguments: tuple[str, ...], told: str) -> None:
    answer = berth("create", "secret", *arguments)
    assert (answer.code, answer.out) == (1, "")
    assert told in answer.err
    assert WORD not in answer.err


def test_a_secret_is_deleted_like_any_object(berth: Shell, world: World) -> None:
    berth("create", "secret", "generic", "s", "--from-literal", "a=1")
    assert berth("delete", "secret", "s").out == 'secret "s" deleted\n'
    assert world.keys_under("/berth/secrets/") == []


def test_keygen_writes_a_private_file_once_and_prints_the_public_half(berth: Shell, tmp_path: Path) -> None:
    path = tmp_path / "secrets.key"
    made = berth("secret", "keygen", str(path))
    assert (made.code, made.out) == (0, f"{load_key_pair(path).public}\n")
    assert f"berth controller --secret-key {path}" in made.err
    again = berth("secret", "keygen", str(path))
    assert (again.code, again.out) == (1, "")
    assert "left as it is" in again.err


def test_the_key_is_forgotten_only_by_force(berth: Shell, world: World) -> None:
    refused = berth("secret", "forget-key")
    assert (refused.code, refused.out) == (1, "")
    assert "--force" in refused.err
    assert berth("secret", "forget-key", "--force").out == f"key {PAIR.id} forgotten\n"
    assert "publicKey" not in world.json_at(KEYS.cluster)
