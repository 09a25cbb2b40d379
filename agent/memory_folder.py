"""Where files of Secrets lie: in memory, for this agent's user only, and where the container engine can see them.

No mount is made, which would take rights that the agent does without, and which the engine would not see when the
agent has mounts of its own: a folder is looked for that is in memory already, as /run is on most systems.
"""

import hashlib
import os
from collections.abc import Iterable
from pathlib import Path

from agent.errors import ConfigError

_IN_MEMORY = ("tmpfs", "ramfs")


def memory_folder(node: str, state_folder: Path, told: Path | None = None) -> Path:
    """Return this agent's folder, which may not be there yet; `told`: the one to use below. Raises ConfigError."""
    kinds = _kinds_of_mounts(Path("/proc/self/mounts").read_text())
    candidates = (told,) if told else tuple(_candidates())
    for candidate in candidates:
        if kind_of(candidate, kinds) in _IN_MEMORY:
            own = hashlib.sha256(str(state_folder).encode()).hexdigest()[:8]
            return candidate / f"{node}-{own}"
    looked = ", ".join(map(str, candidates))
    raise ConfigError(
        f"files of secrets are kept in memory only, and no tmpfs is at {looked}; "
        "mount one, and start this node's agent with: berth agent --secret-dir FOLDER"
    )


def _candidates() -> Iterable[Path]:
    """Yield where to look: the system's, the user's, and what every Linux has."""
    if os.geteuid() == 0:
        yield Path("/run/berth")
    elif user := os.environ.get("XDG_RUNTIME_DIR"):
        yield Path(user) / "berth"
    yield Path(f"/dev/shm/berth-{os.geteuid()}")


def make_private(folder: Path) -> None:
    """Make this agent's folder and the one above it, for its user only. Raises ConfigError, OSError.

    /dev/shm can be written by everybody, so that what is there may be somebody else's.
    """
    for each in (folder.parent, folder):
        each.parent.mkdir(parents=True, exist_ok=True)
        try:
            each.mkdir(mode=0o700)
        except FileExistsError:
            found = each.lstat()
            if not each.is_dir() or each.is_symlink() or found.st_uid != os.geteuid():
                raise ConfigError(
                    f"{each} is not a folder of this agent's user, so no secret is put there; remove it, or start "
                    "this node's agent with: berth agent --secret-dir FOLDER"
                ) from None
        each.chmod(0o700)


def _kinds_of_mounts(text: str) -> dict[str, str]:
    """Return mount point -> kind of file system; of several at one place the last counts."""
    lines = (line.split() for line in text.splitlines())
    return {fields[1].replace("\\040", " "): fields[2] for fields in lines if len(fields) > 2}


def kind_of(path: Path, kinds: dict[str, str]) -> str:
    """Return the kind of file system that `path`, which need not exist, is on."""
    resolved = path.resolve()
    return next((kinds[str(each)] for each in (resolved, *resolved.parents) if str(each) in kinds), "")
