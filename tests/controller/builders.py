"""Values for tests of the pure parts: small by default, each argument changes one thing."""

from dataclasses import replace
from typing import Any

from controller.reconcilers.rollup import NodeHealth
from controller.reconcilers.task_inputs import TaskInputs
from schemas.admission import Policy, admit
from schemas.binding import Binding, Desired, GrantedPort, Grants, StopReason
from schemas.defaults import effective_spec
from schemas.keys import ObjectRef, task_ref
from schemas.meta import Model
from schemas.namespace import BUILTIN_NAMESPACE
from schemas.queue import BUILTIN_QUEUE
from schemas.report import ContainerStatus, Heartbeat, NodeReport, TaskReport
from schemas.request import DeleteRequest
from schemas.state import ContainerState, TaskState
from schemas.status import TaskStatus
from schemas.task import Task, template_hash
from schemas.versioned import Versioned

UID = "uid-t"
POLICY = Policy({"default": BUILTIN_NAMESPACE}, {"default": BUILTIN_QUEUE}, {})


def versioned(
    value: Any, *, revision: int = 10, generation: int = 1, raw: dict[str, Any] | None = None
) -> Any:
    assert isinstance(value, Model)
    return Versioned(value, raw if raw is not None else value.to_json(), revision, revision, generation)


def raw_task(
    name: str = "t",
    *,
    uid: str = UID,
    namespace: str = "default",
    labels: dict[str, str] | None = None,
    **spec: Any,
) -> dict[str, Any]:
    """A task as it is stored; `container` adds fields to its only container."""
    container = {"name": "main", "image": "demo:1", **spec.pop("container", {})}
    return {
        "apiVersion": "berth/v1",
        "kind": "Task",
        "metadata": {"name": name, "namespace": namespace, "uid": uid, "labels": labels or {}},
        "spec": {"containers": [container], **spec},
    }


def make_task(name: str = "t", *, generation: int = 1, revision: int = 10, **more: Any) -> Versioned[Task]:
    raw = raw_task(name, **more)
    found: Versioned[Task] = versioned(
        Task.parse_stored(raw), raw=raw, generation=generation, revision=revision
    )
    return found


def make_status(node: str = "n1", *, revision: int = 20, **more: Any) -> Versioned[TaskStatus]:
    values: dict[str, Any] = {"uid": UID, "observed_generation": 1, "state": TaskState.PENDING}
    if node:
        values |= {"node": node, "epoch": 1, "binding_uid": "b-1", "state": TaskState.BOUND}
    found: Versioned[TaskStatus] = versioned(TaskStatus(**{**values, **more}), revision=revision)
    return found


def make_binding(
    node: str = "n1", *, task: Versioned[Task] | None = None, revision: int = 30, **more: Any
) -> Versioned[Binding]:
    task = task or make_task()
    values: dict[str, Any] = {
        "task_uid": task.value.metadata.uid,
        "namespace": task.value.metadata.namespace,
        "name": task.value.metadata.name,
        "node": node,
        "epoch": 1,
        "binding_uid": "b-1",
        "incarnation": 1,
        "desired": Desired.RUN,
        "generation": task.generation,
        "template_hash": template_hash(task.raw["spec"]),
        "labels": task.value.metadata.labels,
        "grants": Grants(resources={"cpu": 100}),
        "spec": effective_spec(task.value.spec, BUILTIN_NAMESPACE.spec, {}),
    }
    found: Versioned[Binding] = versioned(Binding(**{**values, **more}), revision=revision)
    return found


def stopped(binding: Versioned[Binding], reason: StopReason = StopReason.SUPERSEDED) -> Versioned[Binding]:
    value = binding.value.model_copy(update={"desired": Desired.STOP, "reason": reason})
    return replace(binding, value=value, raw=value.to_json())


def make_report(
    binding: Versioned[Binding],
    *,
    exit_code: int | None = None,
    running: bool = True,
    revision: int = 40,
    **more: Any,
) -> Versioned[TaskReport]:
    state = ContainerState.RUNNING if running and exit_code is None else ContainerState.EXITED
    container = ContainerStatus(
        name="main",
        state=state,
        exit_code=exit_code if running else exit_code or 0,
        reason=more.pop("reason", ""),
    )
    value = binding.value
    values: dict[str, Any] = {
        "task_uid": value.task_uid,
        "namespace": value.namespace,
        "name": value.name,
        "epoch": value.epoch,
        "binding_uid": value.binding_uid,
        "instance": "i-1",
        "sequence": 1,
        "containers": (container,),
    }
    found: Versioned[TaskReport] = versioned(TaskReport(**{**values, **more}), revision=revision)
    return found


def ended(binding: Versioned[Binding]) -> Versioned[TaskReport]:
    return make_report(binding, running=False, final=True)


def make_delete(uid: str = UID, *, revision: int = 50, **more: Any) -> Versioned[DeleteRequest]:
    found: Versioned[DeleteRequest] = versioned(DeleteRequest(uid=uid, **more), revision=revision)
    return found


def make_inputs(
    *,
    spec: Versioned[Task] | str | None = "default",
    status: Versioned[TaskStatus] | None = None,
    delete: Versioned[DeleteRequest] | None = None,
    bindings: tuple[Versioned[Binding], ...] = (),
    reports: tuple[tuple[str, Versioned[TaskReport]], ...] = (),
    nodes: tuple[NodeHealth, ...] = (),
    policy: Policy = POLICY,
    **more: Any,
) -> TaskInputs:
    """`spec` None: there is none. reports: (node, report)."""
    task = make_task() if isinstance(spec, str) else spec
    values: dict[str, Any] = {
        "ref": task_ref("default", "t"),
        "spec": task,
        "status": status,
        "delete": delete,
        "bindings": {(each.value.node, each.value.task_uid): each for each in bindings},
        "reports": {(node, each.value.task_uid): each for node, each in reports},
        "verdict": admit(task.value, policy) if task else None,
        "nodes": {node.name: node for node in nodes},
        "incarnation": 1,
        "access_hash": "hash",
    }
    return TaskInputs(**{**values, **more})


def make_node_report(node: str = "n1", *, revision: int = 5, **more: Any) -> Versioned[NodeReport]:
    values: dict[str, Any] = {
        "node": node,
        "node_uid": f"node-{node}",
        "instance": "i-1",
        "incarnation": 1,
        "capacity": {"cpu": "4", "memory": "4Gi"},
        "allocatable": {"cpu": "4", "memory": "4Gi"},
    }
    found: Versioned[NodeReport] = versioned(NodeReport.model_validate({**values, **more}), revision=revision)
    return found


def make_heartbeat(node: str = "n1") -> Versioned[Heartbeat]:
    found: Versioned[Heartbeat] = versioned(Heartbeat(node_uid=f"node-{node}", instance="i-1"))
    return found


def granted_port(host_port: int) -> GrantedPort:
    return GrantedPort(container="main", container_port=80, host_port=host_port)


def node_ref(name: str) -> ObjectRef:
    return ObjectRef("nodes", "_cluster", name)
