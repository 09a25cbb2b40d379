"""`berth config` as kubectl's users know it, and contexts seen from the other verbs."""

from pathlib import Path

import pytest

from client.config import load
from tests.cli.helpers import Shell


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("BERTH_CONFIG", str(tmp_path / "config.yaml"))
    return tmp_path / "config.yaml"


def test_first_context_becomes_the_current_one(berth: Shell, path: Path) -> None:
    assert (
        berth("config", "set-context", "a", "--etcd", "x:1,y:2", "-n", "team").out == 'Context "a" created.\n'
    )
    berth("config", "set-context", "b", "--etcd=z:1", "--root", "/other")
    assert berth("config", "current-context").out == "a\n"
    assert berth("config", "get-contexts").lines == [
        "CURRENT   NAME   ETCD      NAMESPACE",
        "*         a      x:1,y:2   team",
        "          b      z:1",
    ]
    assert load(path).get("b").prefix == "/other"


def test_namespace_of_the_current_context_is_set_as_kubectl_does(berth: Shell, path: Path) -> None:
    berth("config", "set-context", "a", "--etcd", "x:1")
    assert berth("config", "set-context", "--current", "--namespace", "x").out == 'Context "a" modified.\n'
    assert load(path).get("a").namespace == "x"
    berth("config", "set", "namespace", "y")
    assert load(path).get("a").namespace == "y"


def test_contexts_are_switched_renamed_and_forgotten(berth: Shell, path: Path) -> None:
    for name in ("a", "b"):
        berth("config", "set-context", name, "--etcd", "x:1")
    assert berth("config", "use-context", "b").out == 'Switched to context "b".\n'
    berth("config", "rename-context", "b", "c")
    assert (load(path).current, berth("config", "get-contexts", "-o", "name").lines) == ("c", ["a", "c"])
    gone = berth("config", "delete-context", "c")
    assert (gone.code, load(path).current) == (0, "")
    assert "use-context" in gone.err


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("use-context", "x"), 'context "x" is not in'),
        (("delete-context", "x"), "known: a"),
        (("set-context",), "name one context, or say --current"),
        (("set-context", "a", "--cert", "/nowhere"), "--cert /nowhere: there is no such file"),
        (("set-context", "a", "--etcd", "http://"), "not of the form host:port"),
        (("set", "colour", "red"), "has no field 'colour'; it has: etcd"),
        (("rename-context", "a", "a"), 'there is a context "a" already'),
    ],
)
def test_wrong_wish_is_told_and_changes_nothing(
    berth: Shell, path: Path, arguments: tuple[str, ...], told: str
) -> None:
    berth("config", "set-context", "a", "--etcd", "x:1")
    before = path.read_text()
    result = berth("config", *arguments)
    assert (result.code, told in result.err, path.read_text()) == (1, True, before)


def test_broken_context_can_be_mended_and_help_still_helps(berth: Shell, path: Path) -> None:
    path.write_text("currentContext: gone\ncontexts: [{name: a, etcd: ['x:1']}]\n")
    environment = {"BERTH_CONFIG": str(path)}
    broken = berth("get", "tasks", environment=environment)
    assert (broken.code, 'the current context "gone" is not in' in broken.err) == (1, True)
    assert berth("--help", environment=environment).code == 0
    assert berth("config", "use-context", "a", environment=environment).code == 0
    assert berth("get", "tasks", environment=environment).code == 0


def test_without_contexts_it_is_said_how_to_make_one(berth: Shell, path: Path) -> None:
    for command in ("view", "get-contexts"):
        result = berth("config", command)
        assert (result.code, result.out, "berth up" in result.err) == (0, "", True)
    assert berth("config", "current-context").code == 1


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--nodes=0",), "leaves a cluster without nodes"),
        (("--cert=x",), "--cert is for an etcd of your own"),
        (("--etcd=x:y",), "not of the form host:port"),
        (("--node=Not_A_Name",), "--node: "),
        (("--capacity=cpu",), "not of the form name=value"),
        (("--port-range=9",), "not of the form FIRST-LAST"),
        (("--nodes=33",), "--nodes"),
    ],
)
def test_up_tells_a_wrong_option_before_it_touches_anything(
    berth: Shell, tmp_path: Path, arguments: tuple[str, ...], told: str
) -> None:
    result = berth("up", f"--data-dir={tmp_path / 'd'}", *arguments)
    assert (result.code, told in result.err) == (1, True), result.err
    assert not (tmp_path / "d").exists()


def test_down_where_nothing_runs_is_done(berth: Shell, tmp_path: Path) -> None:
    result = berth("down", f"--data-dir={tmp_path / 'd'}")
    assert (result.code, result.err) == (0, f"nothing runs in {tmp_path / 'd'}\n")
