"""Pipelines: the workflows to copy, the hook before a commit, and the page about them do what they say.

Each `berth` of them is run, against a cluster in memory of which no controller answers: then it computes from etcd.
"""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from schemas.tree import SUFFIXES
from tests.cli.conftest import berth, world
from tests.cli.helpers import Result, Shell, write_yaml
from tests.client.helpers import KEYS, World, make_object, make_task

__all__ = ["berth", "world"]

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs/pipelines.md"
WORKFLOWS = sorted((ROOT / "docs/pipelines").glob("*.yml"))
HOOKS: list[dict[str, Any]] = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text())
CALL = re.compile(r"^(?:\S*/)?berth (?P<arguments>[^|>&\n]*)", re.MULTILINE)
STANDS_FOR = {"DIR": "deploy", "NAME": "app"}  # in the page
BROKEN = "apiVersion: berth/v1\nkind: ConfigMap\nmetadata:\n  name: a\ndta: {}\n"


def scripts(value: object, key: str = "") -> Iterator[str]:
    """Yield what a workflow gives to a shell."""
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from scripts(inner, name)
    elif isinstance(value, list):
        for inner in value:
            yield from scripts(inner, key)
    elif key in ("run", "script", "before_script"):
        yield str(value)


def calls(path: Path) -> list[list[str]]:
    """Return the arguments of each `berth` in a workflow, or in a page's code spans."""
    text = path.read_text()
    parts = re.findall(r"`(berth [^`]*)`", text) if path == PAGE else scripts(yaml.safe_load(text))
    joined = (part.replace("\\\n", " ") for part in parts)
    return [shlex.split(found["arguments"]) for part in joined for found in CALL.finditer(part)]


def of_verb(path: Path, verb: str) -> list[str]:
    (found,) = [each for each in calls(path) if verb in each]
    return [STANDS_FOR.get(each, each) for each in found]


@pytest.fixture
def deploy(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checked out repository with an empty folder `deploy`, and a cluster of one node."""
    world.put(KEYS.cluster, {"kind": "Cluster", "clusterUid": "c1", "incarnation": 1})
    world.add_node("n1", allocatable={"cpu": "4", "memory": "8Gi"})
    monkeypatch.chdir(tmp_path)
    for name in ("ca.pem", "cert.pem", "key.pem"):
        Path(name).touch()
    Path("deploy").mkdir()
    return Path("deploy")


def config(name: str, **data: str) -> dict[str, Any]:
    return {**make_object("ConfigMap", name), "data": data or {"a": "1"}}


every_text = pytest.mark.parametrize("path", [*WORKFLOWS, PAGE], ids=lambda path: path.name)


@every_text
def test_all_that_is_needed_is_called(path: Path) -> None:
    verbs = {verb for verb in ("validate", "plan", "apply") for each in calls(path) if verb in each}
    assert verbs == {"validate", "plan", "apply"}


@every_text
def test_the_plan_shows_what_the_apply_then_does(
    berth: Shell, world: World, deploy: Path, path: Path
) -> None:
    validate, plan, apply = (of_verb(path, verb) for verb in ("validate", "plan", "apply"))
    write_yaml(deploy / "a.yaml", config("a", x="1", y="1"))
    write_yaml(deploy / "b.yaml", config("b"))
    assert berth(*validate).code == 0
    assert berth(*plan).code == 1
    assert berth(*apply).lines == ["configmap/a created", "configmap/b created"]
    assert berth(*plan).code == 0
    write_yaml(deploy / "a.yaml", config("a", x="2"))
    (deploy / "b.yaml").unlink()
    planned = berth(*plan)
    assert (planned.code, planned.lines[0]) == (1, "### Berth plan: changes")
    assert "| `default/configmap/a` | configured |  |" in planned.lines
    assert "| `default/configmap/b` | pruned |  |" in planned.lines
    assert "-  y: '1'" in planned.lines
    assert berth(*apply).lines == ["configmap/a configured", "configmap/b pruned"]


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_a_pipeline_stops_at_errors_and_not_at_what_a_plan_finds(path: Path) -> None:
    (plan,) = [part for part in scripts(yaml.safe_load(path.read_text())) if " plan " in part]
    assert "|| code=$?" in plan
    assert 'test "$code" -le 2 || exit "$code"' in plan


def codes(verb: str) -> list[int]:
    """Return the exit codes that the page names for a verb."""
    (row,) = [line for line in PAGE.read_text().splitlines() if line.startswith(f"| `berth {verb} ")]
    return [int(each) for each in re.findall(r"\b\d+\b", row.split(" | ")[2])]


def results(berth: Shell, deploy: Path, verb: str) -> list[Result]:
    """Run a verb with nothing to do, with changes, with a task that fits nowhere, and with a broken file."""
    call = [each for each in of_verb(PAGE, verb) if each != "--wait"]
    write_yaml(deploy / "a.yaml", config("a"))
    berth("apply", "-f", "deploy", "--set", "app")
    found = [berth(*call)]
    write_yaml(deploy / "a.yaml", config("a", x="2"))
    found.append(berth(*call))
    large = make_task("large")
    large["spec"]["containers"][0]["resources"] = {"requests": {"cpu": "64"}}
    write_yaml(deploy / "b.yaml", large)
    found.append(berth(*call))
    (deploy / "a.yaml").write_text(BROKEN)
    return [*found, berth(*call)]


@pytest.mark.parametrize(
    ("verb", "found"),
    [("validate", (0, 0, 0, 1)), ("plan", (0, 1, 2, 255)), ("diff", (0, 1, 1, 2)), ("apply", (0, 0, 0, 1))],
)
def test_exit_codes_are_those_of_the_page(
    berth: Shell, deploy: Path, verb: str, found: tuple[int, ...]
) -> None:
    ran = results(berth, deploy, verb)
    assert tuple(each.code for each in ran) == found
    assert codes(verb) == (
        [0, 1, 1] if verb == "diff" else sorted(set(found))
    )  # of diff it says: more than 1
    assert "deploy/a.yaml:5: configmap/a: dta: unknown field" in ran[-1].out + ran[-1].err


def hook_call(folder: str) -> list[str]:
    """Return what pre-commit runs with the configuration of the page, whose `args` take the place of the hook's."""
    (hook,) = HOOKS
    (block,) = re.findall(r"```\n(repos:.*?)```", PAGE.read_text(), re.DOTALL)
    (repository,) = yaml.safe_load(block)["repos"]
    (used,) = repository["hooks"]
    assert used["id"] == hook["id"]
    program, *arguments = shlex.split(hook["entry"])
    assert (program, hook["pass_filenames"], hook["language"]) == ("berth", False, "python")
    return [*arguments, *(folder if each == "deploy" else each for each in used["args"])]


def test_the_hook_lets_good_manifests_through(berth: Shell, deploy: Path) -> None:
    (deploy / "below").mkdir()
    write_yaml(deploy / "below/a.yaml", config("a"))
    answer = berth(*hook_call("deploy"))
    assert (answer.code, answer.err) == (0, "1 object checked, 0 warnings\n")


def test_the_hook_stops_a_commit_with_file_and_line(berth: Shell, deploy: Path) -> None:
    (deploy / "a.yaml").write_text(BROKEN)
    answer = berth(*hook_call("deploy"))
    assert answer.code == 1
    assert answer.lines == [
        "Error: deploy/a.yaml:5: configmap/a: dta: unknown field; did you mean data?",
    ]


def test_the_hook_stops_a_secret_in_clear(berth: Shell, deploy: Path) -> None:
    write_yaml(deploy / "s.yaml", {**make_object("Secret", "s"), "stringData": {"password": "hunter2"}})
    answer = berth(*hook_call("deploy"))
    assert (answer.code, "berth secret seal" in answer.out, "hunter2" in answer.out) == (1, True, False)


def test_the_hook_looks_at_every_file_that_is_read() -> None:
    (hook,) = HOOKS
    assert all(re.search(hook["files"], f"deploy/x{suffix}") for suffix in SUFFIXES)
    assert not re.search(hook["files"], "README.md")
