"""The actor that writes for the leader: batches what the core hands over, behind the fence of its term.

It owns nothing but its two queues. Each write's outcome goes back to the core, which decides what it means.
"""

from collections import deque
from collections.abc import Callable
from typing import NamedTuple

from store.api import Store
from store.batch import Outcome, Write, send
from store.fence import Fence

MAX_WRITES_A_STEP = 1000  # about ten transactions, so that results flow back while more is written


class Order(NamedTuple):
    """A write of one leader's term."""

    fence: Fence
    write: Write


class Writer:
    """Handed over with `submit`, answered by `results`; both are safe between two threads."""

    name = "writer"

    def __init__(self, store: Store, wake_core: Callable[[], None]) -> None:
        self._store = store
        self._wake_core = wake_core
        self._orders: deque[Order] = deque()
        self._results: deque[tuple[Order, Outcome]] = deque()
        self.wake: Callable[[], None] = lambda: None

    def submit(self, fence: Fence, writes: list[Write]) -> None:
        """Queue writes behind those before them."""
        self._orders.extend(Order(fence, write) for write in writes)
        if writes:
            self.wake()

    def results(self) -> list[tuple[Order, Outcome]]:
        """Take the outcomes that have come in."""
        found = []
        while self._results:
            found.append(self._results.popleft())
        return found

    def step(self, now: float) -> float | None:
        """Write one batch. Raises Rewound."""
        orders: list[Order] = []
        while self._orders and len(orders) < MAX_WRITES_A_STEP:
            if orders and self._orders[0].fence != orders[0].fence:
                break
            orders.append(self._orders.popleft())
        if not orders:
            return None
        outcomes = send(self._store, orders[0].fence, [order.write for order in orders])
        self._results.extend(zip(orders, outcomes, strict=True))
        self._wake_core()
        return now if self._orders else None
