"""Looking at the cluster from outside while it starts: does etcd answer, who leads, which nodes are Ready."""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import TypeVar

from client.client import Client
from client.connect import Settings, open_store, unanswered_message
from client.errors import ClientError
from client.views import ObjectView
from local.errors import LocalError
from local.plan import HOLLOW
from schemas.keys import Keys
from schemas.manifest import load
from schemas.meta import find_condition
from store.errors import StoreError, Unavailable

MANAGER = "berth-up"
T = TypeVar("T")
Instances = Mapping[str, str]  # node -> the life of its agent that reported last


class Onlooker:
    """Reads the cluster with one client, which is opened anew after it failed: etcd may just be starting."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._client: Client | None = None

    def close(self) -> None:
        if self._client is not None:
            self._client.close()
            self._client = None

    def client(self) -> Client:
        """Return the client. Raises Unreachable, BadOption."""
        if self._client is None:
            keys = Keys(self._settings.prefix)
            self._client = Client(open_store(self._settings), keys, manager=MANAGER)
        return self._client

    def _try(self, read: Callable[[Client], T], otherwise: T) -> T:
        """Return what `read` returns, or `otherwise` while etcd does not answer."""
        try:
            return read(self.client())
        except (StoreError, ClientError):
            self.close()
            return otherwise

    def check_external(self) -> None:
        """See that an etcd which is not ours answers. Raises LocalError, ClientError."""
        client = self.client()
        with self._in_words():
            client.store.get(client.keys.cluster)

    @contextmanager
    def _in_words(self) -> Iterator[None]:
        """Turn an error of the store into a LocalError that names this cluster's etcd."""
        try:
            yield
        except Unavailable as error:
            raise LocalError(unanswered_message(self._settings, str(error))) from None
        except StoreError as error:
            raise LocalError(str(error)) from None

    def answers(self) -> bool:
        return self._try(lambda client: bool(client.store.get(client.keys.cluster)), False)

    def leads(self, identity: str) -> bool:
        leader = self._try(lambda client: client.leader(), None)
        return leader is not None and leader.identity == identity

    def instances(self) -> dict[str, str]:
        """Return the lives of agents that have reported so far."""
        return {view.name: view.report.instance for view in self._nodes() if view.report}

    def not_ready(self, nodes: Iterable[str], before: Instances) -> list[str]:
        """Return the nodes that are not Ready in a life that began after `before`."""
        views = {view.name: view for view in self._nodes()}
        return [name for name in nodes if name not in views or not _is_ready(views[name], before)]

    def _nodes(self) -> tuple[ObjectView, ...]:
        return self._try(lambda client: client.list("nodes").objects["nodes"], ())

    def keep_off(self, nodes: Iterable[str]) -> None:
        """Taint simulated nodes, so that only tasks that tolerate it land there."""
        known = {view.name for view in self._nodes() if view.spec_kv}
        texts = [json.dumps(_tainted(name)) for name in nodes if name not in known]
        if texts:
            documents = load([("berth up", "\n---\n".join(texts).encode())], default_namespace="default")
            with self._in_words():
                self.client().apply(documents)

    def forget(self, nodes: Iterable[str]) -> list[str]:
        """Delete simulated nodes that are not started any more; return the names of those that are there."""
        wanted = set(nodes)
        left = [view for view in self._nodes() if view.name in wanted and not view.is_terminating]
        with self._in_words():
            for view in left:
                self.client().delete(view, wait=False)
        return [view.name for view in left]


def _is_ready(view: ObjectView, before: Instances) -> bool:
    condition = find_condition(view.node_status.conditions, "Ready") if view.node_status else None
    is_new = view.report is not None and view.report.instance != before.get(view.name)
    return is_new and view.is_beating and condition is not None and condition.status == "True"


def _tainted(name: str) -> dict[str, object]:
    taint = {"key": HOLLOW, "value": "true", "effect": "NoSchedule"}
    return {"apiVersion": "berth/v1", "kind": "Node", "metadata": {"name": name}, "spec": {"taints": [taint]}}
