"""How far a task has come after an apply, as one verdict: the pure part of `apply --wait`."""

from dataclasses import dataclass
from typing import Literal

from client.views import ObjectView
from schemas.meta import find_condition
from schemas.state import ContainerState, TaskState

_DONE = (TaskState.RUNNING, TaskState.SUCCEEDED)
_GIVEN_UP = (TaskState.FAILED, TaskState.STOPPED, TaskState.LOST)


@dataclass(frozen=True, slots=True)
class Progress:
    """`why` is a sentence for people: the reason of a failure, or of not being there yet."""

    verdict: Literal["done", "waiting", "failed"]
    why: str


def progress_of(view: ObjectView, generation: int) -> Progress:
    """Judge a task of at least that generation. A crash in between two attempts is still waiting."""
    status = view.task_status
    if status is None or status.observed_generation < generation:
        return Progress(
            "waiting", "the controller has not looked at it yet; is one running? see: berth version"
        )
    admitted = find_condition(status.conditions, "Admitted")
    if admitted is not None and admitted.status == "False":
        return Progress("failed", f"it is not admitted: {admitted.message}")
    reasons = [each.message or each.reason for each in status.containers if each.reason] or [
        status.message or status.reason
    ]
    why = ": ".join(part for part in (str(status.state), *reasons) if part)
    if status.state in _GIVEN_UP:
        return Progress("failed", why)
    crashing = any(
        each.attempt > 0 and (each.reason or each.state is not ContainerState.RUNNING)
        for each in status.containers
    )
    return Progress("done" if status.state in _DONE and not crashing else "waiting", why)
