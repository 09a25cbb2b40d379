"""Who goes with every cycle though nothing changed for him: nobody is to pass those for whom room is kept, unseen."""

from collections.abc import Iterator, Mapping

from controller.scheduler.fairness import QueueRule
from controller.scheduler.schedule import Decisions
from controller.scheduler.snapshot import TaskView


def staying(decisions: Decisions, rules: Mapping[str, QueueRule]) -> Iterator[TaskView]:
    """Yield the waiting tasks with a promise or a reservation, and the heads of queues without backfill."""
    heads = set()
    for each in decisions.unschedulable:
        task = each.task
        if task.uid in decisions.reservations or each.nominated:
            yield task
        elif (
            rules.get(task.queue, QueueRule(task.queue)).backfill == "none"
            and each.rejection.queue is None
            and task.queue not in heads
        ):
            heads.add(task.queue)
            yield task
