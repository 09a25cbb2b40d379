"""Columns of jobs and CronJobs. Pure."""

from collections.abc import Mapping
from typing import Any

from cli.ages import UNKNOWN, age, human_duration
from cli.cells import NONE
from cli.columns import AGE, NAME, Column, RowContext
from client.views import ObjectView, status_of
from schemas.meta import find_condition
from schemas.timestamps import parse_time
from schemas.workload_status import FROZEN, CronJobStatus, JobStatus


def job_state(view: ObjectView) -> str:
    """Return the STATUS of a job, as kubectl derives it."""
    if view.is_unreadable:
        return "Unreadable"
    if view.is_terminating:
        return "Terminating"
    status = status_of(view, JobStatus)
    conditions = status.conditions if status else ()
    for kind in ("Complete", "Failed", "Suspended"):
        found = find_condition(conditions, kind)
        if found is not None and found.status == "True":
            return kind
    if find_condition(conditions, FROZEN) is not None:
        return FROZEN
    denied = find_condition(conditions, "Admitted")
    return "Denied" if denied is not None else "Running"


def _completions(view: ObjectView, context: RowContext) -> str:
    status = status_of(view, JobStatus)
    wanted = status.completions if status and status.completions else _spec(view).get("completions", 1)
    return f"{status.succeeded if status else 0}/{wanted}"


def _duration(view: ObjectView, context: RowContext) -> str:
    status = status_of(view, JobStatus)
    if status is None or not status.started_at:
        return ""
    end = parse_time(status.finished_at) if status.finished_at else context.now
    return human_duration(end - parse_time(status.started_at))


def _spec(view: ObjectView) -> Mapping[str, Any]:
    spec = view.raw.get("spec")
    return spec if isinstance(spec, dict) else {}


def _job_spec(view: ObjectView) -> Mapping[str, Any]:
    """The spec of a job, or that of the jobs of a CronJob."""
    spec = _spec(view)
    return (spec.get("jobTemplate") or {}).get("spec") or {} if view.kind.name == "CronJob" else spec


def _of_containers(field: str) -> Column:
    def cell(view: ObjectView, context: RowContext) -> str:
        template = _job_spec(view).get("template") or {}
        containers = (template.get("spec") or {}).get("containers") or ()
        return ",".join(str(each.get(field)) for each in containers) or NONE

    return Column({"name": "CONTAINERS", "image": "IMAGES"}[field], cell, True)


def _active(view: ObjectView, context: RowContext) -> str:
    status = status_of(view, CronJobStatus)
    return str(len(status.active)) if status else "0"


def _last_schedule(view: ObjectView, context: RowContext) -> str:
    status = status_of(view, CronJobStatus)
    return age(status.last_schedule_time, context.now) if status and status.last_schedule_time else NONE


def _field(name: str, default: str) -> Column:
    def cell(view: ObjectView, context: RowContext) -> str:
        return str(_spec(view).get(name) or default) if view.raw else UNKNOWN

    return Column({"schedule": "SCHEDULE", "timeZone": "TIMEZONE", "suspend": "SUSPEND"}[name], cell)


_CONTAINERS = (_of_containers("name"), _of_containers("image"))

JOB = (
    NAME,
    Column("STATUS", lambda view, context: job_state(view)),
    Column("COMPLETIONS", _completions),
    Column("DURATION", _duration),
    AGE,
    *_CONTAINERS,
)
CRONJOB = (
    NAME,
    _field("schedule", NONE),
    _field("timeZone", NONE),
    _field("suspend", "False"),
    Column("ACTIVE", _active),
    Column("LAST SCHEDULE", _last_schedule),
    AGE,
    *_CONTAINERS,
)
