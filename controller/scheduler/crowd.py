"""The tasks that stand on nodes, as columns: what is asked of all of them at once, by preemption and backfill."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from controller.scheduler.columns import ABSENT, Bools, Codebook, Codes, Floats, Ints, grown
from controller.scheduler.fairness import Requests
from controller.scheduler.node_view import Standing

FIRST_SLOTS = 64
NOWHERE = -1
NEVER = float("inf")
UNKNOWN = 1e12
"""Seconds since the epoch, in the year 33658: from there on an end says only who began before whom."""
NOT_YET = float("nan")


Coming = tuple[int, float, Requests]
"""A task that was placed just now: row, when it ends, and what it holds."""


@dataclass(frozen=True, slots=True)
class Ends:
    """Ends of tasks: by row, and there the first to end first. freed: all that ended there up to this one.

    rows: int32[end]. at: seconds since the epoch. freed: resource -> int64[end].
    """

    rows: Codes
    at: Floats
    freed: dict[str, Ints]


class Crowd:
    """Slots, one a task; those of tasks that are gone are used again. row: NOWHERE in an empty slot.

    started_at: NOT_YET while it doesn't run. estimate: NEVER where no end is known. amounts: int64[resource, slot].
    """

    def __init__(self) -> None:
        self.row: Codes = np.zeros(0, np.int32)
        self.queue: Codes = np.zeros(0, np.int32)
        self.priority: Ints = np.zeros(0, np.int64)
        self.started_at: Floats = np.zeros(0)
        self.estimate: Floats = np.zeros(0)
        self.is_ending: Bools = np.zeros(0, np.bool_)
        self.may_be_preempted: Bools = np.zeros(0, np.bool_)
        self.amounts: Ints = np.zeros((0, 0), np.int64)
        self.queues, self.resources = Codebook(), Codebook()
        self.slot_of: dict[str, int] = {}
        self._vacant: list[int] = []
        self._grow(FIRST_SLOTS)

    def put(self, task: Standing, row: int) -> None:
        """Take in a task whose uid is not there."""
        if not self._vacant:
            self._grow(2 * self.row.shape[0])
        slot = self.slot_of[task.uid] = self._vacant.pop()
        self.row[slot] = row
        self.queue[slot] = self.queues.code(task.queue)
        self.priority[slot] = task.priority
        self.started_at[slot] = NOT_YET if task.started_at is None else task.started_at
        self.estimate[slot] = NEVER if task.estimate is None else task.estimate
        self.is_ending[slot] = task.is_ending
        self.may_be_preempted[slot] = task.may_be_preempted
        self.amounts[:, slot] = 0
        for name, amount in task.requests:
            code = self._resource(name)
            self.amounts[code, slot] += amount

    def remove(self, uid: str) -> None:
        slot = self.slot_of.pop(uid)
        self.row[slot] = NOWHERE
        self._vacant.append(slot)

    def _grow(self, slots: int) -> None:
        first = self.row.shape[0]
        for name in (
            "row",
            "queue",
            "priority",
            "started_at",
            "estimate",
            "is_ending",
            "may_be_preempted",
            "amounts",
        ):
            setattr(self, name, grown(getattr(self, name), slots))
        self.row[first:] = NOWHERE
        self._vacant.extend(reversed(range(first, slots)))

    def _resource(self, name: str) -> int:
        code = self.resources.code(name)
        if code == self.amounts.shape[0]:
            self.amounts = np.concatenate((self.amounts, np.zeros((1, self.row.shape[0]), np.int64)))
        return code

    def sum_by(self, where: Codes, chosen: Bools, size: int) -> dict[str, Ints]:
        """Return what the chosen hold by row or by queue: resource -> int64[code]. Exact up to 2^53."""
        codes = where[chosen]
        return {
            name: np.bincount(codes, self.amounts[code, chosen], size).astype(np.int64)
            for code, name in enumerate(self.resources.values)
        }

    def ends(self, now: float, came: Sequence[Coming] = ()) -> Ends:
        """Return whose end is known; one that is late, or was told to stop, ends any moment.

        came: tasks that are not in it yet.
        """
        at = self._expected(now)
        return self._in_order(np.flatnonzero((self.row != NOWHERE) & (at < UNKNOWN)), at, came)

    def all_ends(self, now: float, came: Sequence[Coming] = ()) -> Ends:
        """Return the ends of all: those that nobody knows after all others, who began first being the first to end.

        So who waits for all on a node waits for the youngest there: nobody that comes later is looked at instead.
        """
        at = self._expected(now)
        at = np.where(at < UNKNOWN, at, UNKNOWN + np.fmin(self.started_at, now))
        return self._in_order(np.flatnonzero(self.row != NOWHERE), at, came)

    def _expected(self, now: float) -> Floats:
        started = np.fmin(self.started_at, now)  # by the clock of its host; not yet: now
        found: Floats = np.where(self.is_ending, now, np.maximum(started + self.estimate, now))
        return found

    def _in_order(self, slots: Ints, at: Floats, came: Sequence[Coming]) -> Ends:
        rows = np.concatenate((self.row[slots], np.array([row for row, _, _ in came], np.int32)))
        at = np.concatenate((at[slots], np.array([end for _, end, _ in came], np.float64)))
        order = np.lexsort((at, rows))
        first_of = np.searchsorted(rows[order], rows[order])  # of each its row's first
        asked = [dict(requests) for _, _, requests in came]
        freed = {}
        for name in dict.fromkeys((*self.resources.values, *(name for each in asked for name in each))):
            code = self.resources.find(name)
            held = self.amounts[code, slots] if code != ABSENT else np.zeros(slots.size, np.int64)
            amounts = np.concatenate((held, np.array([each.get(name, 0) for each in asked], np.int64)))
            sums = np.cumsum(np.append(0, amounts[order]))
            freed[name] = sums[1:] - sums[first_of]
        return Ends(rows[order], at[order], freed)
