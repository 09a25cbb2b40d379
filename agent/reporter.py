"""Reports on their way into the store: the newest of each key wins, in batches behind the heartbeat's fence.

The core offers, this actor writes, so that a slow store never holds up a container. The node's own report goes
last: whoever reads it knows that the task reports before it are there.
"""

import logging
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from agent.heartbeat import HeartbeatActor
from store.api import Delete, Put, Store
from store.batch import Applied, FencedOff, Outcome, Unknown, Write, send
from store.errors import StoreError
from store.fence import Fence

log = logging.getLogger(__name__)

RETRY_S = (0.5, 15.0)  # first and longest wait after a failure


@dataclass(frozen=True, slots=True)
class Batch:
    """Reports that may be written now, the node's own last: key -> value, None to delete."""

    fence: Fence
    items: tuple[tuple[str, bytes | None], ...]

    @property
    def writes(self) -> list[Write]:
        return [_write(key, value) for key, value in self.items]


class Reporter:
    """Pending reports by key. `offer` may be called from another thread than `step`."""

    def __init__(
        self,
        store: Store,
        heartbeat: HeartbeatActor,
        *,
        node_key: str,
        wake: Callable[[], None] = lambda: None,
        doubted: Callable[[], None] = lambda: None,
    ) -> None:
        """wake: called when there is something to write. doubted: called when the heartbeat shall look."""
        self._store = store
        self._heartbeat = heartbeat
        self._node_key = node_key
        self._wake = wake
        self._doubted = doubted
        self.wrote: Callable[[str, int], None] = lambda _key, _revision: (
            None
        )  # told of each report that stands
        self._lock = threading.Lock()
        self._pending: dict[str, bytes | None] = {}
        self._failures = 0
        self._retry_at = 0.0

    @property
    def name(self) -> str:
        return "reporter"

    @property
    def idle(self) -> bool:
        with self._lock:
            return not self._pending

    def offer(self, values: Mapping[str, bytes | None]) -> None:
        """Replace what is to be written: key -> value, None to delete."""
        with self._lock:
            self._pending.update(values)
        self._wake()

    def step(self, now: float) -> float | None:
        """Write what is pending. Raises Rewound."""
        batch = self.take(now)
        if batch is None:
            return self._retry_at if now < self._retry_at and not self.idle else None
        return self.settle(batch, send(self._store, batch.fence, batch.writes), now)

    def take(self, now: float) -> Batch | None:
        """Return what may be written now, None if that is nothing; `settle` must follow."""
        fence = self._heartbeat.fence
        if fence is None or now < self._retry_at:
            return None
        with self._lock:
            items = sorted(self._pending.items(), key=lambda item: item[0] == self._node_key)
        return Batch(fence, tuple(items)) if items else None

    def settle(self, batch: Batch, outcomes: tuple[Outcome, ...], now: float) -> float | None:
        """Take in what became of `batch`, an outcome a write; return when to write again."""
        with self._lock:
            for (key, value), outcome in zip(batch.items, outcomes, strict=True):
                if isinstance(outcome, Applied) and self._pending.get(key) is value:
                    self._pending.pop(key, None)  # unless something newer was offered meanwhile
                if isinstance(outcome, Applied) and value is not None:
                    self.wrote(key, outcome.revision)
        return self._after(outcomes, now)

    def _after(self, outcomes: tuple[Outcome, ...], now: float) -> float | None:
        if any(isinstance(each, FencedOff) for each in outcomes):
            self._heartbeat.doubt()
            self._doubted()
            return self._wait(now, "the heartbeat key is not this agent's any more")
        errors = [each.error for each in outcomes if isinstance(each, Unknown)]
        if errors:
            return self._wait(now, errors[0])
        self._failures = 0
        return None if self.idle else now

    def _wait(self, now: float, error: StoreError | str) -> float:
        first_s, longest_s = RETRY_S
        if not self._failures:
            log.warning("reports not written error=%s", error)
        self._retry_at = now + min(longest_s, first_s * 2.0**self._failures)
        self._failures = min(self._failures + 1, 10)
        return self._retry_at


def _write(key: str, value: bytes | None) -> Write:
    return Write(key, (), (Delete(key) if value is None else Put(key, value),))
