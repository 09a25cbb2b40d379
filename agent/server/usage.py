"""What this node and its containers use right now.

GET /v1/usage              anybody: {"cpuMillis", "memoryBytes", "capacity": {"cpu": millicores, "memory": bytes, ...}}
GET /v1/usage/{namespace}  with the namespace's token: [{"taskUid", "container", "cpuMillis", "memoryBytes"}, ...]

Rates come from two readings of counters, half a second apart; who asks meanwhile or soon after gets the same
answer. Nothing is read while nobody asks, and nothing is written anywhere. A figure that can't be had is null.
"""

import asyncio
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from agent.errors import RuntimeUnavailable
from agent.runtime.usage import ContainerCounters, NodeCounters, NoUsage, UsageCounters
from agent.server.access import Refusal, bearer_token, is_token, refused
from schemas.binding import Binding

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.routing import BaseRoute

SAMPLE_S = 0.5  # between two readings: long enough for 2 % of a core at the kernel's tick of 10 ms
KEEP_S = 1.0  # one listing of a person asks once a namespace; all are answered from one sample

Here = Callable[[], tuple[str, tuple[Binding, ...]]]
"""() -> (cluster uid, the bindings on this node)"""


@dataclass(frozen=True, slots=True)
class NodeUsage:
    """cpu_millis: thousandths of a core, memory_bytes: what is not available to others."""

    cpu_millis: int
    memory_bytes: int


@dataclass(frozen=True, slots=True)
class ContainerUsage:
    task_uid: str
    binding_uid: str
    container: str
    cpu_millis: int | None
    memory_bytes: int | None


@dataclass(frozen=True, slots=True)
class Reading:
    """All counters at one moment. containers: id -> counters."""

    at_s: float
    node: NodeCounters
    containers: Mapping[str, ContainerCounters]


@dataclass(frozen=True, slots=True)
class Sample:
    at_s: float
    cluster: str
    node: NodeUsage
    containers: tuple[ContainerUsage, ...]


def rates(first: Reading, second: Reading, cluster: str) -> Sample:
    """Return what was used between two readings. A container that began in between has no cpu rate yet. Pure."""
    elapsed_ns = max(1.0, (second.at_s - first.at_s) * 1e9)

    def millis(before_ns: int | None, after_ns: int | None) -> int | None:
        if before_ns is None or after_ns is None:
            return None
        return round(max(0, after_ns - before_ns) / elapsed_ns * 1000)

    containers = tuple(
        ContainerUsage(
            each.task_uid,
            each.binding_uid,
            each.container,
            millis(first.containers[key].cpu_ns if key in first.containers else None, each.cpu_ns),
            each.memory_bytes,
        )
        for key, each in second.containers.items()
    )
    node = NodeUsage(millis(first.node.cpu_ns, second.node.cpu_ns) or 0, second.node.memory_bytes)
    return Sample(second.at_s, cluster, node, containers)


@dataclass(frozen=True, slots=True)
class _Failure:
    at_s: float
    cluster: str
    message: str


class UsageMeter:
    """Samples when it is asked; who asks at the same time waits for the one sample."""

    def __init__(
        self,
        counters: UsageCounters,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._counters = counters
        self._clock, self._sleep = clock, sleep
        self._lock = threading.Lock()
        self._last: Sample | None = None
        self._failure: _Failure | None = None

    def sample(self, cluster: str) -> Sample:
        """Return what is used now, at most KEEP_S old. Raises RuntimeUnavailable, also for KEEP_S."""
        with self._lock:
            last, failure = self._last, self._failure
            if last is not None and last.cluster == cluster and self._clock() - last.at_s < KEEP_S:
                return last
            if failure is not None and failure.cluster == cluster and self._clock() - failure.at_s < KEEP_S:
                raise RuntimeUnavailable(failure.message)
            try:
                self._last = self._measure(cluster)
            except RuntimeUnavailable as error:
                self._failure = _Failure(self._clock(), cluster, str(error))
                raise
            return self._last

    def _measure(self, cluster: str) -> Sample:
        first = self._read(cluster)
        self._sleep(SAMPLE_S)
        return rates(first, self._read(cluster), cluster)

    def _read(self, cluster: str) -> Reading:
        found = self._counters.containers(cluster)
        return Reading(self._clock(), self._counters.node(), {each.container_id: each for each in found})


class SharedSample:
    """Samples for the routes of one event loop: who asks meanwhile waits for the same task.

    Anybody may ask, so a sample has a thread of its own: those of logs and exec stay free.
    """

    def __init__(self, meter: UsageMeter) -> None:
        self._meter = meter
        self._running: dict[str, asyncio.Task[Sample | RuntimeUnavailable]] = {}

    async def get(self, cluster: str) -> Sample:
        """Return a sample of a cluster's containers. Raises RuntimeUnavailable."""
        task = self._running.get(cluster)
        if task is None:
            task = self._running[cluster] = asyncio.create_task(self._sample(cluster))
        found = await asyncio.shield(task)  # who asked and is gone ends it for nobody else
        if isinstance(found, RuntimeUnavailable):
            raise RuntimeUnavailable(str(found))
        return found

    async def _sample(self, cluster: str) -> Sample | RuntimeUnavailable:
        executor = ThreadPoolExecutor(1, "usage")
        try:
            return await asyncio.get_running_loop().run_in_executor(executor, self._meter.sample, cluster)
        except RuntimeUnavailable as error:
            return error
        finally:
            executor.shutdown(wait=False)
            del self._running[cluster]


def _nothing_here() -> tuple[str, tuple[Binding, ...]]:
    return "", ()


@dataclass(frozen=True, slots=True)
class UsageSource:
    """What the routes need. capacity: () -> resource name -> amount that this node offers."""

    meter: UsageMeter = field(default_factory=lambda: UsageMeter(NoUsage()))
    here: Here = _nothing_here
    capacity: Callable[[], Mapping[str, int]] = dict


def allowed(header: str, namespace: str, bindings: Iterable[Binding]) -> frozenset[str]:
    """Return the uids of the bindings that the bearer may ask about. Raises Refusal 401, 403."""
    token = bearer_token(header)
    there = [each for each in bindings if each.namespace == namespace]
    own = frozenset(each.binding_uid for each in there if is_token(token, each.access_hash))
    if there and not own:
        raise Refusal(403, f"this is not the token of namespace {namespace}; read it with: berth top tasks")
    return own


def routes(source: UsageSource) -> "list[BaseRoute]":
    """Return where usage is served."""
    from starlette.responses import JSONResponse
    from starlette.routing import Route

    shared = SharedSample(source.meter)

    async def node_usage(request: "Request") -> "Response":
        cluster, _ = source.here()
        try:
            sample = await shared.get(cluster)
        except RuntimeUnavailable as error:
            return refused(error)
        told = {"cpuMillis": sample.node.cpu_millis, "memoryBytes": sample.node.memory_bytes}
        return JSONResponse({**told, "capacity": dict(source.capacity())})

    async def task_usage(request: "Request") -> "Response":
        cluster, bindings = source.here()
        header = request.headers.get("authorization", "")
        try:
            own = allowed(header, request.path_params["namespace"], bindings)
            sample = await shared.get(cluster) if own else None
        except (Refusal, RuntimeUnavailable) as error:
            return refused(error)
        return JSONResponse(
            [_as_json(each) for each in (sample.containers if sample else ()) if each.binding_uid in own]
        )

    return [Route("/v1/usage", node_usage), Route("/v1/usage/{namespace}", task_usage)]


def _as_json(usage: ContainerUsage) -> dict[str, str | int | None]:
    return {
        "taskUid": usage.task_uid,
        "container": usage.container,
        "cpuMillis": usage.cpu_millis,
        "memoryBytes": usage.memory_bytes,
    }
