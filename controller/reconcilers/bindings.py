"""Bindings as the leader makes them: to run, and only to be stopped. Pure."""

from collections.abc import Mapping

from controller.reconcilers.task_inputs import TaskInputs
from schemas.binding import Binding, Desired, Grants, StopReason
from schemas.gang import GangPlace
from schemas.report import TaskReport
from schemas.state import ContainerState
from schemas.status import TaskStatus
from schemas.task import Container, TaskSpec


def new_binding(
    inputs: TaskInputs,
    spec: TaskSpec,
    node: str,
    epoch: int,
    binding_uid: str,
    grants: Grants,
    *,
    gang: GangPlace | None = None,
    discovery: Mapping[str, str] | None = None,
) -> Binding:
    """Return a binding of the task to `node` that freezes the effective `spec`; with a gang it is held."""
    assert inputs.spec is not None
    return Binding(
        task_uid=inputs.uid,
        namespace=inputs.ref.namespace,
        name=inputs.ref.name,
        node=node,
        epoch=epoch,
        binding_uid=binding_uid,
        incarnation=inputs.incarnation,
        desired=Desired.HOLD if gang is not None else Desired.RUN,
        generation=inputs.spec.generation,
        template_hash=inputs.template_hash,
        labels=inputs.spec.value.metadata.labels,
        grants=grants,
        access_hash=inputs.access_hash,
        discovery=dict(discovery or {}),
        gang=gang,
        spec=spec,
    )


def put_back(binding: Binding, *, has_started: bool) -> Binding:
    """Return a binding whose key was lost as it is put back.

    A member of a gang that has not started may have been held: it gives its place back, as an attempt of nobody.
    """
    if binding.spec.gang is None or has_started:
        return binding
    alone = GangPlace(uid=binding.binding_uid, size=0)
    return binding.model_copy(update={"desired": Desired.HOLD, "gang": alone})


def binding_to_stop(inputs: TaskInputs, status: TaskStatus) -> Binding:
    names = [c.name for c in status.containers]
    return Binding(
        task_uid=status.uid,
        namespace=inputs.ref.namespace,
        name=inputs.ref.name,
        node=status.node,
        epoch=status.epoch,
        binding_uid=status.binding_uid,
        incarnation=inputs.incarnation,
        desired=Desired.STOP,
        reason=StopReason.DELETED,
        generation=0,
        template_hash="",
        grants=status.grants,
        spec=_spec_of_names(names),
    )


def stop_answer(node: str, report: TaskReport, incarnation: int) -> Binding:
    """A binding that stops a container which should not be; the agent knows from labels how to stop it."""
    names = [c.name for c in report.containers]
    over = all(c.state is ContainerState.EXITED for c in report.containers)
    return Binding(
        task_uid=report.task_uid,
        namespace=report.namespace,
        name=report.name,
        node=node,
        epoch=report.epoch,
        binding_uid=report.binding_uid,
        incarnation=incarnation,
        desired=Desired.STOP,
        reason=StopReason.ORPHANED,
        message="no task of this cluster wants this container",
        generation=0,
        template_hash="",
        grants=Grants() if over else Grants(resources=report.grants_resources, ports=report.ports),
        spec=_spec_of_names(names),
    )


def _spec_of_names(names: list[str]) -> TaskSpec:
    """A spec that is only to be stopped. An agent's sandbox, which may be all that is left, is no container of it."""
    own = [name for name in names if not name.startswith("_")] or ["unknown"]
    return TaskSpec(containers=tuple(Container(name=name, image="unknown") for name in own))
