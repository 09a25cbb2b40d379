"""The nodes that one cycle keeps for who is blocked, in the order in which that was decided.

Who is first takes all that he needs, or nothing: of two gangs never does each have a part of what the other one needs.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from controller.scheduler.backfill import (
    MAX_RESERVATIONS,
    Expectations,
    Reservation,
    amounts_of,
    open_to,
    reservation,
    reserve,
)
from controller.scheduler.columns import Bools
from controller.scheduler.crowd import UNKNOWN, Ends
from controller.scheduler.fairness import QueueRule, Requests
from controller.scheduler.gang_room import NO_ENDS, Ground, Room, is_countable, room_for
from controller.scheduler.order import is_aged
from controller.scheduler.shape import Shape
from controller.scheduler.snapshot import TaskView
from controller.scheduler.work import Work


@dataclass(slots=True)
class Keeping:
    """rows: at most one reservation each. expected: when what runs will end."""

    work: Work
    now: float
    rows: dict[int, Reservation] = field(default_factory=dict)
    expected: Expectations = field(init=False)
    _journal: list[tuple[Reservation, dict[str, int]]] = field(default_factory=list)  # and what was to spare
    _closed: dict[tuple[Requests, float | None], frozenset[int]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.expected = Expectations(self.work.fleet, self.now)

    # Who may go there

    def closed_to(self, task: TaskView) -> frozenset[int]:
        """Return the rows on which a task would be in the way."""
        key = task.shape.requests, task.estimate
        found = self._closed.get(key)
        if found is None:
            found = frozenset(row for row, kept in self.rows.items() if not kept.lets_pass(task, self.now))
            self._closed[key] = found
        return found

    def before(self, task: TaskView) -> set[int]:
        """Return those that are kept for others of its queue: they go before it, also in preemption."""
        return {row for row in self.closed_to(task) if self.rows[row].queue == task.queue}

    def passed(self, task: TaskView, row: int) -> None:
        """Count a task that was placed."""
        kept = self.rows.get(row)
        if kept is not None:
            self._journal.append((kept, dict(kept.spare)))
            kept.passed(task, self.now)
            self._closed.clear()

    def mark(self) -> int:
        return len(self._journal)

    def take_back(self, mark: int) -> None:
        """Undo what passed since the mark."""
        while len(self._journal) > mark:
            kept, spare = self._journal.pop()
            kept.spare = spare
            self._closed.clear()

    # For whom

    def may_reserve(self, rule: QueueRule) -> bool:
        """Say whether one more of a queue may have a reservation: the first, or each that is blocked."""
        if len(self.rows) >= MAX_RESERVATIONS:
            return False
        return rule.backfill == "conservative" or all(kept.queue != rule.name for kept in self.rows.values())

    def keep(self, task: TaskView, rule: QueueRule) -> None:
        """Keep the node for a blocked task on which it fits first, if that can be said."""
        aged, came = is_aged(task, rule, self.now), self.expected.came
        ends = self.expected.of_all() if aged else self.expected.known()
        kept = reserve(task, self.work, self.rows, ends, self.now, is_aged=aged, came=came)
        if kept is not None:
            self.rows[kept.row] = kept
            self._closed.clear()

    def keep_together(self, members: Sequence[TaskView], rule: QueueRule, *, first: TaskView) -> None:
        """Keep nodes for all of these from the time on at which they fit together, if that can be said; or none.

        first: of the gang in the line; it says how long they have waited. If all is free, and they were not placed all
        the same, they are in each other's way: nothing is kept.
        """
        if not is_countable(members):
            return
        aged = is_aged(first, rule, self.now)
        ends = self.expected.of_all() if aged else self.expected.known()
        room = room_for(members, self._ground(ends))
        if room is None or (room.at >= UNKNOWN and not aged) or self._is_free(room):
            return
        self._closed.clear()
        for row, tasks in room.members.items():
            came = self.expected.came.get(row, ())
            self.rows[row] = reservation(tasks, row, room.at, self.work, self.now, came)

    def room_now(self, members: Sequence[TaskView]) -> Room | None:
        """Return where all of these fit together now."""
        if not is_countable(members):
            return None
        return room_for(members, self._ground(NO_ENDS))

    def _ground(self, ends: Ends) -> Ground:
        work = self.work
        return Ground(
            work.fleet, work.free, ends, self.now, self._open_to, lambda term: work.count(term).by_row
        )

    def _open_to(self, shape: Shape) -> Bools:
        found = open_to(shape, self.work)
        found[list(self.rows)] = False
        return found

    def _is_free(self, room: Room) -> bool:
        fleet, free = self.work.fleet, self.work.free
        return not any(
            fleet.view(row).name in task.ending_on for row, tasks in room.members.items() for task in tasks
        ) and all(
            free[fleet.resources[name], row] >= amount
            for row, tasks in room.members.items()
            for name, amount in amounts_of(tasks).items()
            if amount
        )
