"""Defaults that depend on other fields or objects, applied on read. Fixed ones stand in the models."""

import math
from collections.abc import Iterable, Mapping

from schemas.namespace import NamespaceSpec
from schemas.priority import PriorityClass
from schemas.roles import Role, init_role, lasting
from schemas.task import Container, PreemptionPolicy, PullPolicy, ResourceRequirements, TaskSpec, Unreachable

RESCHEDULE_AFTER_S = 30.0
RESCHEDULE_AFTER_EXACTLY_ONE_S = 60.0
STOP_AFTER_EXACTLY_ONE_S = 20.0
STOP_SIGNAL = "SIGTERM"


def effective_spec(
    spec: TaskSpec, namespace: NamespaceSpec, priority_classes: Mapping[str, PriorityClass]
) -> TaskSpec:
    """Return `spec` with every default filled in; doing it twice changes nothing.

    An unknown priority class counts as 0 here; admission denies it.
    """
    return spec.model_copy(
        update={
            "containers": tuple(_container(container, namespace) for container in spec.containers),
            "init_containers": tuple(_container(container, namespace) for container in spec.init_containers),
            "priority": _priority(spec, priority_classes),
            "preemption_policy": _preemption_policy(spec, priority_classes),
            "queue": spec.queue or namespace.default_queue,
            "unreachable": _unreachable(spec),
        }
    )


def _container(container: Container, namespace: NamespaceSpec) -> Container:
    return container.model_copy(
        update={
            "resources": _resources(container.resources, namespace),
            "image_pull_policy": container.image_pull_policy or pull_policy(container.image),
            "stop_signal": container.stop_signal or STOP_SIGNAL,
        }
    )


def _resources(written: ResourceRequirements, namespace: NamespaceSpec) -> ResourceRequirements:
    """Only limits given: requests = limits, as in Kubernetes; the namespace fills what is still missing."""
    limits = {**namespace.task_defaults.limits, **written.limits}
    requests = {**namespace.task_defaults.requests, **limits, **written.requests}
    if (requests, limits) == (written.requests, written.limits):
        return written
    return written.model_copy(update={"requests": requests, "limits": limits})


def pull_policy(image: str) -> PullPolicy:
    """Always for `latest` or no tag, else IfNotPresent, as in Kubernetes."""
    name, _, digest = image.partition("@")
    tag = name.rpartition("/")[2].partition(":")[2]
    return "IfNotPresent" if digest or tag not in ("", "latest") else "Always"


def _priority(spec: TaskSpec, classes: Mapping[str, PriorityClass]) -> int:
    if spec.priority is not None:
        return spec.priority
    named = classes.get(spec.priority_class_name or "")
    return named.spec.value if named else 0


def _preemption_policy(spec: TaskSpec, classes: Mapping[str, PriorityClass]) -> PreemptionPolicy:
    if spec.preemption_policy is not None:
        return spec.preemption_policy
    named = classes.get(spec.priority_class_name or "")
    return named.spec.preemption_policy if named else "PreemptLowerPriority"


def _unreachable(spec: TaskSpec) -> Unreachable:
    return spec.unreachable.model_copy(
        update={"reschedule_after": reschedule_after_s(spec), "stop_after": stop_after_s(spec)}
    )


def reschedule_after_s(spec: TaskSpec) -> float:
    """Seconds after which a task of an unreachable node is bound elsewhere; infinity is never."""
    written = spec.unreachable.reschedule_after
    if written is not None:
        return written
    return RESCHEDULE_AFTER_EXACTLY_ONE_S if spec.exactly_one else RESCHEDULE_AFTER_S


def stop_after_s(spec: TaskSpec) -> float:
    """Seconds without the store after which the agent stops the task by itself; infinity is never."""
    written = spec.unreachable.stop_after
    if written is not None:
        return written
    return STOP_AFTER_EXACTLY_ONE_S if spec.exactly_one else math.inf


def task_requests(spec: TaskSpec) -> dict[str, int]:
    """Return resource name -> amount that an effective spec needs at once, as Kubernetes counts it.

    That is the sum of all that last, or the largest step before: an init container with the sidecars that
    were started before it.
    """
    total = _sum(lasting(spec))
    for index, container in enumerate(spec.init_containers):
        if init_role(container) is Role.INIT:
            before = [each for each in spec.init_containers[:index] if init_role(each) is Role.SIDECAR]
            step = _sum([*before, container])
            total = {name: max(total.get(name, 0), step.get(name, 0)) for name in total | step}
    return total


def _sum(containers: Iterable[Container]) -> dict[str, int]:
    total: dict[str, int] = {}
    for container in containers:
        for name, amount in container.resources.requests.items():
            total[name] = total.get(name, 0) + amount
    return total
