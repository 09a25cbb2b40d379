"""How far a rollout has come, as one verdict and kubectl's sentence for it. Pure."""

from dataclasses import dataclass
from typing import Literal

from client.errors import BadOption
from client.views import ObjectView, status_of
from schemas.job import Job
from schemas.meta import Condition, find_condition
from schemas.workload import DaemonSet, Deployment
from schemas.workload_status import FROZEN, DaemonSetStatus, DeploymentStatus, JobStatus

ROLLED_OUT = ("Deployment", "DaemonSet")
"""Kinds that have rollouts."""


@dataclass(frozen=True, slots=True)
class RolloutState:
    verdict: Literal["done", "waiting", "failed"]
    text: str


def check_rolls_out(view: ObjectView) -> None:
    """Raise BadOption for a kind that has no rollouts."""
    if view.kind.name not in ROLLED_OUT:
        raise BadOption(
            f"{view.ref} has no rollouts: only deployments and daemonsets do; see: berth describe {view.ref}"
        )


def rollout_state(view: ObjectView) -> RolloutState:
    """Judge a deployment or daemonset. Raises BadOption for other kinds, ObjectUnreadable."""
    frozen = _frozen(view)
    if frozen is not None:
        return frozen
    match view.parsed:
        case Deployment() as deployment:
            return _of_deployment(view, deployment, status_of(view, DeploymentStatus))
        case DaemonSet() as daemonset:
            return _of_daemonset(view, daemonset, status_of(view, DaemonSetStatus))
        case _:
            check_rolls_out(view)
            raise AssertionError("a kind that has rollouts is judged above")


def _frozen(view: ObjectView) -> RolloutState | None:
    """Say that nothing is decided about it, as something of it can't be read."""
    if view.raw and view.is_unreadable:
        return RolloutState("failed", f"{view.ref} is frozen: its {view.error}")
    found = find_condition(getattr(view.parsed_status, "conditions", ()), FROZEN)
    return RolloutState("failed", f"{view.ref} is frozen: {found.message}") if found is not None else None


def settled_state(view: ObjectView) -> RolloutState:
    """Judge what `apply --wait` waits for: a rollout, or the end of a job."""
    if isinstance(view.parsed, Job):
        frozen = _frozen(view)
        if frozen is not None:
            return frozen
        return _of_job(view, status_of(view, JobStatus))
    return rollout_state(view)


def _waiting(text: str) -> RolloutState:
    return RolloutState("waiting", text)


def _denied(conditions: tuple[Condition, ...]) -> RolloutState | None:
    found = find_condition(conditions, "ReplicaFailure")
    if found is None or found.status != "True" or found.reason != "Denied":
        return None
    return RolloutState("failed", f"it is not admitted: {found.message}")


def _of_deployment(view: ObjectView, deployment: Deployment, status: DeploymentStatus | None) -> RolloutState:
    if status is None or status.observed_generation < view.generation:
        return _waiting("Waiting for deployment spec update to be observed...")
    name, wanted, updated = view.name, deployment.spec.replicas, status.updated_replicas
    start = f'Waiting for deployment "{name}" rollout to finish:'
    if status.rolled_back:
        return RolloutState(
            "failed",
            f'deployment "{name}" exceeded its progress deadline with revision {status.rolled_back} and went back '
            f"to revision {status.revision}",
        )
    progressing = find_condition(status.conditions, "Progressing")
    if progressing is not None and progressing.reason == "ProgressDeadlineExceeded":
        why = f": {progressing.message}" if progressing.message else ""
        return RolloutState("failed", f'deployment "{name}" exceeded its progress deadline{why}')
    if (denied := _denied(status.conditions)) is not None:
        return denied
    if updated < wanted:
        return _waiting(f"{start} {updated} out of {wanted} new replicas have been updated...")
    if status.replicas > updated:
        return _waiting(f"{start} {status.replicas - updated} old replicas are pending termination...")
    if status.available_replicas < updated:
        return _waiting(f"{start} {status.available_replicas} of {updated} updated replicas are available...")
    return RolloutState("done", f'deployment "{name}" successfully rolled out')


def _of_daemonset(view: ObjectView, daemonset: DaemonSet, status: DaemonSetStatus | None) -> RolloutState:
    if daemonset.spec.update_strategy.type != "RollingUpdate":
        raise BadOption(
            f"{view.ref} has strategy OnDelete: its tasks are only replaced when they are deleted"
        )
    if status is None or status.observed_generation < view.generation:
        return _waiting("Waiting for daemon set spec update to be observed...")
    if (denied := _denied(status.conditions)) is not None:
        return denied
    start = f'Waiting for daemon set "{view.name}" rollout to finish:'
    if status.updated < status.desired:
        return _waiting(f"{start} {status.updated} out of {status.desired} new tasks have been updated...")
    if status.available < status.desired:
        return _waiting(f"{start} {status.available} of {status.desired} updated tasks are available...")
    return RolloutState("done", f'daemon set "{view.name}" successfully rolled out')


def _of_job(view: ObjectView, status: JobStatus | None) -> RolloutState:
    if status is None or status.observed_generation < view.generation:
        return _waiting("Waiting for job spec update to be observed...")
    failed = find_condition(status.conditions, "Failed")
    if failed is not None and failed.status == "True":
        return RolloutState("failed", f'job "{view.name}" failed: {failed.message or failed.reason}')
    if (denied := _denied(status.conditions)) is not None:
        return denied
    complete = find_condition(status.conditions, "Complete")
    if complete is not None and complete.status == "True":
        return RolloutState("done", f'job "{view.name}" is complete')
    return _waiting(
        f'Waiting for job "{view.name}" to complete: {status.succeeded} succeeded, {status.active} active...'
    )
