"""What admission checks of probes and hooks: that they ask a port there is, and that they can ever say something.

Kubernetes takes any number for a port; here a port that is not declared is an error, because it is a slip.
"""

from collections.abc import Iterator

from schemas.probe import Hook, Probe
from schemas.roles import Role, init_role
from schemas.task import Container, TaskSpec

_FIELDS = {
    "startupProbe": "startup_probe",
    "livenessProbe": "liveness_probe",
    "readinessProbe": "readiness_probe",
}


def probe_faults(spec: TaskSpec) -> Iterator[str]:
    """Yield a sentence, with the field's path, for whatever is wrong with probes and hooks."""
    for index, container in enumerate(spec.init_containers):
        path = f"spec.initContainers[{index}]"
        if init_role(container) is Role.INIT:
            yield from _not_here(container, path)
        else:
            yield from _of_container(container, path)
    for index, container in enumerate(spec.containers):
        yield from _of_container(container, f"spec.containers[{index}]")


def _not_here(container: Container, path: str) -> Iterator[str]:
    for field, name in _FIELDS.items():
        if getattr(container, name) is not None:
            yield (
                f"{path}.{field}: an init container runs to its end and has no probes; "
                "one that stays is a sidecar: restartPolicy: Always"
            )


def _of_container(container: Container, path: str) -> Iterator[str]:
    for field, name in _FIELDS.items():
        probe: Probe | None = getattr(container, name)
        if probe is None:
            continue
        yield from _port_fault(container, probe.port, f"{path}.{field}")
        if probe.success_threshold != 1 and field != "readinessProbe":
            yield f"{path}.{field}.successThreshold: must be 1, not {probe.success_threshold}"
    lifecycle = container.lifecycle
    if lifecycle is not None:
        yield from _hook_fault(container, lifecycle.post_start, f"{path}.lifecycle.postStart")
        yield from _hook_fault(container, lifecycle.pre_stop, f"{path}.lifecycle.preStop")


def _hook_fault(container: Container, hook: Hook | None, path: str) -> Iterator[str]:
    if hook is not None and hook.http_get is not None:
        yield from _port_fault(container, hook.http_get.port, path)


def _port_fault(container: Container, wanted: int | str | None, path: str) -> Iterator[str]:
    """Say what is wrong with a port that is asked over TCP."""
    if wanted is None:
        return
    tcp = [each for each in container.ports if each.protocol == "TCP"]
    if any(wanted in (each.container_port, each.name) for each in tcp):
        return
    declared = ", ".join(
        f"{each.container_port} ({each.name})" if each.name else f"{each.container_port}" for each in tcp
    )
    yield (
        f"{path}: container {container.name} declares no TCP port {wanted}; "
        f"declared: {declared or 'none'}; add it to its ports"
    )
