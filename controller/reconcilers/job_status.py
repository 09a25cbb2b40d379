"""What a job's status says after a plan: counts, times, conditions. Pure."""

from dataclasses import dataclass

from controller.reconcilers.job_counting import Counts, Tally, collect
from controller.reconcilers.owner_inputs import OwnedTask, OwnerInputs
from controller.reconcilers.owner_plan import thawed, with_condition, without_condition
from schemas.canonical import canonical_hash
from schemas.job import Job
from schemas.meta import Condition, find_condition
from schemas.owned import Revision
from schemas.timestamps import format_time, parse_time
from schemas.workload_status import JobStatus

JobInputs = OwnerInputs[Job, JobStatus]
Conditions = tuple[Condition, ...]

FIRST_BACKOFF_S, LAST_BACKOFF_S = 10.0, 360.0  # Kubernetes' waits between the retries of a job


@dataclass(frozen=True, slots=True)
class Verdict:
    """How a job ended."""

    is_complete: bool
    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class Moves:
    """What a plan does to tasks: `removed` are of any pile of the tally, `created` is how many."""

    removed: tuple[OwnedTask, ...] = ()
    created: int = 0


def is_true(conditions: Conditions, type_: str) -> bool:
    found = find_condition(conditions, type_)
    return found is not None and found.status == "True"


def is_finished(status: JobStatus) -> bool:
    """Say whether the job has ended, well or not; that is for good."""
    return is_true(status.conditions, "Complete") or is_true(status.conditions, "Failed")


def begun(inputs: JobInputs) -> JobStatus:
    """Return the status so far. What a job was made with is what counts: it stands in the status from the start."""
    assert inputs.spec is not None, "a job without spec is terminating"
    spec = inputs.spec.value.spec
    old = inputs.own_status or JobStatus(uid=inputs.uid)
    if old.completions:
        return old
    return old.model_copy(update={"completions": spec.completions, "completion_mode": spec.completion_mode})


def may_retry_at(status: JobStatus) -> float:
    """Return when tasks may be made again after failures; 0 is at once. The wait doubles with each in a row."""
    if not status.failures_in_a_row or not status.last_failure_at:
        return 0.0
    doublings = min(status.failures_in_a_row - 1, 10)
    wait_s: float = min(FIRST_BACKOFF_S * 2.0**doublings, LAST_BACKOFF_S)
    return parse_time(status.last_failure_at) + wait_s


def with_failures(old: JobStatus, counts: Counts, now: float) -> JobStatus:
    """Return `old` with its counts brought up to date, and with when a failure was last seen.

    By the leader's clock: those of the nodes may differ.
    """
    failures = counts.failed + counts.ignored - old.failed - old.ignored
    succeeded = counts.done(is_indexed=old.completion_mode == "Indexed")
    in_a_row = old.failures_in_a_row if succeeded <= old.succeeded else 0
    update: dict[str, object] = {
        "succeeded": succeeded,
        "failed": counts.failed,
        "ignored": counts.ignored,
        "failures_in_a_row": in_a_row + max(failures, 0),
    }
    if failures > 0:
        update["last_failure_at"] = format_time(now)
    return old.model_copy(update=update)


def after(
    inputs: JobInputs, seen: JobStatus, tally: Tally, moves: Moves, verdict: Verdict | None, now: float
) -> JobStatus:
    """Return the status that goes with a plan's moves. seen: with the counts and the start up to date."""
    assert inputs.spec is not None, "a job without spec is terminating"
    gone = {task.ref for task in moves.removed}
    staying = [task for task in tally.active if task.ref not in gone]
    collected = collect(seen, tally, moves.removed)
    ended = verdict is not None
    return collected.model_copy(
        update={
            "observed_generation": inputs.spec.generation,
            "active": len(staying) + moves.created,
            "ready": sum(task.ready_at is not None for task in staying),
            "finished_at": format_time(now) if ended else seen.finished_at,
            "conditions": _conditions(inputs, seen, verdict, now),
        }
    )


def _conditions(inputs: JobInputs, seen: JobStatus, verdict: Verdict | None, now: float) -> Conditions:
    found = thawed(seen.conditions)
    if verdict is not None:
        kind = "Complete" if verdict.is_complete else "Failed"
        ended = Condition(type=kind, status="True", reason=verdict.reason, message=verdict.message)
        found = with_condition(found, ended, now)
    elif not is_finished(seen):
        found = _suspension(inputs, found, now)
    found = _denial(found, inputs.denied if not is_finished(seen) and verdict is None else (), now)
    return _ignored_changes(inputs, seen, found, now)


def _suspension(inputs: JobInputs, found: Conditions, now: float) -> Conditions:
    assert inputs.spec is not None
    if inputs.spec.value.spec.suspend:
        text = "spec.suspend is true: nothing of it runs; to go on, set it to false"
        return with_condition(
            found, Condition(type="Suspended", status="True", reason="JobSuspended", message=text), now
        )
    if find_condition(found, "Suspended") is None:
        return found
    return with_condition(found, Condition(type="Suspended", status="False", reason="JobResumed"), now)


def _denial(found: Conditions, denied: tuple[str, ...], now: float) -> Conditions:
    """Note why admission refuses tasks of the template, and take the note back when it no longer does."""
    if not denied:
        return without_condition(found, "Admitted")
    reasons = "; ".join(denied)
    return with_condition(
        found, Condition(type="Admitted", status="False", reason="Denied", message=reasons), now
    )


def _ignored_changes(inputs: JobInputs, seen: JobStatus, found: Conditions, now: float) -> Conditions:
    fields = changed_for_nothing(inputs, seen)
    if not fields:
        return without_condition(found, "ChangeIgnored")
    text = (
        f"{', '.join(fields)} can't change once the job is there; its tasks are as it was made. "
        f"To run it anew: berth delete {inputs.ref}, then apply"
    )
    return with_condition(
        found, Condition(type="ChangeIgnored", status="True", reason="Immutable", message=text), now
    )


def changed_for_nothing(inputs: JobInputs, seen: JobStatus) -> list[str]:
    """Return the fields whose value is not the one that the job was made with."""
    assert inputs.spec is not None
    spec, first = inputs.spec.value.spec, first_revision(inputs)
    raw = inputs.spec.raw["spec"]["template"]
    return [
        *(["spec.template"] if first is not None and canonical_hash(raw) != first.hash else []),
        *(["spec.completions"] if spec.completions != seen.completions else []),
        *(["spec.completionMode"] if spec.completion_mode != seen.completion_mode else []),
    ]


def first_revision(inputs: JobInputs) -> Revision | None:
    """Return the template that all tasks of the job are made from, None before it is kept."""
    if not inputs.revisions:
        return None
    return inputs.revisions[min(inputs.revisions)].value
