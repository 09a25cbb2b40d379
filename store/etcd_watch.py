"""All watches of a process on one gRPC stream: many watch ids, one reader thread.

A client a watch costs three threads each; one stream costs three for all. etcd answers creations on a stream
in their order, which is how a reply finds its watch (the client's proto file has no ids of our own).

Facts of etcd 3.4 that this module is about: a reply carries whole revisions; a watch that starts at the last
compacted revision silently misses the deletes of that revision, so one revision earlier is asked for, and
what comes before the start is dropped; for want of permission `created` and `canceled` come in one reply, and
some versions read nothing more from that stream, so no more watches are opened on it.
"""

import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import grpc
from pyetcd.etcdrpc import rpc_pb2 as pb

from store.api import WatchEvent
from store.errors import Compacted, PermissionDenied, StoreError, WatchLost
from store.etcd_connection import Connection, Endpoint
from store.etcd_convert import event_from_pb, range_of
from store.etcd_errors import BAD_TOKEN

BROADCAST_ID = -1  # watch id of replies to progress requests
ASK_LIFE_AFTER_S = 10.0  # silence after which a stream is asked for a sign of life
JOIN_TIMEOUT_S = 5.0

Message = Any  # pyetcd's generated messages carry no types that mypy could follow


class EtcdWatch:
    """One watch over some prefixes; the reader thread fills it, its owner polls it."""

    def __init__(self, start_revision: int, notify: Callable[[], None]) -> None:
        self._start_revision = start_revision
        self._notify = notify
        self._inbox: queue.SimpleQueue[tuple[WatchEvent, ...] | StoreError] = queue.SimpleQueue()
        self._error: StoreError | None = None
        self._last_life = time.monotonic()
        self._stream: _Stream | None = None

    def poll(self, timeout_s: float = 0.0) -> tuple[WatchEvent, ...] | None:
        if self._error is not None:
            raise self._error
        try:
            found = self._inbox.get(timeout=timeout_s) if timeout_s > 0 else self._inbox.get_nowait()
        except queue.Empty:
            self._ask_life()
            return None
        if isinstance(found, StoreError):
            self._error = found
            raise found
        return found

    def close(self) -> None:
        self._error = self._error or WatchLost("the watch was closed by its owner")
        if self._stream is not None:
            self._stream.remove(self)

    def attach(self, stream: "_Stream") -> None:
        self._stream = stream

    def deliver(self, events: tuple[WatchEvent, ...]) -> None:
        """Take a reply from the reader thread; () is a sign of life."""
        self._last_life = time.monotonic()
        self._inbox.put(tuple(event for event in events if event.mod_revision >= self._start_revision))
        self._notify()

    def fail(self, error: StoreError) -> None:
        self._inbox.put(error)
        self._notify()

    def _ask_life(self) -> None:
        if self._stream is not None and time.monotonic() - self._last_life >= ASK_LIFE_AFTER_S:
            self._stream.ask_life()


class WatchHub:
    """Opens watches on the current stream, and a new stream when there is none that takes any."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._streams: list[_Stream] = []
        self._lock = threading.Lock()

    def open(self, prefixes: tuple[str, ...], start_revision: int, notify: Callable[[], None]) -> EtcdWatch:
        watch = EtcdWatch(start_revision, notify)
        with self._lock:
            stream = next((each for each in self._streams if each.takes_watches), None)
            if stream is None:
                self._streams = [each for each in self._streams if each.is_open]
                stream = _Stream(self._connection)
                self._streams.append(stream)
            stream.add(watch, prefixes, start_revision)
        return watch

    def close(self) -> None:
        with self._lock:
            streams, self._streams = self._streams, []
        for stream in streams:
            stream.close()


@dataclass(eq=False, slots=True)
class _Entry:
    """One watch id of a watch; unknown until etcd has answered the creation."""

    watch: EtcdWatch
    is_wanted: bool = True


class _Stream:
    """One gRPC stream. `_lock` guards what its reader shares with the owners of watches."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._requests: queue.SimpleQueue[Message | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._pending: deque[_Entry] = deque()
        self._by_id: dict[int, _Entry] = {}
        self._had_success = False
        self._asked_life_at = 0.0
        self.takes_watches = True
        self.is_open = True
        self._endpoint, call = connection.open_watch(iter(self._requests.get, None))
        self._call: Any | None = call  # until the reader ends
        self._reader = threading.Thread(target=self._read, args=(call,), name="etcd-watch", daemon=True)
        self._reader.start()

    def add(self, watch: EtcdWatch, prefixes: tuple[str, ...], start_revision: int) -> None:
        watch.attach(self)
        with self._lock:
            if not self.is_open:
                watch.fail(WatchLost("the stream ended before the watch was opened"))
                return
            for prefix in prefixes:
                self._pending.append(_Entry(watch))
                self._requests.put(_create_request(prefix, start_revision))

    def remove(self, watch: EtcdWatch) -> None:
        """Cancel all ids of a watch; one that is not created yet is canceled when it is."""
        with self._lock:
            for entry in self._pending:
                entry.is_wanted = entry.is_wanted and entry.watch is not watch
            for watch_id, entry in list(self._by_id.items()):
                if entry.watch is watch:
                    del self._by_id[watch_id]
                    self._cancel(watch_id)
            is_done = not self.takes_watches and not self._by_id and not self._pending
        if is_done:
            self._end()

    def ask_life(self) -> None:
        """Ask etcd for a reply that goes to all watches of this stream."""
        now = time.monotonic()
        with self._lock:
            if now - self._asked_life_at < ASK_LIFE_AFTER_S:
                return
            self._asked_life_at = now
        self._requests.put(pb.WatchRequest(progress_request=pb.WatchProgressRequest()))

    def close(self) -> None:
        """End the stream and wait for its reader."""
        self._end()
        if self._reader is not threading.current_thread():
            self._reader.join(JOIN_TIMEOUT_S)

    def _end(self) -> None:
        self.takes_watches = False
        self._requests.put(None)
        call = self._call
        if call is not None:
            call.cancel()

    def _cancel(self, watch_id: int) -> None:
        self._requests.put(pb.WatchRequest(cancel_request=pb.WatchCancelRequest(watch_id=watch_id)))

    # The reader thread

    def _read(self, call: Iterable[Message]) -> None:
        """Hand out replies until the stream ends, with or without an error: both are a loss.

        gRPC's call must be gone before the interpreter ends: its finalizer takes a lock that a thread
        of gRPC's may hold at the moment when the interpreter stops all threads.
        """
        error: StoreError = WatchLost(f"the watch stream of {self._endpoint.address} ended")
        try:
            for reply in call:
                self._take(reply)
        except grpc.RpcError as failure:
            error = _lost(self._connection, self._endpoint, failure)
            failure.__traceback__ = None  # the failure is the call itself, and its traceback leads back to it
        finally:
            self._call = None
            self._requests.put(None)
            for watch in self._shut():
                watch.fail(error)

    def _shut(self) -> list[EtcdWatch]:
        with self._lock:
            self.is_open = self.takes_watches = False
            entries = (*self._pending, *self._by_id.values())
            self._pending.clear()
            self._by_id.clear()
        return list(dict.fromkeys(entry.watch for entry in entries))

    def _take(self, reply: Message) -> None:
        if reply.created:
            self._created(reply)
        elif reply.canceled:
            self._canceled(reply)
        elif reply.watch_id == BROADCAST_ID:
            with self._lock:
                watches = {entry.watch for entry in self._by_id.values()}
            for watch in watches:
                watch.deliver(())
        else:
            with self._lock:
                entry = self._by_id.get(reply.watch_id)
            if entry is not None:
                entry.watch.deliver(tuple(map(event_from_pb, reply.events)))

    def _created(self, reply: Message) -> None:
        with self._lock:
            entry = self._pending.popleft()
            if not reply.canceled:
                self._had_success = True
                if entry.is_wanted:
                    self._by_id[reply.watch_id] = entry
                else:
                    self._cancel(reply.watch_id)
        if reply.canceled:
            self._refused(entry.watch, reply.cancel_reason)
        else:
            entry.watch.deliver(())

    def _refused(self, watch: EtcdWatch, reason: str) -> None:
        """Say that etcd refused a watch, and open no more on this stream.

        On a stream that served others before it may only be a token that expired meanwhile: that is a loss,
        and the next stream has a new token.
        """
        was_fresh = not self._had_success
        self.takes_watches = False
        if any(text in reason for text in BAD_TOKEN) or not was_fresh:
            self._connection.drop_token()
            watch.fail(WatchLost(f"watch refused: {reason}"))
        else:
            watch.fail(
                PermissionDenied(f"watch refused: {reason}; grant the range to the user's role in etcd")
            )
        self.remove(watch)

    def _canceled(self, reply: Message) -> None:
        with self._lock:
            entry = self._by_id.pop(reply.watch_id, None)
        if entry is None:
            return  # the answer to our own cancel request
        if reply.compact_revision:
            entry.watch.fail(Compacted(reply.compact_revision))
        else:
            entry.watch.fail(
                WatchLost(f"etcd canceled the watch: {reply.cancel_reason or 'no reason given'}")
            )
        self.remove(entry.watch)


def _create_request(prefix: str, start_revision: int) -> Message:
    key, end = range_of(prefix) if prefix.endswith("/") or not prefix else (prefix.encode(), b"")
    return pb.WatchRequest(
        create_request=pb.WatchCreateRequest(
            key=key, range_end=end, start_revision=max(start_revision - 1, 1), progress_notify=True
        )
    )


def _lost(connection: Connection, endpoint: Endpoint, failure: grpc.RpcError) -> StoreError:
    return WatchLost(str(connection.watch_failed(endpoint, failure)))
