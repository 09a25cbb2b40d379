"""`describe cronjob`, in kubectl's order, with the next runs. Pure."""

from collections.abc import Sequence
from datetime import datetime
from itertools import islice
from zoneinfo import ZoneInfo

from cli.blocks import NONE, Block, pairs
from cli.columns_jobs import job_state
from cli.describe_object import condition_rows, describe_unreadable, event_rows, rfc1123, standing
from cli.describe_template import template_block
from cli.related import Related
from client.views import ObjectView, status_of
from schemas.event import Event
from schemas.job import CronJob, CronJobSpec
from schemas.schedule import UTC_NAME, runs_after
from schemas.workload_status import CronJobStatus

SHOWN_RUNS = 3


def describe(view: ObjectView, related: Related, events: Sequence[Event], now: float) -> Block:
    """Return the description of a CronJob."""
    if not view.raw:
        return describe_unreadable(view, events, now)
    cron = view.parsed
    assert isinstance(cron, CronJob)
    spec, status = cron.spec, status_of(view, CronJobStatus) or CronJobStatus(uid=view.uid)
    deadline = spec.starting_deadline_seconds
    jobs = tuple(f"{job.name}: {job_state(job)}" for job in related.jobs)
    return Block(
        [
            ("Name", view.name),
            ("Namespace", view.namespace),
            ("Labels", pairs(view.labels)),
            ("Annotations", pairs(view.annotations, ": ")),
            *standing(view),
            ("Schedule", spec.schedule),
            ("Time Zone", spec.time_zone or UTC_NAME),
            ("Next Runs", next_runs(spec, now)),
            ("Concurrency Policy", spec.concurrency_policy),
            ("Suspend", str(spec.suspend)),
            ("Starting Deadline Seconds", f"{deadline}s" if deadline is not None else "<unset>"),
            ("Catch Up", spec.catch_up),
            ("Successful Job History Limit", str(spec.successful_jobs_history_limit)),
            ("Failed Job History Limit", str(spec.failed_jobs_history_limit)),
            ("Last Schedule Time", _time(status.last_schedule_time)),
            ("Last Successful Time", _time(status.last_successful_time)),
            ("Active Jobs", ", ".join(status.active) or NONE),
            ("Jobs", jobs),
            ("Task Template", template_block(spec.job_template.spec.template)),
            ("Conditions", condition_rows(status.conditions)),
            ("Events", event_rows(events, now)),
        ]
    )


def next_runs(spec: CronJobSpec, now: float) -> tuple[str, ...]:
    """Return the next three runs in the schedule's own time zone."""
    if spec.suspend:
        return (f"{NONE}, as it is suspended",)
    zone = ZoneInfo(spec.time_zone or UTC_NAME)
    runs = islice(runs_after(spec.schedule, spec.time_zone, now), SHOWN_RUNS)
    return tuple(datetime.fromtimestamp(run, zone).strftime("%a, %d %b %Y %H:%M:%S %z") for run in runs)


def _time(timestamp: str) -> str:
    return rfc1123(timestamp) if timestamp else NONE
