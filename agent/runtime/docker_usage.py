"""Usage of this node's containers: the kernel's counters of their control groups, which Docker names by a process.

Reading the files costs microseconds a container. Where they are not to be seen (the engine runs in another
place), Docker's own counters are asked for, one container after the other.
"""

import threading
from collections.abc import Mapping
from contextlib import closing
from typing import Any

import psutil

from agent.errors import RuntimeUnavailable
from agent.labels import CLUSTER, NODE, Journal, from_labels
from agent.runtime.cgroup_usage import CgroupFolders, cpu_ns, folders_of, memory_bytes
from agent.runtime.docker_client import RUNTIME_SILENT, Client, DockerOptions, connect
from agent.runtime.usage import ContainerCounters, NodeCounters

_NOT_USED = ("idle", "iowait", "steal", "guest", "guest_nice")  # guests' time is in user time, too: proc(5)
CALL_TIMEOUT_S = 10.0  # whoever asks waits no longer


class DockerUsage:
    """`agent.runtime.usage.UsageCounters` on a Docker Engine. Any thread may use it."""

    def __init__(self, options: DockerOptions) -> None:
        self._options = options
        self._lock = threading.Lock()
        self._folders: dict[str, CgroupFolders | None] = {}  # of containers that ran when last asked

    def containers(self, cluster: str) -> tuple[ContainerCounters, ...]:
        """Return the counters of the containers that run now. Raises RuntimeUnavailable."""
        try:
            with closing(connect(self._options, timeout_s=CALL_TIMEOUT_S)) as client:
                listed = self._list(client, cluster)
                known = self._locate(client, listed)
                return tuple(
                    _counters(client, container_id, journal, known.get(container_id))
                    for container_id, labels in listed.items()
                    if (journal := from_labels(labels)) is not None and not journal.is_sandbox
                )
        except RUNTIME_SILENT as error:
            raise RuntimeUnavailable(f"the container runtime does not answer: {error}") from error

    def node(self) -> NodeCounters:
        """Return the host's counters, whatever of it this agent offers."""
        times = psutil.cpu_times()
        busy_s = sum(times[:]) - sum(float(getattr(times, name, 0.0)) for name in _NOT_USED)
        memory = psutil.virtual_memory()
        return NodeCounters(int(busy_s * 1e9), memory.total - memory.available)

    def _list(self, client: Client, cluster: str) -> dict[str, dict[str, str]]:
        """Return id -> labels of the containers that run."""
        wanted = [f"{NODE}={self._options.node}", f"{CLUSTER}={cluster}"]
        return {each["Id"]: each["Labels"] or {} for each in client.containers(filters={"label": wanted})}

    def _locate(
        self, client: Client, listed: Mapping[str, Mapping[str, str]]
    ) -> dict[str, CgroupFolders | None]:
        """Return where the counters of each container are; each is inspected once in its life."""
        with self._lock:
            known = {each: self._folders[each] for each in listed if each in self._folders}
        for container_id in listed.keys() - known.keys():
            known[container_id] = _folders(client, container_id)
        with self._lock:
            self._folders = known
        return known


def _folders(client: Client, container_id: str) -> CgroupFolders | None:
    """Return None where the groups of a container are not to be seen: it has ended, or lives elsewhere."""
    try:
        pid = int(client.inspect_container(container_id)["State"]["Pid"])
    except (KeyError, *RUNTIME_SILENT):
        return None
    found = folders_of(pid) if pid else None
    # A group that does not name the container is another process' that has the same number here.
    is_its_own = found is not None and any(
        folder is not None and container_id in str(folder) for folder in (found.cpu, found.memory)
    )
    return found if is_its_own else None


def _counters(
    client: Client, container_id: str, journal: Journal, folders: CgroupFolders | None
) -> ContainerCounters:
    cpu, memory = (cpu_ns(folders), memory_bytes(folders)) if folders else _asked(client, container_id)
    return ContainerCounters(
        container_id, journal.task_uid, journal.binding_uid, journal.container, cpu, memory
    )


def _asked(client: Client, container_id: str) -> tuple[int | None, int | None]:
    """Return Docker's own counters: one reading, without its pause of a second."""
    try:
        stats: dict[str, Any] = client.stats(container_id, stream=False, one_shot=True)
        memory = stats["memory_stats"]
        files = memory.get("stats", {})
        inactive = files.get("total_inactive_file", files.get("inactive_file", 0))
        return int(stats["cpu_stats"]["cpu_usage"]["total_usage"]), max(
            0, int(memory["usage"]) - int(inactive)
        )
    except (KeyError, TypeError, ValueError, *RUNTIME_SILENT):
        return None, None  # it has just ended
