"""What the demo could have left on the machine outside of the clone.

Watched are the places that etcd, dockerd, containerd and Python programs write to. Other programs write there at
the same time; so a new entry counts only if its name tells that it is of one of ours.
"""

import os
from collections.abc import Iterable
from pathlib import Path

WATCHED = (
    "/tmp",
    "/var/tmp",
    "/dev/shm",
    "/run",
    "/opt",
    "/etc",
    "/var/lib",
    "/var/log",
    "/var/cache",
    "~",
    "~/.config",
)
DEEPER = (
    "/run/docker",
    "/run/containerd",
    "/opt/containerd",
    "/etc/docker",
    "/var/lib/docker",
    "/var/lib/containerd",
)
INTERFACES = "/sys/class/net"
OURS = ("berth", "etcd", "docker", "containerd", "runc")


def machine_entries() -> set[str]:
    """Return the paths in the watched folders, and of the network interfaces."""
    folders = [Path(os.path.expanduser(name)) for name in (*WATCHED, *DEEPER, INTERFACES)]
    return {str(entry) for folder in folders for entry in _entries(folder)}


def _entries(folder: Path) -> Iterable[Path]:
    try:
        return list(folder.iterdir())
    except OSError:
        return []


def suspicious(entries: Iterable[str]) -> list[str]:
    """Return those of new entries that our programs made. Pure."""
    return sorted(entry for entry in entries if any(word in entry.lower() for word in OURS))
