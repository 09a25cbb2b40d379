"""Containers by Docker: a pool of callers, a thread that reads the event stream, and one that looks.

    submit -> callers (a client each), pulls -> pullers  --> Done | Failed
    event stream -> watcher: inspects what an event names --> ContainerSeen | ContainerGone | OomSeen
    resync       -> watcher: lists, inspects what differs --> RuntimeUp | RuntimeDown

The watcher alone keeps a picture of the engine's containers, and it alone says that one is gone: a listing
that was taken while a container was being created says nothing about that container.
"""

import contextlib
import itertools
import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from queue import PriorityQueue, SimpleQueue
from typing import Any

from docker.errors import APIError

from agent.labels import NODE
from agent.runtime.api import (
    ContainerGone,
    ContainerInfo,
    ContainerSeen,
    Create,
    Done,
    Failed,
    Kill,
    Observation,
    OomSeen,
    Op,
    Phase,
    Pull,
    Reason,
    Refresh,
    Remove,
    RunHook,
    RuntimeDown,
    RuntimeUp,
    Start,
    Stop,
)
from agent.runtime.docker_calls import Result, call
from agent.runtime.docker_client import RUNTIME_SILENT, Client, DockerOptions, connect, inspect, list_states
from agent.runtime.docker_collecting import pull_noted
from agent.runtime.docker_hooks import run_hook
from agent.runtime.docker_images import PULL_SILENCE_S, RecentImages, check_image
from agent.runtime.docker_volumes import discard_orphaned_volumes

log = logging.getLogger(__name__)

CALLERS = 8  # measured on 2 cores: the engine gains nothing from more
PULLERS = 3  # parallel pulls: a slow registry delays neither starts nor most other pulls
RESYNC_TIMEOUT_S = 20.0  # a listing takes milliseconds; an engine silent for so long is down
RECONNECT_S = (0.2, 10.0)  # first and longest wait before the event stream is opened again
CLOSE_TIMEOUT_S = 5.0
_EVENTS = ["die", "oom", "destroy"]  # what happens to containers without our doing


@dataclass(frozen=True, slots=True)
class _Event:
    action: str
    id: str


@dataclass(frozen=True, slots=True)
class _Made:
    """A caller has created or started a container: from here on its absence means that it is gone."""

    info: ContainerInfo


class _Resync:
    """List everything."""


_Signal = _Event | _Made | _Resync | None
# Who ends waits for nobody who begins; what is created is started before the next is created, so that the first of
# many run early.
_RANK = {Stop: 0, Kill: 0, Start: 1, Remove: 2, Refresh: 3, Pull: 3, Create: 3}
_LAST = 4
_ORDER = {phase: number for number, phase in enumerate(Phase)}
_STATE_WORD = {Phase.CREATED: "created", Phase.RUNNING: "running", Phase.EXITED: "exited"}


class DockerRuntime:
    """`agent.runtime.api.Runtime` on a Docker Engine; its threads end with `close`."""

    def __init__(self, options: DockerOptions, notify: Callable[[], None], *, callers: int = CALLERS) -> None:
        self._options = options
        self._notify = notify
        self._calls: PriorityQueue[tuple[int, int, Op | None]] = PriorityQueue()
        self._numbers = itertools.count()
        self._images = RecentImages()
        self._pulls: SimpleQueue[Pull | None] = SimpleQueue()
        self._signals: SimpleQueue[_Signal] = SimpleQueue()
        self._out: deque[Observation] = deque()
        self._stopping = threading.Event()
        self._stream: Any = None  # docker's CancellableStream, which has no public type
        targets = [self._follow, self._watch, *[self._call] * callers, *[self._pull] * PULLERS]
        self._threads = [
            threading.Thread(target=target, name=f"docker-{target.__name__.strip('_')}-{index}", daemon=True)
            for index, target in enumerate(targets)
        ]
        for thread in self._threads:
            thread.start()

    def submit(self, op: Op) -> None:
        if isinstance(op, Pull) and self._images.has(op, time.monotonic()):
            self._emit(Done(op))
            return
        if isinstance(op, RunHook):
            threading.Thread(target=self._hook, args=(op,), name="docker-hook", daemon=True).start()
            return
        self._calls.put((_RANK[type(op)], next(self._numbers), op))

    def resync(self) -> None:
        self._signals.put(_Resync())

    def poll(self) -> tuple[Observation, ...]:
        found = []
        while self._out:
            found.append(self._out.popleft())
        return tuple(found)

    def tell(self, observation: Observation) -> None:
        """Add what somebody else observed, from any thread."""
        self._emit(observation)

    def next_due(self) -> float | None:
        return None

    def close(self) -> None:
        """End all threads; operations under way go on in the engine."""
        self._stopping.set()
        self._signals.put(None)
        for _ in self._threads:
            self._calls.put((_LAST, next(self._numbers), None))
            self._pulls.put(None)
        self._end_stream()
        for thread in self._threads:
            thread.join(CLOSE_TIMEOUT_S)

    def _emit(self, *observations: Observation) -> None:
        self._out.extend(observations)
        self._notify()

    # Callers and pullers

    def _call(self) -> None:
        client: Client | None = None
        while (op := self._calls.get()[2]) is not None:
            client, result = self._attempt(client, op, self._one_call)
            if result is not None:
                self._emit(result)
        _close(client)

    def _pull(self) -> None:
        client: Client | None = None
        while (op := self._pulls.get()) is not None:
            client, result = self._attempt(client, op, self._one_pull, timeout_s=PULL_SILENCE_S)
            if result is not None:
                self._emit(result)
        _close(client)

    def _hook(self, op: RunHook) -> None:
        """One hook may last as long as its container's grace: each has a thread of its own."""
        self._emit(run_hook(op, self._options))

    def _attempt(
        self,
        client: Client | None,
        op: Op,
        work: Callable[[Client, Any], Result | None],
        *,
        timeout_s: float | None = None,
    ) -> tuple[Client | None, Result | None]:
        """Do `work` with the thread's client, connecting first if need be."""
        try:
            client = client or connect(self._options, timeout_s=timeout_s)
            return client, work(client, op)
        except RUNTIME_SILENT as error:
            _close(client)
            return None, Failed(op, Reason.RUNTIME_ERROR, f"the container runtime does not answer: {error}")
        except Exception as error:  # the loop's border: one odd reply must not end the thread
            log.exception("operation failed op=%s target=%s", type(op).__name__, op.target)
            _close(client)
            return None, Failed(op, Reason.RUNTIME_ERROR, f"{type(error).__name__}: {error}")

    def _one_call(self, client: Client, op: Op) -> Result | None:
        """Do one operation; a pull that needs the network goes on to the pullers and has no result yet."""
        if isinstance(op, Pull):
            answer = check_image(client, op)
            if answer is None:
                self._pulls.put(op)
            elif isinstance(answer, Done):
                self._images.note(op.image, time.monotonic())
            return answer
        result = call(client, op, self._options)
        if isinstance(result, Failed) and result.reason is Reason.IMAGE_MISSING:
            self._images.forget()
        if isinstance(op, Create | Start) and isinstance(result, Done) and result.info is not None:
            self._signals.put(_Made(result.info))
        return result

    def _one_pull(self, client: Client, op: Pull) -> Result:
        """Pull, unless another puller has brought the image meanwhile."""
        return check_image(client, op) or pull_noted(client, op, self._options)

    # The event stream

    def _follow(self) -> None:
        """Turn the stream's events into signals; whenever it begins or ends, everything is listed."""
        first_s, longest_s = RECONNECT_S
        wait_s = first_s
        while not self._stopping.is_set():
            try:
                client = connect(self._options, timeout_s=RESYNC_TIMEOUT_S)
                with contextlib.closing(client):
                    filters = {"type": "container", "event": _EVENTS, "label": f"{NODE}={self._options.node}"}
                    self._stream = client.events(decode=True, filters=filters)
                    if self._stopping.is_set():
                        return  # closed before there was a stream to close
                    self.resync()
                    wait_s = first_s
                    for event in self._stream:
                        self._signals.put(_Event(event["Action"], event["id"]))
            except Exception as error:  # also what the SDK's reader raises when a socket is cut in a line
                log.debug("event stream ended error=%s", error)
            self._end_stream()
            self._stream = None
            if not self._stopping.is_set():
                self.resync()
            self._stopping.wait(wait_s)
            wait_s = min(longest_s, wait_s * 2)

    def _end_stream(self) -> None:
        stream = self._stream
        if stream is not None:
            with contextlib.suppress(Exception):  # it may end by itself at this very moment
                stream.close()

    # The watcher

    def _watch(self) -> None:
        picture: dict[str, ContainerInfo | None] = {}
        client: Client | None = None
        while (signal := self._signals.get()) is not None:
            try:
                client = client or connect(self._options, timeout_s=RESYNC_TIMEOUT_S)
                self._look(client, signal, picture)
            except Exception as error:  # whatever an engine in trouble answers: its containers are unknown
                _close(client)
                client = None
                self._emit(RuntimeDown(str(error)))
        _close(client)

    def _look(self, client: Client, signal: _Signal, picture: dict[str, ContainerInfo | None]) -> None:
        match signal:
            case _Made(info):
                picture[info.id] = _later(picture.get(info.id), info)
            case _Event("destroy", container_id):
                picture.pop(container_id, None)
                self._emit(ContainerGone(container_id))
            case _Event("oom", container_id):
                self._emit(OomSeen(container_id))
            case _Event(_, container_id):
                self._look_at(client, container_id, picture)
            case _Resync():
                self._list(client, picture)

    def _look_at(self, client: Client, container_id: str, picture: dict[str, ContainerInfo | None]) -> None:
        info = inspect(client, container_id)
        if info is None:
            picture.pop(container_id, None)
            self._emit(ContainerGone(container_id))
        else:
            picture[container_id] = info
            self._emit(ContainerSeen(info))

    def _list(self, client: Client, picture: dict[str, ContainerInfo | None]) -> None:
        states = _twice(lambda: list_states(client, self._options))
        engine = client.info()
        gone = [each for each in picture if each not in states]
        for container_id, word in states.items():
            known = picture.get(container_id)
            if known is None or known.phase is Phase.CREATED or _STATE_WORD[known.phase] != word:
                picture[container_id] = inspect(client, container_id)
        for container_id in gone:
            del picture[container_id]
        seen = tuple(info for info in picture.values() if info is not None)
        up = RuntimeUp(seen, engine.get("ServerVersion", ""), engine.get("DockerRootDir", ""))
        self._emit(up, *(ContainerGone(each) for each in gone))
        discard_orphaned_volumes(client, self._options)


def _later(known: ContainerInfo | None, info: ContainerInfo) -> ContainerInfo:
    """Return the newer of two looks at a container; an event may have come before the result of its start."""
    return known if known is not None and _ORDER[known.phase] > _ORDER[info.phase] else info


def _twice(work: Callable[[], dict[str, str]]) -> dict[str, str]:
    """Try again at once: a listing fails with 404 when a container vanishes while it is made (Docker 20.10)."""
    try:
        return work()
    except APIError:
        return work()


def _close(client: Client | None) -> None:
    if client is not None:
        client.close()
