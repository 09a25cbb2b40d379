"""What the tasks of a job count as, and what they add up to. Pure.

A task counts by its state while its owned key is there. It moves into the `collected` counts in the transaction
that removes that key, so it is counted once, whatever crashes. What was stopped or lost never counts.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from controller.reconcilers.indexes import format_indexes, parse_indexes
from controller.reconcilers.owner_inputs import OwnedTask
from schemas.job import FailureRule, JobSpec
from schemas.report import ContainerStatus
from schemas.state import ContainerState, TaskState
from schemas.task import RestartPolicy
from schemas.workload_status import JobStatus

Tasks = tuple[OwnedTask, ...]


@dataclass(frozen=True, slots=True)
class Tally:
    """A job's tasks, each in one pile.

    active: may still succeed. leaving: on their way out, and something of them may still run. void: over without
    counting. ignored: failed, and a rule says that it does not count. fatal: among `failed`, and a rule ends the job.
    """

    active: Tasks = ()
    leaving: Tasks = ()
    void: Tasks = ()
    succeeded: Tasks = ()
    failed: Tasks = ()
    ignored: Tasks = ()
    fatal: Tasks = ()

    @property
    def occupying(self) -> Tasks:
        """Those that parallelism counts: it is never exceeded by what runs, only by what has ended."""
        return self.active + self.leaving


@dataclass(frozen=True, slots=True)
class Counts:
    """How often what happened to the tasks of a job, over all of its life. indexes: those that succeeded."""

    succeeded: int
    failed: int
    ignored: int
    indexes: frozenset[int]

    def done(self, *, is_indexed: bool) -> int:
        """How many of the completions are there."""
        return len(self.indexes) if is_indexed else self.succeeded


def tally_of(tasks: Iterable[OwnedTask], spec: JobSpec) -> Tally:
    """Return each task in its pile."""
    piles: dict[str, list[OwnedTask]] = {}
    for task in tasks:
        for pile in _piles_of(task, spec):
            piles.setdefault(pile, []).append(task)
    return Tally(**{name: tuple(found) for name, found in piles.items()})


def _piles_of(task: OwnedTask, spec: JobSpec) -> tuple[str, ...]:
    if task.owned is None:
        return () if task.has_ended else ("leaving",)
    match task.state:
        case TaskState.SUCCEEDED:
            return ("succeeded",)
        case TaskState.FAILED:
            return _FAILURES[action_of(task, spec)]
        case TaskState.STOPPED | TaskState.LOST:
            return ("void",)
        case _ if not task.is_deleted:
            return ("active",)
        case _:
            return ("void",) if task.has_ended or _was_never_placed(task) else ("leaving",)


_FAILURES = {"FailJob": ("failed", "fatal"), "Ignore": ("ignored",), "Count": ("failed",)}


def _was_never_placed(task: OwnedTask) -> bool:
    return task.binding is None and (task.status is None or not task.status.value.node)


def action_of(task: OwnedTask, spec: JobSpec) -> str:
    """Return what the first rule that fits says about a failed task; without one it counts."""
    containers = task.status.value.containers if task.status else ()
    found = (rule.action for rule in spec.failure_policy.rules if _fits(rule, containers))
    return next(found, "Count")


def _fits(rule: FailureRule, containers: Sequence[ContainerStatus]) -> bool:
    failed = [each for each in containers if each.exit_code]
    if rule.on_oom_killed is not None:
        return bool(failed) and rule.on_oom_killed == any(each.oom for each in failed)
    codes = rule.on_exit_codes
    assert codes is not None, "a rule has one cause"
    judged = [each for each in failed if codes.container_name in (None, each.name)]
    return any((each.exit_code in codes.values) == (codes.operator == "In") for each in judged)


def failures_in_place(tasks: Iterable[OwnedTask], policy: RestartPolicy) -> int:
    """Return how often containers of tasks that go on have failed, and were or will be restarted in place.

    As in Kubernetes these count towards backoffLimit. A sidecar's restarts are no failures of the job.
    """
    if policy != "OnFailure":
        return 0
    return sum(_failures_of(task) for task in tasks)


def _failures_of(task: OwnedTask) -> int:
    if task.status is None or task.task is None:
        return 0
    init = task.task.spec.init_containers
    sidecars = {each.name for each in init if each.restart_policy == "Always"}
    judged = [each for each in task.status.value.containers if each.name not in sidecars]
    return sum(each.attempt + int(_waits_after_failure(each)) for each in judged)


def _waits_after_failure(container: ContainerStatus) -> bool:
    return container.state is ContainerState.EXITED and container.exit_code not in (None, 0)


def counts_of(status: JobStatus, tally: Tally) -> Counts:
    """Return what was collected plus what is kept."""
    return Counts(
        status.collected_succeeded + len(tally.succeeded),
        status.collected_failed + len(tally.failed),
        status.collected_ignored + len(tally.ignored),
        parse_indexes(status.collected_indexes) | indexes_of(tally.succeeded),
    )


def indexes_of(tasks: Iterable[OwnedTask]) -> frozenset[int]:
    return frozenset(
        task.owned.value.index for task in tasks if task.owned and task.owned.value.index is not None
    )


def collect(status: JobStatus, tally: Tally, removed: Sequence[OwnedTask]) -> JobStatus:
    """Return the status that goes with the removal of tasks: those of them that count are collected."""
    gone = {task.ref for task in removed}
    succeeded = [task for task in tally.succeeded if task.ref in gone]
    collected = parse_indexes(status.collected_indexes) | indexes_of(succeeded)
    return status.model_copy(
        update={
            "collected_succeeded": status.collected_succeeded + len(succeeded),
            "collected_failed": status.collected_failed + sum(task.ref in gone for task in tally.failed),
            "collected_ignored": status.collected_ignored + sum(task.ref in gone for task in tally.ignored),
            "collected_indexes": format_indexes(collected),
        }
    )
