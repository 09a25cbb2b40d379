"""Order within a queue: those who waited too long, then priority, then first come or shortest job first.

    (aged first, higher priority, estimate (sjf only), age, name)

Bound on waiting: a task that has waited `max_wait` goes before every one that has not, whatever its priority or
estimate, and among such tasks the older goes first. So from then on nothing that came later passes it in the order,
and no backfill takes the room that it waits for (see `backfill`).
"""

from collections.abc import Iterable

from controller.scheduler.fairness import QueueRule
from controller.scheduler.snapshot import TaskView

OrderKey = tuple[bool, int, float, int, object]


def is_aged(task: TaskView, rule: QueueRule, now: float) -> bool:
    """Say whether a task has waited as long as anyone of its queue may be passed."""
    return now - task.waiting_since >= rule.max_wait


def order_key(task: TaskView, rule: QueueRule, now: float) -> OrderKey:
    """Sort key within one queue; a task without an estimate counts as the longest."""
    if is_aged(task, rule, now):
        return False, 0, 0.0, task.age, task.ref
    estimate = (float("inf") if task.estimate is None else task.estimate) if rule.ordering == "sjf" else 0.0
    return True, -task.priority, estimate, task.age, task.ref


def in_order(pending: Iterable[TaskView], rule: QueueRule, now: float) -> list[TaskView]:
    """Return the waiting tasks of one queue, the next one first."""
    return sorted(pending, key=lambda task: order_key(task, rule, now))
