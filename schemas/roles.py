"""What each container of a task is there for, and in which order they come and go. Pure.

init containers, in order (a sidecar stays) -> main containers, all at once
main containers end -> sidecars, the last one first
"""

from enum import StrEnum

from schemas.task import Container, RestartPolicy, TaskSpec


class Role(StrEnum):
    """MAIN: the task lasts as long as these. INIT: runs to success before them. SIDECAR: is there for them."""

    MAIN = "main"
    INIT = "init"
    SIDECAR = "sidecar"


def all_containers(spec: TaskSpec) -> tuple[Container, ...]:
    """Return every container, in the order in which they are started."""
    return (*spec.init_containers, *spec.containers)


def find_container(spec: TaskSpec, name: str) -> Container | None:
    return next((each for each in all_containers(spec) if each.name == name), None)


def init_role(container: Container) -> Role:
    """Return what an init container is."""
    return Role.SIDECAR if container.restart_policy == "Always" else Role.INIT


def role_of(spec: TaskSpec, name: str) -> Role:
    """Return the role of the container called `name`; an unknown one counts as a main container."""
    found = next((each for each in spec.init_containers if each.name == name), None)
    return init_role(found) if found else Role.MAIN


def sidecars(spec: TaskSpec) -> tuple[Container, ...]:
    return tuple(each for each in spec.init_containers if init_role(each) is Role.SIDECAR)


def lasting(spec: TaskSpec) -> tuple[Container, ...]:
    """Return the containers that stay: those whose ports are published, and that are probed."""
    return (*sidecars(spec), *spec.containers)


def restart_policy_of(policy: RestartPolicy, role: Role) -> RestartPolicy:
    """Return the policy of a container of a task with `policy`, as in Kubernetes."""
    match role:
        case Role.MAIN:
            return policy
        case Role.SIDECAR:
            return "Always"
        case Role.INIT:  # one that has succeeded is done
            return "Never" if policy == "Never" else "OnFailure"


def needs_sandbox(spec: TaskSpec) -> bool:
    """Say whether containers must share something that outlives each of them: a network, or a folder in memory."""
    return len(lasting(spec)) > 1 or (bool(spec.init_containers) and bool(_shared_in_memory(spec)))


def _shared_in_memory(spec: TaskSpec) -> set[str]:
    """Return the names of folders in memory that an init container and another container mount."""
    in_memory = {each.name for each in spec.volumes if each.empty_dir and each.empty_dir.medium == "Memory"}
    mounts = [{mount.name for mount in each.volume_mounts} & in_memory for each in all_containers(spec)]
    return {name for names in mounts for name in names if sum(name in each for each in mounts) > 1}
