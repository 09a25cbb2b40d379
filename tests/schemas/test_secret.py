"""Secrets as people write them, and which credentials are for which registry."""

import base64
import json
from typing import Any

import pytest

from schemas.errors import SchemaError
from schemas.manifest import Document, check_object
from schemas.registry import auths_for, docker_config, parse_docker_config, registry_of
from schemas.secret import Secret, has_clear_values, values_of

WORD = "hunter2hunter2"


def make_secret(**fields: Any) -> dict[str, Any]:
    return {"apiVersion": "berth/v1", "kind": "Secret", "metadata": {"name": "s"}, **fields}


def problems(raw: dict[str, Any]) -> str:
    found = check_object(raw, "test.yaml", "default")
    assert not isinstance(found, Document)
    return "\n".join(map(str, found))


def test_values_come_from_data_and_text_and_the_text_wins() -> None:
    encoded = base64.b64encode(b"\x00\xff").decode()
    raw = make_secret(data={"a": encoded, "b": encoded}, stringData={"b": "text"})
    assert values_of(Secret.parse_written(raw)) == {"a": b"\x00\xff", "b": b"text"}


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"data": {"password": WORD + "!"}}, "data.password is not base64"),
        ({"stringData": {"password": {"x": WORD}}}, "stringData.password"),
        ({"stringData": {"pass word": WORD}}, "stringData"),
        ({"stringData": [WORD]}, "stringData"),
        ({"type": "berth/registry", "stringData": {"password": WORD}}, ".dockerconfigjson"),
        ({"type": "berth/registry", "stringData": {".dockerconfigjson": WORD}}, "config.json"),
        ({"stringData": {"password": WORD * 40_000}}, "262144"),
        ({"stringData": {"password": WORD}, "sealed": {"to": "x", "box": "y"}}, "either"),
        ({"strngData": {"password": WORD}}, "did you mean stringData"),
    ],
)
def test_what_is_wrong_with_a_secret_is_told_without_its_values(fields: dict[str, Any], told: str) -> None:
    text = problems(make_secret(**fields))
    assert told in text
    assert WORD not in text


def test_a_secret_with_values_is_known_as_one_in_clear() -> None:
    assert has_clear_values(make_secret(data={}))
    assert has_clear_values(make_secret(stringData={"a": "b"}))
    assert not has_clear_values(make_secret(sealed={"to": "x", "box": "y"}))
    assert not has_clear_values({"kind": "Task", "data": {}})


@pytest.mark.parametrize(
    ("image", "registry"),
    [
        ("nginx", ("docker.io", "nginx")),
        ("nginx:1.2", ("docker.io", "nginx")),
        ("team/app", ("docker.io", "team/app")),
        ("docker.io/team/app:1", ("docker.io", "team/app")),
        ("index.docker.io/team/app", ("docker.io", "team/app")),
        ("registry.example.com/a/b:1@sha256:00", ("registry.example.com", "a/b")),
        ("localhost/app", ("localhost", "app")),
        ("127.0.0.1:5000/app:2", ("127.0.0.1:5000", "app")),
        ("Registry.Example.com/app", ("registry.example.com", "app")),
    ],
)
def test_the_registry_of_an_image(image: str, registry: tuple[str, str]) -> None:
    assert registry_of(image) == registry


@pytest.mark.parametrize("server", ["docker.io", "https://index.docker.io/v1/", "registry-1.docker.io"])
def test_docker_hub_has_many_names(server: str) -> None:
    (auth,) = parse_docker_config(docker_config(server, "robot", WORD))
    assert auths_for("team/app:1", [auth]) == (auth,)
    assert auths_for("quay.io/team/app:1", [auth]) == ()


def test_credentials_go_to_their_registry_alone_the_closest_first() -> None:
    servers = {
        "a.example.com": {"username": "all", "password": "p"},
        "https://a.example.com/team": {"username": "team", "password": "p"},
        "a.example.com/other": {"username": "other", "password": "p"},
        "a.example.com:5000": {"username": "port", "password": "p"},
        "b.example.com": {"auth": base64.b64encode(b"b:p:with:colons").decode()},
    }
    found = parse_docker_config(json.dumps({"auths": servers}).encode())
    assert [each.username for each in auths_for("a.example.com/team/app", found)] == ["team", "all"]
    assert [each.username for each in auths_for("a.example.com/teamwork/app", found)] == ["all"]
    assert [each.username for each in auths_for("a.example.com:5000/app", found)] == ["port"]
    assert [each.password for each in auths_for("b.example.com/app", found)] == ["p:with:colons"]
    assert auths_for("example.com/app", found) == ()
    assert WORD not in repr(parse_docker_config(docker_config("x", "robot", WORD)))


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[]",
        b'{"auths": {}}',
        b'{"auths": []}',
        b'{"auths": {"x": {}}}',
        b'{"auths": {"x": {"auth": "?"}}}',
        b"\xff",
    ],
)
def test_what_is_no_docker_config_is_told_without_its_content(content: bytes) -> None:
    with pytest.raises(SchemaError, match="must be Docker's"):
        parse_docker_config(content)
