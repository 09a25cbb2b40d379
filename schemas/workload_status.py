"""Status of owners and budgets: what the leader says about them. Times are RFC 3339 in UTC, empty where unknown."""

from typing import Literal

from schemas.meta import Condition, Model

FROZEN = "Frozen"
"""A condition: something that an owner made or kept can't be read, so nothing is decided about the owner."""


class DeploymentStatus(Model):
    """`revision` is the one that is being kept: another than the newest after a rollback by itself.

    `progressedAt`: when the rollout last came forward; `progress`: how far it has come at best.
    `goodRevision`: the last that was complete. `rolledBack`: the revision that was given up at the deadline,
    until the template changes; `rolledBackGeneration` is the spec's since then.
    """

    kind: Literal["DeploymentStatus"] = "DeploymentStatus"
    uid: str
    observed_generation: int = 0
    replicas: int = 0
    updated_replicas: int = 0
    ready_replicas: int = 0
    available_replicas: int = 0
    revision: int = 0
    good_revision: int = 0
    rolled_back: int = 0
    rolled_back_generation: int = 0
    progressed_at: str = ""
    progress: int = 0
    conditions: tuple[Condition, ...] = ()


class DaemonSetStatus(Model):
    kind: Literal["DaemonSetStatus"] = "DaemonSetStatus"
    uid: str
    observed_generation: int = 0
    desired: int = 0
    current: int = 0
    ready: int = 0
    updated: int = 0
    available: int = 0
    misscheduled: int = 0
    revision: int = 0
    conditions: tuple[Condition, ...] = ()


class JobStatus(Model):
    """`succeeded` and `failed` count all; the `collected` ones are those whose tasks are removed already.

    A task is counted as collected in the transaction that removes its key, so no crash counts it twice or loses it.
    `collectedIndexes`: as in "0-3,7", of removed tasks that succeeded. `ignored`: failures that a rule of the
    failurePolicy ignores; they are not among `failed`. `failuresInARow`: of either sort, since the last success.
    `completions` and `completionMode`: those it was made with, which is what counts.
    """

    kind: Literal["JobStatus"] = "JobStatus"
    uid: str
    observed_generation: int = 0
    active: int = 0
    ready: int = 0
    succeeded: int = 0
    failed: int = 0
    ignored: int = 0
    collected_succeeded: int = 0
    collected_failed: int = 0
    collected_ignored: int = 0
    collected_indexes: str = ""
    completed_indexes: str = ""
    started_at: str = ""
    finished_at: str = ""
    last_failure_at: str = ""
    failures_in_a_row: int = 0
    completions: int = 0
    completion_mode: Literal["", "NonIndexed", "Indexed"] = ""
    conditions: tuple[Condition, ...] = ()


class CronJobStatus(Model):
    """`lastScheduleTime` is the newest run that was decided, started or skipped: nothing before it is looked at.

    `countedSchedule`: the schedule and zone that runs are counted by, empty while suspended; `countedFrom`: since
    when. Runs before that are nobody's loss: the schedule was another one, or suspended.
    """

    kind: Literal["CronJobStatus"] = "CronJobStatus"
    uid: str
    observed_generation: int = 0
    active: tuple[str, ...] = ()
    last_schedule_time: str = ""
    last_successful_time: str = ""
    counted_schedule: str = ""
    counted_from: str = ""
    conditions: tuple[Condition, ...] = ()


class DisruptionBudgetStatus(Model):
    kind: Literal["DisruptionBudgetStatus"] = "DisruptionBudgetStatus"
    uid: str
    observed_generation: int = 0
    expected: int = 0
    healthy: int = 0
    desired_healthy: int = 0
    disruptions_allowed: int = 0
    conditions: tuple[Condition, ...] = ()
