"""A fleet: many hollow nodes in one process, over one connection to etcd, stepped by one loop.

    pump the shared watch -> beats that are due -> cores that were woken or are due -> reports of all, in few batches

Each node is a whole agent, with the same core, heartbeat and reporter as on a real host: a lease, a heartbeat key
and a fence of its own. Shared are the connection, the watch (see `fleet_store`), and the transactions that reports
travel in, where each item compares the fence of its own node.
"""

import heapq
from collections.abc import Callable
from itertools import islice

from agent.assembly import Agent, Wakes
from agent.fleet_store import FleetStore
from agent.reporter import Batch
from schemas.keys import Keys
from store.api import Delete
from store.batch import Conflict, FencedOff, Outcome, Write, send
from store.loop import Clock

MAX_STEPS_AT_ONCE = 16  # of one core in one pass; a hollow task is up after four
BEATS_TOGETHER_S = 0.25  # beats that are due within this go out together

Assemble = Callable[[int, Wakes], Agent]
"""Make the agent of a number: (number of the node, how its actors wake each other) -> agent."""


class _Timers:
    """When each of some numbered things is due next."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int]] = []
        self._due: dict[int, float] = {}

    def set(self, number: int, due: float) -> None:
        self._due[number] = due
        heapq.heappush(self._heap, (due, number))

    def take(self, until: float) -> list[int]:
        """Take what is due by `until`, each once, in order of number."""
        found = []
        while self._heap and self._heap[0][0] <= until:
            due, number = heapq.heappop(self._heap)
            if self._due.get(number) == due:
                del self._due[number]
                found.append(number)
        return sorted(found)

    def first(self) -> float | None:
        """Return when the next one is due, None when nothing is."""
        while self._heap and self._due.get(self._heap[0][1]) != self._heap[0][0]:
            heapq.heappop(self._heap)
        return self._heap[0][0] if self._heap else None


class Fleet:
    """One life of all agents; `store.loop.Actor`. Raises Rewound, and NameTaken when a name is another's."""

    name = "fleet"

    def __init__(
        self, store: FleetStore, keys: Keys, assemble: Assemble, *, count: int, clock: Clock
    ) -> None:
        self._store = store
        self._keys = keys
        self._clock = clock
        self._beats, self._cores, self._retries = _Timers(), _Timers(), _Timers()
        self._woken: set[int] = set()  # cores
        self._reporting: set[int] = set()
        self.agents = tuple(assemble(number, self._wakes(number)) for number in range(count))
        for number in range(count):
            self._beats.set(number, 0.0)
            self._woken.add(number)

    def _wakes(self, number: int) -> Wakes:
        return Wakes(
            core=lambda: self._woken.add(number),
            heartbeat=lambda: self._beats.set(number, 0.0),
            reporter=lambda: self._reporting.add(number),
        )

    def step(self, now: float) -> float | None:
        """One pass over all that is due."""
        self._store.pump()
        self._beat(now)
        self._step_cores(now)
        self.report(now)
        if self._woken or self._reporting:
            return now
        dues = (timers.first() for timers in (self._beats, self._cores, self._retries))
        return min((due for due in dues if due is not None), default=None)

    def _beat(self, now: float) -> None:
        """Step the heartbeats that are due; all that they want to read is read at once, after `now` was taken."""
        first = self._beats.first()
        if first is None or first > now:
            return
        due = self._beats.take(now + BEATS_TOGETHER_S)
        own_keys = (self.agents[number].heartbeat.key for number in due)
        self._store.ask_ahead((self._keys.cluster, *own_keys))
        for number in due:
            self._beats.set(number, self.agents[number].heartbeat.step(now))
        self._store.forget_answers()

    def _step_cores(self, now: float) -> None:
        woken = self._woken.union(self._cores.take(now))
        self._woken.clear()
        for number in sorted(woken):
            self._cores.set(number, self._step_core(self.agents[number], now))

    def _step_core(self, agent: Agent, now: float) -> float:
        """Step one core until it waits: what is hollow is done at once."""
        due = now
        for _ in range(MAX_STEPS_AT_ONCE):
            due = agent.core.step(now) or now
            now = self._clock()
            if due > now:
                break
        return due

    def report(self, now: float) -> None:
        """Write what all reporters have, in transactions that they share."""
        numbers = sorted(self._reporting.union(self._retries.take(now)))
        self._reporting.clear()
        batches = [(number, self.agents[number].reporter.take(now)) for number in numbers]
        taken = [(number, batch) for number, batch in batches if batch is not None]
        writes = [_fenced(write, batch) for _, batch in taken for write in batch.writes]
        outcomes = iter(send(self._store, None, writes))
        for number, batch in taken:
            own = tuple(map(_of_fence, islice(outcomes, len(batch.items))))
            retry_at = self.agents[number].reporter.settle(batch, own, now)
            if retry_at is not None:
                self._retries.set(number, retry_at)

    def leave(self, now: float) -> None:
        """Announce a clean stop of all nodes, then give up their names. Raises StoreError."""
        for number, agent in enumerate(self.agents):
            agent.core.announce_stop()
            agent.core.step(now)
            self._reporting.add(number)
        self.report(now)
        fences = [agent.heartbeat.fence for agent in self.agents if agent.heartbeat.fence is not None]
        send(self._store, None, [Write(each.key, (each.compare(),), (Delete(each.key),)) for each in fences])

    def close(self) -> None:
        for agent in self.agents:
            agent.close()
        self._store.close()


def _fenced(write: Write, batch: Batch) -> Write:
    """In a transaction that is shared, each item proves by itself that its node may write."""
    return write._replace(compares=(batch.fence.compare(), *write.compares))


def _of_fence(outcome: Outcome) -> Outcome:
    """A report compares nothing but its fence, so a failed comparison is a lost fence."""
    return FencedOff() if isinstance(outcome, Conflict) else outcome
