"""`berth get tasks` as a whole process: with 100 tasks against the imports that it stands on, and with 10,000."""

import subprocess
import sys
import time
from collections.abc import Iterator
from itertools import islice

from bench.harness import MORE_PAIRS, Comparison, Goal, Reading, RowResult, interleaved
from bench.lab import BERTH, Lab, LabError, connect
from bench.site import KEYS, spec
from schemas.cluster import Cluster
from schemas.keys import task_ref
from schemas.state import TaskState
from schemas.status import TaskStatus
from store import codec
from store.api import Put, Store, Txn

FEW, MANY = 100, 10_000
PUTS_A_TXN = 120  # etcd takes 128 operations
IMPORTS = "import pydantic, typer, yaml, pyetcd"
MANY_RUNS = 3  # a run takes seconds


class GetTasks:
    name = "get"
    title = "`berth get tasks` as a whole process"
    goal = (
        '100 tasks: at most 2 x `python -c "import pydantic, typer, yaml, pyetcd"`; 10,000 tasks: '
        "first rows within a second, memory bounded"
    )

    def run(self, lab: Lab, pairs: int) -> RowResult:
        with lab.etcd(self.name) as endpoint:
            store = connect(endpoint)
            try:
                _fill(store, range(FEW))
                found = interleaved(lambda: _get(endpoint, FEW), _imports, MORE_PAIRS * pairs, lab.say)
                few = _watched(endpoint, FEW)
                _fill(store, range(FEW, MANY))
                many = [_watched(endpoint, MANY) for _ in range(MANY_RUNS)]
                lab.say(f"{MANY} tasks: first row after {many[0][0]:.2f} s, all after {many[0][1]:.2f} s")
            finally:
                store.close()
        comparison = Comparison(
            "berth get tasks, 100 tasks",
            "berth get",
            f'python -c "{IMPORTS}"',
            "s",
            found,
            Goal("at most", 2.0),
        )
        readings = (
            Reading("10,000 tasks: first rows", "s", tuple(each[0] for each in many), Goal("at most", 1.0)),
            Reading("10,000 tasks: all rows", "s", tuple(each[1] for each in many)),
            Reading("10,000 tasks: peak memory", "MB", tuple(each[2] for each in many)),
            Reading("100 tasks: peak memory", "MB", (few[2],)),
        )
        return RowResult(self.name, self.title, self.goal, (comparison,), readings, notes=NOTES)


def _get(endpoint: str, count: int) -> float:
    begin = time.perf_counter()
    done = subprocess.run([BERTH, "--etcd", endpoint, "get", "tasks"], capture_output=True, check=False)
    seconds = time.perf_counter() - begin
    rows = len(done.stdout.splitlines()) - 1
    if rows != count:
        raise LabError(
            f"berth get tasks printed {rows} rows instead of {count}: {done.stderr.decode()[-500:]}"
        )
    return seconds


def _imports() -> float:
    begin = time.perf_counter()
    subprocess.run([sys.executable, "-c", IMPORTS], check=True, capture_output=True)
    return time.perf_counter() - begin


LAUNCHER = (
    sys.executable,
    "-S",
    "-c",
    "import os, resource, sys\n"
    "code = os.spawnv(os.P_WAIT, sys.argv[1], sys.argv[1:])\n"
    "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss, file=sys.stderr)\n"
    "sys.exit(code)",
)
"""Runs a command and tells its peak of memory: a process begins with its parent's peak, so the parent is small."""


def _watched(endpoint: str, count: int) -> tuple[float, float, float]:
    """Run it once; return seconds to the first row of a task, seconds in all, peak memory in MB."""
    begin = time.perf_counter()
    with subprocess.Popen(
        [*LAUNCHER, BERTH, "--etcd", endpoint, "get", "tasks"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()  # the header
        process.stdout.readline()
        first_s = time.perf_counter() - begin
        rows = 1 + sum(1 for _ in process.stdout)
        seconds = time.perf_counter() - begin
        told = process.stderr.read()
    if rows != count:
        raise LabError(f"berth get tasks printed {rows} rows instead of {count}")
    return first_s, seconds, int(told.splitlines()[-1]) * 1024 / 1e6  # ru_maxrss: KiB on Linux


def _fill(store: Store, numbers: range) -> None:
    """Write specs and statuses as a cluster would hold them."""
    cluster = Cluster(cluster_uid="bench")
    store.txn(Txn((), (Put(KEYS.cluster, codec.encode(cluster.to_json())),)))
    puts = _puts(numbers)
    while some := tuple(islice(puts, PUTS_A_TXN)):
        store.txn(Txn((), some))


def _puts(numbers: range) -> Iterator[Put]:
    for number in numbers:
        ref = task_ref("default", f"task-{number:05}")
        yield Put(KEYS.spec(ref), spec(ref.name))
        status = TaskStatus(
            uid=f"uid-{number}",
            observed_generation=1,
            node=f"node-{number % 100:03}",
            epoch=1,
            binding_uid=f"binding-{number}",
            state=TaskState.RUNNING,
            started_at="2026-01-01T00:00:10Z",
        )
        yield Put(KEYS.status(ref), codec.encode(status.to_json()))


NOTES = (
    "Whole processes, from the start of the interpreter to its end. etcd is filled with specs and statuses; "
    "nothing else talks to it.",
)
