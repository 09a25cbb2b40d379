"""What this host has, and what of it tasks may use: psutil, cgroup v1 and v2, nvidia-smi.

An agent inside a container offers what its own cgroup allows. Capacity is what there is, allocatable what is
left after the system's reserve; both change only with the machine, so that an idle node writes no report.
"""

import logging
import os
import platform
import shutil
import socket
import subprocess
from collections.abc import Mapping
from pathlib import Path

import psutil

from agent.facts import NodeFacts
from agent.options import AgentOptions
from store.serving import primary_address

__all__ = ["HostFacts", "NodeFacts"]

log = logging.getLogger(__name__)

DEFAULT_RESERVE_CPU_MILLIS = 100
MAX_DEFAULT_RESERVE_MEMORY_BYTES = 2**30
DEFAULT_RESERVE_MEMORY_SHARE = 20  # one part in twenty
ROUND_BYTES = 2**20  # capacities are whole MiB
DISK_PRESSURE_FREE = 0.10  # of the engine's disk; Kubernetes evicts at 10 % of nodefs
MEMORY_PRESSURE_FREE_BYTES = 100 * 2**20  # Kubernetes' memory.available
PRESSURE_EASES = (
    1.2  # pressure ends only with a fifth more free than where it began, so that it does not flap
)
UNLIMITED = 2**60  # cgroup v1 writes "no limit" as a number near 2**63


class HostFacts:
    """Reads the facts anew on each call; what can't change is read once."""

    def __init__(self, options: AgentOptions, cgroup_root: Path = Path("/sys/fs/cgroup")) -> None:
        self._options = options
        self._cgroup_root = cgroup_root
        gpus = () if options.gpus == ("none",) else options.gpus or nvidia_gpus()
        self._gpus = share_of_devices(gpus, options.share)
        self._address = options.address or primary_address()
        self._last = NodeFacts({}, {})

    @property
    def last(self) -> NodeFacts:
        """The facts that were read last; empty ones before the first time."""
        return self._last

    def __call__(self, data_root: str) -> NodeFacts:
        """Return the facts. data_root: folder of the engine's data, whose disk is offered; empty if unknown."""
        options = self._options
        host = at_most(capacity_of(self._cgroup_root, data_root), options.capacity)
        reserve = default_reserve(host) | options.reserve
        capacity = share_of(host, options.share) | options.resources
        if self._gpus:
            capacity["gpu"] = len(self._gpus)
        reserve = share_of(reserve, options.share)
        self._last = NodeFacts(
            capacity=capacity,
            allocatable=allocatable_of(capacity, reserve),
            devices={"gpu": self._gpus} if self._gpus else {},
            labels=host_labels() | self._options.labels,
            address=self._address,
            os_image=os_image(),
            kernel_version=platform.release(),
            disk_pressure=_disk_pressure(data_root, self._last.disk_pressure),
            memory_pressure=_memory_pressure(self._last.memory_pressure),
        )
        return self._last


def capacity_of(cgroup_root: Path, data_root: str) -> dict[str, int]:
    """Return cpu, memory and disk of this host, or of the cgroup that this process lives in."""
    cpu_millis = len(os.sched_getaffinity(0)) * 1000
    memory_bytes = psutil.virtual_memory().total
    cpu_limit, memory_limit = cgroup_limits(cgroup_root)
    capacity = {
        "cpu": min(cpu_millis, cpu_limit or cpu_millis),
        "memory": _round(min(memory_bytes, memory_limit or memory_bytes)),
    }
    if data_root and Path(data_root).exists():
        capacity["disk"] = _round(psutil.disk_usage(data_root).total)
    return capacity


def at_most(capacity: Mapping[str, int], limits: Mapping[str, int]) -> dict[str, int]:
    """Return the capacity, lowered to `limits`; what the host does not have is not offered either."""
    return {name: min(amount, limits.get(name, amount)) for name, amount in capacity.items()}


def share_of(amounts: Mapping[str, int], share: tuple[int, int]) -> dict[str, int]:
    """Return what one of several agents on this host offers. share: (which of them, how many)."""
    return {
        name: _round(amount // share[1]) if name in ("memory", "disk") else amount // share[1]
        for name, amount in amounts.items()
    }


def share_of_devices(devices: tuple[str, ...], share: tuple[int, int]) -> tuple[str, ...]:
    """Return the devices of one of several agents: each device has one agent."""
    return devices[share[0] - 1 :: share[1]]


def cgroup_limits(root: Path) -> tuple[int | None, int | None]:
    """Return the limits of cpu in millicores and of memory in bytes that `root` sets; None for no limit.

    In a container `/sys/fs/cgroup` shows the container's own group, on a host the unlimited root group.
    """
    if (root / "cgroup.controllers").exists():
        return _cpu_v2(root), _number(root / "memory.max")
    quota, period = _number(root / "cpu/cpu.cfs_quota_us"), _number(root / "cpu/cpu.cfs_period_us")
    cpu = quota * 1000 // period if quota and period and quota > 0 else None
    return cpu, _number(root / "memory/memory.limit_in_bytes")


def _cpu_v2(root: Path) -> int | None:
    try:
        quota, period = (root / "cpu.max").read_text().split()
        return None if quota == "max" else int(quota) * 1000 // int(period)
    except (OSError, ValueError):
        return None


def _number(path: Path) -> int | None:
    try:
        value = int(path.read_text())
    except (OSError, ValueError):
        return None  # also for the word "max"
    return value if value < UNLIMITED else None


def default_reserve(capacity: Mapping[str, int]) -> dict[str, int]:
    """Return what is kept for the system where nobody said: 100m cpu, 5 % of memory up to 1 GiB."""
    memory = capacity.get("memory", 0) // DEFAULT_RESERVE_MEMORY_SHARE
    return {
        "cpu": min(DEFAULT_RESERVE_CPU_MILLIS, capacity.get("cpu", 0) // 2),
        "memory": _round(min(MAX_DEFAULT_RESERVE_MEMORY_BYTES, memory)),
    }


def allocatable_of(capacity: Mapping[str, int], reserve: Mapping[str, int]) -> dict[str, int]:
    return {name: max(0, amount - reserve.get(name, 0)) for name, amount in capacity.items()}


def _round(amount: int) -> int:
    return amount // ROUND_BYTES * ROUND_BYTES


def _disk_pressure(data_root: str, before: bool) -> bool:
    if not data_root or not Path(data_root).exists():
        return False
    usage = psutil.disk_usage(data_root)
    threshold = DISK_PRESSURE_FREE * (PRESSURE_EASES if before else 1.0)
    return bool(usage.free < usage.total * threshold)


def _memory_pressure(before: bool) -> bool:
    threshold = MEMORY_PRESSURE_FREE_BYTES * (PRESSURE_EASES if before else 1.0)
    return bool(psutil.virtual_memory().available < threshold)


def nvidia_gpus() -> tuple[str, ...]:
    """Return the UUIDs of the NVIDIA GPUs, () where there is no nvidia-smi or it fails."""
    if shutil.which("nvidia-smi") is None:
        return ()
    command = ["nvidia-smi", "--query-gpu=uuid", "--format=csv,noheader"]
    try:
        found = subprocess.run(command, capture_output=True, text=True, timeout=20, check=True)
    except (OSError, subprocess.SubprocessError) as error:
        log.warning("nvidia-smi failed error=%s", error)
        return ()
    return tuple(line.strip() for line in found.stdout.splitlines() if line.strip())


def host_labels() -> dict[str, str]:
    """Return the labels that every node has."""
    arch = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
    return {
        "berth/hostname": socket.gethostname().lower()[:63],
        "berth/os": platform.system().lower(),
        "berth/arch": arch,
    }


def os_image() -> str:
    try:
        return platform.freedesktop_os_release().get("PRETTY_NAME", "")
    except OSError:
        return platform.platform()
