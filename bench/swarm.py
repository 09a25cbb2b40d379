"""Docker Swarm on the private engine: the peer that also takes a wish, decides, and reports."""

import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

import docker
from docker.errors import DockerException

from bench.harness import NotHere
from bench.lab import Lab, until
from bench.site import COMMAND, CPU_MILLIS, MEMORY_BYTES
from tools.bridge import delete_bridge
from tools.image import IMAGE
from tools.private import free_ports

POLL_S = 0.1
RUNNING_WITHIN_S = 120.0
GATEWAY = (
    "docker_gwbridge"  # the network that swarm mode makes on the host, here with a bridge of our own name
)
BRIDGE = "berth-bench-gw"


@dataclass(frozen=True, slots=True)
class Swarm:
    """An engine in swarm mode."""

    host: str
    client: docker.APIClient

    def run(self, name: str, replicas: int) -> float:
        """Create a service; return the seconds until all its tasks are said to run."""
        begin = time.perf_counter()
        self._docker(
            "service", "create", "--quiet", "--detach", "--name", name, "--replicas", str(replicas),
            "--limit-memory", str(MEMORY_BYTES), "--reserve-cpu", str(CPU_MILLIS / 1000),
            "--limit-pids", "4096", "--log-driver", "json-file", "--log-opt", "max-size=10m",
            "--log-opt", "max-file=5", "--no-resolve-image", "--stop-grace-period", "0s",
            "--entrypoint", " ".join(COMMAND), IMAGE,
        )  # fmt: skip
        until(
            f"{replicas} tasks of swarm run",
            lambda: self._running(name) >= replicas,
            timeout_s=RUNNING_WITHIN_S,
            poll_s=POLL_S,
        )
        return time.perf_counter() - begin

    def clear(self, name: str) -> None:
        """Remove the service, and wait until its containers are gone."""
        self._docker("service", "rm", name)
        label = {"label": f"com.docker.swarm.service.name={name}"}
        until("the containers of swarm are gone", lambda: not self.client.containers(all=True, filters=label))

    def _running(self, name: str) -> int:
        filters = {"service": name, "desired-state": "running"}
        found = self.client.tasks(filters=filters)  # type: ignore[no-untyped-call]  # a gap in the stubs
        return sum(each["Status"]["State"] == "running" for each in found)

    def _docker(self, *arguments: str) -> None:
        done = subprocess.run(
            ["docker", "--host", self.host, *arguments], capture_output=True, text=True, check=False
        )
        if done.returncode != 0:
            raise NotHere(f"docker {' '.join(arguments[:2])} said: {done.stderr.strip()[-300:]}")


@contextmanager
def swarm(lab: Lab) -> Iterator[Swarm]:
    """Turn swarm mode on, on loopback addresses, and off again. Raises NotHere where the engine refuses."""
    client = docker.APIClient(base_url=lab.docker_host, version="auto", timeout=120)
    try:
        _begin(client)
        try:
            yield Swarm(lab.docker_host, client)
        finally:
            with suppress(DockerException):
                client.leave_swarm(force=True)
            with suppress(DockerException):
                client.remove_network(GATEWAY)
            delete_bridge(BRIDGE)
    finally:
        client.close()


def _begin(client: docker.APIClient) -> None:
    (port,) = free_ports(1)
    try:
        client.create_network(GATEWAY, driver="bridge", options={"com.docker.network.bridge.name": BRIDGE})
        client.init_swarm(advertise_addr="127.0.0.1", listen_addr=f"127.0.0.1:{port}")
    except DockerException as error:
        raise NotHere(f"the engine can't begin a swarm: {error}") from error
