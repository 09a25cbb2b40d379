"""The limit for containers: the Docker SDK alone, with the very settings that the agent gives its containers."""

import queue
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

import docker

from bench.site import COMMAND, CPU_MILLIS, MEMORY_BYTES
from tools.image import IMAGE

LABEL = "berth-bench"  # marks these containers; the agent's own labels are of the same size in sum
CALL_TIMEOUT_S = 600  # a machine that does much else is slow, not broken


def body() -> dict[str, Any]:
    """Return what is asked of Docker for one container: limits, log, process limit as the agent's."""
    return {
        "Image": IMAGE,
        "Entrypoint": COMMAND,
        "Labels": {LABEL: "bare", **{f"{LABEL}.{number}": "x" * 24 for number in range(14)}},
        "Env": ["BERTH_TASK=x", "BERTH_NAMESPACE=default", "BERTH_NODE=x", "BERTH_TASK_UID=x"],
        "StopSignal": "SIGTERM",
        "HostConfig": {
            "RestartPolicy": {"Name": "no"},
            "LogConfig": {"Type": "json-file", "Config": {"max-size": "10m", "max-file": "5"}},
            "Init": False,
            "PidsLimit": 4096,
            "CpuShares": max(2, CPU_MILLIS * 1024 // 1000),
            "Memory": MEMORY_BYTES,
            "MemorySwap": MEMORY_BYTES,
        },
    }


class Bare:
    """Creates and starts containers with as many threads as it is told, a client each, connected before."""

    def __init__(self, host: str, workers: int) -> None:
        self._clients = [
            docker.APIClient(base_url=host, version="auto", timeout=CALL_TIMEOUT_S) for _ in range(workers)
        ]
        for client in self._clients:
            client.ping()

    def __enter__(self) -> "Bare":
        return self

    def __exit__(self, *error: object) -> None:
        for client in self._clients:
            client.close()

    def run(self, names: Sequence[str]) -> float:
        """Create and start; return the seconds until the last start was answered."""
        begin = time.perf_counter()
        self._all(names, _create_and_start)
        return time.perf_counter() - begin

    def clear(self) -> None:
        """Remove all containers that `run` made."""
        found = self._clients[0].containers(all=True, filters={"label": f"{LABEL}=bare"})
        self._all([each["Id"] for each in found], _remove)

    def _all(self, names: Sequence[str], work: Callable[[docker.APIClient, str], None]) -> None:
        todo: queue.SimpleQueue[str] = queue.SimpleQueue()
        for name in names:
            todo.put(name)
        errors: list[Exception] = []
        threads = [
            threading.Thread(target=_drain, args=(client, todo, work, errors)) for client in self._clients
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if errors:
            raise errors[0]


def _drain(
    client: docker.APIClient,
    todo: "queue.SimpleQueue[str]",
    work: Callable[[docker.APIClient, str], None],
    errors: list[Exception],
) -> None:
    while True:
        try:
            name = todo.get_nowait()
        except queue.Empty:
            return
        try:
            work(client, name)
        except Exception as error:  # the thread's border: told to the caller
            errors.append(error)
            return


def _create_and_start(client: docker.APIClient, name: str) -> None:
    made = client.create_container_from_config(body(), name)  # type: ignore[no-untyped-call]  # a gap in the stubs
    client.start(made["Id"])


def _remove(client: docker.APIClient, container_id: str) -> None:
    client.remove_container(container_id, force=True, v=True)
