"""What the contract suite needs besides the port: time that passes, and the next reply of a watch."""

import threading
import time
from dataclasses import dataclass, field
from typing import Protocol

from store.api import Store, Watch, WatchEvent
from store.memory import MemoryStore
from tests.support.wait import PATIENCE_S, eventually


class ManualClock:
    """A clock that only a test moves."""

    def __init__(self, now: float = 1000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


class Bell:
    """A notify callback that counts."""

    def __init__(self) -> None:
        self.rings = 0
        self._event = threading.Event()

    def __call__(self) -> None:
        self.rings += 1
        self._event.set()


class Harness(Protocol):
    @property
    def store(self) -> Store: ...

    @property
    def prefix(self) -> str: ...

    def let_pass(self, seconds: float) -> None:
        """Let so much time pass, and leases expire."""


@dataclass
class MemoryHarness:
    store: MemoryStore
    prefix: str
    clock: ManualClock = field(default_factory=ManualClock)

    def let_pass(self, seconds: float) -> None:
        self.clock.now += seconds
        self.store.expire_leases()


@dataclass
class EtcdHarness:
    store: Store
    prefix: str

    def let_pass(self, seconds: float) -> None:
        time.sleep(seconds)


def events_of(watch: Watch, count: int, timeout_s: float = PATIENCE_S) -> list[WatchEvent]:
    """Poll until `count` events have come; return them all."""
    events: list[WatchEvent] = []

    def enough() -> bool:
        while len(events) < count and (batch := watch.poll()) is not None:
            events.extend(batch)
        return len(events) >= count

    eventually(enough, timeout_s)
    return events
