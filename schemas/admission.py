"""Admission: may this task run at all, in this namespace, with these queues?

Pure; the controller asks before anything is bound, and the CLI asks the same function first, for the message.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from schemas.defaults import effective_spec, reschedule_after_s, stop_after_s
from schemas.namespace import Namespace
from schemas.owned import ORPHAN_OF
from schemas.placement_checks import placement_faults
from schemas.priority import PriorityClass
from schemas.probe_checks import probe_faults
from schemas.quantity import format_duration, format_quantity
from schemas.queue import Queue
from schemas.roles import Role, init_role
from schemas.task import Container, Task, TaskSpec

MIN_STOP_AFTER_S = 15.0  # the agent's lease
EXACTLY_ONE_MARGIN_S = 10.0  # for the agent to notice, and for clocks that run at different speeds


@dataclass(frozen=True, slots=True)
class Policy:
    """What admission asks besides the task: objects by name, built-in ones included."""

    namespaces: Mapping[str, Namespace]
    queues: Mapping[str, Queue]
    priority_classes: Mapping[str, PriorityClass]


@dataclass(frozen=True, slots=True)
class Admitted:
    """The task may run; `spec` has every default filled in."""

    spec: TaskSpec


@dataclass(frozen=True, slots=True)
class Denied:
    """The task may not run; every reason is a sentence that says what to do."""

    reasons: tuple[str, ...]


def admit(task: Task, policy: Policy) -> Admitted | Denied:
    """Return the effective spec of `task`, or every reason why it may not run."""
    name = task.metadata.namespace or ""
    namespace = policy.namespaces.get(name)
    if namespace is None:
        return Denied((f"namespace {name!r} does not exist; create it or apply with --create-namespace",))
    spec = effective_spec(task.spec, namespace.spec, policy.priority_classes)
    reasons = tuple(reason for check in CHECKS for reason in check(spec, namespace, policy))
    is_orphan = ORPHAN_OF in task.metadata.annotations
    reasons += tuple(placement_faults(spec, task.metadata.labels, is_orphan=is_orphan))
    return Denied(reasons) if reasons else Admitted(spec)


def _each(spec: TaskSpec) -> tuple[Container, ...]:
    return (*spec.containers, *spec.init_containers)


def _where(spec: TaskSpec, wrong: Container) -> str:
    """Return the path of the field of a container; only where something is wrong with it, as it seldom is."""
    for index, container in enumerate(spec.containers):
        if container is wrong:
            return f"spec.containers[{index}]"
    index = next(at for at, container in enumerate(spec.init_containers) if container is wrong)
    return f"spec.initContainers[{index}]"


def _twice(names: Sequence[str]) -> list[str]:
    """Return the names that appear more than once, in order."""
    if len(set(names)) == len(names):
        return []
    return sorted({name for name in names if names.count(name) > 1})


def _containers(spec: TaskSpec, namespace: Namespace, policy: Policy) -> Iterator[str]:
    """What a container may have depends on what it is there for; names are unique in the task."""
    for name in _twice([container.name for container in _each(spec)]):
        yield f"spec: container name {name} appears twice; each container and init container needs its own"
    for index, container in enumerate(spec.containers):
        if container.restart_policy is not None:
            yield (
                f"spec.containers[{index}].restartPolicy: only an init container may have one, which makes it "
                "a sidecar; for main containers write spec.restartPolicy"
            )
    for index, container in enumerate(spec.init_containers):
        if init_role(container) is Role.INIT:
            yield from _init_container(f"spec.initContainers[{index}]", container)


def _init_container(path: str, container: Container) -> Iterator[str]:
    """One that runs to its end before the others start has nothing to be asked, and serves nobody."""
    fields = {
        "ports": container.ports,
        "startupProbe": container.startup_probe,
        "livenessProbe": container.liveness_probe,
        "readinessProbe": container.readiness_probe,
        "lifecycle": container.lifecycle,
    }
    for field, value in fields.items():
        if value:
            yield (
                f"{path}.{field}: an init container that runs to its end can't have it; "
                "remove it, or make it a sidecar with restartPolicy: Always"
            )


def _queue(spec: TaskSpec, namespace: Namespace, policy: Policy) -> Iterator[str]:
    queue, name = spec.queue or "", namespace.metadata.name
    if queue not in policy.queues:
        yield f"spec.queue: queue {queue!r} does not exist; see: berth get queues"
    elif "*" not in namespace.spec.queues and queue not in namespace.spec.queues:
        allowed = ", ".join(namespace.spec.queues) or "none"
        yield (
            f"spec.queue: namespace {name} may not use queue {queue}; allowed: {allowed}; set spec.queue to one "
            f"that is, or an admin adds {queue} to spec.queues of namespace/{name}"
        )
    elif not policy.queues[queue].spec.admits(name):
        meant = ", ".join(policy.queues[queue].spec.namespaces) or "none"
        yield (
            f"spec.queue: queue {queue} is not for namespace {name}, its namespaces: {meant}; "
            f"see: berth describe queue {queue}"
        )


def _priority(spec: TaskSpec, namespace: Namespace, policy: Policy) -> Iterator[str]:
    name = spec.priority_class_name
    if name and name not in policy.priority_classes:
        yield f"spec.priorityClassName: {name!r} does not exist; see: berth get priorityclasses"
    ceiling = namespace.spec.max_priority
    if (spec.priority or 0) > ceiling:
        where = f"the ceiling of namespace {namespace.metadata.name}"
        yield f"spec.priority: {spec.priority} is above {ceiling}, {where}"


def _host_access(spec: TaskSpec, namespace: Namespace, policy: Policy) -> Iterator[str]:
    name = namespace.metadata.name
    for index, volume in enumerate(spec.volumes):
        path = volume.host_path.path if volume.host_path else None
        if path and ".." in path.split("/"):
            yield f"spec.volumes[{index}].hostPath.path: {path} must not contain '..'"
        elif path and not any(_is_below(path, allowed) for allowed in namespace.spec.host_paths):
            yield (
                f"spec.volumes[{index}].hostPath.path: namespace {name} does not allow {path}; "
                f"an admin adds it to spec.hostPaths of namespace/{name}"
            )
    for container in _each(spec):
        if container.privileged and not namespace.spec.privileged:
            yield (
                f"{_where(spec, container)}.privileged: namespace {name} does not allow it; "
                f"an admin sets spec.privileged of namespace/{name}"
            )


def _is_below(path: str, folder: str) -> bool:
    folder = folder.rstrip("/")
    return path.rstrip("/") == folder or path.startswith(f"{folder}/")


def _resources(spec: TaskSpec, namespace: Namespace, policy: Policy) -> Iterator[str]:
    for container in _each(spec):
        for name, asked in container.resources.requests.items():
            limit = container.resources.limits.get(name)
            if limit is not None and asked > limit:
                yield (
                    f"{_where(spec, container)}.resources: request {name}={format_quantity(name, asked)} "
                    f"is above its limit {format_quantity(name, limit)}"
                )


def _ports(spec: TaskSpec, namespace: Namespace, policy: Policy) -> Iterator[str]:
    seen: set[tuple[str, int, str]] = set()
    for container in _each(spec):
        for port in container.ports:
            inner = ("container", port.container_port, port.protocol)
            outer = ("host", port.host_port or 0, port.protocol)
            for what in (inner, outer):
                if what in seen and what[1]:
                    yield f"{_where(spec, container)}.ports: {what[0]} port {what[1]}/{what[2]} appears twice"
                seen.add(what)


def _names(spec: TaskSpec, namespace: Namespace, policy: Policy) -> Iterator[str]:
    for container in _each(spec):
        names = {"env": [each.name for each in container.env]}
        names["ports"] = [each.name for each in container.ports if each.name]
        for field, found in names.items():
            for name in _twice(found):
                yield f"{_where(spec, container)}.{field}: name {name} appears twice"


def _probes(spec: TaskSpec, namespace: Namespace, policy: Policy) -> Iterator[str]:
    yield from probe_faults(spec)


def _volumes(spec: TaskSpec, namespace: Namespace, policy: Policy) -> Iterator[str]:
    names = [volume.name for volume in spec.volumes]
    for name in _twice(names):
        yield f"spec.volumes: name {name} appears twice"
    for container in _each(spec):
        paths = [mount.mount_path.rstrip("/") for mount in container.volume_mounts]
        for path in _twice(paths):
            yield f"{_where(spec, container)}.volumeMounts: mountPath {path or '/'} appears twice"
        for mount in container.volume_mounts:
            if mount.name not in names:
                yield f"{_where(spec, container)}.volumeMounts: there is no volume named {mount.name}"


def _stop_after(spec: TaskSpec, namespace: Namespace, policy: Policy) -> Iterator[str]:
    """Shorter than an agent's lease, and a task would stop itself for one late beat."""
    if stop_after_s(spec) < MIN_STOP_AFTER_S:
        written, least = format_duration(stop_after_s(spec)), format_duration(MIN_STOP_AFTER_S)
        yield f"spec.unreachable.stopAfter: {written} is below {least}, the lease of an agent"


def _exactly_one(spec: TaskSpec, namespace: Namespace, policy: Policy) -> Iterator[str]:
    """The old copy must be gone before a new one may start, whatever the clocks do (design, section 4)."""
    if not spec.exactly_one:
        return
    needed = stop_after_s(spec) + spec.grace + EXACTLY_ONE_MARGIN_S
    if needed > reschedule_after_s(spec):
        yield (
            "spec.unreachable: an exactlyOne task needs stopAfter + grace + "
            f"{format_duration(EXACTLY_ONE_MARGIN_S)} <= rescheduleAfter; "
            f"here {'never' if needed == float('inf') else format_duration(needed)} > "
            f"{format_duration(reschedule_after_s(spec))}"
        )


Check = Callable[[TaskSpec, Namespace, Policy], Iterator[str]]
CHECKS: tuple[Check, ...] = (
    _containers,
    _queue,
    _priority,
    _host_access,
    _resources,
    _ports,
    _names,
    _probes,
    _volumes,
    _stop_after,
    _exactly_one,
)
