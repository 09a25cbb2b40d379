"""The data folder of a cluster on one machine: where things are, who holds it, and what is remembered.

pki/            CA, certificates, keys          up.json   what runs, and what is to be the same next time
etcd/           etcd's data                     lock      held by `berth up` while it lives
agents/<node>/  state folders of the agents     logs/     *.log of each process
history/        what became of objects          hollow/   state folder of the simulated nodes' process
"""

import fcntl
import json
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from local.errors import LocalError, RunsAlready
from local.files import private_folder, write_private
from local.processes import ProcessId, is_alive

VARIABLE = "BERTH_DATA_DIR"
TRIES, PAUSE_S = 4, 0.1  # to take the lock
OWN = frozenset(
    {"pki", "etcd", "agents", "hollow", "controller", "logs", "history", "lock"}
)  # what may be there without up.json
MAX_LOG_BYTES = 10 * 2**20  # a log that is longer when its process starts is set aside


@dataclass(frozen=True, slots=True)
class Record:
    """up.json. `up`: the process of `berth up`, None when it has ended in good order; `processes`: name -> the
    process, of what may still run. The rest is what the next `up` and `down` have to know."""

    up: ProcessId | None = None
    ready: bool = False
    processes: dict[str, ProcessId] = field(default_factory=dict)
    endpoints: tuple[str, ...] = ()
    client_port: int = 0
    peer_port: int = 0
    context: str = ""
    docker_host: str = ""
    nodes: tuple[str, ...] = ()
    hollow: tuple[str, ...] = ()


class Folder:
    """The data folder. `private` makes it; reading needs it not."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.pki = path / "pki"
        self.etcd = path / "etcd"
        self.agents = path / "agents"
        self.hollow = path / "hollow"
        self.controller = path / "controller"
        self.logs = path / "logs"
        self.history = path / "history" / "controller.db"

    def log(self, name: str) -> Path:
        return self.logs / f"{name}.log"

    def make(self) -> None:
        """Make the folders, for their owner only. Raises LocalError."""
        self._refuse_foreign()
        for each in (self.path, self.pki, self.etcd, self.agents, self.hollow, self.controller, self.logs):
            private_folder(each)

    def _refuse_foreign(self) -> None:
        """A folder that holds other things is not made private under somebody's feet."""
        try:
            names = {each.name for each in self.path.iterdir()}
        except (FileNotFoundError, NotADirectoryError):
            return
        except OSError as error:
            raise LocalError(f"{self.path} can't be read: {error}; name another with --data-dir") from None
        foreign = {
            name for name in names - OWN if not name.startswith(".up.json-")
        }  # of a write that was cut off
        if "pki" not in names:
            foreign = names
        if foreign and "up.json" not in names:
            raise LocalError(
                f"{self.path} holds other things ({', '.join(sorted(foreign)[:3])}); name a new folder with --data-dir"
            )

    def read(self) -> Record:
        """Return what is remembered. Raises LocalError."""
        path = self.path / "up.json"
        try:
            return _parse(json.loads(path.read_bytes()))
        except FileNotFoundError:
            return Record()
        except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
            raise LocalError(
                f"{path} can't be read ({error}); remove it: it only says what an earlier run may have left"
            ) from None

    def write(self, record: Record) -> None:
        write_private(self.path / "up.json", json.dumps(asdict(record), indent=1).encode())

    @contextmanager
    def held(self) -> Iterator[None]:
        """Hold the folder, so that one cluster runs in it. Raises RunsAlready."""
        handle = os.open(self.path / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            if not any(_try_lock(handle) for _ in range(TRIES)):
                raise RunsAlready(self._who())
            yield
        finally:
            os.close(handle)

    def is_held(self) -> bool:
        try:
            handle = os.open(self.path / "lock", os.O_RDWR | os.O_CLOEXEC)
        except OSError:
            return False
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return True
        finally:
            os.close(handle)
        return False

    def _who(self) -> str:
        up = self.read().up
        pid = f" with pid {up.pid}" if up and is_alive(up) else ""
        return (
            f"a cluster runs already in {self.path}: berth up{pid}; look: berth get nodes; stop it: berth down "
            f"--data-dir {self.path}; a second cluster needs its own --data-dir and --context"
        )


def _try_lock(handle: int) -> bool:
    """Try to lock; a look by `is_held` of another process takes no longer than the pause after a failure."""
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        time.sleep(PAUSE_S)
        return False
    return True


def _parse(raw: Mapping[str, Any]) -> Record:
    """Return the record; unknown fields are those of a later version, and are passed over."""
    known = {name: raw[name] for name in Record.__dataclass_fields__ if name in raw}
    known["processes"] = {name: ProcessId(**each) for name, each in known.get("processes", {}).items()}
    known |= {name: tuple(known.get(name, ())) for name in ("endpoints", "nodes", "hollow")}
    known["up"] = ProcessId(**known["up"]) if known.get("up") else None
    return Record(**known)


def default_data_dir(environment: Mapping[str, str]) -> Path:
    """Return the data folder: BERTH_DATA_DIR, else below the user's own data. Raises LocalError."""
    if named := environment.get(VARIABLE):
        return Path(named).expanduser().absolute()
    if shared := environment.get("XDG_DATA_HOME"):
        return Path(shared).absolute() / "berth"
    if home := environment.get("HOME"):
        return Path(home).absolute() / ".local" / "share" / "berth"
    raise LocalError(f"HOME is not set; name a folder with --data-dir or {VARIABLE}")


def begin_log(path: Path) -> None:
    """Set a log aside that has become long; one old one is kept."""
    if path.exists() and path.stat().st_size > MAX_LOG_BYTES:
        path.replace(path.with_suffix(".log.1"))


def last_lines(path: Path, count: int = 5) -> list[str]:
    """Return the last lines of a log, [] where there is none."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - 8192))
            return file.read().decode(errors="replace").splitlines()[-count:]
    except OSError:
        return []
