"""A private dockerd that shares nothing with a user's own and leaves nothing behind.

Data root, exec root, socket and pid file are in one folder. Four measures keep the rest of the machine clean:
- it runs in its own mount namespace, where the places that dockerd and containerd write to whatever their
  options say (OUTSIDE) are folders of ours; its mounts vanish with its last process, even after a crash;
- it has its own bridge and cgroup, named after its folder;
- it makes no iptables rule and leaves ip_forward alone: published ports go through docker-proxy, a plain process.
  The price: its containers reach this machine and each other, but not the internet;
- its processes are marked (tools.processes), so leftovers of a crashed run are found and ended.

Inside the namespace the folder `run` is mounted on /run/containerd, so that no path exceeds the 107 bytes of a
unix socket's address, however deep the clone is.
"""

import fcntl
import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from tools import bridge
from tools.cgroups import make_room, remove_cgroups
from tools.docker_http import answers, container_labels, remove_container
from tools.errors import EngineUnavailable, StartError, ToolError
from tools.processes import kill_marked, start_server, stop_server, tail

INSIDE = "/run/containerd"  # where the folder `run` is mounted; shims keep their sockets in /run/containerd/s
OUTSIDE = ("/run/containerd", "/run/docker", "/opt/containerd", "/etc/docker")
SOCKET_PATH_BYTES = 107  # unix(7): sun_path holds 108 with its final zero
START_TIMEOUT_S = 60.0  # 1 s as a rule; a cold disk and a first use of overlayfs take longer
MAX_ENGINES = 16  # concurrent runs in one clone; more is a mistake
POLL_S = 0.1

# $1 = the folder `run`; the rest is the command. `run` itself comes last, for it holds the others' sources.
LAUNCH = f"""set -eu
run=$1; shift
for place in {" ".join(OUTSIDE)}; do mkdir -p "$place" "$run/outside$place"; done
for place in {" ".join(OUTSIDE[1:])}; do mount --bind "$run/outside$place" "$place"; done
mount --bind "$run" {INSIDE}
exec "$@"
"""


@dataclass(frozen=True, slots=True)
class EnginePaths:
    """Where one private engine keeps its things, all below `root` but the log, which stays for the reader."""

    root: Path

    @property
    def run(self) -> Path:
        return self.root / "run"

    @property
    def data(self) -> Path:
        return self.root / "data"

    @property
    def socket(self) -> Path:
        return self.run / "sock"

    @property
    def made(self) -> Path:
        """The list of folders outside of the clone that we had to make as mount points."""
        return self.root / "made.json"

    @property
    def log(self) -> Path:
        return self.root.with_name(f"{self.root.name}.log")

    @property
    def lock(self) -> Path:
        return self.root.with_name(f"{self.root.name}.lock")

    @property
    def bridge(self) -> str:
        return bridge.bridge_name(self.root)

    def config(self) -> dict[str, object]:
        """Return dockerd's configuration; a file of ours, since the user's own may say otherwise."""
        return {
            "hosts": [f"unix://{INSIDE}/sock"],
            "data-root": str(self.data),
            "exec-root": f"{INSIDE}/docker",
            "pidfile": str(self.root / "pid"),
            "bridge": self.bridge,
            "cgroup-parent": f"/{self.bridge}",
            "exec-opts": ["native.cgroupdriver=cgroupfs"],
            "iptables": False,
            "ip6tables": False,
            "ip-forward": False,
            "ip-masq": False,
        }


@contextmanager
def private_engine(folder: Path) -> Iterator[str]:
    """Run a private dockerd in the first unused subfolder of `folder`; yield its host."""
    require_means()
    with _locked_paths(folder.resolve()) as paths:
        clear(paths)
        try:
            with _host(paths) as host:
                server = _start(paths)
                try:
                    _await_answer(host, server, paths)
                    yield host
                finally:
                    _stop(host, server)
        finally:
            clear(paths)


def require_means() -> None:
    """Raise unless this user and machine can run a private dockerd."""
    if os.geteuid() != 0:
        raise EngineUnavailable(
            "no Docker daemon answers, and only root may start a private one\n"
            "start Docker and let this user reach it, or run make as root"
        )
    missing = [name for name in ("dockerd", "ip", "unshare", "mount") if shutil.which(name) is None]
    if missing:
        raise EngineUnavailable(
            f"can't start a private dockerd without {', '.join(missing)}; run: make setup"
        )


@contextmanager
def _locked_paths(folder: Path) -> Iterator[EnginePaths]:
    """Yield the paths of the first engine that no other run uses, locked for us."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(1, MAX_ENGINES + 1):
        paths = EnginePaths(folder / str(number))
        with paths.lock.open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                continue
            yield paths
            return
    raise EngineUnavailable(f"{MAX_ENGINES} private engines run in {folder} already")


@contextmanager
def _host(paths: EnginePaths) -> Iterator[str]:
    """Yield the address of the engine's socket, short enough for the kernel.

    Where the clone lies too deep, the address goes through a folder that this process holds open,
    so it is good for as long as this process lives.
    """
    paths.run.mkdir(parents=True)
    if len(os.fsencode(paths.socket)) <= SOCKET_PATH_BYTES:
        yield f"unix://{paths.socket}"
        return
    descriptor = os.open(paths.run, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield f"unix:///proc/{os.getpid()}/fd/{descriptor}/{paths.socket.name}"
    finally:
        os.close(descriptor)


def _start(paths: EnginePaths) -> subprocess.Popen[bytes]:
    """Start dockerd on its own bridge, in its own mount namespace."""
    make_room()
    bridge.create_bridge(paths.bridge)
    paths.made.write_text(json.dumps(_places_to_make(paths)))
    config = paths.root / "daemon.json"
    config.write_text(json.dumps(paths.config(), indent=2))
    paths.log.unlink(missing_ok=True)
    namespace = ["unshare", "--mount", "--propagation", "slave", "sh", "-c", LAUNCH, "sh", str(paths.run)]
    return start_server([*namespace, "dockerd", "--config-file", str(config)], paths.root, log=paths.log)


def _places_to_make(paths: EnginePaths) -> list[str]:
    """Return which places don't exist yet, or exist only because another engine of this clone made them."""
    made = {
        place for record in paths.root.parent.glob(f"*/{paths.made.name}") for place in _read_list(record)
    }
    return [place for place in OUTSIDE if place in made or not Path(place).exists()]


def _await_answer(host: str, server: subprocess.Popen[bytes], paths: EnginePaths) -> None:
    deadline = time.monotonic() + START_TIMEOUT_S
    while not answers(host):
        if server.poll() is not None or time.monotonic() > deadline:
            state = "still running" if server.poll() is None else f"ended with code {server.returncode}"
            raise StartError(
                f"the private dockerd doesn't answer ({state}); end of {paths.log}:\n{tail(paths.log)}"
            )
        time.sleep(POLL_S)


def _stop(host: str, server: subprocess.Popen[bytes]) -> None:
    """Remove the containers, so that dockerd has no one to be patient with, then stop it."""
    with suppress(OSError, ToolError):
        for container_id in container_labels(host):
            remove_container(host, container_id)
    stop_server(server)


def clear(paths: EnginePaths) -> None:
    """Remove all that an engine of these paths left: processes, bridge, cgroup, mount points, data."""
    kill_marked(paths.root)
    bridge.delete_bridge(paths.bridge)
    remove_cgroups(paths.bridge)
    for place in _read_list(paths.made):
        if not _is_mounted_anywhere(place):  # else rmdir would take it from another engine's namespace
            with suppress(OSError):
                os.rmdir(place)
    if paths.root.exists():
        shutil.rmtree(paths.root)


def _read_list(path: Path) -> list[str]:
    """Return the list in a JSON file; empty when there is none, or a crash cut it short."""
    try:
        return list(json.loads(path.read_text()))
    except (OSError, ValueError):
        return []


def _is_mounted_anywhere(place: str) -> bool:
    """The place is a mount point in some process's namespace."""
    for mounts in Path("/proc").glob("[0-9]*/mountinfo"):
        with suppress(OSError):
            if f" {place} " in mounts.read_text(errors="replace"):
                return True
    return False


def clear_leftovers(folder: Path) -> None:
    """Clear every engine below `folder` that no run holds locked."""
    for lock_path in sorted(folder.resolve().glob("*.lock")):
        with lock_path.open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                print(f"{lock_path.with_suffix('')} is in use and stays")
                continue
            clear(EnginePaths(lock_path.with_suffix("")))
