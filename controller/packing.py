"""Where packings are computed: beside the loop in a thread, or at once where time is virtual.

    core, between two steps   submit(job)  -> ticket           a value; the fleet is made anew by who solves
    the thread                pack(...)                        HiGHS lets go of the interpreter while it searches
    core, a later step        poll()       -> answers          an observation like any other

No lock: two queues. Of what goes wrong there only the log knows: whoever asked keeps the scheduler's decision.
"""

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import count
from queue import Empty, SimpleQueue
from typing import Protocol

from controller.scheduler.optimise import Packing, pack
from controller.scheduler.program import Limits
from controller.snapshots import Frozen

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Job:
    """The waiting tasks of a state are to be packed."""

    frozen: Frozen
    limits: Limits

    def do(self) -> Packing:
        frozen = self.frozen
        return pack(frozen.snapshot(), frozen.policy, frozen.now, frozen.seed, self.limits)


@dataclass(frozen=True, slots=True)
class Answer:
    """packing None: something went wrong."""

    ticket: int
    packing: Packing | None


class Packer(Protocol):
    """The port to whoever computes."""

    def submit(self, job: Job) -> int:
        """Return a ticket at once; the answer comes later."""

    def poll(self) -> tuple[Answer, ...]:
        """Return the answers that have come since."""


class PackNow:
    """Computes when it is asked: for virtual time, and for tests. Bounded by search nodes it always says the same."""

    def __init__(self) -> None:
        self._tickets = count(1)
        self._answers: list[Answer] = []

    def submit(self, job: Job) -> int:
        ticket = next(self._tickets)
        self._answers.append(Answer(ticket, _done(job)))
        return ticket

    def poll(self) -> tuple[Answer, ...]:
        found, self._answers = tuple(self._answers), []
        return found


class PackBeside:
    """One thread, begun with the first job. `wake` makes the core run a step."""

    def __init__(self, wake: Callable[[], None]) -> None:
        self._wake = wake
        self._tickets = count(1)
        self._jobs: SimpleQueue[tuple[int, Job] | None] = SimpleQueue()
        self._answers: SimpleQueue[Answer] = SimpleQueue()
        self._thread: threading.Thread | None = None

    def submit(self, job: Job) -> int:
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="packing", daemon=True)
            self._thread.start()
        ticket = next(self._tickets)
        self._jobs.put((ticket, job))
        return ticket

    def poll(self) -> tuple[Answer, ...]:
        found = []
        while True:
            try:
                found.append(self._answers.get_nowait())
            except Empty:
                return tuple(found)

    def close(self, timeout_s: float = 1.0) -> None:
        """End the thread; one that searches is not waited for longer: it ends with the process."""
        if self._thread is not None:
            self._jobs.put(None)
            self._thread.join(timeout_s)

    def _run(self) -> None:
        while (given := self._jobs.get()) is not None:
            ticket, job = given
            self._answers.put(Answer(ticket, _done(job)))
            self._wake()


def _done(job: Job) -> Packing | None:
    try:
        return job.do()
    except Exception:
        log.exception("packing failed tasks=%d nodes=%d", len(job.frozen.pending), len(job.frozen.nodes))
        return None


def job_of(frozen: Frozen, uids: frozenset[str], limits: Limits) -> Job:
    """Return the job of packing some of the tasks that wait."""
    pending = tuple(task for task in frozen.pending if task.uid in uids)
    return Job(replace(frozen, pending=pending), limits)
