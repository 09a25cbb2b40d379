"""The planner of CronJobs: each run is decided once."""

from dataclasses import replace
from datetime import datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from controller.reconcilers.cronjob import plan_cronjob
from controller.reconcilers.due_runs import due_run
from controller.reconcilers.owner_inputs import OwnedJob, OwnerInputs
from controller.reconcilers.plan import (
    CreateOwned,
    Plan,
    PutOwnerStatus,
    PutRevision,
    RemoveOwned,
    RemoveRevision,
)
from schemas.job import CronJob
from schemas.keys import ObjectRef
from schemas.meta import Condition
from schemas.owned import Owned, OwnedMeta, Revision
from schemas.timestamps import format_time
from schemas.versioned import Versioned
from schemas.workload_status import CronJobStatus, JobStatus
from tests.controller.builders import versioned
from tests.controller.reconcilers.job_world import raw_job

REF = ObjectRef("cronjobs", "default", "c")
NOON = datetime.fromisoformat("2025-06-01T12:00:30+00:00").timestamp()
MINUTE, DAY = 60.0, 86_400.0


class CronWorld:
    """What is stored about one CronJob; plans are written whole, or not at all when they are late."""

    def __init__(self, schedule: str = "0 * * * *", **spec: Any) -> None:
        template = {"spec": raw_job()["spec"]}
        self.raw: dict[str, Any] = {
            "apiVersion": "berth/v1",
            "kind": "CronJob",
            "metadata": {"name": "c", "namespace": "default", "uid": "uid-c"},
            "spec": {"schedule": schedule, "jobTemplate": template, **spec},
        }
        self.now, self.revision, self.denied = NOON, 10, ()
        self.status: Versioned[CronJobStatus] | None = None
        self.revisions: dict[int, Versioned[Revision]] = {}
        self.jobs: dict[str, OwnedJob] = {}
        self.runs: list[str] = []
        self.events: list[tuple[str, str]] = []
        self.edit()
        self.step()

    def tick(self) -> int:
        self.revision += 1
        return self.revision

    def edit(self, **spec: Any) -> None:
        self.raw = {**self.raw, "spec": {**self.raw["spec"], **spec}}
        number = self.tick()
        self.spec = Versioned(CronJob.parse_stored(self.raw), self.raw, number, number, 1)

    def plan(self) -> Plan:
        inputs = OwnerInputs(
            ref=REF,
            uid="uid-c",
            spec=self.spec,
            status=self.status,
            delete=None,
            revisions=dict(self.revisions),
            jobs=tuple(self.jobs.values()),
            denied=self.denied,
        )
        return plan_cronjob(inputs, self.now)

    def step(self) -> Plan:
        plan = self.plan()
        assert self.write(plan)
        assert not self.plan().intents, "a plan that was written leaves nothing to do"
        return plan

    def write(self, plan: Plan) -> bool:
        status = self.status.mod_revision if self.status else 0
        if (plan.reads.spec, plan.reads.status) != (self.spec.mod_revision, status):
            return False
        self.events += [(event.reason, event.message) for event in plan.events]
        for intent in plan.intents:
            self._do(intent)
        return True

    def _do(self, intent: object) -> None:
        match intent:
            case PutRevision():
                kept = Revision(
                    owner=intent.owner, number=intent.number, hash=intent.hash, template=dict(intent.template)
                )
                self.revisions[intent.number] = versioned(kept, revision=self.tick())
            case RemoveRevision(_, number):
                del self.revisions[number]
            case CreateOwned():
                name = intent.ref.name
                assert name not in self.jobs
                meta = OwnedMeta(name=name, namespace="default", uid=f"uid-{name}")
                owned = Owned(kind="Job", metadata=meta, owner=intent.owner, revision=intent.revision)
                kept_owned = versioned(owned, revision=self.tick())
                self.jobs[name] = OwnedJob(intent.ref, meta.uid, kept_owned, None, None, False)
                self.runs.append(intent.scheduled_at)
            case RemoveOwned(ref):
                del self.jobs[ref.name]
            case PutOwnerStatus(status):
                assert isinstance(status, CronJobStatus)
                self.status = versioned(status, revision=self.tick())
            case _:
                raise AssertionError(intent)

    def end(self, name: str, kind: str = "Complete") -> None:
        condition = Condition(type=kind, status="True")
        status = JobStatus(uid=f"uid-{name}", conditions=(condition,), finished_at=format_time(self.now))
        self.jobs[name] = replace(self.jobs[name], status=versioned(status, revision=self.tick()))

    def wait(self, seconds: float) -> None:
        self.now += seconds
        self.step()

    @property
    def said(self) -> CronJobStatus:
        assert self.status is not None
        return self.status.value

    @property
    def told(self) -> list[str]:
        return [reason for reason, _ in self.events]


def test_each_run_makes_a_job_at_its_time() -> None:
    world = CronWorld("*/10 * * * *")
    assert world.plan().requeue_at == NOON - 30 + 600
    world.wait(570)
    assert world.runs == ["2025-06-01T12:10:00.000Z"]
    assert list(world.jobs) == [f"c-{int((NOON + 570) // 60)}"]
    assert world.said.last_schedule_time == "2025-06-01T12:10:00.000Z"
    assert world.told == ["JobCreated"]


def test_runs_before_it_was_seen_are_nobodys_loss() -> None:
    world = CronWorld("* * * * *")
    assert (world.runs, world.events) == ([], [])


def test_plan_that_comes_late_starts_no_run_twice() -> None:
    world = CronWorld("* * * * *")
    world.now += MINUTE
    late = world.plan()
    world.step()
    assert not world.write(late)
    assert len(world.runs) == 1


def test_after_a_year_at_most_one_run_is_made_up_for_and_quickly_found() -> None:
    world = CronWorld("* * * * *")
    world.wait(365 * DAY)
    assert world.runs == [format_time(world.now - 30)]
    assert any(message.startswith("at least 100 runs") for _, message in world.events)
    world.wait(MINUTE)
    assert len(world.runs) == 2


def test_catch_up_skip_passes_over_what_was_missed_and_goes_on() -> None:
    world = CronWorld("0 * * * *", catchUp="skip")
    world.wait(5 * 3600 + 300)
    assert (world.runs, world.told) == ([], ["RunsMissed", "TooLate"])
    world.wait(3600 - 330)
    assert len(world.runs) == 1


def test_run_is_skipped_once_its_starting_deadline_has_passed() -> None:
    world = CronWorld("0 * * * *", startingDeadlineSeconds=600)
    world.wait(3600 + 570)
    assert len(world.runs) == 1
    world.wait(3600 + 100)
    assert len(world.runs) == 1
    assert world.told[-1] == "TooLate"
    assert world.said.last_schedule_time == "2025-06-01T14:00:00.000Z"


def test_forbid_skips_while_a_job_goes_on() -> None:
    world = CronWorld("* * * * *", concurrencyPolicy="Forbid")
    world.wait(MINUTE)
    world.wait(MINUTE)
    assert (len(world.runs), world.told[-1]) == (1, "StillActive")
    (condition,) = world.said.conditions
    assert (condition.status, condition.reason) == ("False", "StillActive")
    world.end(next(iter(world.jobs)))
    world.step()
    assert len(world.runs) == 1, "a run that was skipped stays skipped"
    world.wait(MINUTE)
    assert len(world.runs) == 2
    assert world.said.conditions[0].status == "True"


def test_replace_ends_the_job_that_goes_on() -> None:
    world = CronWorld("* * * * *", concurrencyPolicy="Replace")
    world.wait(MINUTE)
    first = next(iter(world.jobs))
    world.wait(MINUTE)
    assert first not in world.jobs
    assert len(world.jobs) == 1
    assert "JobReplaced" in world.told


def test_allow_lets_jobs_run_side_by_side() -> None:
    world = CronWorld("* * * * *")
    world.wait(MINUTE)
    world.wait(MINUTE)
    assert world.said.active == tuple(sorted(world.jobs))
    assert len(world.jobs) == 2


def test_what_falls_into_a_suspension_is_not_made_up_for() -> None:
    world = CronWorld("0 * * * *")
    world.edit(suspend=True)
    world.step()
    assert world.plan().requeue_at is None
    world.wait(5 * 3600)
    world.edit(suspend=False)
    world.step()
    assert (world.runs, world.events) == ([], [])
    world.wait(3600)
    assert len(world.runs) == 1


def test_another_schedule_counts_from_its_change() -> None:
    world = CronWorld("0 0 1 1 *")
    world.now += 3 * DAY
    world.edit(schedule="*/5 * * * *")
    world.step()
    assert world.runs == []
    world.wait(5 * MINUTE)
    assert len(world.runs) == 1


def test_history_keeps_the_newest_of_each_sort() -> None:
    world = CronWorld("* * * * *", successfulJobsHistoryLimit=2, failedJobsHistoryLimit=1)
    ends = ["Complete", "Failed", "Complete", "Failed", "Complete"]
    names = []
    for kind in ends:
        world.wait(MINUTE)
        names.append(sorted(world.jobs)[-1])
        world.end(names[-1], kind)
        world.step()
    assert sorted(world.jobs) == [names[2], names[3], names[4]]
    assert world.told.count("JobCompleted") == 3
    assert world.told.count("JobFailed") == 2


def test_denied_template_makes_no_job_and_says_why() -> None:
    world = CronWorld("* * * * *")
    world.denied = ("queue 'x' does not exist",)
    world.step()
    world.wait(MINUTE)
    assert world.runs == []
    assert world.told == ["Denied", "Denied"]
    assert {each.type for each in world.said.conditions} == {"Admitted", "LastRunStarted"}


def test_new_template_is_for_the_next_job_and_old_ones_go_with_their_jobs() -> None:
    world = CronWorld("* * * * *", successfulJobsHistoryLimit=1)
    world.wait(MINUTE)
    world.end(next(iter(world.jobs)))
    template = {"spec": raw_job(backoffLimit=1)["spec"]}
    world.edit(jobTemplate=template)
    world.wait(MINUTE)
    assert sorted(world.revisions) == [1, 2]
    world.end(sorted(world.jobs)[-1])
    world.step()
    world.step()
    assert sorted(world.revisions) == [2]


@pytest.mark.parametrize("zone", ["Europe/Berlin", "America/New_York", "Australia/Lord_Howe"])
def test_daily_job_runs_once_a_day_through_both_changes_of_the_clock(zone: str) -> None:
    world = CronWorld("30 2 * * *", timeZone=zone)
    for _ in range(365):
        world.wait(DAY)
        for name in list(world.jobs):
            world.end(name)
    assert len(world.runs) == 365


@settings(max_examples=60, deadline=None)
@given(
    gaps=st.lists(st.integers(1, 5000), min_size=1, max_size=25),
    late=st.sets(st.integers(0, 24)),
)
def test_no_run_starts_twice_or_out_of_order(gaps: list[int], late: set[int]) -> None:
    world = CronWorld("*/7 * * * *")
    kept: list[Plan] = []
    for number, gap in enumerate(gaps):
        world.now += gap
        if number in late:
            kept.append(world.plan())
            continue
        world.step()
        for plan in kept:
            assert not any(isinstance(i, CreateOwned) for i in plan.intents) or not world.write(plan)
        kept.clear()
    assert world.runs == sorted(set(world.runs))


def test_newest_due_run_is_that_of_a_plain_search() -> None:
    for schedule in ("*/7 * * * *", "13 */5 * * *", "0 0 * * 1", "0 12 1 * *", "0 0 29 2 *"):
        found = due_run(schedule, "Europe/Berlin", NOON - 400 * DAY, NOON)
        assert found == due_run(schedule, "Europe/Berlin", NOON - 400 * DAY, NOON + 1)
        if found is not None:
            assert due_run(schedule, "Europe/Berlin", found.newest, NOON) is None
