"""A cluster without containers: a real etcd, a controller, a fleet of hollow nodes, and one run of many tasks.

with hollow_cluster(lab, "p", nodes=100) as found:
    run = found.run(tasks=10_000)
"""

import json
import subprocess
import time
import urllib.request
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

from bench.lab import BERTH, Component, Lab, LabError, connect, until
from schemas.keys import Family, Keys
from store.api import Store, WatchEvent

KEYS = Keys()
SPECS = KEYS.objects_range(Family.SPEC, "default", "tasks")
STATUSES = KEYS.objects_range(Family.STATUS, "default", "tasks")
NODE_STATUSES = f"{KEYS.prefix}/status/_cluster/nodes/"
RUN_WITHIN_S = 180.0
POLL_S = 0.2

TASK = """\
apiVersion: berth/v1
kind: Task
metadata:
  name: {name}
  labels: {{app: bench}}
spec:
  containers:
    - name: main
      image: hollow/sleep:1
      command: [sleep, "3600"]
      env:
        - name: NUMBER
          value: "{name}"
      resources:
        requests: {{cpu: 10m, memory: 16Mi}}
"""


def manifest(names: Iterable[str]) -> str:
    """Return the YAML of tasks: 17 lines each."""
    return "---\n".join(TASK.format(name=name) for name in names)


@dataclass(frozen=True, slots=True)
class Run:
    """One run. wall_s: from the start of `berth apply` to the last Running in status.

    first_write_s: until the first spec was there; applied_s: until the last one was.
    latencies_s: by task, from its spec to its Running, both as a watch told it. cpu_s, puts, txns: by process; of etcd.
    """

    tasks: int
    nodes: int
    wall_s: float
    first_write_s: float
    applied_s: float
    latencies_s: tuple[float, ...]
    cpu_s: dict[str, float]
    counts: dict[str, float]
    rss_bytes: dict[str, int]


@dataclass(slots=True)
class HollowCluster:
    endpoint: str
    nodes: int
    folder: Path
    components: dict[str, "Component"]
    etcd_pid: int
    store: Store
    applied: int = 0

    def run(self, tasks: int) -> Run:
        """Apply so many new tasks and follow them until all run."""
        path = self.folder / "tasks.yaml"
        path.write_text(manifest(f"task-{self.applied + number:06d}" for number in range(tasks)))
        self.applied += tasks
        cpu_before, counts_before = self._cpu(), etcd_counts(self.endpoint)
        revision = self.store.get("/").revision
        watch = self.store.watch((SPECS, STATUSES), revision + 1, lambda: None)
        begin = time.perf_counter()
        apply = subprocess.Popen(
            [str(BERTH), "--etcd", self.endpoint, "apply", "-f", str(path)],
            stdout=(self.folder / "apply.log").open("wb"),
            stderr=subprocess.STDOUT,
        )
        written: dict[str, float] = {}
        running: dict[str, float] = {}
        client_cpu = 0.0
        try:
            while len(running) < tasks:
                events = watch.poll(POLL_S)
                now = time.perf_counter() - begin
                for event in events or ():
                    _note(event, now, written, running)
                if events is None and now > RUN_WITHIN_S:
                    raise LabError(f"{len(running)} of {tasks} run after {now:.0f} s, {len(written)} specs")
                for component in self.components.values():
                    component.check()
                if apply.poll() is None:
                    client_cpu = _cpu_of(apply.pid) or client_cpu
        finally:
            watch.close()
            apply.wait()
        cpu = {name: used - cpu_before[name] for name, used in self._cpu().items()}
        counts = etcd_counts(self.endpoint)
        return Run(
            tasks=tasks,
            nodes=self.nodes,
            wall_s=max(running.values()),
            first_write_s=min(written.values()),
            applied_s=max(written.values()),
            latencies_s=tuple(sorted(running[name] - written[name] for name in running)),
            cpu_s={"apply": client_cpu, **cpu},
            counts={name: counts[name] - counts_before.get(name, 0.0) for name in counts},
            rss_bytes={name: each.rss_bytes() for name, each in self.components.items()},
        )

    def _cpu(self) -> dict[str, float]:
        found = {name: each.cpu_s() for name, each in self.components.items()}
        return found | {"etcd": _cpu_of(self.etcd_pid)}


def _note(event: WatchEvent, now: float, written: dict[str, float], running: dict[str, float]) -> None:
    if event.kv is None:
        return
    name = event.key.rpartition("/")[2]
    if event.key.startswith(SPECS):
        written.setdefault(name, now)
    elif name not in running and _runs(event.kv.value):
        running[name] = now


def _runs(status: bytes) -> bool:
    return b'"Running"' in status and json.loads(status)["state"] == "Running"


def _cpu_of(pid: int) -> float:
    try:
        times = psutil.Process(pid).cpu_times()
    except psutil.Error:
        return 0.0
    return float(times.user + times.system)


@contextmanager
def hollow_cluster(lab: Lab, name: str, nodes: int) -> Iterator[HollowCluster]:
    """Run etcd, controller and fleet until all nodes are known."""
    folder = lab.folder / name
    folder.mkdir(parents=True, exist_ok=True)
    with lab.etcd(name) as endpoint:
        store = connect(endpoint)
        quiet = ("--log-level", "warning")
        fleet = (
            "agent", "--runtime", "hollow", "--node", "sim", "--count", str(nodes),
            "--capacity", "cpu=64,memory=256Gi", "--state-dir", str(folder / "fleet"), *quiet,
        )  # fmt: skip
        with (
            lab.berth(f"{name}-controller", "--etcd", endpoint, "controller", *quiet) as controller,
            lab.berth(f"{name}-fleet", "--etcd", endpoint, *fleet) as agents,
        ):
            components = {"controller": controller, "fleet": agents}
            until(
                f"{nodes} nodes are known",
                lambda: len(store.list(NODE_STATUSES).kvs) == nodes,
                controller,
                agents,
            )
            try:
                pid = _etcd_pid(endpoint)
                yield HollowCluster(endpoint, nodes, folder, components, pid, store)
            finally:
                store.close()


def _etcd_pid(endpoint: str) -> int:
    port = int(endpoint.rpartition(":")[2])
    for process in psutil.process_iter(["name", "cmdline"]):
        if process.info["name"] == "etcd" and any(f":{port}" in part for part in process.info["cmdline"]):
            return int(process.pid)
    raise LabError(f"no process listens at {endpoint}")


def etcd_counts(endpoint: str) -> dict[str, float]:
    """Return what etcd counts of its own work: puts, deletes, ranges, transactions, calls, bytes."""
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with direct.open(f"http://{endpoint}/metrics", timeout=10) as answer:
        lines = answer.read().decode().splitlines()
    found: dict[str, float] = {}
    for line in lines:
        name, _, value = line.rpartition(" ")
        for wanted, short in _COUNTS.items():
            if name.startswith(wanted):
                found[short] = found.get(short, 0.0) + float(value)
    return found


_COUNTS = {
    "etcd_debugging_mvcc_put_total": "puts",
    "etcd_debugging_mvcc_txn_total": "transactions",
    'grpc_server_handled_total{grpc_code="OK",grpc_method="Txn"': "txn calls",
    'grpc_server_handled_total{grpc_code="OK",grpc_method="Range"': "range calls",
    "etcd_debugging_mvcc_events_total": "watch events",
    "etcd_disk_wal_fsync_duration_seconds_count": "fsyncs",
}
