"""Forwarding to a task for as long as it lives, wherever it runs."""

import threading
from collections.abc import Callable, Sequence
from math import inf
from types import TracebackType
from typing import Self

from client.agent_target import find_target
from client.agent_tls import AgentTls
from client.errors import AgentUnavailable, BadOption, Refused
from client.forward import Forwarder, parse_pair
from client.reading import read_object
from client.views import ObjectView
from client.waiting import Waiter
from schemas.keys import Keys
from schemas.state import TaskState
from store.api import Store
from store.errors import StoreError

ENDED = (TaskState.SUCCEEDED, TaskState.FAILED)  # what was stopped or lost may run elsewhere, or is soon gone
RETRY_S = 5.0  # while etcd does not answer; connections go on meanwhile


class Forwarding:
    """Open from its creation until `close`; `wait` ends when the task does."""

    def __init__(
        self,
        store: Store,
        keys: Keys,
        waiter: Waiter,
        tls: AgentTls,
        view: ObjectView,
        pairs: Sequence[str],
        address: str,
        say: Callable[[str], None],
    ) -> None:
        self._store, self._keys, self._waiter, self._view, self._say = store, keys, waiter, view, say
        target = find_target(store, keys, view, None, wanted="port to forward")
        _refuse_ended(view)
        _refuse_waiting(view)
        if not pairs:
            raise BadOption(
                f"say which ports: berth port-forward {view.name} [LOCAL:]REMOTE, such as 8080:80"
            )
        parsed = [parse_pair(each, view) for each in pairs]
        self._forwarder = Forwarder(target, tls, parsed, address, say=say)

    @property
    def routes(self) -> tuple[tuple[str, int], ...]:
        """(local address, remote port) of each pair, in their order."""
        return self._forwarder.routes

    def wait(self) -> None:
        """Forward until the task has ended. Raises Refused, which says so. Without etcd it goes on."""
        prefixes = (self._keys.spec(self._view.ref), self._keys.status(self._view.ref))
        is_told = False
        while True:
            try:
                raise self._waiter.until(prefixes, self._look, timeout_s=inf, what="")
            except StoreError as error:
                if not is_told:
                    self._say(f"etcd does not answer, forwarding goes on ({error})")
                is_told = True
                self._waiter.pause(threading.Event(), RETRY_S)

    def close(self) -> None:
        self._forwarder.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _look(self) -> Refused | None:
        """Follow the task to where it runs now; return the error that ends forwarding, if one does."""
        view = read_object(self._store, self._view.kind, self._view.ref, self._keys)
        if view is None or view.uid != self._view.uid:
            return Refused(f'task "{self._view.name}" is gone, so forwarding ends; see: berth get tasks')
        try:
            _refuse_ended(view)
            self._forwarder.target = find_target(self._store, self._keys, view, None, wanted="port")
        except Refused as error:
            return error
        except AgentUnavailable:
            pass  # it is between two nodes; a connection that comes now is told
        return None


def _refuse_waiting(view: ObjectView) -> None:
    """Forwarding begins to what runs; it outlives a restart, which is told by connections that fail."""
    status = view.task_status
    if status is not None and status.state is not TaskState.RUNNING:
        why = f" ({status.message or status.reason})" if status.message or status.reason else ""
        raise Refused(
            f'task "{view.name}" is {status.state}{why}, so nothing listens there; see: berth describe {view.ref}'
        )


def _refuse_ended(view: ObjectView) -> None:
    status = view.task_status
    if status is not None and status.state in ENDED:
        raise Refused(
            f'task "{view.name}" has ended ({status.state}), so forwarding ends; see: berth describe {view.ref}'
        )
