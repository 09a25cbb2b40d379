"""Job and CronJob: tasks that are to end, once or by the clock.

The fields and defaults are those of Kubernetes; times in fields named `...Seconds` are whole seconds.
"""

from typing import Annotated, Literal, Self

from pydantic import ConfigDict, Field, field_validator, model_validator

from schemas.meta import DnsLabel, Model, ObjectMeta
from schemas.placement_checks import MAX_ESTIMATE_S, TOO_LONG
from schemas.quantity import Duration, format_duration
from schemas.schedule import check_schedule, check_time_zone
from schemas.workload import Count, Seconds, TaskTemplate, TemplateMeta

MAX_CRONJOB_NAME = 52  # as in Kubernetes: the names of its jobs end in the minute of their run


class OnExitCodes(Model):
    """Exit codes (0 never counts) of one container, or of any."""

    container_name: DnsLabel | None = None
    operator: Literal["In", "NotIn"] = "In"
    values: Annotated[tuple[Annotated[int, Field(ge=1, le=255)], ...], Field(min_length=1)]


class FailureRule(Model):
    """The first rule that fits a failed task says what it means: FailJob, Ignore (try again), or Count."""

    model_config = ConfigDict(
        json_schema_extra={"oneOf": [{"required": ["onExitCodes"]}, {"required": ["onOOMKilled"]}]}
    )

    action: Literal["FailJob", "Ignore", "Count"]
    on_exit_codes: OnExitCodes | None = None
    on_oom_killed: Annotated[bool | None, Field(alias="onOOMKilled")] = None

    @model_validator(mode="after")
    def _one_cause(self) -> Self:
        if (self.on_exit_codes is None) == (self.on_oom_killed is None):
            raise ValueError("a rule needs exactly one of onExitCodes and onOOMKilled")
        return self


class FailurePolicy(Model):
    rules: Annotated[tuple[FailureRule, ...], Field(max_length=20)] = ()


class JobSpec(Model):
    completions: Annotated[int, Field(ge=1, le=100_000)] = 1
    parallelism: Count = 1
    completion_mode: Literal["NonIndexed", "Indexed"] = "NonIndexed"
    backoff_limit: Count = 6
    active_deadline_seconds: Annotated[int, Field(ge=1)] | None = None
    ttl_seconds_after_finished: Seconds | None = None
    suspend: bool = False
    failure_policy: FailurePolicy = Field(default_factory=FailurePolicy)
    gang: bool = False
    estimated_duration: Duration | None = None
    template: TaskTemplate

    @property
    def together(self) -> int:
        """How many of its tasks run at a time, at most."""
        return min(self.parallelism, self.completions)

    @model_validator(mode="after")
    def _gang_fits(self) -> Self:
        gang, together = self.template.spec.gang, self.together
        if self.gang and gang is not None:
            raise ValueError("write either gang: true, for all that run at a time, or template.spec.gang")
        if self.gang and not together:
            raise ValueError(
                "gang: with parallelism 0 there are no tasks to start together; write suspend: true"
            )
        if gang is not None and 0 < together < gang.min_member:
            raise ValueError(
                f"template.spec.gang.minMember: {gang.min_member} tasks are to start together, but at most {together} "
                "run at a time; raise parallelism and completions, or lower minMember"
            )
        return self

    @field_validator("estimated_duration")
    @classmethod
    def _can_be_meant(cls, value: float | None) -> float | None:
        if value is not None and value > MAX_ESTIMATE_S:
            raise ValueError(TOO_LONG.format(written=format_duration(value)))
        return value

    @model_validator(mode="after")
    def _ends(self) -> Self:
        if self.template.spec.restart_policy == "Always":
            raise ValueError(
                "template.spec.restartPolicy: tasks of a Job are to end; write OnFailure or Never"
            )
        if self.failure_policy.rules and self.template.spec.restart_policy != "Never":
            raise ValueError(
                "failurePolicy: its rules judge tasks that failed, and with OnFailure containers are restarted "
                "instead; write template.spec.restartPolicy: Never"
            )
        return self


class Job(Model):
    api_version: Literal["berth/v1"]
    kind: Literal["Job"]
    metadata: ObjectMeta
    spec: JobSpec


class JobTemplate(Model):
    """What the jobs of a CronJob are made from."""

    metadata: TemplateMeta = Field(default_factory=TemplateMeta)
    spec: JobSpec


class CronJobSpec(Model):
    """`catchUp`: whether the newest of the runs that were missed is made up for."""

    schedule: str
    time_zone: str | None = None
    concurrency_policy: Literal["Allow", "Forbid", "Replace"] = "Allow"
    starting_deadline_seconds: Annotated[int, Field(ge=1)] | None = None
    catch_up: Literal["skip", "runOnce"] = "runOnce"
    suspend: bool = False
    successful_jobs_history_limit: Count = 3
    failed_jobs_history_limit: Count = 1
    job_template: JobTemplate

    @field_validator("time_zone")
    @classmethod
    def _zone_is_known(cls, value: str | None) -> str | None:
        return value if value is None else check_time_zone(value)

    @field_validator("schedule")
    @classmethod
    def _fires(cls, value: str) -> str:
        return check_schedule(value)


class CronJob(Model):
    api_version: Literal["berth/v1"]
    kind: Literal["CronJob"]
    metadata: ObjectMeta
    spec: CronJobSpec

    @model_validator(mode="after")
    def _name_leaves_room(self) -> Self:
        if len(self.metadata.name) > MAX_CRONJOB_NAME:
            raise ValueError(f"metadata.name: a CronJob's name may have {MAX_CRONJOB_NAME} characters")
        return self
