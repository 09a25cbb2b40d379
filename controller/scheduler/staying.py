"""Who goes with every cycle though nothing changed for him: nobody is to pass those for whom room is kept, unseen."""

from collections.abc import Iterator

from controller.scheduler.schedule import Decisions
from controller.scheduler.snapshot import TaskView


def staying(decisions: Decisions) -> Iterator[TaskView]:
    """Yield the waiting tasks with a promise or a reservation, and the heads of queues without backfill."""
    for each in decisions.unschedulable:
        uid = each.task.uid
        if each.nominated or uid in decisions.reservations or uid in decisions.heads:
            yield each.task
