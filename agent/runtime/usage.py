"""The port to usage: counters of what containers have used, from which two readings make a rate.

Nothing is read while nobody asks. Calls may block; the server makes them in threads.
"""

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class ContainerCounters:
    """One running container. cpu_ns: cpu time since its start, None where it can't be read.

    memory_bytes: what it holds, less the files that the kernel may drop at once, as kubelet counts it.
    """

    container_id: str
    task_uid: str
    binding_uid: str
    container: str
    cpu_ns: int | None
    memory_bytes: int | None


@dataclass(frozen=True, slots=True)
class NodeCounters:
    """The host. cpu_ns: cpu time of all cores since its start, other than idle."""

    cpu_ns: int
    memory_bytes: int


class UsageCounters(Protocol):
    """Where counters come from."""

    def containers(self, cluster: str) -> tuple[ContainerCounters, ...]:
        """Return the running containers of this node and cluster. Raises RuntimeUnavailable."""

    def node(self) -> NodeCounters: ...


class NoUsage:
    """The counters of a runtime that runs nothing."""

    def containers(self, cluster: str) -> tuple[ContainerCounters, ...]:
        return ()

    def node(self) -> NodeCounters:
        return NodeCounters(0, 0)
