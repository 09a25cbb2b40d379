"""Whose turn it is: queues by fairness, tasks of a queue by its order, equal tasks in runs, gangs as one."""

import heapq
from collections.abc import Callable
from dataclasses import dataclass

from controller.scheduler.backfill import amounts_of
from controller.scheduler.fairness import Account, Amounts, QueueRule, Requests, accounts_of, turn_key
from controller.scheduler.order import in_order
from controller.scheduler.snapshot import Snapshot, TaskView

LONGEST_RUN = 500
"""Tasks of one turn: what is put back, when the first that is left preempts, costs no more than that."""

GangKey = tuple[str, str, str]  # queue, namespace, name


@dataclass(frozen=True, slots=True)
class Turn:
    """The next tasks of a queue: a run that is equal to the scheduler, or the members of a gang."""

    account: Account
    tasks: tuple[TaskView, ...]

    @property
    def is_gang(self) -> bool:
        return self.tasks[0].gang is not None


class Line:
    """Queues take turns: within a guarantee first, then the least weighted dominant share (progressive filling)."""

    def __init__(self, snapshot: Snapshot, capacity: Amounts, now: float) -> None:
        self.accounts = accounts_of(snapshot.queues, snapshot.used)
        self._capacity = capacity
        waiting: dict[str, list[TaskView]] = {}
        for task in snapshot.pending:
            waiting.setdefault(task.queue, []).append(task)
        self._waiting: dict[str, list[TaskView]] = {}
        for name, tasks in waiting.items():
            account = self.accounts.setdefault(name, Account(QueueRule(name)))
            self._waiting[name] = in_order(tasks, account.rule, now)[::-1]  # the next one last
        self._gangs: dict[GangKey, list[TaskView]] = {}  # in order
        for tasks in self._waiting.values():
            for task in reversed(tasks):
                if task.gang is not None:
                    self._gangs.setdefault(gang_key(task), []).append(task)
        self._asked_by: dict[GangKey, Requests] = {}  # what gangs need to start, where somebody asked
        self._heap = [self._key(name) for name in self._waiting]
        heapq.heapify(self._heap)

    def next(self) -> Turn | None:
        """Return the next turn, None when nobody waits. Its tasks are taken out of the line."""
        while self._heap:
            key = heapq.heappop(self._heap)
            name = key[-1]
            waiting = self._trimmed(name)
            if not waiting:
                continue
            if key != self._key(name):
                heapq.heappush(self._heap, self._key(name))
                continue
            if (
                waiting[-1].gang is not None
            ):  # a gang goes when its first member does, wherever the others are
                return Turn(self.accounts[name], tuple(self._gangs.pop(gang_key(waiting[-1]))))
            return Turn(self.accounts[name], self._run(name))
        return None

    def _trimmed(self, name: str) -> list[TaskView]:
        """Return who waits in a queue, the next one last; members of gangs that had their turn are dropped there."""
        waiting = self._waiting[name]
        while waiting and waiting[-1].gang is not None and gang_key(waiting[-1]) not in self._gangs:
            waiting.pop()
        return waiting

    def put_back(self, turn: Turn, count: int) -> None:
        """Put the last `count` tasks of a turn back, and the queue into the line again."""
        name = turn.account.rule.name
        self._waiting[name].extend(turn.tasks[len(turn.tasks) - count :][::-1])
        if self._trimmed(name):
            heapq.heappush(self._heap, self._key(name))

    def take_while(self, turn: Turn, is_one: Callable[[TaskView], bool]) -> tuple[TaskView, ...]:
        """Take those that come right after a turn in its queue out of the line, as long as they are such."""
        waiting = self._waiting[turn.account.rule.name]
        found = []
        while waiting and is_one(waiting[-1]):
            found.append(waiting.pop())
        return tuple(found)

    def rest(self, turn: Turn) -> tuple[TaskView, ...]:
        """Take all that still wait in the queue of a turn out of the line, and return them in their order."""
        waiting = self._waiting[turn.account.rule.name]
        found = tuple(
            task for task in reversed(waiting) if task.gang is None or gang_key(task) in self._gangs
        )
        waiting.clear()
        return found

    def _key(self, name: str) -> tuple[int, float, str]:
        return turn_key(self.accounts[name], self._asked_next(name), self._capacity)

    def _asked_next(self, name: str) -> Requests:
        """Return what the next of a queue asks for; a gang that much at once as it needs to start."""
        waiting = self._trimmed(name)
        if not waiting:
            return ()
        task = waiting[-1]
        if task.gang is None:
            return task.shape.requests
        key = gang_key(task)
        if key not in self._asked_by:
            needed = self._gangs[key][: task.gang.least]
            self._asked_by[key] = tuple(amounts_of(needed).items())
        return self._asked_by[key]

    def _run(self, name: str) -> tuple[TaskView, ...]:
        """Take equal tasks from the end for as long as it stays the queue's turn."""
        waiting, account = self._waiting[name], self.accounts[name]
        run = [waiting.pop()]
        if not is_groupable(run[0]) or not waiting or not is_equal(waiting[-1], run[0]):
            return tuple(run)
        trial = Account(account.rule, dict(account.used))
        other = self._heap[0] if self._heap else None
        while waiting and len(run) < LONGEST_RUN and is_equal(waiting[-1], run[0]):
            trial.take(run[0].shape.requests)
            if other is not None and turn_key(trial, run[0].shape.requests, self._capacity) > other:
                break
            run.append(waiting.pop())
        return tuple(run)


def is_groupable(task: TaskView) -> bool:
    """Say whether nothing but its shape decides where a task goes."""
    return not (task.previous_node or task.ending_on or task.failed_on or task.gang)


def is_equal(task: TaskView, other: TaskView) -> bool:
    """Say whether one task is to the scheduler what another one that is groupable is."""
    return (task.shape is other.shape or task.shape == other.shape) and is_groupable(task)


def gang_key(task: TaskView) -> GangKey:
    """Return what the members of a gang have in common; the name is empty for a task without a gang."""
    return task.queue, task.ref.namespace, task.gang.name if task.gang is not None else ""
