"""Translate one container of a binding into the body of Docker's `POST /containers/create`. Pure.

The container sees its host ports and where it runs in its environment: `PORT0`, `PORT1`, ... in the order of
its ports, `PORT_<NAME>` for named ones (upper case, other characters become `_`), `BERTH_TASK`,
`BERTH_NAMESPACE`, `BERTH_NODE`, `BERTH_TASK_UID`.
"""

import re
from pathlib import PurePosixPath
from typing import Any

from agent.labels import to_labels
from agent.runtime.api import Create
from schemas.binding import Binding, GrantedPort
from schemas.task import Container, HostPath, Volume, VolumeMount

Body = dict[str, Any]  # Any: JSON as Docker's API defines it

CPU_PERIOD_US = (
    100_000  # the kernel's default; quota / period = cpus, and unlike NanoCpus it may exceed the host
)
MIN_CPU_QUOTA_US = 1_000  # the least that the kernel takes
MIN_CPU_SHARES = 2  # the least that the kernel takes
SHARES_PER_CPU = 1024
LOG_CONFIG = {"Type": "json-file", "Config": {"max-size": "10m", "max-file": "5"}}  # Kubernetes' 10Mi x 5


def create_body(op: Create, volumes_folder: str) -> Body:
    """Return the API's JSON for `op`.

    volumes_folder: absolute path, on the host, below which this binding's emptyDir folders are.
    """
    binding, labels = op.binding, to_labels(op.journal)
    container = container_of(op)
    ports = tuple(port for port in binding.grants.ports if port.container == container.name)
    body: Body = {
        "Image": container.image,
        "Labels": labels,
        "Env": environment(binding, container, ports),
        "StopSignal": op.journal.stop_signal,
        "OpenStdin": container.stdin,  # kept open from one `attach -i` to the next
        "Tty": container.tty,
        "ExposedPorts": {_port_key(port): {} for port in ports},
        "HostConfig": _host_config(binding, container, ports, volumes_folder),
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
    return next(each for each in op.binding.spec.containers if each.name == op.journal.container)


def environment(binding: Binding, container: Container, ports: tuple[GrantedPort, ...]) -> list[str]:
    """Return `NAME=value` lines; what the task itself sets wins."""
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
    env.update({each.name: each.value for each in container.env})
    return [f"{name}={value}" for name, value in env.items()]


def _host_config(
    binding: Binding, container: Container, ports: tuple[GrantedPort, ...], volumes_folder: str
) -> Body:
    mounts = [_mount(_volume(binding, each), each, volumes_folder) for each in container.volume_mounts]
    return {
        "RestartPolicy": {"Name": "no"},  # the agent restarts
        "LogConfig": LOG_CONFIG,
        "Init": False,
        "Privileged": container.privileged,
        "PidsLimit": container.pids_limit,
        "PortBindings": {_port_key(port): [{"HostPort": str(port.host_port)}] for port in ports},
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
    """Exactly the granted GPUs, for a container that asks for some."""
    ids = binding.grants.devices.get("gpu", ())
    asked = container.resources.requests.get("gpu", 0) or container.resources.limits.get("gpu", 0)
    if not ids or not asked:
        return []
    return [{"Driver": "", "DeviceIDs": list(ids), "Capabilities": [["gpu"]]}]


def _port_key(port: GrantedPort) -> str:
    return f"{port.container_port}/{port.protocol.lower()}"


def _volume(binding: Binding, mount: VolumeMount) -> Volume:
    for volume in binding.spec.volumes:
        if volume.name == mount.name:
            return volume
    raise ValueError(f"volumeMounts: no volume is named {mount.name!r}")


def empty_dir_path(volumes_folder: str, volume: str) -> str:
    return str(PurePosixPath(volumes_folder) / volume)


def _mount(volume: Volume, mount: VolumeMount, volumes_folder: str) -> Body:
    """A tmpfs for emptyDir in memory, else a bind; Docker refuses a bind whose source is missing."""
    common = {"Target": mount.mount_path, "ReadOnly": mount.read_only}
    if volume.host_path is not None:
        return {"Type": "bind", "Source": volume.host_path.path, **common}
    if volume.empty_dir is not None and volume.empty_dir.medium == "Memory":
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
