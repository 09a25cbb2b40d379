"""Builders of bindings, containers and observations for the agent's tests."""

from typing import Any

from agent.labels import Journal, container_name, journal_for
from agent.observation import Leave
from agent.runtime.api import ContainerInfo, Phase
from schemas.binding import Binding, Desired, GrantedPort, Grants, StopReason
from schemas.task import TaskSpec

CLUSTER = "cluster-1"
NODE = "node-1"


def make_spec(image: str = "hollow/web:1", **spec: Any) -> TaskSpec:
    """spec: fields of a Task's spec in JSON; `container` those of its one container."""
    container = {"name": "main", "image": image, **spec.pop("container", {})}
    return TaskSpec.parse_written({"containers": [container], **spec})


def make_binding(
    *,
    task_uid: str = "task-1-uid",
    binding_uid: str = "binding-1",
    epoch: int = 1,
    desired: Desired = Desired.RUN,
    reason: StopReason | None = None,
    node: str = NODE,
    name: str = "web",
    incarnation: int = 1,
    ports: tuple[GrantedPort, ...] = (),
    devices: dict[str, tuple[str, ...]] | None = None,
    access_hash: str = "",
    spec: TaskSpec | None = None,
) -> Binding:
    return Binding(
        task_uid=task_uid,
        namespace="default",
        name=name,
        node=node,
        epoch=epoch,
        binding_uid=binding_uid,
        incarnation=incarnation,
        desired=desired,
        reason=reason,
        generation=1,
        template_hash="hash",
        access_hash=access_hash,
        grants=Grants(resources={"cpu": 100}, ports=ports, devices=devices or {}),
        spec=spec or make_spec(),
    )


def make_journal(binding: Binding, *, attempt: int = 0, failures: int = 0, cluster: str = CLUSTER) -> Journal:
    return journal_for(
        binding, cluster=cluster, container="main", stop_signal="SIGTERM", attempt=attempt, failures=failures
    )


def make_container(
    binding: Binding, *, attempt: int = 0, failures: int = 0, phase: Phase = Phase.RUNNING, **fields: Any
) -> ContainerInfo:
    journal = make_journal(binding, attempt=attempt, failures=failures)
    started = {Phase.CREATED: 0.0}.get(phase, 100.0)
    ended = {"exit_code": 0, "finished_at": 110.0} if phase is Phase.EXITED else {}
    return ContainerInfo(
        **{
            "id": f"{binding.binding_uid}-{attempt}",
            "name": container_name(journal),
            "journal": journal,
            "phase": phase,
            "image": binding.spec.containers[0].image,
            "created_at": 99.0,
            "started_at": started,
            **ended,
            **fields,
        }
    )


def make_leave(*, act: bool = True, begin: bool = True, confirmed_at: float = 0.0) -> Leave:
    return Leave(act=act, begin=begin, confirmed_at=confirmed_at)
