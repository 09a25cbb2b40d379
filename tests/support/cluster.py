"""A whole cluster as a user has it: etcd, the real `berth` processes, the command line, and a look behind the scenes.

    with Cluster(tmp_path, docker_host) as cluster:
        cluster.start_controller()
        cluster.start_agent()
        cluster.berth("apply", "-f", "-", stdin=...)

Whatever a test breaks, `with` ends every process by its own id and removes the containers of the cluster's nodes.
"""

import json
import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, ClassVar, TypeVar

import docker
import pytest
import yaml

from client.client import Client
from schemas.binding import Binding
from schemas.cluster import Cluster as ClusterRecord
from schemas.keys import Keys, cluster_ref, task_ref
from schemas.manifest import load
from schemas.meta import Condition, Model
from schemas.report import NodeReport
from schemas.status import NodeStatus, TaskStatus
from store.api import Put, Store, Txn
from store.errors import StoreError
from tests.support.docker import list_containers, remove_containers
from tests.support.etcd import EtcdServer, Tls
from tests.support.ports import PORTS_EACH, free_port_block
from tests.support.wait import PATIENCE_S, eventually
from tools.processes import start_server, stop_server, tail

ROOT = Path(__file__).parents[2]
BERTH = Path(sys.executable).parent / "berth"
IMAGE = "berth/demo:latest"
COMMAND_TIMEOUT_S = 2 * PATIENCE_S  # a command that waits for something, and says so itself
LEASE_TTL_S = 3  # of controllers and agents: short, as tests wait for it to expire
STEADY_LEASE_TTL_S = 10  # where no test does, so that a busy machine lets none expire
LOG_LINES = 40
M = TypeVar("M", bound=Model)
R = TypeVar("R")
Json = dict[str, Any]


@dataclass(frozen=True)
class Result:
    """What a command printed, and how it ended."""

    command: str
    code: int
    out: str
    err: str
    seconds: float

    @property
    def json(self) -> Any:
        assert self.out.strip(), self
        return json.loads(self.out)

    @property
    def rows(self) -> dict[str, list[str]]:
        """The table: first cell -> all cells of its row, split at three spaces."""
        lines = [line.split("   ") for line in self.out.splitlines() if line]
        cells = [[cell.strip() for cell in line if cell.strip()] for line in lines]
        return {row[0]: row for row in cells}


class Component:
    """One `berth` process that a test may kill, pause and start again with the same options."""

    def __init__(self, name: str, command: list[str], folder: Path, environment: Mapping[str, str]) -> None:
        self.name = name
        self.command = command
        self.log = folder / f"{name}.log"
        self._folder, self._environment = folder, environment
        self.process: subprocess.Popen[bytes] | None = None

    def start(self, *more: str) -> None:
        """Start it; more: options for this time only."""
        assert self.process is None, f"{self.name} runs already"
        self.process = start_server(
            [*self.command, *more], self._folder, log=self.log, extra=self._environment
        )

    def kill(self) -> None:
        """End it at once, as a crash does."""
        self._signal(signal.SIGKILL)
        self._reap()

    def terminate(self) -> int:
        """End it in good order; return its exit code."""
        self._signal(signal.SIGTERM)
        return self._reap()

    def pause(self) -> None:
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        self._signal(signal.SIGCONT)

    def ends(self, timeout_s: float = PATIENCE_S) -> int:
        """Wait until it ends by itself; return its exit code."""
        assert self.process is not None
        self.process.wait(timeout_s)
        return self._reap()

    def close(self) -> None:
        if self.process is not None:
            with suppress(ProcessLookupError):
                self.process.send_signal(signal.SIGCONT)
            stop_server(self.process)
            self.process = None

    @property
    def text(self) -> str:
        """All that it has logged."""
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def _signal(self, number: signal.Signals) -> None:
        assert self.process is not None, f"{self.name} does not run"
        self.process.send_signal(number)

    def _reap(self) -> int:
        assert self.process is not None
        code = self.process.wait(PATIENCE_S)
        self.process = None
        return code


class Cluster:
    """etcd, controllers and agents of one test or module, and what is known about them from outside."""

    living: ClassVar[list["Cluster"]] = []  # those whose logs are shown when a test fails

    def __init__(
        self,
        folder: Path,
        docker_host: str,
        *,
        tls: Tls | None = None,
        prefix: str = "/berth",
        lease_ttl_s: int = LEASE_TTL_S,
    ) -> None:
        self.folder = folder
        self.docker_host = docker_host
        self.lease_ttl_s = lease_ttl_s
        self.etcd = EtcdServer(folder / "etcd", tls=tls)
        self.keys = Keys(prefix)
        self.components: dict[str, Component] = {}
        self.nodes: list[str] = []
        self.environment = {"BERTH_ETCD": self.etcd.endpoint, "BERTH_ROOT": prefix}
        self.docker = docker.APIClient(base_url=docker_host, version="auto", timeout=60)
        self._store: Store | None = None
        self._stack = ExitStack()

    def __enter__(self) -> "Cluster":
        self._stack.callback(self.docker.close)
        self._stack.callback(self.remove_containers)
        self._stack.enter_context(self.etcd)
        self._stack.callback(self._close_components)
        Cluster.living.append(self)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        Cluster.living.remove(self)
        self._stack.close()

    # Processes

    def start_controller(self, name: str = "controller", *options: str, **environment: str) -> Component:
        """Start a controller; options: of the command, environment: variables of its own."""
        given = ["--identity", name, "--lease-ttl", str(self.lease_ttl_s), *options]
        return self._start(name, ["controller", *given], environment)

    def start_agent(
        self, name: str = "agent", *options: str, docker_host: str = "", node: str = "", **environment: str
    ) -> Component:
        """Start an agent on a node of its own; see `node`."""
        made = node or f"e2e-{uuid.uuid4().hex[:8]}"
        if made not in self.nodes:
            self.nodes.append(made)
        first = free_port_block()
        defaults = {
            "--node": made,
            "--docker-host": docker_host or self.docker_host,
            "--state-dir": str(self.folder / f"state-{name}"),
            "--address": "127.0.0.1",
            "--port-range": f"{first}-{first + PORTS_EACH - 1}",
            "--lease-ttl": str(self.lease_ttl_s),
            "--image-gc-high": "100",  # nothing of a test is removed because the host's disk is full
        }
        given = [part for pair in defaults.items() if pair[0] not in options for part in pair]
        return self._start(name, ["agent", *given, *options], environment)

    def _start(self, name: str, arguments: list[str], environment: Mapping[str, str]) -> Component:
        command = [str(BERTH), *arguments, "--listen", "127.0.0.1:0", "--log-level", "info"]
        component = Component(
            name, command, self.folder, {**self._clean(), **self.environment, **environment}
        )
        self.components[name] = component
        component.start()
        return component

    def _clean(self) -> dict[str, str]:
        return dict.fromkeys((name for name in os.environ if name.startswith(("BERTH_", "DOCKER_"))), "")

    def _close_components(self) -> None:
        for component in reversed(self.components.values()):
            component.close()

    def check_alive(self) -> None:
        """Fail at once if a component ended that no test has ended."""
        for name, each in self.components.items():
            ended = each.process.poll() if each.process is not None else None
            if ended is not None:
                pytest.fail(f"{name} ended by itself with code {ended}")  # no AssertionError: no waiting

    def logs(self) -> dict[str, str]:
        """Return component -> the end of its log."""
        found = {name: tail(each.log, lines=LOG_LINES) for name, each in self.components.items()}
        return {**found, "etcd": tail(self.etcd.folder / "etcd.log", lines=10)}

    # The command line

    @contextmanager
    def command(
        self, *arguments: str, stdin: bytes | None = None, **environment: str
    ) -> Iterator[subprocess.Popen[bytes]]:
        """Run a command of the user's in the background; it is ended with the block."""
        kept = {
            name: value for name, value in os.environ.items() if not name.startswith(("BERTH_", "DOCKER_"))
        }
        with subprocess.Popen(
            [BERTH, *arguments],
            cwd=ROOT,
            env={**kept, **self.environment, **environment},
            stdin=subprocess.PIPE if stdin is not None else subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        ) as process:
            try:
                yield process
            finally:
                if process.poll() is None:
                    process.kill()

    def berth(
        self, *arguments: str, stdin: bytes | str | Json | list[Json] | None = None, **environment: str
    ) -> Result:
        """Run a command to its end; stdin may be objects, which become a manifest."""
        given = manifest(stdin) if isinstance(stdin, dict | list) else stdin
        sent = given.encode() if isinstance(given, str) else given
        start = time.monotonic()
        with self.command(*arguments, stdin=sent, **environment) as process:
            try:
                out, err = process.communicate(sent, COMMAND_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                raise AssertionError(f"berth {' '.join(arguments)} does not end") from None
        said = err.decode(errors="replace")
        assert "Traceback" not in said, said
        seconds = time.monotonic() - start
        return Result(f"berth {' '.join(arguments)}", process.returncode, out.decode(), said, seconds)

    # What the command line stands on, for tests that are about something else: it spares them a start of Python

    def apply(self, *objects: Json) -> None:
        """Apply objects, which must work."""
        source = [("test.yaml", manifest(list(objects)).encode())]
        with Client(self.etcd.store()) as client:
            client.apply(load(source, default_namespace="default"), timeout_s=PATIENCE_S)

    def delete(self, *names: str) -> None:
        """Delete tasks of the default namespace and wait until they are gone, which must work."""
        with Client(self.etcd.store()) as client:
            views = [client.get("tasks", name) for name in names]
            for view in views:
                client.delete(view, wait=False)
            for view in views:
                client.wait_deleted(view, timeout_s=PATIENCE_S)

    def delete_node(self, name: str) -> None:
        """Delete a node whose agent has ended, and wait until it is gone."""
        with Client(self.etcd.store()) as client:
            client.delete(client.get("nodes", name), timeout_s=PATIENCE_S)
        self.nodes.remove(name)

    # etcd

    def reading(self, read: Callable[[Store], R]) -> R:
        """Read from etcd; while it does not answer an AssertionError, so that `eventually` goes on."""
        if self._store is None:
            self._store = self.etcd.store(timeout_s=2.0)
        try:
            return read(self._store)
        except StoreError as error:
            self._store = None  # also after a restored backup, which one client never forgives
            raise AssertionError(f"etcd does not answer: {error}") from error

    def get(self, key: str, model: type[M]) -> M | None:
        kv = self.reading(lambda store: store.get(key)).kv
        try:
            return None if kv is None else model.parse_stored(json.loads(kv.value))
        except ValueError as error:
            raise AssertionError(f"{key} can't be read: {error}") from error

    def list_keys(self, prefix: str = "/") -> list[str]:
        return [kv.key for kv in self.reading(lambda store: store.list(prefix)).kvs]

    def put(self, key: str, value: bytes) -> None:
        """Write straight into etcd, as `etcdctl put` does."""
        self.reading(lambda store: store.txn(Txn((), (Put(key, value),))))

    def revision(self) -> int:
        return self.reading(lambda store: store.get(self.keys.cluster)).revision

    def record(self) -> ClusterRecord:
        found = self.get(self.keys.cluster, ClusterRecord)
        assert found is not None, "no controller has initialised the store"
        return found

    def status(self, name: str, namespace: str = "default") -> TaskStatus:
        """Return the status of a task."""
        found = self.get(self.keys.status(task_ref(namespace, name)), TaskStatus)
        assert found is not None, f"{name} has no status"
        return found

    def bindings(self, node: str) -> list[Binding]:
        found = self.reading(lambda store: store.list(self.keys.bindings_range(node))).kvs
        return [Binding.parse_stored(json.loads(kv.value)) for kv in found]

    def node_report(self, node: str) -> NodeReport:
        found = self.get(self.keys.node_report(node), NodeReport)
        assert found is not None, f"{node} has not reported"
        return found

    def node_condition(self, node: str, type_: str = "Ready") -> Condition:
        found = self.get(self.keys.status(cluster_ref("nodes", node)), NodeStatus)
        assert found is not None, f"{node} has no status"
        return next(each for each in found.conditions if each.type == type_)

    # Waiting

    def wait_ready(self, *nodes: str) -> None:
        """Wait until nodes (all of them, when none is named) are Ready."""

        def is_ready(node: str) -> bool:
            self.check_alive()
            return self.node_condition(node).status == "True"

        for node in nodes or tuple(self.nodes):
            eventually(partial(is_ready, node))

    def wait_state(self, name: str, state: str, timeout_s: float = PATIENCE_S, **more: Any) -> TaskStatus:
        """Wait until a task is in a state, and fields of its status have these values too."""

        def there() -> TaskStatus:
            status = self.status(name)
            wrong = {field: getattr(status, field) for field in more if getattr(status, field) != more[field]}
            assert status.state == state, f"{name} is {status.state} {status.reason} {status.message}"
            assert not wrong, f"{name}: {wrong} instead of {more}"
            return status

        return eventually(there, timeout_s)

    def wait_running(self, *names: str, timeout_s: float = PATIENCE_S) -> list[TaskStatus]:
        return [self.wait_state(name, "Running", timeout_s) for name in names]

    def wait_reason(self, name: str, reason: str, timeout_s: float = PATIENCE_S) -> TaskStatus:
        """Wait until the status of a task gives this reason."""

        def told() -> TaskStatus:
            status = self.status(name)
            assert status.reason == reason, f"{name}: {status.state} {status.reason} {status.message}"
            return status

        return eventually(told, timeout_s)

    # Docker

    def containers(self, name: str = "", *, node: str = "", running_only: bool = False) -> list[Json]:
        """Return the containers of this cluster's nodes, as Docker inspects them, oldest first."""
        found = []
        for each in [node] if node else self.nodes:
            labels = [f"berth.node={each}", *([f"berth.name={name}"] if name else [])]
            found += list_containers(self.docker, all=not running_only, filters={"label": labels})
        inspected = []
        for each in found:
            with suppress(docker.errors.NotFound):
                inspected.append(self.docker.inspect_container(each["Id"]))
        return sorted(inspected, key=lambda each: each["Created"])

    def containers_of(self, owner: str) -> list[str]:
        """Return the tasks of an owner that have a container, dead ones too."""
        names = [each["Config"]["Labels"]["berth.name"] for each in self.containers()]
        return [name for name in names if name.startswith(f"{owner}-")]

    def container(self, name: str) -> Json:
        """Return the one running container of a task."""
        found = self.containers(name, running_only=True)
        assert len(found) == 1, f"{name} has {len(found)} running containers"
        return found[0]

    def sign_of_life(self, name: str) -> tuple[str, str]:
        """Return what changes when a container is disturbed: its id and when it was started."""
        container = self.container(name)
        return container["Id"], container["State"]["StartedAt"]

    def remove_containers(self, node: str = "") -> None:
        for each in [node] if node else self.nodes:
            remove_containers(self.docker, each)


# Manifests


def shell_task(name: str, script: str, **spec: Any) -> Json:
    """A task that runs `script`; spec: other fields of its spec, `container` those of its container,
    `metadata` those of its metadata."""
    metadata = {"name": name, **spec.pop("metadata", {})}
    container = {
        "name": "main",
        "image": IMAGE,
        "imagePullPolicy": "Never",
        "command": ["sh", "-c", script],
        "resources": {"requests": {"cpu": "10m", "memory": "8Mi"}},
        **spec.pop("container", {}),
    }
    return {
        "apiVersion": "berth/v1",
        "kind": "Task",
        "metadata": metadata,
        "spec": {"containers": [container], "grace": "2s", **spec},
    }


SLEEP = "trap 'exit 0' TERM; sleep 3600 & wait"  # ends at once when asked to


def sleeper(name: str, **spec: Any) -> Json:
    """A task that runs until it is stopped."""
    return shell_task(name, SLEEP, **spec)


def web_task(name: str, **port: Any) -> Json:
    """A web server; port: further fields of its one port."""
    container = {
        "command": ["httpd", "-f", "-p", "8080", "-h", "/www"],
        "ports": [{"containerPort": 8080, **port}],
    }
    return shell_task(name, "", container=container, grace="0s")


def manifest(objects: Json | list[Json]) -> str:
    return yaml.safe_dump_all([objects] if isinstance(objects, dict) else objects, sort_keys=False)
