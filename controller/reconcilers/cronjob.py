"""The planner of CronJobs: a job for each run of the schedule, as the rules allow. Pure.

A run is decided once, started or skipped, in the transaction that moves `lastScheduleTime` past it; so no crash
starts it twice. Of runs that were missed at most the newest is made up for, however many there were.
"""

from dataclasses import dataclass, replace

from controller.reconcilers.due_runs import COUNTED, Due, due_run, next_run
from controller.reconcilers.freezing import frozen_plan
from controller.reconcilers.owner_ending import plan_owner_ending
from controller.reconcilers.owner_inputs import MAX_OWNED_A_PLAN, OwnedJob, OwnerInputs
from controller.reconcilers.owner_plan import (
    empty_plan,
    outdated_requests,
    owner_of,
    thawed,
    with_condition,
    without_condition,
)
from controller.reconcilers.plan import (
    CreateOwned,
    EventNote,
    Intent,
    Plan,
    PutOwnerStatus,
    PutRevision,
    RemoveOwned,
    RemoveRevision,
)
from schemas.canonical import canonical_hash
from schemas.job import CronJob, CronJobSpec
from schemas.keys import ObjectRef
from schemas.meta import Condition, find_condition
from schemas.timestamps import format_time, parse_time
from schemas.workload_status import CronJobStatus

CronJobInputs = OwnerInputs[CronJob, CronJobStatus]

ON_TIME_S = 60.0
"""With catchUp `skip` a run is not late before: a new leader needs some seconds, and cron thinks in minutes."""
CAUSE = "berth/change-cause"
STARTED = "LastRunStarted"


@dataclass(frozen=True, slots=True)
class Skipped:
    """Why a run does not start: a stable word and a sentence."""

    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class Decision:
    """What is decided about the run that is due."""

    due: Due
    skipped: Skipped | None
    replaced: tuple[OwnedJob, ...] = ()


def plan_cronjob(inputs: CronJobInputs, now: float) -> Plan:
    """Return what should happen next about one CronJob."""
    if inputs.is_terminating:
        return plan_owner_ending(inputs, now)
    if inputs.unreadable:
        return frozen_plan(inputs, inputs.own_status or CronJobStatus(uid=inputs.uid), now)
    assert inputs.spec is not None, "a CronJob without spec is terminating"
    spec = inputs.spec.value.spec
    status = _counted(inputs.own_status or CronJobStatus(uid=inputs.uid), spec, now)
    decision = _decide(inputs, status, now)
    intents, events = _jobs(inputs, decision)
    decided = _after(inputs, status, decision, now)
    if decided != inputs.own_status:
        intents = (*intents, PutOwnerStatus(decided))
    plan = replace(empty_plan(inputs), intents=(*outdated_requests(inputs), *intents))
    events = (*_ends(inputs), *events, *_denial_told(inputs))
    return replace(plan, events=events, requeue_at=_next(spec, now))


def _next(spec: CronJobSpec, now: float) -> float | None:
    return None if spec.suspend else next_run(spec.schedule, spec.time_zone, now)


def _counted(status: CronJobStatus, spec: CronJobSpec, now: float) -> CronJobStatus:
    """Count runs from now on where the schedule is new, another one, or was suspended: none before is missed."""
    counted = "" if spec.suspend else f"{spec.time_zone or 'UTC'} {spec.schedule}"
    if counted == status.counted_schedule:
        return status
    since = "" if spec.suspend else format_time(now)
    return status.model_copy(update={"counted_schedule": counted, "counted_from": since})


def _decide(inputs: CronJobInputs, status: CronJobStatus, now: float) -> Decision | None:
    """Return what becomes of the newest run that is due, None where none is."""
    assert inputs.spec is not None
    spec = inputs.spec.value.spec
    if spec.suspend:
        return None
    known = [parse_time(text) for text in (status.counted_from, status.last_schedule_time) if text]
    due = due_run(spec.schedule, spec.time_zone, max(known), now)
    if due is None:
        return None
    active = _active(inputs)
    skipped = _why_skipped(inputs, due, active, now)
    replaces = skipped is None and spec.concurrency_policy == "Replace"
    return Decision(due, skipped, tuple(job for job in active if replaces and job.owned is not None))


def _why_skipped(inputs: CronJobInputs, due: Due, active: tuple[OwnedJob, ...], now: float) -> Skipped | None:
    assert inputs.spec is not None
    spec, late_s = inputs.spec.value.spec, now - due.newest
    if late_s > (latest_s := _latest_s(spec)):
        return Skipped("TooLate", f"it was {late_s:.0f} s late, and may start at most {latest_s:.0f} s late")
    if active and spec.concurrency_policy == "Forbid":
        names = ", ".join(str(job.ref) for job in active)
        return Skipped("StillActive", f"{names} goes on, and concurrencyPolicy is Forbid")
    if inputs.denied:
        return Skipped("Denied", "; ".join(inputs.denied))
    name = _job_ref(inputs, due.newest)
    if name.name in inputs.taken or any(job.ref == name for job in inputs.jobs):
        return Skipped("NameTaken", f"there is another {name}; see: berth describe {name}")
    return None


def _latest_s(spec: CronJobSpec) -> float:
    """How late a run may start: by the deadline, else by the rule for what was missed."""
    if spec.starting_deadline_seconds is not None:
        return float(spec.starting_deadline_seconds)
    return float("inf") if spec.catch_up == "runOnce" else ON_TIME_S


def _job_ref(inputs: CronJobInputs, run: float) -> ObjectRef:
    return ObjectRef("jobs", inputs.ref.namespace, f"{inputs.ref.name}-{int(run // 60)}")


def _end(job: OwnedJob) -> str:
    """Return "Complete" or "Failed", "" for a job that goes on."""
    conditions = job.status.value.conditions if job.status is not None else ()
    for kind in ("Complete", "Failed"):
        found = find_condition(conditions, kind)
        if found is not None and found.status == "True":
            return kind
    return ""


def _active(inputs: CronJobInputs) -> tuple[OwnedJob, ...]:
    """Jobs that have not ended; also those on their way out, as something of them may still run."""
    return tuple(job for job in inputs.jobs if not _end(job))


def _jobs(
    inputs: CronJobInputs, decision: Decision | None
) -> tuple[tuple[Intent, ...], tuple[EventNote, ...]]:
    """Return what happens to jobs and kept templates, and what is told about the run."""
    replaced = decision.replaced if decision else ()
    removed = (*replaced, *_history(inputs))[:MAX_OWNED_A_PLAN]
    intents: list[Intent] = [RemoveOwned(job.ref, job.owned) for job in removed if job.owned is not None]
    number = _newest_revision(inputs)
    if decision is not None and decision.skipped is None:
        wanted = _revision(inputs)
        number = wanted.number
        if number not in inputs.revisions:
            intents.append(wanted)
        ref, at = _job_ref(inputs, decision.due.newest), format_time(decision.due.newest)
        intents.append(CreateOwned(ref, owner_of(inputs), number, scheduled_at=at))
    gone = {job.ref for job in removed}
    named = {job.owned.value.revision for job in inputs.jobs if job.owned and job.ref not in gone}
    stale = sorted(set(inputs.revisions) - named - {number})[:MAX_OWNED_A_PLAN]
    intents += [RemoveRevision(inputs.uid, each) for each in stale]
    return tuple(intents), _told(inputs, decision)


def _history(inputs: CronJobInputs) -> tuple[OwnedJob, ...]:
    """Return the finished jobs beyond the history limits, the oldest ones."""
    assert inputs.spec is not None
    spec = inputs.spec.value.spec
    limits = {"Complete": spec.successful_jobs_history_limit, "Failed": spec.failed_jobs_history_limit}
    beyond: list[OwnedJob] = []
    for kind, limit in limits.items():
        ended = [job for job in inputs.jobs if job.owned and not job.is_deleted and _end(job) == kind]
        ended.sort(key=lambda job: job.owned.create_revision if job.owned else 0)
        beyond += ended[: max(len(ended) - limit, 0)]
    return tuple(beyond)


def _newest_revision(inputs: CronJobInputs) -> int:
    return max(inputs.revisions, default=0)


def _revision(inputs: CronJobInputs) -> PutRevision:
    """Return the template of the next job: the newest that is kept, or a new one."""
    assert inputs.spec is not None
    raw = inputs.spec.raw["spec"]["jobTemplate"]
    template = {"metadata": raw.get("metadata") or {}, "spec": raw["spec"]}
    digest, number = canonical_hash(raw), _newest_revision(inputs)
    if number and inputs.revisions[number].value.hash == digest:
        return PutRevision(owner_of(inputs), number, digest, template)
    made = max((job.owned.value.revision for job in inputs.jobs if job.owned), default=0)
    cause = inputs.spec.value.metadata.annotations.get(CAUSE, "")
    return PutRevision(owner_of(inputs), max(number, made) + 1, digest, template, cause)


def _told(inputs: CronJobInputs, decision: Decision | None) -> tuple[EventNote, ...]:
    if decision is None:
        return ()
    told = []
    run = _shown(decision.due.newest)
    if decision.due.missed:
        least = "at least " if decision.due.missed >= COUNTED else ""
        text = f"{least}{decision.due.missed} runs before that of {run} were missed, and are not made up for"
        told.append(EventNote("Warning", "RunsMissed", text))
    if decision.skipped is not None:
        text = f"the run of {run} is skipped: {decision.skipped.message}"
        return (*told, EventNote("Warning", decision.skipped.reason, text))
    told += [
        EventNote("Normal", "JobReplaced", f"{job.ref} ends for the run of {run}")
        for job in decision.replaced
    ]
    ref = _job_ref(inputs, decision.due.newest)
    return (*told, EventNote("Normal", "JobCreated", f"{ref} for the run of {run}"))


def _shown(run: float) -> str:
    return f"{format_time(run)[:16]}Z"


def _ends(inputs: CronJobInputs) -> tuple[EventNote, ...]:
    """Tell of the jobs that were active when last looked at, and have ended since."""
    before = inputs.own_status.active if inputs.own_status else ()
    ended = [(job, _end(job)) for job in inputs.jobs if job.ref.name in before]
    return tuple(
        EventNote("Normal", "JobCompleted", f"{job.ref} is complete")
        if kind == "Complete"
        else EventNote("Warning", "JobFailed", f"{job.ref} failed; see: berth describe {job.ref}")
        for job, kind in ended
        if kind
    )


def _denial_told(inputs: CronJobInputs) -> tuple[EventNote, ...]:
    old = inputs.own_status.conditions if inputs.own_status else ()
    if not inputs.denied or find_condition(old, "Admitted") is not None:
        return ()
    return (EventNote("Warning", "Denied", "; ".join(inputs.denied)),)


def _after(
    inputs: CronJobInputs, status: CronJobStatus, decision: Decision | None, now: float
) -> CronJobStatus:
    """Return the status that goes with the plan: the run is decided, whatever became of it."""
    assert inputs.spec is not None
    gone = {job.ref for job in decision.replaced} if decision else set()
    active = [job.ref.name for job in _active(inputs) if job.owned is not None and job.ref not in gone]
    if decision is not None and decision.skipped is None:
        active.append(_job_ref(inputs, decision.due.newest).name)
    ends = [job.status.value.finished_at for job in inputs.jobs if job.status and _end(job) == "Complete"]
    return status.model_copy(
        update={
            "observed_generation": inputs.spec.generation,
            "active": tuple(sorted(active)),
            "last_schedule_time": format_time(decision.due.newest) if decision else status.last_schedule_time,
            "last_successful_time": max((*ends, status.last_successful_time)),
            "conditions": _conditions(inputs, thawed(status.conditions), decision, now),
        }
    )


def _conditions(
    inputs: CronJobInputs, found: tuple[Condition, ...], decision: Decision | None, now: float
) -> tuple[Condition, ...]:
    if inputs.denied:
        text = "; ".join(inputs.denied)
        denied = Condition(type="Admitted", status="False", reason="Denied", message=text)
        found = with_condition(found, denied, now)
    else:
        found = without_condition(found, "Admitted")
    if decision is None:
        return found
    run, skipped = _shown(decision.due.newest), decision.skipped
    if skipped is None:
        return with_condition(found, Condition(type=STARTED, status="True", reason="JobCreated"), now)
    text = f"the run of {run} was skipped: {skipped.message}"
    return with_condition(
        found, Condition(type=STARTED, status="False", reason=skipped.reason, message=text), now
    )
