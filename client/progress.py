"""How far a task has come after an apply, as one verdict, and waiting for it: what `apply --wait` does."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from client.errors import ClientError
from client.views import ObjectView
from client.waiting import Waiter
from schemas.meta import find_condition
from schemas.report import ContainerStatus
from schemas.state import ContainerState, TaskState

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
    counted = [each for each in status.containers if not _has_prepared(each)]
    reasons = [each.message or each.reason for each in counted if each.reason] or [
        status.message or status.reason
    ]
    why = ": ".join(part for part in (str(status.state), *reasons) if part)
    if status.state in _GIVEN_UP:
        return Progress("failed", why)
    is_up = status.state is TaskState.SUCCEEDED or (
        status.state is TaskState.RUNNING
        and all(each.state is ContainerState.RUNNING and not each.reason for each in counted)
    )
    return Progress("done" if is_up else "waiting", why)


def _has_prepared(container: ContainerStatus) -> bool:
    """Say whether it is an init container that ended well: the others run without it."""
    return container.init and container.state is ContainerState.EXITED and container.exit_code == 0


def wait_task(
    waiter: Waiter, key: str, read: Callable[[], ObjectView], generation: int, *, timeout_s: float
) -> Progress:
    """Wait for a verdict. key: of its status. Raises TimedOut with what was last seen, and what `read` raises."""
    last = Progress("waiting", "")

    def check() -> Progress | None:
        nonlocal last
        last = progress_of(read(), generation)
        return None if last.verdict == "waiting" else last

    try:
        return waiter.until((key,), check, timeout_s=timeout_s, what=f"for {read().ref}")
    except ClientError as error:
        raise type(error)(f"{error}; {last.why}" if last.why else str(error)) from None
