"""What nodes and tasks use right now, asked of all agents at once; etcd holds none of it.

    nodes, tasks (etcd) -> one request a node, or a node and namespace -> figures, and notes of who was silent

An agent takes half a second for its two readings; one that needs longer than TIMEOUT_S is left out.
"""

import json
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeVar

from client.agent_http import AgentPeer, request
from client.agent_target import read_token
from client.agent_tls import AgentTls
from client.errors import AgentUnavailable, ClientError
from client.views import ObjectView
from schemas.keys import Keys
from schemas.quantity import Amounts
from schemas.state import FINISHED
from schemas.status import TaskStatus
from store.api import Store
from store.errors import StoreError

TIMEOUT_S = 4.0
AT_ONCE = 32  # requests under way: waiting, all of them
HOLLOW = "hollow"  # runtime of nodes that run nothing, and of which many share a process
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Used:
    """cpu_millis: thousandths of a core. None: nobody knows."""

    cpu_millis: int | None = None
    memory_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class NodeUsage:
    """offered: what the node offers to tasks, which percentages are of."""

    name: str
    used: Used
    offered: Amounts


@dataclass(frozen=True, slots=True)
class TaskUsage:
    """containers: name -> figures, in the order of the task."""

    view: ObjectView
    containers: dict[str, Used]

    @property
    def used(self) -> Used:
        """The sum of all containers; unknown where one of them is."""
        return Used(
            _sum(each.cpu_millis for each in self.containers.values()),
            _sum(each.memory_bytes for each in self.containers.values()),
        )


def _sum(figures: Iterable[int | None]) -> int | None:
    found = list(figures)
    known = [each for each in found if each is not None]
    return sum(known) if known and len(known) == len(found) else None


@dataclass(frozen=True, slots=True)
class Silence:
    """Who gave no figures, and why."""

    node: str
    text: str


def nodes_usage(
    views: Sequence[ObjectView], tls: AgentTls
) -> tuple[tuple[NodeUsage, ...], tuple[Silence, ...]]:
    """Ask the agents of nodes; one that is silent has no figures, and is told."""
    asked = _each(views, lambda view: _ask_node(view, tls))
    found = tuple(
        NodeUsage(
            view.name,
            Used() if isinstance(each, Exception) else each,
            view.report.allocatable if view.report else {},
        )
        for view, each in asked
    )
    return found, tuple(Silence(view.name, str(each)) for view, each in asked if isinstance(each, Exception))


def _ask_node(view: ObjectView, tls: AgentTls) -> Used:
    """Raises AgentUnavailable."""
    report = view.report
    if report is None:
        raise AgentUnavailable(f"node {view.name} has not reported; see: berth describe node/{view.name}")
    if report.runtime_version.startswith(HOLLOW):
        return Used(0, 0)
    peer = AgentPeer(view.name, report.api_address)
    if not report.api_address:
        raise peer.error("has not told the address of its agent")
    told = _get_json(peer, tls, "/v1/usage")
    return _used(told) if isinstance(told, dict) else Used()


def tasks_usage(
    store: Store, keys: Keys, views: Sequence[ObjectView], tls: AgentTls
) -> tuple[tuple[TaskUsage, ...], tuple[Silence, ...]]:
    """Ask the agents of tasks that are on a node; tasks that are on none, or have ended, are left out."""
    placed = [(view, status) for view in views if (status := _placed(view)) is not None]
    groups: dict[tuple[str, str], TaskStatus] = {}
    for view, status in placed:
        groups.setdefault((status.node, view.namespace), status)
    tokens = _Tokens(store, keys)
    requests = [(node, namespace, status.api_address) for (node, namespace), status in groups.items()]
    for namespace in dict.fromkeys(namespace for _, namespace, _ in requests):
        tokens.read(namespace)  # here, as the threads only speak to agents
    asked = _each(requests, lambda each: _ask_tasks(each[0], each[1], each[2], tokens, tls))
    figures: dict[tuple[str, str], Used] = {}
    for _, answer in asked:
        figures |= {} if isinstance(answer, Exception) else answer
    silences = {
        str(each): Silence(node, str(each)) for (node, _, _), each in asked if isinstance(each, Exception)
    }
    return tuple(TaskUsage(view, _of_task(view, figures)) for view, _ in placed), tuple(silences.values())


def _placed(view: ObjectView) -> TaskStatus | None:
    status = view.task_status
    return (
        status if view.raw and status is not None and status.node and status.state not in FINISHED else None
    )


def _of_task(view: ObjectView, figures: dict[tuple[str, str], Used]) -> dict[str, Used]:
    names = [str(each["name"]) for each in view.raw["spec"]["containers"]]
    return {name: figures.get((view.uid, name), Used()) for name in names}


class _Tokens:
    """Tokens of namespaces, or why there is none."""

    def __init__(self, store: Store, keys: Keys) -> None:
        self._store, self._keys = store, keys
        self._found: dict[str, str | Exception] = {}

    def read(self, namespace: str) -> None:
        try:
            self._found[namespace] = read_token(self._store, self._keys, namespace)
        except (ClientError, StoreError) as error:
            self._found[namespace] = error

    def of(self, namespace: str) -> str:
        """Raises what stood in the way of reading it."""
        found = self._found[namespace]
        if isinstance(found, Exception):
            raise found
        return found


def _ask_tasks(
    node: str, namespace: str, address: str, tokens: _Tokens, tls: AgentTls
) -> dict[tuple[str, str], Used]:
    """Return (task uid, container) -> figures. Raises AgentUnavailable, StoreError."""
    peer = AgentPeer(node, address, token=tokens.of(namespace))
    if not address:
        raise peer.error("has not told the address of its agent")
    told = _get_json(peer, tls, f"/v1/usage/{namespace}")
    rows = [row for row in told if isinstance(row, dict)] if isinstance(told, list) else []
    return {(str(row.get("taskUid")), str(row.get("container"))): _used(row) for row in rows}


def _get_json(peer: AgentPeer, tls: AgentTls, path: str) -> Any:  # Any: JSON that is checked where it is read
    with request(peer, tls, "GET", path, timeout_s=TIMEOUT_S) as reply:
        body = reply.read()
    try:
        return json.loads(body)
    except ValueError:
        raise peer.error(f"gives an answer for {path} that is not JSON") from None


def _used(told: dict[str, Any]) -> Used:
    cpu, memory = told.get("cpuMillis"), told.get("memoryBytes")
    return Used(cpu if isinstance(cpu, int) else None, memory if isinstance(memory, int) else None)


Asked = TypeVar("Asked")


def _each(items: Sequence[Asked], ask: Callable[[Asked], T]) -> list[tuple[Asked, T | Exception]]:
    """Ask all at once; what fails for one is its own matter."""

    def one(item: Asked) -> T | Exception:
        try:
            return ask(item)
        except (ClientError, StoreError) as error:
            return error

    if not items:
        return []
    with ThreadPoolExecutor(min(AT_ONCE, len(items))) as pool:
        return list(zip(items, pool.map(one, items), strict=True))
