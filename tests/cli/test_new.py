"""`berth new`: what it writes can be applied as it is, and each field in a comment is a real one."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from cli.new import SAMPLES
from schemas import manifest
from schemas.kinds import BY_ALIAS
from tests.cli.helpers import Shell

COMMENTED_FIELD = re.compile(r"^( *)# ( *(?:- \{|[a-zA-Z]+:))", re.MULTILINE)
READY = tuple(SAMPLES)


def load(text: str) -> Any:
    """Check as `apply` does, and return what is written."""
    manifest.load([("new", text.encode())], default_namespace="default")
    return yaml.safe_load(text)


@pytest.mark.parametrize("kind", READY)
def test_manifest_can_be_applied_at_once(berth: Shell, tmp_path: Path, kind: str) -> None:
    path = tmp_path / "new.yaml"
    path.write_text(berth("new", kind, "mine").out)
    answer = berth("apply", "-f", str(path))
    assert (answer.code, answer.out, answer.err) == (0, f"{kind}/mine created\n", "")


@pytest.mark.parametrize("kind", READY)
def test_each_field_in_a_comment_is_valid_as_it_stands(berth: Shell, kind: str) -> None:
    text = berth("new", kind).out
    full, count = COMMENTED_FIELD.subn(r"\1\2", text)
    written = load(full)
    assert count > 0 or kind in ("priorityclass", "configmap", "disruptionbudget")
    assert written["metadata"]["name"] == f"my-{kind}"


@pytest.mark.parametrize("kind", READY)
def test_every_line_has_room_on_a_screen(berth: Shell, kind: str) -> None:
    assert max(map(len, berth("new", kind).out.splitlines())) <= 110


def test_image_brings_its_own_command(berth: Shell) -> None:
    container = load(berth("new", "task", "web", "--image", "nginx:1.27").out)["spec"]["containers"][0]
    assert container["image"] == "nginx:1.27"
    assert "command" not in container


def test_command_stands_after_two_dashes(berth: Shell) -> None:
    words = ["sh", "-c", 'echo "$HOME: it\'s #1"', "--image", "-n", "", "yes", "1.0"]
    made = berth("new", "task", "web", "--image", "nginx", "--", *words)
    assert load(made.out)["spec"]["containers"][0]["command"] == words


@pytest.mark.parametrize("name", ["123", "1e3", "on", "null", "true", "a.b-c", "2026-01-01", "x" * 253])
def test_any_name_stays_what_it_is(berth: Shell, name: str) -> None:
    assert load(berth("new", "task", name).out)["metadata"]["name"] == name


def test_namespace_is_written_where_it_is_not_the_default_one(berth: Shell) -> None:
    assert load(berth("new", "task", "web", "-n", "team-a").out)["metadata"]["namespace"] == "team-a"
    assert "namespace" not in load(berth("new", "task", "web").out)["metadata"]


def test_kinds_may_be_called_by_the_names_that_get_knows(berth: Shell) -> None:
    known = [(alias, kind) for kind, sample in SAMPLES.items() for alias in sample.aliases]
    for alias, kind in known:
        assert berth("new", alias).out == berth("new", kind).out
        assert BY_ALIAS[alias].singular == kind


def test_file_is_written_and_never_overwritten(berth: Shell, tmp_path: Path) -> None:
    path = tmp_path / "web.yaml"
    first = berth("new", "task", "web", "-f", str(path))
    assert (first.code, first.out) == (0, "")
    assert f"berth apply -f {path}" in first.err
    written = path.read_text()
    assert f"berth apply -f {path} --wait" in written
    second = berth("new", "task", "other", "-f", str(path))
    assert (second.code, second.out) == (1, "")
    assert f"{path} exists" in second.err
    assert path.read_text() == written


def test_dash_as_the_file_is_stdout(berth: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert berth("new", "queue", "eng/backend", "-f", "-").out == berth("new", "queue", "eng/backend").out
    assert list(tmp_path.iterdir()) == []


def test_file_that_can_not_be_written_is_told(berth: Shell, tmp_path: Path) -> None:
    answer = berth("new", "task", "-f", str(tmp_path / "missing" / "web.yaml"))
    assert answer.code == 1
    assert "can't be written: No such file or directory" in answer.err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("new", "pod"), "there is no template of kind 'pod'; known: task, deployment, job,"),
        (("new", "task", "Web"), "name 'Web' must be"),
        (("new", "namespace", "a.b"), "name 'a.b' must be"),
        (("new", "task", "web", "--image", "a b"), "--image 'a b' has a space in it"),
        (("new", "queue", "q", "--image", "nginx"), "a queue has no container"),
        (("new",), "Missing argument 'kind'"),
    ],
)
def test_wrong_wish_is_refused_in_words(berth: Shell, arguments: tuple[str, ...], said: str) -> None:
    answer = berth(*arguments)
    assert (answer.code, answer.out) == (1, "")
    assert said in answer.err


def test_deployment_and_job_have_the_fields_of_kubernetes(berth: Shell) -> None:
    deployment = yaml.safe_load(berth("new", "deployment", "web").out)["spec"]
    assert {"replicas", "selector", "strategy", "template"} == set(deployment)
    assert deployment["selector"]["matchLabels"] == deployment["template"]["metadata"]["labels"]
    job = yaml.safe_load(berth("new", "job", "web").out)["spec"]
    assert {"completions", "parallelism", "backoffLimit", "template"} == set(job)
