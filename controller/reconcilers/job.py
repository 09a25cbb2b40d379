"""The planner of jobs: tasks until so many have succeeded, or too many have failed. Pure.

Reads top to bottom: what the tasks count as (`job_counting`), how the job stands (verdict), what to remove, what to
make, what the status says (`job_status`). Tasks that finished are kept for their logs, the newest of each sort.
"""

from dataclasses import replace
from itertools import count, islice
from typing import Any

from controller.reconcilers.freezing import frozen_plan
from controller.reconcilers.indexes import format_indexes
from controller.reconcilers.job_counting import (
    Counts,
    Tally,
    Tasks,
    counts_of,
    failures_in_place,
    indexes_of,
    tally_of,
)
from controller.reconcilers.job_status import (
    JobInputs,
    Moves,
    Verdict,
    after,
    begun,
    first_revision,
    is_finished,
    is_true,
    may_retry_at,
    with_failures,
)
from controller.reconcilers.owner_ending import plan_owner_ending
from controller.reconcilers.owner_inputs import MAX_OWNED_A_PLAN, OwnedTask
from controller.reconcilers.owner_plan import (
    UsedNames,
    empty_plan,
    outdated_requests,
    owner_of,
    removal_of,
    short_name,
    task_named,
)
from controller.reconcilers.plan import CreateOwned, EventNote, Intent, Plan, PutOwnerStatus, PutRevision
from controller.reconcilers.plan_size import removals_that_fit
from schemas.binding import StopReason
from schemas.canonical import canonical_hash
from schemas.timestamps import format_time, parse_time
from schemas.workload_status import JobStatus

KEPT_OF_EACH = 20  # tasks that succeeded, and as many that failed, for their logs
CAUSE = "berth/change-cause"


def plan_job(inputs: JobInputs, now: float) -> Plan:
    """Return what should happen next about one job."""
    if inputs.is_terminating:
        return plan_owner_ending(inputs, now)
    if inputs.unreadable:
        return frozen_plan(inputs, begun(inputs), now)
    assert inputs.spec is not None, "a job without spec is terminating"
    tally = tally_of(inputs.tasks, inputs.spec.value.spec)
    old = begun(inputs)
    if not is_finished(old):
        return _plan_live(inputs, tally, old, now)
    gone_at = _expires_at(inputs, old)
    if gone_at is not None and gone_at <= now:
        return plan_owner_ending(inputs, now)
    plan = _moved(inputs, tally, old, None, now)
    return replace(plan, requeue_at=gone_at if gone_at is not None and gone_at > now else None)


def _expires_at(inputs: JobInputs, status: JobStatus) -> float | None:
    """When a finished job removes itself, in seconds since 1970; None is never."""
    assert inputs.spec is not None
    ttl_s = inputs.spec.value.spec.ttl_seconds_after_finished
    return parse_time(status.finished_at) + ttl_s if ttl_s is not None and status.finished_at else None


def _plan_live(inputs: JobInputs, tally: Tally, old: JobStatus, now: float) -> Plan:
    assert inputs.spec is not None
    counts = counts_of(old, tally)
    seen = _timed(with_failures(old, counts, now), now, is_suspended=inputs.spec.value.spec.suspend)
    verdict = _verdict(inputs, tally, counts, seen, now)
    plan = _moved(inputs, tally, seen, verdict, now)
    plan = replace(plan, events=(*_told(inputs, verdict), *plan.events))
    if verdict is not None:
        gone_at = _expires_at(inputs, seen.model_copy(update={"finished_at": format_time(now)}))
        return replace(plan, requeue_at=gone_at)
    deadline, retry_at = _deadline(inputs, seen), may_retry_at(seen)
    due = [at for at in (deadline, retry_at) if at is not None and at > now]
    return replace(plan, requeue_at=min(due) if due else None)


def _timed(status: JobStatus, now: float, *, is_suspended: bool) -> JobStatus:
    """Its time begins when it is first seen, and again when it goes on after a suspension."""
    if is_suspended:
        return status.model_copy(update={"started_at": ""})
    return status if status.started_at else status.model_copy(update={"started_at": format_time(now)})


def _deadline(inputs: JobInputs, status: JobStatus) -> float | None:
    assert inputs.spec is not None
    lasts_s = inputs.spec.value.spec.active_deadline_seconds
    return parse_time(status.started_at) + lasts_s if lasts_s is not None and status.started_at else None


def _verdict(inputs: JobInputs, tally: Tally, counts: Counts, seen: JobStatus, now: float) -> Verdict | None:
    """Say whether the job has ended. What is complete is never late."""
    assert inputs.spec is not None
    spec = inputs.spec.value.spec
    if seen.succeeded >= seen.completions:
        return Verdict(True, "CompletionsReached", f"{seen.succeeded} of {seen.completions} tasks succeeded")
    if tally.fatal:
        return Verdict(False, "FailurePolicy", f"{_how_it_failed(tally.fatal[0])}; a rule says FailJob")
    failures = counts.failed + failures_in_place(tally.active, spec.template.spec.restart_policy)
    if failures > spec.backoff_limit:
        text = f"{failures} failures are more than backoffLimit {spec.backoff_limit}{_last_failure(tally)}"
        return Verdict(False, "BackoffLimitExceeded", f"{text}; see: berth logs {inputs.ref}")
    deadline = _deadline(inputs, seen)
    if deadline is not None and deadline <= now:
        lasts_s = spec.active_deadline_seconds
        return Verdict(False, "DeadlineExceeded", f"it was active for longer than {lasts_s} s")
    return None


def _how_it_failed(task: OwnedTask) -> str:
    status = task.status.value if task.status else None
    why = f": {status.reason} ({status.message})" if status and status.reason else ""
    return f"task {task.ref.name} failed{why}"


def _last_failure(tally: Tally) -> str:
    return f"; {_how_it_failed(max(tally.failed, key=_ended_at))}" if tally.failed else ""


def _told(inputs: JobInputs, verdict: Verdict | None) -> tuple[EventNote, ...]:
    assert inputs.spec is not None
    if verdict is not None:
        if verdict.is_complete:
            return (EventNote("Normal", "Completed", verdict.message),)
        return (EventNote("Warning", verdict.reason, verdict.message),)
    old = inputs.own_status
    was, is_now = is_true(old.conditions if old else (), "Suspended"), inputs.spec.value.spec.suspend
    told = []
    if was != is_now:
        told.append(EventNote("Normal", "Suspended" if is_now else "Resumed", "spec.suspend was changed"))
    if inputs.denied and (old is None or not any(each.type == "Admitted" for each in old.conditions)):
        told.append(EventNote("Warning", "Denied", "; ".join(inputs.denied)))
    return tuple(told)


def _moved(inputs: JobInputs, tally: Tally, seen: JobStatus, verdict: Verdict | None, now: float) -> Plan:
    """Return the plan of removals, creations and the status that goes with them: one transaction."""
    assert inputs.spec is not None
    may_run = verdict is None and not is_finished(seen) and not inputs.spec.value.spec.suspend
    surplus, why = _surplus(inputs, tally, seen, verdict, may_run=may_run)
    intents: list[Intent] = [*outdated_requests(inputs)]
    removed = [*tally.void, *_to_collect(tally), *surplus][:MAX_OWNED_A_PLAN]
    removals = [removal_of(task, StopReason.DELETED, why) for task in removed]
    removed = removed[: removals_that_fit(removals)]
    intents += removals[: len(removed)]
    created: list[CreateOwned] = []
    revision = _revision(inputs)
    if may_run and not inputs.denied and may_retry_at(seen) <= now:
        created = _creations(inputs, tally, seen, revision)[: MAX_OWNED_A_PLAN - len(removed)]
    if not inputs.revisions:
        intents.append(revision)
    intents += created
    status = after(inputs, seen, tally, Moves(tuple(removed), len(created)), verdict, now)
    status = _with_indexes(status, tally, seen)
    if status != inputs.own_status:
        intents.append(PutOwnerStatus(status))
    return replace(empty_plan(inputs), intents=tuple(intents), events=_notes(surplus, removed, created, why))


def _with_indexes(status: JobStatus, tally: Tally, seen: JobStatus) -> JobStatus:
    if seen.completion_mode != "Indexed":
        return status
    return status.model_copy(update={"completed_indexes": format_indexes(counts_of(seen, tally).indexes)})


def _surplus(
    inputs: JobInputs, tally: Tally, seen: JobStatus, verdict: Verdict | None, *, may_run: bool
) -> tuple[Tasks, str]:
    """Return the tasks that are to stop, and why."""
    assert inputs.spec is not None
    if not may_run:
        why = (
            verdict.message
            if verdict
            else "the job has ended"
            if is_finished(seen)
            else "the job is suspended"
        )
        return tally.active, why
    wanted = min(inputs.spec.value.spec.parallelism, seen.completions - seen.succeeded)
    if len(tally.active) <= wanted:
        return (), ""
    in_order = sorted(tally.active, key=_worth)
    return tuple(in_order[wanted:]), "the job needs fewer tasks at a time"


def _worth(task: OwnedTask) -> tuple[bool, bool, int]:
    """Those that run come first, then the older ones."""
    assert task.owned is not None
    return task.binding is None, task.ready_at is None, task.owned.create_revision


def _to_collect(tally: Tally) -> Tasks:
    """Finished tasks that somebody deleted, and those beyond what is kept; oldest first."""
    asked = [task for task in (*tally.succeeded, *tally.failed, *tally.ignored) if task.is_deleted]
    beyond: list[OwnedTask] = []
    for pile in (tally.succeeded, tally.failed + tally.ignored):
        kept = sorted((task for task in pile if not task.is_deleted), key=_ended_at)
        beyond += kept[: max(len(kept) - KEPT_OF_EACH, 0)]
    return (*asked, *beyond)


def _ended_at(task: OwnedTask) -> tuple[str, int]:
    assert task.owned is not None
    return task.status.value.finished_at if task.status else "", task.owned.create_revision


def _revision(inputs: JobInputs) -> PutRevision:
    """Return the template that all tasks are made from, as it is kept or is to be kept."""
    assert inputs.spec is not None
    kept = first_revision(inputs)
    if kept is not None:
        return PutRevision(kept.owner, kept.number, kept.hash, kept.template, kept.cause)
    raw: dict[str, Any] = inputs.spec.raw["spec"]
    template = raw["template"]
    if raw.get("estimatedDuration") is not None and "estimatedDuration" not in template["spec"]:
        template = {**template, "spec": {**template["spec"], "estimatedDuration": raw["estimatedDuration"]}}
    if inputs.spec.value.spec.gang:
        gang = {"minMember": inputs.spec.value.spec.together}
        template = {**template, "spec": {**template["spec"], "gang": gang}}
    number = 1 + max((task.owned.value.revision for task in inputs.tasks if task.owned), default=0)
    cause = inputs.spec.value.metadata.annotations.get(CAUSE, "")
    return PutRevision(owner_of(inputs), number, canonical_hash(raw["template"]), template, cause)


def _creations(inputs: JobInputs, tally: Tally, seen: JobStatus, revision: PutRevision) -> list[CreateOwned]:
    assert inputs.spec is not None
    room = inputs.spec.value.spec.parallelism - len(tally.occupying)
    missing = seen.completions - seen.succeeded - len(tally.active)
    wanted = max(min(room, missing), 0)
    if not wanted:
        return []
    owner, used, highest = owner_of(inputs), UsedNames(inputs), _highest_numbers(inputs)
    made = []
    for index in _next_indexes(tally, seen, wanted):
        name = _new_name(inputs, seen, index, highest, used)
        used.add(name)
        made.append(CreateOwned(task_named(inputs, name), owner, revision.number, index))
    return made


def _next_indexes(tally: Tally, seen: JobStatus, wanted: int) -> list[int | None]:
    """Return the indexes to start: the lowest that neither succeeded nor have a task that may still run."""
    if seen.completion_mode != "Indexed":
        return [None] * wanted
    taken = counts_of(seen, tally).indexes | indexes_of(tally.active) | _leaving_indexes(tally)
    return list(islice((index for index in range(seen.completions) if index not in taken), wanted))


def _leaving_indexes(tally: Tally) -> frozenset[int]:
    """Return indexes of tasks that may still run though their key is gone: their name says which."""
    kept = indexes_of(tally.leaving)
    parts = [task.ref.name.rsplit("-", 2) for task in tally.leaving if task.owned is None]
    return kept | {int(part[-2]) for part in parts if len(part) == 3 and part[-2].isdecimal()}


def _highest_numbers(inputs: JobInputs) -> dict[str, int]:
    """Return the highest number that follows each start of a name: of `sum-3-2` it is 2 after `sum-3`."""
    found: dict[str, int] = {}
    for task in inputs.tasks:
        base, _, number = task.ref.name.rpartition("-")
        if number.isdecimal():
            found[base] = max(int(number), found.get(base, 0))
    return found


def _new_name(
    inputs: JobInputs, seen: JobStatus, index: int | None, highest: dict[str, int], used: UsedNames
) -> str:
    """Return a name that counts on from the tasks there were, so that no log is taken for that of another."""
    base = inputs.ref.name if index is None else f"{inputs.ref.name}-{index}"
    last = highest.get(base, 0)
    if index is None:
        last = max(last, seen.collected_succeeded + seen.collected_failed + seen.collected_ignored)
    names = (short_name(f"{base}-{number}") for number in count(last + 1))
    name = next(name for name in names if name not in used)
    number = name.rpartition("-")[2]
    highest[base] = int(number) if number.isdecimal() else last
    return name


def _notes(
    surplus: Tasks, removed: list[OwnedTask], created: list[CreateOwned], why: str
) -> tuple[EventNote, ...]:
    gone = {task.ref.name for task in removed}
    stopped = [task.ref.name for task in surplus if task.ref.name in gone]
    notes = []
    if stopped:
        notes.append(EventNote("Normal", "TasksStopped", f"{_few(stopped)}: {why}"))
    if created:
        notes.append(EventNote("Normal", "TasksCreated", _few([each.ref.name for each in created])))
    return tuple(notes)


def _few(names: list[str]) -> str:
    more = f" and {len(names) - 5} more" if len(names) > 5 else ""
    return f"{len(names)} tasks: {', '.join(names[:5])}{more}" if len(names) > 1 else f"task {names[0]}"
