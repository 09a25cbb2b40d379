"""A one-machine cluster for the rows with containers: etcd, controller, agent, and a watch on what becomes of tasks.

with site(lab, "one") as found:
    seconds = found.run(["a", "b"])      # from the specs' transaction to the last Running in status
    found.clear(["a", "b"])
"""

import json
import threading
import time
import uuid
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from bench.harness import Reading
from bench.lab import Component, Lab, LabError, connect, until
from schemas.keys import Family, Keys, cluster_ref, task_ref
from schemas.request import DeleteRequest
from store import codec
from store.api import Put, Store, Txn, Watch, WatchEvent
from tools.docker_http import container_labels, remove_container
from tools.image import IMAGE

NODE = "bench"
KEYS = Keys()
COMMAND = ["sleep", "3600"]  # the same for every side
MEMORY_BYTES = 32 * 1024 * 1024
CPU_MILLIS = 10
RUNNING_WITHIN_S = 180.0  # a few seconds as a rule
GONE_WITHIN_S = 180.0
POLL_S = 0.25  # how often a component that died is noticed while a watch is silent


@dataclass(slots=True)
class Site:
    """A running cluster; `store` is the bench's own client of it."""

    endpoint: str
    docker_host: str
    controller: Component
    agent: Component
    store: Store

    @property
    def components(self) -> tuple[Component, Component]:
        return self.controller, self.agent

    def run(self, names: Sequence[str]) -> float:
        """Write tasks in one transaction; return the seconds until status shows the last one Running."""
        values = [Put(KEYS.spec(task_ref("default", name)), spec(name)) for name in names]
        with self._following() as states:
            begin = time.perf_counter()
            self.store.txn(Txn((), tuple(values)))
            missing = set(names)
            for name, state in states:
                if state == "Running":
                    missing.discard(name)
                if not missing:
                    return time.perf_counter() - begin
        raise LabError(f"never running: {', '.join(sorted(missing))}")

    def clear(self, names: Sequence[str]) -> None:
        """Delete tasks, and wait until neither they nor their containers are left."""
        uids = {name: self._uid(name) for name in names}
        wishes = [
            Put(
                KEYS.request(task_ref("default", name), "delete"),
                codec.encode(DeleteRequest(uid=uids[name], grace_s=0.0, requested_at="").to_json()),
            )
            for name in names
        ]
        self.store.txn(Txn((), tuple(wishes)))
        until("the tasks are deleted", lambda: not self._specs(), *self.components, timeout_s=GONE_WITHIN_S)
        until("their containers are gone", self._is_empty, *self.components, timeout_s=GONE_WITHIN_S)

    def _specs(self) -> tuple[object, ...]:
        return self.store.list(KEYS.objects_range(Family.SPEC, "default", "tasks")).kvs

    def _is_empty(self) -> bool:
        return not any("berth.node" in labels for labels in container_labels(self.docker_host).values())

    def _uid(self, name: str) -> str:
        kv = self.store.get(KEYS.spec(task_ref("default", name))).kv
        return "" if kv is None else str(json.loads(kv.value)["metadata"]["uid"])

    @contextmanager
    def _following(self) -> Iterator[Iterator[tuple[str, str]]]:
        """Yield an endless stream of (task, state) as status is written from now on."""
        prefix = KEYS.objects_range(Family.STATUS, "default", "tasks")
        news = threading.Event()
        revision = self.store.get(prefix).revision
        watch = self.store.watch((prefix,), revision + 1, news.set)
        try:
            yield self._states(watch, news)
        finally:
            watch.close()

    def _states(self, watch: Watch, news: threading.Event) -> Iterator[tuple[str, str]]:
        deadline = time.monotonic() + RUNNING_WITHIN_S
        while time.monotonic() < deadline:
            news.clear()
            while (events := watch.poll()) is not None:
                yield from states_of(events)
            if not news.wait(POLL_S):
                for component in self.components:
                    component.check()


class Meter:
    """Runs tasks on a site and adds up what its processes use up meanwhile."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self._cpu_s: list[float] = []

    def run(self, names: Sequence[str]) -> float:
        """As Site.run."""
        before = sum(each.cpu_s() for each in self.site.components)
        seconds = self.site.run(names)
        self._cpu_s.append(sum(each.cpu_s() for each in self.site.components) - before)
        return seconds

    def reading(self, count: int) -> Reading:
        """Return the processor time a container, of runs of `count`; the first run warmed up."""
        values = tuple(1000 * each / count for each in self._cpu_s[1:])
        return Reading("controller and agent together, processor time a container", "ms", values)


def states_of(events: Iterable[WatchEvent]) -> Iterator[tuple[str, str]]:
    """Return (task, state) of each status that was written."""
    for event in events:
        if event.kv is not None:
            yield event.key.rpartition("/")[2], str(json.loads(event.kv.value).get("state", ""))


def spec(name: str, image: str = IMAGE) -> bytes:
    """Return a task as `berth apply` stores it."""
    container = {
        "name": "main",
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "command": COMMAND,
        "resources": {
            "requests": {"cpu": f"{CPU_MILLIS}m", "memory": str(MEMORY_BYTES)},
            "limits": {"memory": str(MEMORY_BYTES)},
        },
    }
    return codec.encode(
        {
            "apiVersion": "berth/v1",
            "kind": "Task",
            "metadata": {
                "name": name,
                "namespace": "default",
                "uid": str(uuid.uuid4()),
                "creationTimestamp": "2026-01-01T00:00:00Z",
            },
            "spec": {"containers": [container], "grace": "0s"},
        }
    )


@contextmanager
def site(lab: Lab, name: str) -> Iterator[Site]:
    """Run a cluster of one node on the private engine; no container of it is left afterwards."""
    host = lab.docker_host
    with lab.etcd(name) as endpoint:
        common = ("--etcd", endpoint, "--listen", "127.0.0.1:0")
        state = lab.folder / name / "agent"
        of_agent = (
            "--node",
            NODE,
            "--docker-host",
            host,
            "--state-dir",
            str(state),
            "--address",
            "127.0.0.1",
        )
        with (
            lab.berth(f"{name}-controller", "controller", *common) as controller,
            lab.berth(f"{name}-agent", "agent", *common, *of_agent) as agent,
        ):
            store = connect(endpoint)
            try:
                found = Site(endpoint, host, controller, agent, store)
                until("the node is Ready", lambda: _is_ready(store), controller, agent)
                yield found
            finally:
                store.close()
        for container_id, labels in container_labels(host).items():
            if labels.get("berth.node") == NODE:
                remove_container(host, container_id)


def _is_ready(store: Store) -> bool:
    kv = store.get(KEYS.status(cluster_ref("nodes", NODE))).kv
    conditions = json.loads(kv.value).get("conditions", []) if kv is not None else []
    return any(each["type"] == "Ready" and each["status"] == "True" for each in conditions)
