"""What the leader says about a Deployment: counts, conditions, the deadline, and what people are told. Pure.

The counts are those after the plan, which is one transaction, so that planning again says the same.
"""

from dataclasses import dataclass

from controller.reconcilers.course import (
    PAUSED,
    Course,
    DeploymentInputs,
    deadline_of,
    is_complete,
    is_same_spec,
    progress_of,
    status_of,
    was_held,
)
from controller.reconcilers.owner_plan import thawed, with_condition, without_condition
from controller.reconcilers.plan import EventNote
from controller.reconcilers.rollout import Replica, bounds_of
from schemas.meta import Condition, find_condition
from schemas.timestamps import format_time
from schemas.workload_status import DeploymentStatus

COMPLETE = "NewRevisionAvailable"
DEADLINE = "ProgressDeadlineExceeded"
ROLLED_BACK = "RolledBack"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a plan leaves: the tasks that stay, how many come, and how many of those have the kept template."""

    course: Course
    replicas: tuple[Replica, ...]
    created_new: int
    created: int

    @property
    def progress(self) -> int:
        return progress_of(self.replicas, self.created_new) - (self.created - self.created_new)

    def is_complete(self, wanted: int) -> bool:
        return not self.created and self.course.revision > 0 and is_complete(self.replicas, wanted)


def next_status(inputs: DeploymentInputs, outcome: Outcome, now: float) -> DeploymentStatus:
    """Return the status after the plan. A revision of which no task ever ran has not proved good."""
    assert inputs.spec is not None
    old, course, spec = status_of(inputs), outcome.course, inputs.spec.value.spec
    complete = outcome.is_complete(spec.replicas) and not course.is_held
    status = old.model_copy(
        update={
            **_counts(outcome),
            "observed_generation": inputs.spec.generation,
            "revision": course.revision,
            "good_revision": course.revision if complete and spec.replicas else old.good_revision,
            "rolled_back": course.rolled_back,
            "rolled_back_generation": inputs.spec.generation if course.rolled_back else 0,
            "progressed_at": _progressed_at(inputs, outcome, now),
            "progress": _best_progress(inputs, outcome),
        }
    )
    return status.model_copy(update={"conditions": _conditions(inputs, outcome, status, now)})


def _counts(outcome: Outcome) -> dict[str, int]:
    """`updatedReplicas`: those of the template in the spec; after a rollback by itself there are none."""
    new = sum(each.is_new for each in outcome.replicas) + outcome.created_new
    is_the_specs = outcome.course.hash == outcome.course.template.hash
    return {
        "replicas": len(outcome.replicas) + outcome.created,
        "updated_replicas": new if is_the_specs else 0,
        "ready_replicas": sum(each.is_ready for each in outcome.replicas),
        "available_replicas": sum(each.is_available for each in outcome.replicas),
    }


def _progressed_at(inputs: DeploymentInputs, outcome: Outcome, now: float) -> str:
    """When the rollout last came forward; one that begins, or goes on after a pause or a new spec, has."""
    old, course = status_of(inputs), outcome.course
    begins = old.revision != course.revision or not old.progressed_at
    goes_on = was_held(old) and not course.is_held
    forward = not is_same_spec(inputs) or outcome.progress > old.progress
    return format_time(now) if begins or goes_on or forward else old.progressed_at


def _best_progress(inputs: DeploymentInputs, outcome: Outcome) -> int:
    """The mark to beat; a changed spec (another number of replicas) begins anew with it."""
    old = status_of(inputs)
    if old.revision != outcome.course.revision or not is_same_spec(inputs):
        return outcome.progress
    return max(old.progress, outcome.progress)


def _conditions(
    inputs: DeploymentInputs, outcome: Outcome, status: DeploymentStatus, now: float
) -> tuple[Condition, ...]:
    conditions = with_condition(thawed(status.conditions), _available(inputs, status), now)
    conditions = with_condition(conditions, _progressing(inputs, outcome, status, now), now)
    if not inputs.denied:
        return without_condition(conditions, "ReplicaFailure")
    message = "; ".join(inputs.denied)
    denied = Condition(type="ReplicaFailure", status="True", reason="Denied", message=message)
    return with_condition(conditions, denied, now)


def _available(inputs: DeploymentInputs, status: DeploymentStatus) -> Condition:
    assert inputs.spec is not None
    bounds = bounds_of(inputs.spec.value.spec)
    enough = status.available_replicas >= bounds.min_available
    return Condition(
        type="Available",
        status="True" if enough else "False",
        reason="MinimumReplicasAvailable" if enough else "MinimumReplicasUnavailable",
        message=f"{status.available_replicas} of {bounds.wanted} tasks are available; "
        f"at least {bounds.min_available} must be",
    )


def _progressing(
    inputs: DeploymentInputs, outcome: Outcome, status: DeploymentStatus, now: float
) -> Condition:
    """The first that holds, of: paused, rolled back, complete, out of time, on its way."""
    assert inputs.spec is not None
    spec, revision = inputs.spec.value.spec, status.revision
    if spec.paused:
        text = f"paused; to go on: berth rollout resume {inputs.ref}"
        return Condition(type="Progressing", status="Unknown", reason=PAUSED, message=text)
    if status.rolled_back:
        return Condition(
            type="Progressing", status="False", reason=ROLLED_BACK, message=_why_back(inputs, status)
        )
    is_done = outcome.is_complete(spec.replicas) and not outcome.course.is_held
    if revision and (is_done or revision == status.good_revision):
        return Condition(
            type="Progressing",
            status="True",
            reason=COMPLETE,
            message=f"revision {revision} is rolled out",
        )
    if not outcome.course.is_held and (now >= deadline_of(inputs, status) or _is_late_still(inputs, status)):
        return _out_of_time(inputs, outcome, status)
    new = sum(each.is_new for each in outcome.replicas) + outcome.created_new
    text = f"revision {revision}: {new} of {spec.replicas} tasks made, {_available_new(outcome)} available"
    return Condition(type="Progressing", status="True", reason="RollingOut", message=text)


def _available_new(outcome: Outcome) -> int:
    return sum(each.is_new and each.is_available for each in outcome.replicas)


def _why_back(inputs: DeploymentInputs, status: DeploymentStatus) -> str:
    assert inputs.spec is not None
    after = inputs.spec.value.spec.progress_deadline_seconds
    return (
        f"revision {status.rolled_back} did not come forward for {after}s, and revision {status.revision} "
        f"took its place again; change the template, or to try it again: berth rollout restart {inputs.ref}"
    )


def _is_late_still(inputs: DeploymentInputs, status: DeploymentStatus) -> bool:
    """Say whether the time was over before, under another leader, and nothing came forward since."""
    old = status_of(inputs)
    progressing = find_condition(old.conditions, "Progressing")
    was_late = progressing is not None and progressing.reason == DEADLINE
    return was_late and (old.revision, old.progressed_at) == (status.revision, status.progressed_at)


def _out_of_time(inputs: DeploymentInputs, outcome: Outcome, status: DeploymentStatus) -> Condition:
    """What was wrong when the time was over stays said, for what is wrong changes with every attempt."""
    assert inputs.spec is not None
    old = find_condition(status.conditions, "Progressing")
    if old is not None and old.reason == DEADLINE and f"revision {status.revision} " in old.message:
        return old
    spec = inputs.spec.value.spec
    text = (
        f"revision {status.revision} did not come forward for {spec.progress_deadline_seconds}s: "
        f"{_available_new(outcome)} of {spec.replicas} tasks are available{_first_trouble(outcome)}"
    )
    return Condition(type="Progressing", status="False", reason=DEADLINE, message=text)


def _first_trouble(outcome: Outcome) -> str:
    for each in sorted(outcome.replicas, key=lambda replica: replica.task.ref.name):
        status = each.task.status.value if each.task.status else None
        if not each.is_new or each.is_available:
            continue
        why = f" is {status.reason or status.state.value}" if status is not None else " waits"
        text = f": {status.message}" if status is not None and status.message else ""
        return f"; {each.task.ref}{why}{text}; see: berth describe {each.task.ref}"
    return ""


def notes_of(inputs: DeploymentInputs, status: DeploymentStatus) -> tuple[EventNote, ...]:
    """Tell people of what changed in the conditions, and only once."""
    old = status_of(inputs)
    notes = []
    progressing = find_condition(status.conditions, "Progressing")
    before = find_condition(old.conditions, "Progressing")
    reason = progressing.reason if progressing else ""
    is_told = before is not None and before.reason == reason and old.revision == status.revision
    if progressing is not None and not is_told and reason in (COMPLETE, DEADLINE, ROLLED_BACK, PAUSED):
        type_ = "Warning" if reason in (DEADLINE, ROLLED_BACK) else "Normal"
        notes.append(EventNote("Warning" if type_ == "Warning" else "Normal", reason, progressing.message))
    denied = find_condition(status.conditions, "ReplicaFailure")
    if denied is not None and denied != find_condition(old.conditions, "ReplicaFailure"):
        notes.append(EventNote("Warning", "Denied", denied.message))
    return tuple(notes)


def wake_at(inputs: DeploymentInputs, outcome: Outcome, status: DeploymentStatus, now: float) -> float | None:
    """Return when to look again though nothing changes: a task has been ready for long enough, or time is over."""
    assert inputs.spec is not None
    min_ready_s = inputs.spec.value.spec.min_ready_seconds
    times = [
        each.task.ready_at + min_ready_s
        for each in outcome.replicas
        if each.is_ready and not each.is_available and each.task.ready_at is not None
    ]
    is_done = status.good_revision == status.revision or outcome.is_complete(inputs.spec.value.spec.replicas)
    if not outcome.course.is_held and not is_done:
        times.append(deadline_of(inputs, status))
    return min((time for time in times if now < time < float("inf")), default=None)
