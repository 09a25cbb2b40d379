"""The control groups of a private dockerd: room for them at the start, no trace at the end."""

import os
from contextlib import suppress
from pathlib import Path

CGROUPS = Path("/sys/fs/cgroup")


def make_room(root: Path = CGROUPS) -> None:
    """Let containers have limits inside of a container under cgroup version 2, as Docker's own `dind` script does.

    A group other than the machine's root group can't both hold processes and hand out limits (cgroups(7), "no
    internal processes"). So where `root` is such a group (the root group has no cgroup.type), its processes move
    to the group `init`. Nothing happens on a machine proper, or under version 1.
    """
    controllers = root / "cgroup.controllers"
    if not (controllers.exists() and (root / "cgroup.type").exists()):
        return
    with suppress(OSError):  # read-only: dockerd's own message is clearer than ours
        (root / "init").mkdir(exist_ok=True)
        for pid in (root / "cgroup.procs").read_text().split():
            with suppress(ProcessLookupError):
                (root / "init/cgroup.procs").write_text(pid)
        wanted = " ".join(f"+{name}" for name in controllers.read_text().split())
        (root / "cgroup.subtree_control").write_text(wanted)


def remove_cgroups(name: str, root: Path = CGROUPS) -> None:
    """Remove the groups below `name`: one tree in version 2, one for each resource in version 1."""
    for tree in (root / name, *root.glob(f"*/{name}")):
        for folder, _, _ in os.walk(tree, topdown=False):
            with suppress(OSError):
                os.rmdir(folder)
