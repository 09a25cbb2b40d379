"""Logs of many tasks at once, across nodes and restarts; and what a node that is gone leaves of logs and `top`."""

import signal
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.cluster import Cluster, Json, shell_task, sleeper
from tests.support.wait import PATIENCE_S, eventually

pytestmark = [pytest.mark.etcd, pytest.mark.docker]

AWAY = {"place": "away"}
LATER = {"rescheduleAfter": "10m"}  # than this test takes on any machine
CROWD = 20
HALF = "x" * 3000
CHATTY = (
    f"i=0; while [ $i -lt 12 ]; do echo line $i; i=$((i+1)); done; printf {HALF}; sleep 0.3; echo {HALF}; "
    "trap 'exit 0' TERM; sleep 3600 & wait"
)


@pytest.fixture(scope="module")
def away(cluster: Cluster) -> Iterator[str]:
    """A second node, whose label says that it is away."""
    component = cluster.start_agent("away", "--label", "place=away")
    node = cluster.nodes[-1]
    cluster.wait_ready(node)
    yield node
    if component.process is not None:
        component.terminate()
    del cluster.components["away"]
    cluster.remove_containers(node)
    cluster.delete_node(node)


class Listener:
    """What a command prints while it runs; read by threads, so that it never waits for us."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self.process = process
        self._out, self._err = bytearray(), bytearray()
        self._threads = [
            threading.Thread(target=self._read, args=(pipe, into))
            for pipe, into in ((process.stdout, self._out), (process.stderr, self._err))
        ]
        for thread in self._threads:
            thread.start()

    def _read(self, pipe: object, into: bytearray) -> None:
        while chunk := pipe.read1(65536):  # type: ignore[attr-defined]  # a pipe of Popen
            into.extend(chunk)

    @property
    def lines(self) -> list[str]:
        return self._out.decode().splitlines()

    @property
    def notes(self) -> str:
        return self._err.decode()

    def ends(self) -> int:
        code = self.process.wait(PATIENCE_S)
        self.join()
        return code

    def join(self) -> None:
        for thread in self._threads:
            thread.join()


@contextmanager
def listening(cluster: Cluster, *arguments: str) -> Iterator[Listener]:
    with cluster.command(*arguments) as process:
        listener = Listener(process)
        yield listener
    listener.join()


def touch(cluster: Cluster, name: str, path: str) -> None:
    """Make a file in the running container of a task."""
    made = cluster.docker.exec_create(cluster.container(name)["Id"], ["touch", path])
    cluster.docker.exec_start(made["Id"])


def labelled(task: Json, **labels: str) -> Json:
    task["metadata"]["labels"] = labels
    return task


@pytest.fixture(scope="module")
def crowd(cluster: Cluster, away: str) -> Iterator[list[str]]:
    """Twenty tasks on two nodes, each with twelve short lines and a long one that is written in two parts."""
    names = [f"crowd-{number:02}" for number in range(CROWD)]
    places = [{"nodeSelector": AWAY} if number % 2 else {} for number in range(CROWD)]
    cluster.apply(
        *(
            labelled(shell_task(name, CHATTY, **place), app="crowd")
            for name, place in zip(names, places, strict=True)
        )
    )
    cluster.wait_running(*names, timeout_s=2 * PATIENCE_S)
    yield names
    left = [
        name for name in names if f"{cluster.keys.prefix}/spec/default/tasks/{name}" in cluster.list_keys()
    ]
    cluster.delete(*left)


def test_selected_tasks_show_their_last_ten_lines_each_with_its_prefix(
    cluster: Cluster, crowd: list[str]
) -> None:
    def complete() -> dict[str, list[str]]:
        answer = cluster.berth("logs", "-l", "app=crowd", "--prefix")
        assert (answer.code, answer.err) == (0, "")
        found: dict[str, list[str]] = {}
        for line in answer.out.splitlines():
            mark, _, text = line.partition(" ")
            found.setdefault(mark, []).append(text)
        assert all(lines[-1] == HALF * 2 for lines in found.values())
        return found

    found = eventually(complete)
    assert set(found) == {f"[task/{name}/main]" for name in crowd}
    assert {len(lines) for lines in found.values()} == {10}
    assert all(lines[:2] == ["line 3", "line 4"] for lines in found.values())


def test_named_tasks_show_all_unless_told_otherwise(cluster: Cluster, crowd: list[str]) -> None:
    both = cluster.berth("logs", crowd[0], f"task/{crowd[1]}", "--since", "1h")
    assert both.out.splitlines().count("line 0") == 2
    assert cluster.berth("logs", *crowd[:2], "--tail", "1").out.split() == [HALF * 2] * 2
    assert cluster.berth("logs", crowd[0], "--since-time", "2200-01-01T00:00:00Z").out == ""


def test_more_followers_than_allowed_are_refused_with_the_flag_that_allows_them(
    cluster: Cluster, crowd: list[str]
) -> None:
    answer = cluster.berth("logs", "-f", "-l", "app=crowd", "--max-log-requests", "19")
    assert (answer.code, answer.out) == (1, "")
    assert "20 logs would be followed at once" in answer.err
    assert "--max-log-requests 20" in answer.err


def test_twenty_logs_are_followed_at_once_by_one_process_until_their_tasks_are_gone(
    cluster: Cluster, crowd: list[str]
) -> None:
    with listening(cluster, "logs", "-f", "-l", "app=crowd", "--prefix") as followed:
        marks = {f"[task/{name}/main]" for name in crowd}
        eventually(lambda: {line.split(" ")[0] for line in followed.lines} == marks)
        threads = len(list(Path(f"/proc/{followed.process.pid}/task").iterdir()))
        cluster.delete(*crowd)
        assert followed.ends() == 0, followed.notes
    assert threads < CROWD + 20, "one thread each, and few besides: those of gRPC"
    texts = [line.partition(" ")[2] for line in followed.lines]
    assert set(texts) == {f"line {number}" for number in range(3, 12)} | {HALF * 2}
    assert texts.count(HALF * 2) == CROWD


def test_follower_goes_on_through_restarts_and_ends_with_the_task(cluster: Cluster) -> None:
    count = (  # each attempt lasts until the test lets it go on, so that none is over before it is followed
        "n=$(cat /d/n 2>/dev/null || echo 0); echo $((n+1)) > /d/n; echo attempt $n; "
        "until [ -e /d/seen-$n ]; do sleep 0.1; done; [ $n -ge 3 ]"
    )
    flaky = shell_task(
        "flaky-log",
        count,
        restartPolicy="OnFailure",
        restartBackoff={"initial": "0.3s", "factor": 1, "max": "0.3s"},
        volumes=[{"name": "d", "emptyDir": {}}],
        container={"volumeMounts": [{"name": "d", "mountPath": "/d"}]},
    )
    with listening(cluster, "logs", "-f", "flaky-log", "other-log") as missing:
        assert missing.ends() == 1
    assert 'task "flaky-log" not found' in missing.notes
    cluster.apply(flaky)
    cluster.wait_running("flaky-log")
    attempts = [f"attempt {number}" for number in range(4)]
    with listening(cluster, "logs", "-f", "flaky-log") as followed:
        for number in range(4):
            eventually(lambda seen=number: followed.lines == attempts[: seen + 1])
            touch(cluster, "flaky-log", f"/d/seen-{number}")
        assert followed.ends() == 0, followed.notes
    assert followed.lines == attempts, "in order, none twice and none missed"
    cluster.delete("flaky-log")


def test_node_that_is_gone_is_named_and_the_logs_of_the_others_are_shown(cluster: Cluster, away: str) -> None:
    here = shell_task("here", "echo here; trap 'exit 0' TERM; sleep 3600 & wait")
    cluster.apply(
        labelled(sleeper("gone", nodeSelector=AWAY, unreachable=LATER), app="mixed"),
        labelled(sleeper("gone-too", nodeSelector=AWAY, unreachable=LATER), app="mixed"),
    )
    cluster.wait_running("gone", "gone-too")
    assert cluster.berth("cordon", away).code == 0
    cluster.apply(labelled(here, app="mixed"))
    cluster.wait_running("here")
    eventually(lambda: cluster.berth("logs", "here").out == "here\n")
    cluster.components["away"].kill()
    answer = cluster.berth("logs", "-l", "app=mixed", "--prefix")
    assert (answer.code, answer.out) == (1, "[task/here/main] here\n")
    assert f"node {away} does not answer at http://127.0.0.1:" in answer.err
    assert 'task "gone" was last known as Running since' in answer.err
    assert f"see: berth get node/{away}" in answer.err
    assert f"task/gone-too/main: node {away} does not answer either" in answer.err
    used = cluster.berth("top", "nodes")
    assert used.code == 0
    assert used.rows[away] == [away, *["<unknown>"] * 4]
    assert "Mi" in used.rows[cluster.nodes[0]][3]
    assert f"node {away} does not answer at http://127.0.0.1:" in used.err
    followed = cluster.berth("logs", "-f", "gone", "gone-too")
    assert (followed.code, followed.out) == (1, "")
    assert followed.err.count(f"node {away} does not answer at") == 2
    cluster.components["away"].start()
    cluster.wait_ready(away)
    assert cluster.berth("uncordon", away).code == 0
    cluster.delete("here", "gone", "gone-too")


def test_interrupted_follower_ends_at_once(cluster: Cluster) -> None:
    cluster.apply(shell_task("endless", "echo begun; trap 'exit 0' TERM; sleep 3600 & wait"))
    with listening(cluster, "logs", "-f", "endless") as followed:
        eventually(lambda: followed.lines == ["begun"])
        followed.process.send_signal(signal.SIGINT)
        assert followed.ends() == 130
    assert "Traceback" not in followed.notes
    cluster.delete("endless")
