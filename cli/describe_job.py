"""`describe job`, in kubectl's order. Pure."""

from collections.abc import Sequence

from cli.ages import human_duration
from cli.blocks import NONE, Block, pairs
from cli.columns_jobs import job_state
from cli.describe_object import condition_rows, describe_unreadable, event_rows, rfc1123, standing
from cli.describe_template import template_block
from cli.related import Related
from client.views import ObjectView, status_of
from schemas.event import Event
from schemas.job import FailureRule, Job, JobSpec
from schemas.quantity import format_duration
from schemas.timestamps import parse_time
from schemas.workload_status import JobStatus


def describe(view: ObjectView, related: Related, events: Sequence[Event], now: float) -> Block:
    """Return the description of a job."""
    if not view.raw:
        return describe_unreadable(view, events, now)
    job = view.parsed
    assert isinstance(job, Job)
    status = status_of(view, JobStatus) or JobStatus(uid=view.uid)
    owner = [("Controlled By", f"{view.owner.kind}/{view.owner.name}")] if view.owner else []
    return Block(
        [
            ("Name", view.name),
            ("Namespace", view.namespace),
            ("Labels", pairs(view.labels)),
            ("Annotations", pairs(view.annotations, ": ")),
            *owner,
            *_rules(job.spec, status),
            *_times(status, now),
            *(standing(view) or [("Status", job_state(view))]),
            ("Tasks Statuses", _counts(status)),
            *([("Completed Indexes", status.completed_indexes or NONE)] if _is_indexed(job.spec) else []),
            ("Task Template", template_block(job.spec.template)),
            ("Conditions", condition_rows(status.conditions)),
            ("Events", event_rows(events, now)),
        ]
    )


def _is_indexed(spec: JobSpec) -> bool:
    return spec.completion_mode == "Indexed"


def _rules(spec: JobSpec, status: JobStatus) -> list[tuple[str, str | tuple[str, ...]]]:
    """What says when it is done, and when it is given up; what is unset is left out."""
    deadline, ttl = spec.active_deadline_seconds, spec.ttl_seconds_after_finished
    rules = tuple(map(_rule, spec.failure_policy.rules))
    return [
        ("Parallelism", str(spec.parallelism)),
        ("Completions", str(status.completions or spec.completions)),
        ("Completion Mode", spec.completion_mode),
        ("Suspend", str(spec.suspend)),
        ("Backoff Limit", str(spec.backoff_limit)),
        *([("Failure Policy", rules)] if rules else []),
        *([("Active Deadline Seconds", f"{deadline}s")] if deadline is not None else []),
        *([("TTL Seconds After Finished", f"{ttl}s")] if ttl is not None else []),
        *(
            [("Estimated Duration", format_duration(spec.estimated_duration))]
            if spec.estimated_duration is not None
            else []
        ),
    ]


def _rule(rule: FailureRule) -> str:
    codes = rule.on_exit_codes
    if codes is None:
        return f"{rule.action} if {'' if rule.on_oom_killed else 'not '}killed for want of memory"
    whose = f" of container {codes.container_name}" if codes.container_name else ""
    inside = "in" if codes.operator == "In" else "not in"
    return f"{rule.action} if an exit code{whose} is {inside} {', '.join(map(str, codes.values))}"


def _times(status: JobStatus, now: float) -> list[tuple[str, str]]:
    if not status.started_at:
        return [("Start Time", NONE)]
    started = [("Start Time", rfc1123(status.started_at))]
    if not status.finished_at:
        return started
    lasted = human_duration(parse_time(status.finished_at) - parse_time(status.started_at))
    return [*started, ("Completed At", rfc1123(status.finished_at)), ("Duration", lasted)]


def _counts(status: JobStatus) -> str:
    ignored = f" / {status.ignored} Ignored" if status.ignored else ""
    active = f"{status.active} Active ({status.ready} Ready)"
    return f"{active} / {status.succeeded} Succeeded / {status.failed} Failed{ignored}"
