"""Completion: what is offered at the cursor, and that the shells' scripts really offer it."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.helpers import Shell
from tests.client.helpers import World, make_object, make_task
from tests.support.etcd import EtcdServer
from tests.support.wait import eventually


def offered(berth: Shell, *words: str) -> list[str]:
    return [line.partition("\t")[0] for line in berth("__complete", *words).lines]


def a_world(world: World) -> None:
    world.apply(
        make_object("Namespace", "team"), make_task("web"), make_task("worker"), make_task("api", "team")
    )
    template = {
        "metadata": {"labels": {"app": "front"}},
        "spec": {"containers": [{"name": "main", "image": "demo:1"}]},
    }
    for kind in ("Deployment", "DaemonSet"):
        world.apply(make_object(kind, f"front-{kind.lower()}", template=template))
    job = {"spec": {"template": {"spec": {**template["spec"], "restartPolicy": "Never"}}}}
    world.apply(make_object("CronJob", "nightly", schedule="@daily", jobTemplate=job))
    world.apply(make_object("Queue", "eng/backend"))
    world.add_node("n1")


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("desc",), ["describe"]),
        (("get", "ta"), ["tasks"]),
        (("get", "tasks", "w"), ["web", "worker"]),
        (("get", "tasks", "web", "w"), ["worker"]),
        (("-n", "team", "get", "tasks", ""), ["api"]),
        (("get", "tasks", "-n", "team", ""), ["api"]),
        (("describe", "task/we"), ["task/web"]),
        (("describe", "tas"), ["tasks"]),
        (("get", "tasks", "-n", ""), ["default", "team"]),
        (("get", "tasks", "--namespace", "t"), ["team"]),
        (("get", "tasks", "--namespace=t"), ["--namespace=team"]),
        (("get", "tasks", "--namespace", "=", "t"), ["team"]),
        (("get", "tasks", "-o", "js"), ["json", "jsonpath="]),
        (("get", "tasks", "--watch-"), ["--watch-only"]),
        (("logs", "wo"), ["worker"]),
        (("logs", "web", "-c", ""), ["main"]),
        (("cordon", ""), ["n1"]),
        (("node", ""), ["fence"]),
        (("node", "fence", ""), ["n1"]),
        (("apply", "-f", ""), [":files"]),
        (("wait", "task/web", "--for", "cond"), ["condition="]),
        (("events", "--for", "task/we"), ["task/web"]),
        (("completion", ""), ["bash", "fish", "zsh"]),
        (("explain", "task.spec.contain"), ["task.spec.containers"]),
        (("explain", "cronjob.spec.time"), ["cronjob.spec.timeZone"]),
        (("get", "end"), ["endpoints"]),
        (("get", "endpoints", ""), ["front-deployment"]),
        (("rollout", "undo", ""), ["daemonset/front-daemonset", "deployment/front-deployment"]),
        (("sync", "resume", ""), []),
        (("rollout", "pause", ""), ["deployment/front-deployment"]),
        (("rollout", "status", "deploy", ""), ["front-deployment"]),
        (("scale", ""), ["deployment/front-deployment"]),
        (("set", "image", "dae"), ["daemonset/front-daemonset"]),
        (("create", "job", "now", "--from", ""), ["cronjob/nightly"]),
        (("create", "job", "now", "--from=cron"), ["--from=cronjob/nightly"]),
        (("drain", ""), ["n1"]),
        (("evict", "web", ""), ["worker"]),
        (("new", "dep"), ["deployment"]),
        (("why", "wo"), ["worker"]),
        (("why", "task/we"), ["task/web"]),
        (("why", "web", "--node", ""), ["n1"]),
        (("why", "web", "-o", ""), ["json", "yaml"]),
        (("plan", "-o", "m"), ["markdown"]),
        (("plan", "--out", ""), [":files"]),
        (("apply", "--plan", ""), [":files"]),
        (("describe", "queue", "eng/"), ["eng/backend"]),
        (("shares", ""), []),
        (("nonsense", ""), []),
        (("get", "nonsense", ""), []),
    ],
)
def test_what_could_stand_at_the_cursor(
    world: World, berth: Shell, words: tuple[str, ...], expected: list[str]
) -> None:
    a_world(world)
    assert offered(berth, *words) == expected


def test_contexts_are_offered(world: World, berth: Shell, tmp_path: Path) -> None:
    config = tmp_path / "config.yaml"
    config.write_text(
        "contexts:\n- {name: home, etcd: ['127.0.0.1:1']}\n- {name: work, etcd: ['127.0.0.1:2']}\n"
    )
    result = berth("__complete", "get", "--context", "", environment={"BERTH_CONFIG": str(config)})
    assert result.lines == ["home", "work"]


def test_verbs_say_what_they_do(berth: Shell) -> None:
    lines = berth("__complete", "cord").lines
    assert lines == ["cordon\tKeep new tasks off a node."]


def test_script_for_an_unknown_shell_names_those_that_are_known(berth: Shell) -> None:
    result = berth("completion", "tcsh")
    assert (result.code, "known shells: bash, zsh, fish" in result.err) == (1, True)


# Real shells


@pytest.fixture(scope="module")
def shell_environment(etcd_server: EtcdServer) -> dict[str, str]:
    """The command on the PATH, and a cluster with two tasks."""
    from client.client import Client
    from schemas.keys import Keys
    from tests.client.helpers import docs

    root = "/berth-completion"
    with Client(etcd_server.store(), Keys(root)) as client:
        client.apply(docs(make_task("first"), make_task("second")))
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    return {
        "PATH": path,
        "HOME": "/nonexistent",
        "BERTH_ETCD": etcd_server.endpoint,
        "BERTH_ROOT": root,
        "BERTH_CONFIG": "/nonexistent/config.yaml",
        "TERM": "dumb",
    }


def has(wanted: str, command: list[str], environment: dict[str, str]) -> str | None:
    """Return what a shell prints once `wanted` is in it: names come only when the cluster answers soon."""
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    shown = done.stdout + done.stderr
    return shown if wanted in shown else None


@pytest.mark.etcd
def test_bash_completes(shell_environment: dict[str, str]) -> None:
    script = """
    source <(berth completion bash)
    COMP_WORDS=(berth get tasks f); COMP_CWORD=3
    _berth; echo "names: ${COMPREPLY[*]}"
    COMP_WORDS=(berth desc); COMP_CWORD=1
    _berth; echo "verbs: ${COMPREPLY[*]}"
    complete -p berth
    """
    shown = eventually(lambda: has("names: first\n", ["bash", "--norc", "-c", script], shell_environment))
    assert "verbs: describe\n" in shown
    assert "complete -F _berth berth" in shown


@pytest.mark.etcd
@pytest.mark.skipif(shutil.which("zsh") is None, reason="zsh is not installed")
def test_zsh_completes(shell_environment: dict[str, str]) -> None:
    script = """
    compadd() { while [[ "$1" == -* && "$1" != -- ]]; do shift; done; print -- "names: ${@[2,-1]}"; }
    compdef() { print -- "compdef $*"; }
    source <(berth completion zsh)
    words=(berth get tasks s); CURRENT=4
    _berth
    """
    shown = eventually(lambda: has("names: second", ["zsh", "-f", "-c", script], shell_environment))
    assert "compdef _berth berth" in shown


@pytest.mark.etcd
@pytest.mark.skipif(shutil.which("fish") is None, reason="fish is not installed")
def test_fish_completes(shell_environment: dict[str, str]) -> None:
    script = "berth completion fish | source; complete -C 'berth get tasks f'; complete -C 'berth desc'"
    environment = {**shell_environment, "HOME": "/tmp"}
    shown = eventually(lambda: has("first", ["fish", "--no-config", "-c", script], environment))
    assert "describe\tShow one object in detail" in shown
