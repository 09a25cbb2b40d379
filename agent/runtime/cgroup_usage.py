"""What a control group has used: the kernel's counters, of cgroup versions 1 and 2.

A process tells its groups in /proc/PID/cgroup: one line a hierarchy in version 1, as `4:memory:/docker/ID`, and
`0::/docker/ID` in version 2 (cgroups(7)).
"""

from dataclasses import dataclass
from pathlib import Path

CGROUP_ROOT = Path("/sys/fs/cgroup")
PROC = Path("/proc")


@dataclass(frozen=True, slots=True)
class CgroupFolders:
    """Where the counters of one group are; None for a resource that this host does not count."""

    cpu: Path | None
    memory: Path | None


def folders_of(pid: int, *, root: Path = CGROUP_ROOT, proc: Path = PROC) -> CgroupFolders | None:
    """Return the folders of a process' groups, None when it has ended or is not to be seen from here."""
    try:
        lines = (proc / str(pid) / "cgroup").read_text().splitlines()
    except OSError:
        return None
    paths: dict[str, str] = {}
    for line in lines:
        _, controllers, path = line.split(":", 2)
        paths.update(dict.fromkeys(controllers.split(","), path))
    if (root / "cgroup.controllers").exists():
        found = _existing(root, paths.get(""))
        return CgroupFolders(found, found)
    return CgroupFolders(
        _existing(root / "cpuacct", paths.get("cpuacct"))
        or _existing(root / "cpu,cpuacct", paths.get("cpuacct")),
        _existing(root / "memory", paths.get("memory")),
    )


def _existing(root: Path, path: str | None) -> Path | None:
    if path is None:
        return None
    folder = root / path.lstrip("/")
    return folder if folder.is_dir() else None


def cpu_ns(folders: CgroupFolders) -> int | None:
    """Return the cpu time that a group has used, in nanoseconds."""
    if folders.cpu is None:
        return None
    usage = _number(folders.cpu / "cpuacct.usage")
    if usage is not None:
        return usage
    micros = _field(folders.cpu / "cpu.stat", "usage_usec")
    return None if micros is None else micros * 1000


def memory_bytes(folders: CgroupFolders) -> int | None:
    """Return the working set of a group: its memory less inactive file pages, as kubelet and `docker stats` count."""
    if folders.memory is None:
        return None
    usage = _number(folders.memory / "memory.current")
    inactive = "inactive_file"
    if usage is None:
        usage, inactive = _number(folders.memory / "memory.usage_in_bytes"), "total_inactive_file"
    if usage is None:
        return None
    return max(0, usage - (_field(folders.memory / "memory.stat", inactive) or 0))


def _number(path: Path) -> int | None:
    try:
        return int(path.read_text())
    except (OSError, ValueError):
        return None


def _field(path: Path, name: str) -> int | None:
    """Return the number behind `name` in a file of lines `name number`."""
    try:
        for line in path.read_text().splitlines():
            key, _, value = line.partition(" ")
            if key == name:
                return int(value)
    except (OSError, ValueError):
        return None
    return None
