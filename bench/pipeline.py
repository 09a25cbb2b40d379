"""End to end without containers: 10,000 tasks on 100 and on 1,000 hollow nodes, from `berth apply` to all Running."""

import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.harness import Comparison, Goal, Reading, RowResult, Table, interleaved
from bench.lab import Lab
from bench.pipe import bare_pipe
from bench.pipeline_site import HollowCluster, Run, hollow_cluster

TASKS = 10_000
NODES = (100, 1000)
PAIR_TASKS = 1500  # a pair takes some seconds
PROFILED_TASKS = 3000
TOP_FUNCTIONS = 12
MICRO = 1_000_000


class Pipeline:
    name = "pipeline"
    title = "10,000 tasks end to end, without containers"
    goal = "1,000 tasks/s"

    def run(self, lab: Lab, pairs: int) -> RowResult:
        runs = [_one_large_run(lab, nodes) for nodes in NODES]
        with hollow_cluster(lab, "pipeline-pairs", NODES[0]) as cluster, bare_pipe(lab, "pipe") as bare:
            found = interleaved(
                lambda: PAIR_TASKS / cluster.run(PAIR_TASKS).wall_s,
                lambda: PAIR_TASKS / bare.run(PAIR_TASKS),
                pairs,
                lab.say,
            )
            tops = _profiled(lab, cluster)
        comparison = Comparison(
            f"{PAIR_TASKS} tasks on {NODES[0]} nodes",
            "Berth",
            "bare pipeline",
            "tasks/s",
            found,
        )
        readings = tuple(
            Reading(f"{TASKS} tasks on {run.nodes} nodes", "tasks/s", (run.tasks / run.wall_s,), GOAL)
            for run in runs
        )
        tables = (_speed(runs), _costs(runs), *tops)
        return RowResult(self.name, self.title, self.goal, (comparison,), readings, tables, NOTES)


GOAL = Goal("at least", 1000.0)


def _one_large_run(lab: Lab, nodes: int) -> Run:
    with hollow_cluster(lab, f"pipeline-{nodes}", nodes) as cluster:
        run = cluster.run(TASKS)
    lab.say(f"{TASKS} tasks on {nodes} nodes: {run.wall_s:.1f} s, {TASKS / run.wall_s:.0f} tasks/s")
    return run


def _speed(runs: list[Run]) -> Table:
    rows = tuple(
        (
            str(run.nodes),
            f"{run.tasks / run.wall_s:.0f}",
            f"{run.tasks / (run.wall_s - run.first_write_s):.0f}",
            f"{run.first_write_s:.1f}",
            f"{run.applied_s:.1f}",
            f"{run.wall_s:.1f}",
            f"{_share(run, 0.5):.2f}",
            f"{_share(run, 0.99):.2f}",
        )
        for run in runs
    )
    header = (
        "nodes",
        "tasks/s",
        "tasks/s after the first write",
        "first write, s",
        "last write, s",
        "last Running, s",
        "p50 of a task, s",
        "p99 of a task, s",
    )
    return Table(f"{TASKS} tasks, from the start of berth apply", header, rows)


def _share(run: Run, share: float) -> float:
    return run.latencies_s[min(len(run.latencies_s) - 1, int(share * len(run.latencies_s)))]


def _costs(runs: list[Run]) -> Table:
    processes = ("apply", "controller", "fleet", "etcd")
    counted = ("puts", "watch events", "txn calls", "range calls", "fsyncs")
    rows = []
    for run in runs:
        cpu = [f"{run.cpu_s[name] / run.tasks * MICRO:.0f}" for name in processes]
        operations = [f"{run.counts.get(name, 0.0) / run.tasks:.2f}" for name in counted]
        total = f"{sum(run.cpu_s.values()) / run.tasks * MICRO:.0f}"
        memory = [f"{run.rss_bytes[name] / 2**20:.0f}" for name in ("controller", "fleet")]
        rows.append((str(run.nodes), *cpu, total, *operations, *memory))
    header = (
        "nodes",
        *(f"{name}, us" for name in processes),
        "all, us",
        *counted,
        "controller, MiB",
        "fleet, MiB",
    )
    return Table(
        "For each task: processor time, operations of etcd; and memory at the end", header, tuple(rows)
    )


def _profiled(lab: Lab, cluster: HollowCluster) -> list[Table]:
    """Return where the time goes in controller and fleet, by py-spy, in a run that counts for nothing else."""
    files = {name: lab.folder / f"{name}.folded" for name in cluster.components}
    with _recording(cluster, files):
        cluster.run(PROFILED_TASKS)
    return [
        Table(
            f"Where the {name} spends its time (py-spy, samples that hold the interpreter)",
            ("function", "itself, %", "with what it calls, %"),
            top_functions(path.read_text().splitlines() if path.exists() else []),
        )
        for name, path in files.items()
    ]


@contextmanager
def _recording(cluster: HollowCluster, files: dict[str, Path]) -> Iterator[None]:
    spy = str(Path(sys.executable).parent / "py-spy")
    running = [
        subprocess.Popen(
            [spy, "record", "--gil", "--rate", "100", "--duration", "300", "--format", "raw",
             "--output", str(path), "--pid", str(cluster.components[name].process.pid)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        for name, path in files.items()
    ]  # fmt: skip
    try:
        yield
    finally:
        for process in running:
            process.send_signal(signal.SIGINT)
            process.wait(30)


def top_functions(folded: list[str]) -> tuple[tuple[str, ...], ...]:
    """Return (function, % itself, % with callees) of folded stacks `a;b;c COUNT`, the most expensive first."""
    itself, within, samples = Counter[str](), Counter[str](), 0
    for line in folded:
        stack, _, count = line.rpartition(" ")
        names = [frame.rpartition(":")[0] or frame for frame in stack.split(";")]  # without the line number
        samples += int(count)
        itself[names[-1]] += int(count)
        within.update(dict.fromkeys(names, int(count)))
    found = itself.most_common(TOP_FUNCTIONS)
    return tuple(
        (f"`{name}`", f"{own / samples * 100:.1f}", f"{within[name] / samples * 100:.1f}")
        for name, own in found
    )


NOTES = (
    "Berth: the wall clock runs from the start of the process `berth apply -f tasks.yaml` (one YAML file, 17 lines "
    "a task, every task with its own environment) to the watch event that shows the last task Running. All of it "
    "shares the machine: client, etcd, controller, one process with all nodes, and the bench's own watch.",
    "`apply` checks every document before it writes the first one: that part is one process on one core, and "
    "nothing else happens meanwhile. The column after the first write tells the speed without it.",
    "What bounds it: the cores. What all processes take for a task, shared by two cores, is the least time in which "
    "one can be done, and before the first write one of the two stands still. In the controller it is one thread, "
    "which decides, and spreads over many small steps: none of the functions in the table is a tenth of it by itself.",
    "Bare pipeline: three stages that watch a prefix and put 900 bytes for each event under the next one, in "
    "batches, with the same client; four puts a task instead of eight, no scheduling, no states, no conditions.",
    "A hollow node is a whole agent with lease, fence and reports of its own; only its containers are not there. "
    "All nodes share one connection and one watch, and operations land at once, so what is reported is Running.",
    "Events (two a task) are written at most 1,000 a second, behind what runs: some follow after the last Running.",
)
