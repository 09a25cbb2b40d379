"""What only a real etcd shows: a watch that survives compaction and a restart, and a list of ten thousand tasks."""

import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from schemas.keys import Keys, task_ref
from store import codec
from store.api import Delete, Put, Store, Txn
from tests.client.helpers import make_task
from tests.support.etcd import EtcdServer
from tests.support.wait import eventually

pytestmark = pytest.mark.etcd
MANY = 10_000
MAX_MEMORY_KB = 120_000  # 100 tasks take 60 MB, and ten thousand held at once over 220 MB
LAUNCHER = (
    sys.executable,
    "-c",
    "import resource, subprocess, sys\n"
    "code = subprocess.call(sys.argv[1:])\n"
    "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss, file=sys.stderr)\n"
    "sys.exit(code)",
)
"""Runs a command and tells its peak of memory, KiB. A process begins with its parent's peak, so the parent is small."""


def put_tasks(store: Store, keys: Keys, names: list[str]) -> None:
    ops: list[Put] = []
    for name in names:
        ref, raw = task_ref("default", name), make_task(name, "default")
        stamped = {"uid": f"uid-{name}", "creationTimestamp": "2027-01-15T07:55:00Z"}
        status = {
            "kind": "TaskStatus", "uid": f"uid-{name}", "state": "Running", "node": "n1", "hostIP": "10.0.0.5",
            "containers": [{"name": "main", "state": "Running", "containerId": "c" * 64}],
        }  # fmt: skip
        ops.append(Put(keys.spec(ref), codec.encode({**raw, "metadata": {**raw["metadata"], **stamped}})))
        ops.append(Put(keys.status(ref), codec.encode(status)))
        if len(ops) == 100:
            store.txn(Txn((), tuple(ops)))
            ops = []
    if ops:
        store.txn(Txn((), tuple(ops)))


def command(server: EtcdServer, root: str, *arguments: str) -> tuple[list[str], dict[str, str]]:
    program = [str(Path(sys.executable).with_name("berth")), "--root", root, *arguments]
    return program, {
        "PATH": os.environ["PATH"],
        "BERTH_ETCD": server.endpoint,
        "BERTH_CONFIG": "/nonexistent",
    }


class Watching:
    """A `berth get -w` in a process of its own, whose lines are read as they come."""

    def __init__(self, server: EtcdServer, root: str, *arguments: str) -> None:
        program, environment = command(server, root, *arguments)
        self._process = subprocess.Popen(
            program, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        self.lines: list[str] = []
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self.lines.append(line.rstrip())

    def __enter__(self) -> "Watching":
        return self

    def __exit__(self, *error: object) -> None:
        self._process.kill()
        self._process.wait()
        self._reader.join()
        assert self._process.stdout is not None
        self._process.stdout.close()

    def pause(self) -> None:
        self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        self._process.send_signal(signal.SIGCONT)

    def wait_for(self, pattern: str) -> None:
        def is_there() -> bool:
            assert self._process.poll() is None, f"berth ended; it had printed {self.lines}"
            return any(re.search(pattern, line) for line in self.lines)

        eventually(is_there)


@pytest.fixture
def own_server(tmp_path: Path) -> Iterator[EtcdServer]:
    """An etcd that the test may stop."""
    from tests.support.fixtures import require_etcd

    require_etcd()
    with EtcdServer(tmp_path / "own") as server:
        yield server


def test_watch_survives_compaction_and_a_restart_of_etcd(own_server: EtcdServer) -> None:
    keys = Keys()
    only_new = ("get", "tasks", "--watch-only", "-o", "jsonpath={.metadata.name}{'\\n'}")
    with (
        closing(own_server.store()) as store,
        Watching(own_server, keys.prefix, "get", "tasks", "-w") as table,
        Watching(own_server, keys.prefix, "get", "tasks", "-w", "-o", "name") as names,
    ):
        put_tasks(store, keys, ["first"])
        table.wait_for(r"^first +1/1 +Running")
        names.wait_for("^task/first$")
        with Watching(own_server, keys.prefix, *only_new) as only:
            eventually(lambda: renewed(store, keys, only), every_s=0.2)
        for each in (table, names):
            each.pause()
        own_server.kill()
        own_server.restart()
        put_tasks(store, keys, ["second", "third"])
        store.compact(store.get(keys.cluster).revision)  # what they would resume from is gone
        put_tasks(store, keys, ["fourth"])
        for each in (table, names):
            each.resume()
        for name in ("second", "third", "fourth"):
            table.wait_for(rf"^{name} +1/1 +Running")
            names.wait_for(f"^task/{name}$")
        put_tasks(store, keys, ["fifth"])  # and the watches live on
        table.wait_for(r"^fifth +1/1 +Running")
        names.wait_for("^task/fifth$")
    assert "first" not in only.lines
    assert sum(line.startswith("first ") for line in table.lines) == 1


def renewed(store: Store, keys: Keys, watching: Watching) -> bool:
    """Write a task anew until the watch shows it: nobody knows when a watch that prints no start has begun."""
    put_tasks(store, keys, ["new"])
    return "new" in watching.lines


def test_ten_thousand_tasks_are_printed_in_bounded_memory(etcd_server: EtcdServer) -> None:
    keys = Keys("/berth-many")
    with closing(etcd_server.store()) as store:
        put_tasks(store, keys, [f"task-{index:05}" for index in range(MANY)])
        program, environment = command(etcd_server, keys.prefix, "get", "tasks")
        measured = subprocess.run(
            [*LAUNCHER, *program], env=environment, capture_output=True, text=True, timeout=200
        )
        store.txn(Txn((), (Delete(f"{keys.prefix}/", is_prefix=True),)))
    assert measured.returncode == 0
    lines = measured.stdout.splitlines()
    assert len(lines) == MANY + 1
    assert lines[1].split()[:4] == ["task-00000", "1/1", "Running", "0"]
    assert lines[-1].startswith("task-09999 ")
    assert int(measured.stderr.splitlines()[-1]) < MAX_MEMORY_KB
