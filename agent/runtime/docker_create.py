"""Translate one container of a binding into the body of Docker's `POST /containers/create`. Pure.

The container sees its host ports and where it runs in its environment: `PORT0`, `PORT1`, ... in the order of
its ports, `PORT_<NAME>` for named ones (upper case, other characters become `_`), `BERTH_TASK`,
`BERTH_NAMESPACE`, `BERTH_NODE`, `BERTH_TASK_UID`.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from agent.labels import BINDING_UID, NODE, to_labels
from agent.runtime.api import Create, publishes
from schemas.binding import Binding, GrantedPort
from schemas.roles import find_container, lasting
from schemas.task import Container, HostPath, Volume, VolumeMount

Body = dict[str, Any]  # Any: JSON as Docker's API defines it

CPU_PERIOD_US = (
    100_000  # the kernel's default; quota / period = cpus, and unlike NanoCpus it may exceed the host
)
MIN_CPU_QUOTA_US = 1_000  # the least that the kernel takes
MIN_CPU_SHARES = 2  # the least that the kernel takes
SHARES_PER_CPU = 1024
LOG_CONFIG = {"Type": "json-file", "Config": {"max-size": "10m", "max-file": "5"}}  # Kubernetes' 10Mi x 5


@dataclass(frozen=True, slots=True)
class Taken:
    """What the container takes of ConfigMaps and Secrets: its own variables, the host folder of files of Secrets."""

    variables: Mapping[str, str]
    secrets_folder: str = ""


def create_body(op: Create, volumes_folder: str, taken: Taken | None = None) -> Body:
    """Return the API's JSON for `op`.

    volumes_folder: absolute path, on the host, below which this binding's emptyDir folders are. taken: None for a
    container that only has variables with values.
    """
    binding, labels = op.binding, to_labels(op.journal)
    container = container_of(op)
    taken = taken or Taken({each.name: each.value for each in container.env})
    ports = tuple(port for port in binding.grants.ports if port.container == container.name)
    exposed, _ = port_maps(each for each in ports if publishes(op, each))
    body: Body = {
        "Image": container.image,
        "Labels": labels,
        "Env": environment(binding, ports, taken.variables),
        "StopSignal": op.journal.stop_signal,
        "OpenStdin": container.stdin,  # kept open from one `attach -i` to the next
        "Tty": container.tty,
        "ExposedPorts": exposed,
        "HostConfig": _host_config(op, container, ports, (volumes_folder, taken.secrets_folder)),
    }
    if container.command:
        body["Entrypoint"] = list(container.command)
    if container.args:
        body["Cmd"] = list(container.args)
    if container.working_dir:
        body["WorkingDir"] = container.working_dir
    if container.user:
        body["User"] = container.user
    return body


def container_of(op: Create) -> Container:
    """Return the spec of the container that `op` creates."""
    found = find_container(op.binding.spec, op.journal.container)
    if found is None:
        raise ValueError(f"the task has no container {op.journal.container}")
    return found


def environment(binding: Binding, ports: tuple[GrantedPort, ...], own: Mapping[str, str]) -> list[str]:
    """Return `NAME=value` lines; `own`, what the task itself sets, wins."""
    env = {
        "BERTH_TASK": binding.name,
        "BERTH_NAMESPACE": binding.namespace,
        "BERTH_NODE": binding.node,
        "BERTH_TASK_UID": binding.task_uid,
    }
    for index, port in enumerate(ports):
        env[f"PORT{index}"] = str(port.host_port)
        if port.name:
            env["PORT_" + re.sub(r"[^A-Z0-9]", "_", port.name.upper())] = str(port.host_port)
    env.update(binding.discovery)
    env.update(own)
    return [f"{name}={value}" for name, value in env.items()]


def port_maps(ports: Iterable[GrantedPort]) -> tuple[Body, Body]:
    """Return what is exposed, and to which host ports it is bound."""
    bindings = {_port_key(port): [{"HostPort": str(port.host_port)}] for port in ports}
    return {key: {} for key in bindings}, bindings


def _host_config(
    op: Create, container: Container, ports: tuple[GrantedPort, ...], folders: tuple[str, str]
) -> Body:
    binding = op.binding
    mounts = [_mount(op, _volume(binding, each), each, folders) for each in container.volume_mounts]
    _, bindings = port_maps(each for each in ports if publishes(op, each))
    network = {"NetworkMode": f"container:{op.sandbox_id}"} if op.sandbox_id else {}
    return {
        **network,
        "RestartPolicy": {"Name": "no"},  # the agent restarts
        "LogConfig": LOG_CONFIG,
        "Init": False,
        "Privileged": container.privileged,
        "PidsLimit": container.pids_limit,
        "PortBindings": bindings,
        "Mounts": mounts,
        "DeviceRequests": _device_requests(binding, container),
        **_limits(container),
    }


def _limits(container: Container) -> Body:
    """cpu and memory: requests give the share under contention, limits the ceiling; no swap beyond memory."""
    config: Body = {}
    requests, limits = container.resources.requests, container.resources.limits
    if "cpu" in requests:
        config["CpuShares"] = max(MIN_CPU_SHARES, requests["cpu"] * SHARES_PER_CPU // 1000)
    if "cpu" in limits:
        config["CpuPeriod"] = CPU_PERIOD_US
        config["CpuQuota"] = max(MIN_CPU_QUOTA_US, limits["cpu"] * CPU_PERIOD_US // 1000)
    if "memory" in limits:
        config["Memory"] = config["MemorySwap"] = limits["memory"]
    return config


def _device_requests(binding: Binding, container: Container) -> list[Body]:
    """Exactly its own of the granted GPUs: those that last share them out in order, others use any of the first."""
    ids = binding.grants.devices.get("gpu", ())
    asked = _gpus(container)
    if not ids or not asked:
        return []
    first = 0
    for each in lasting(binding.spec):
        if each.name == container.name:
            break
        first += _gpus(each)
    else:
        first = max(0, len(ids) - asked)
    return [{"Driver": "", "DeviceIDs": list(ids[first : first + asked]), "Capabilities": [["gpu"]]}]


def _gpus(container: Container) -> int:
    return container.resources.requests.get("gpu", 0) or container.resources.limits.get("gpu", 0)


def _port_key(port: GrantedPort) -> str:
    return f"{port.container_port}/{port.protocol.lower()}"


def _volume(binding: Binding, mount: VolumeMount) -> Volume:
    for volume in binding.spec.volumes:
        if volume.name == mount.name:
            return volume
    raise ValueError(f"volumeMounts: no volume is named {mount.name!r}")


def empty_dir_path(volumes_folder: str, volume: str) -> str:
    return str(PurePosixPath(volumes_folder) / volume)


def memory_volumes(op: Create) -> list[Body]:
    """Return the mounts by which a sandbox keeps its task's folders in memory for as long as it runs."""
    found = [each for each in op.binding.spec.volumes if _is_in_memory(each)]
    return [_memory_volume(op, each, {"Target": f"/volumes/{each.name}"}) for each in found]


def _is_in_memory(volume: Volume) -> bool:
    return volume.empty_dir is not None and volume.empty_dir.medium == "Memory"


def memory_volume_name(binding_uid: str, volume: str) -> str:
    """Return the name of the Docker volume that is a folder in memory of a task with a sandbox."""
    return f"berth-{binding_uid}-{volume}"


def _memory_volume(op: Create, volume: Volume, common: Body) -> Body:
    limit = volume.empty_dir.size_limit if volume.empty_dir else None
    options = {"type": "tmpfs", "device": "tmpfs", "o": f"mode=1777{f',size={limit}' if limit else ''}"}
    return {
        "Type": "volume",
        "Source": memory_volume_name(op.binding.binding_uid, volume.name),
        "VolumeOptions": {
            "NoCopy": True,
            "Labels": {NODE: op.journal.node, BINDING_UID: op.journal.binding_uid},
            "DriverConfig": {"Name": "local", "Options": options},
        },
        **common,
    }


def _mount(op: Create, volume: Volume, mount: VolumeMount, folders: tuple[str, str]) -> Body:
    """A tmpfs for emptyDir in memory, else a bind; Docker refuses a bind whose source is missing.

    folders: of emptyDir and ConfigMaps, and of Secrets, whose files nobody writes but the agent.
    """
    volumes_folder, secrets_folder = folders
    common = {"Target": mount.mount_path, "ReadOnly": mount.read_only}
    if any(source is not None for source in (volume.secret, volume.config_map, volume.endpoints)):
        source = empty_dir_path(secrets_folder if volume.secret else volumes_folder, volume.name)
        return {"Type": "bind", "Source": source, **common, "ReadOnly": True}
    if volume.host_path is not None:
        return {"Type": "bind", "Source": volume.host_path.path, **common}
    if volume.empty_dir is not None and _is_in_memory(volume):
        if op.sandbox_id:
            return _memory_volume(op, volume, common)
        options = {"SizeBytes": volume.empty_dir.size_limit} if volume.empty_dir.size_limit else {}
        return {"Type": "tmpfs", "TmpfsOptions": {**options, "Mode": 0o1777}, **common}
    return {"Type": "bind", "Source": empty_dir_path(volumes_folder, volume.name), **common}


def folders_to_make(op: Create, volumes_folder: str) -> tuple[str, ...]:
    """Return the host folders that must exist before the create: emptyDir on disk."""
    names = {mount.name for mount in container_of(op).volume_mounts}
    return tuple(
        empty_dir_path(volumes_folder, each.name)
        for each in op.binding.spec.volumes
        if each.name in names and each.empty_dir is not None and each.empty_dir.medium == ""
    )


def host_paths(op: Create) -> tuple[HostPath, ...]:
    """Return the host paths that this container mounts, for their type check."""
    names = {mount.name for mount in container_of(op).volume_mounts}
    return tuple(
        each.host_path
        for each in op.binding.spec.volumes
        if each.name in names and each.host_path is not None
    )
