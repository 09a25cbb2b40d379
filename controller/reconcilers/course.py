"""Which template a Deployment keeps to: the spec's, the one before it while paused, or the last good one. Pure.

`autoRollback`: when a rollout has not come forward for progressDeadlineSeconds, the last revision that was complete
takes its place, until the template in the spec is another one. The spec stays as people wrote it.
"""

from dataclasses import dataclass
from typing import TypeAlias

from controller.reconcilers.owner_inputs import OwnerInputs
from controller.reconcilers.revisions import Template, hash_of, template_of
from controller.reconcilers.rollout import Replica, replica_of
from schemas.meta import find_condition
from schemas.timestamps import parse_time
from schemas.workload import Deployment
from schemas.workload_status import DeploymentStatus

DeploymentInputs: TypeAlias = OwnerInputs[Deployment, DeploymentStatus]

PAUSED = "DeploymentPaused"  # Kubernetes' word for it


@dataclass(frozen=True, slots=True)
class Course:
    """`revision` and `hash`: what is kept, 0 and "" for nothing yet. `is_held`: no rollout moves.

    rolled_back: the revision that was given up, 0 for none. may_create: tasks of it would be admitted.
    """

    template: Template
    revision: int
    hash: str
    rolled_back: int
    is_held: bool
    may_create: bool

    @property
    def puts_template(self) -> bool:
        return self.revision == self.template.number and self.template.is_new


def course_of(inputs: DeploymentInputs, now: float) -> Course:
    """Return which revision is kept from now on."""
    assert inputs.spec is not None, "an owner without spec is terminating"
    template, status, spec = template_of(inputs), status_of(inputs), inputs.spec.value.spec
    is_denied = bool(inputs.denied)
    is_held = spec.paused or is_denied
    if template.is_new and is_held:
        return _kept(inputs, template, status.revision, is_held=True, may_create=True)
    may_create = not is_denied
    if status.rolled_back == template.number and status.revision in inputs.revisions:
        return _kept(inputs, template, status.revision, is_held=is_held, may_create=True, gave_up=True)
    if not is_held and _is_to_roll_back(inputs, template, now):
        return _kept(inputs, template, status.good_revision, is_held=False, may_create=True, gave_up=True)
    return Course(template, template.number, template.hash, 0, is_held, may_create)


def _kept(
    inputs: DeploymentInputs,
    template: Template,
    revision: int,
    *,
    is_held: bool,
    may_create: bool,
    gave_up: bool = False,
) -> Course:
    kept = inputs.revisions.get(revision)
    if kept is None:
        return Course(template, 0, "", 0, is_held, may_create=False)
    given_up = template.number if gave_up else 0
    return Course(template, revision, kept.value.hash, given_up, is_held, may_create)


def _is_to_roll_back(inputs: DeploymentInputs, template: Template, now: float) -> bool:
    assert inputs.spec is not None
    spec, status = inputs.spec.value.spec, status_of(inputs)
    good = inputs.revisions.get(status.good_revision)
    if not spec.auto_rollback or good is None or good.value.hash == template.hash:
        return False
    if status.revision != template.number or was_held(status) or not is_same_spec(inputs):
        return False
    replicas = replicas_of(inputs, template.hash, now)
    if progress_of(replicas) > status.progress or is_complete(replicas, spec.replicas):
        return False
    return now >= deadline_of(inputs, status)


def status_of(inputs: DeploymentInputs) -> DeploymentStatus:
    return inputs.own_status or DeploymentStatus(uid=inputs.uid)


def is_same_spec(inputs: DeploymentInputs) -> bool:
    """Say whether the status is about the present spec: with another one the rollout begins anew."""
    assert inputs.spec is not None
    return status_of(inputs).observed_generation == inputs.spec.generation


def was_held(status: DeploymentStatus) -> bool:
    """Say whether the rollout stood still on purpose: the time until the deadline begins anew after that."""
    progressing = find_condition(status.conditions, "Progressing")
    paused = progressing is not None and progressing.reason == PAUSED
    return paused or find_condition(status.conditions, "ReplicaFailure") is not None


def deadline_of(inputs: DeploymentInputs, status: DeploymentStatus) -> float:
    """Return when a rollout that does not come forward has failed, infinity if that is not known.

    Time in which nobody led does not count: nobody moved the rollout then, nor saw how far it came.
    """
    assert inputs.spec is not None
    if not status.progressed_at:
        return float("inf")
    since = max(parse_time(status.progressed_at), inputs.leading_since)
    return since + inputs.spec.value.spec.progress_deadline_seconds


def replicas_of(inputs: DeploymentInputs, wanted_hash: str, now: float) -> tuple[Replica, ...]:
    """Return the tasks that count: neither leaving nor finished."""
    assert inputs.spec is not None
    min_ready_s = inputs.spec.value.spec.min_ready_seconds
    new = {number for number, each in inputs.revisions.items() if each.value.hash == wanted_hash}
    return tuple(
        replica_of(
            task,
            is_new=task.revision in new or hash_of(inputs, task) == wanted_hash,
            min_ready_s=min_ready_s,
            now=now,
        )
        for task in inputs.tasks
        if not task.is_leaving and not task.is_finished
    )


def progress_of(replicas: tuple[Replica, ...], created: int = 0) -> int:
    """How far a rollout has come: more is further. Only a new best counts, so that a crash loop is no progress."""
    new = [each for each in replicas if each.is_new]
    return 2 * len(new) + created + sum(each.is_available for each in new) - len(replicas)


def is_complete(replicas: tuple[Replica, ...], wanted: int) -> bool:
    return len(replicas) == wanted and all(each.is_new and each.is_available for each in replicas)
