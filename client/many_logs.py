"""Logs of many containers: one after the other, or followed all at once, from attempt to attempt.

    targets -> read_many   one request after the other
            -> follow_many a thread each --bounded queue--> one iterator

Everything comes as a value: a piece of a log, a notice, or the failure of one source; the others go on. A
follower ends when its task has ended or is gone; a restart is waited for in etcd, at the status of the task.
"""

import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum
from queue import Full, Queue

from client.agent_target import find_target
from client.agent_tls import AgentTls
from client.errors import BadOption, ClientError, NodeSilent
from client.log_events import Cut, Failure, LogEvent, LogTarget, Notice, Piece, whole_lines
from client.logs import LogOptions, OpenLog, open_log
from client.reading import read_object
from client.views import TASK, ObjectView
from client.waiting import Waiter
from schemas.keys import Keys
from schemas.report import ContainerStatus
from schemas.state import ContainerState, TaskState
from store.api import Store
from store.errors import StoreError

MAX_FOLLOWED = 20  # at once, unless more are asked for: each holds a connection and a thread
MAX_WAITING = 256  # pieces that were read and not yet taken; then the readers wait
STOP_CHECK_S = 0.5

_HAS_LOG = frozenset({ContainerState.RUNNING, ContainerState.STOPPING, ContainerState.EXITED})
_ENDED = frozenset({TaskState.SUCCEEDED, TaskState.FAILED})  # Stopped and Lost may begin anew
_Sight = tuple[str, ContainerState]  # the id of a container, and what it did


class Next(Enum):
    """What a follower does next."""

    READ = "read"
    WAIT = "wait"
    END = "end"


@dataclass(frozen=True, slots=True)
class LogReader:
    """What reading logs needs of the client."""

    store: Store
    keys: Keys
    waiter: Waiter
    tls: AgentTls
    cut: Cut = whole_lines

    def open(self, target: LogTarget, options: LogOptions, after: str = "") -> OpenLog | None:
        """Open the log of a target. Raises AgentUnavailable, NotFound, ObjectUnreadable."""
        found = find_target(self.store, self.keys, target.view, target.container or None, wanted="log")
        return open_log(found, self.tls, options, after)

    def again(self, target: LogTarget) -> ObjectView | None:
        """Return the task as it is now; None when that very task is gone."""
        view = read_object(self.store, TASK, target.view.ref, self.keys)
        return view if view is not None and view.uid == target.view.uid else None


def read_many(reader: LogReader, targets: Sequence[LogTarget], options: LogOptions) -> Iterator[LogEvent]:
    """Yield the logs one after the other. A node that is silent is asked once only."""
    silent: dict[str, str] = {}  # address -> what was said of it first
    for target in targets:
        status = target.view.task_status
        address = status.api_address if status else ""
        if address in silent:
            yield Failure(target, f"{target.label}: {silent[address]}")
            continue
        try:
            for data in reader.cut(reader.open(target, options) or ()):
                yield Piece(target, data)
        except (ClientError, StoreError) as error:
            if isinstance(error, NodeSilent):
                silent[address] = f"node {status.node if status else ''} does not answer either"
            yield Failure(target, str(error))


def follow_many(
    reader: LogReader, targets: Sequence[LogTarget], options: LogOptions, *, at_most: int = MAX_FOLLOWED
) -> Iterator[LogEvent]:
    """Yield the logs of all targets as they are written, until all of their tasks have ended.

    Raises BadOption for more targets than `at_most`.
    """
    if len(targets) > at_most:
        raise BadOption(
            f"{len(targets)} logs would be followed at once, and at most {at_most} are; choose fewer with -l or "
            f"names, or raise it: --max-log-requests {len(targets)}"
        )
    crowd = _Crowd()
    followers = [_Follower(reader, target, options, crowd) for target in targets]
    for number, follower in enumerate(followers):
        threading.Thread(target=follower.run, name=f"logs-{number}", daemon=True).start()
    remaining = len(followers)
    try:
        while remaining:
            event = crowd.events.get()
            if event is None:
                remaining -= 1
            else:
                yield event
    finally:
        crowd.stopping.set()
        for follower in followers:
            follower.close()


@dataclass(slots=True)
class _Crowd:
    """What the followers share: where their events go, and whether anybody still wants them."""

    events: Queue[LogEvent | None] = field(default_factory=lambda: Queue(MAX_WAITING))
    stopping: threading.Event = field(default_factory=threading.Event)

    def tell(self, event: LogEvent | None) -> None:
        while not self.stopping.is_set():
            try:
                self.events.put(event, timeout=STOP_CHECK_S)
                return
            except Full:
                continue


class _Follower:
    """Follows one container in its own thread, one attempt after the other."""

    def __init__(self, reader: LogReader, target: LogTarget, options: LogOptions, crowd: _Crowd) -> None:
        self._reader, self._crowd = reader, crowd
        self._target, self._options = target, options
        self._open: OpenLog | None = None
        self._seen: set[str] = set()  # ids of attempts that were read, or are older than one that was
        self._last = ""  # the one that was read last
        self._empty: _Sight | None = None  # what was known when nothing was read: no reason to read again

    def run(self) -> None:
        """Tell everything that there is; None is the last word."""
        try:
            self._follow()
        except (ClientError, StoreError) as error:
            self._crowd.tell(Failure(self._target, str(error)))
        finally:
            self._crowd.tell(None)

    def close(self) -> None:
        log = self._open
        if log is not None:
            log.close()

    def _follow(self) -> None:
        self._say_if_waiting()
        while not self._crowd.stopping.is_set():
            view = self._wait()
            if view is None:
                if not self._seen:
                    self._reader.open(self._target, self._options)  # raises why there is nothing to read
                return
            self._target = replace(self._target, view=view)
            self._read(view)

    def _read(self, view: ObjectView) -> None:
        """Read one attempt to its end."""
        known = container_status(view, self._target.container)
        known_id = known.container_id if known else ""
        self._open = log = self._reader.open(self._target, self._options, self._last)
        if log is None:  # it is not kept any more, so there is nothing between it and the next
            self._seen.add(known_id)
            return
        if self._crowd.stopping.is_set():
            log.close()  # who stopped came before it was there; so reading it ends at once
        if self._last:
            number = f" {known.attempt}" if known and known.container_id == log.attempt else ""
            self._crowd.tell(Notice(f"{self._target.label} was started again; its attempt{number} follows"))
        size = self._copy(log)
        self._empty = sight_of(known)
        has_ended = known is not None and known.state is ContainerState.EXITED
        if size or (has_ended and known_id == log.attempt):
            self._remember(log.attempt or known_id, known_id)

    def _remember(self, read: str, known: str) -> None:
        """An attempt that was created, not started yet, gave nothing: that one is read again."""
        if not self._last:
            self._seen.add(known)  # the status may lag behind: what it knew is no later than the newest
        self._seen.add(read)
        self._last = read
        self._options = replace(self._options, tail=None, since="")

    def _copy(self, log: OpenLog) -> int:
        size = 0
        for data in self._reader.cut(log):
            size += len(data)
            self._crowd.tell(Piece(self._target, data))
        return size

    def _say_if_waiting(self) -> None:
        view = self._target.view
        if self._next(view) is Next.WAIT:
            status = view.task_status
            state = status.state if status else TaskState.PENDING
            why = (
                f" ({status.message or status.reason})"
                if status and (status.message or status.reason)
                else ""
            )
            self._crowd.tell(
                Notice(f"{view.ref} is {state}{why}; waiting until it runs; see: berth describe {view.ref}")
            )

    def _wait(self) -> ObjectView | None:
        """Return the task once an attempt can be read that was not yet; None when there will be none."""
        keys, ref = self._reader.keys, self._target.view.ref

        def check() -> tuple[ObjectView | None] | None:
            if self._crowd.stopping.is_set():
                return (None,)
            view = self._reader.again(self._target)
            match self._next(view):
                case Next.WAIT:
                    return None
                case Next.READ:
                    return (view,)
                case Next.END:
                    return (None,)

        (view,) = self._reader.waiter.until(
            (keys.status(ref), keys.spec(ref)), check, timeout_s=float("inf"), what=f"for {ref}"
        )
        return view

    def _next(self, view: ObjectView | None) -> Next:
        known = container_status(view, self._target.container) if view else None
        return next_to_read(view, known, self._seen, self._empty)


def next_to_read(
    view: ObjectView | None, known: ContainerStatus | None, seen: set[str], empty: _Sight | None
) -> Next:
    """Say whether there is an attempt to read that was not, or may come, or will not. Pure.

    empty: what was known of the container when its log held nothing.
    """
    if view is None:
        return Next.END
    status = view.task_status
    if status is None:
        return Next.WAIT
    is_there = known is not None and known.state in _HAS_LOG and known.container_id
    if known is not None and is_there and known.container_id not in seen and sight_of(known) != empty:
        return Next.READ
    return Next.END if status.state in _ENDED else Next.WAIT


def sight_of(known: ContainerStatus | None) -> _Sight | None:
    return None if known is None else (known.container_id, known.state)


def container_status(view: ObjectView, container: str) -> ContainerStatus | None:
    """Return what is known of one container of a task."""
    containers = view.task_status.containers if view.task_status else ()
    return next((each for each in containers if each.name == container), None)
