"""Get this machine ready: system programs, virtual environment, packages. Does nothing when all is there.

    python3 -m tools.setup              all that `make test` and `make demo` need
    python3 -m tools.setup packages     the virtual environment alone, as for `make lint`

Runs under the system's Python (3.11 or newer) with the standard library alone. What is missing is installed
from apt by root or through `sudo -n`; elsewhere the message names what to install. Services are not started.
"""

import hashlib
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from tools import BUILD, CLONE
from tools.apt import run_apt
from tools.docker_http import users_engine
from tools.errors import SetupError, ToolError
from tools.image import UNPACKED, find_busybox

VENV = CLONE / ".venv"
STAMP = BUILD / "setup.stamp"
SBIN = (
    "/usr/local/sbin",
    "/usr/sbin",
    "/sbin",
)  # where dockerd and ip are, and where a user's PATH may not look


@dataclass(frozen=True, slots=True)
class Facts:
    """What this machine has."""

    has_venv: bool
    has_etcd: bool
    has_docker: bool  # a daemon answers
    has_dockerd: bool  # the program is there
    has_ip: bool
    has_busybox: bool
    is_root: bool
    has_apt: bool
    has_sudo: bool  # without a password
    has_haproxy: bool = True  # for the example of a load balancer
    has_etcdctl: bool = True  # people look into etcd with it, and so do the tests
    has_git: bool = True  # the controller reads repositories with it
    has_sshd: bool = True  # tests read private repositories from it
    is_ci: bool = False
    python_package: str = "python3-venv"


@dataclass(frozen=True, slots=True)
class Needs:
    """What is to be done: Debian packages to install, one to unpack in the clone, and what only a person can do."""

    install: tuple[str, ...] = ()
    unpack: tuple[str, ...] = ()
    by_hand: tuple[str, ...] = ()


def decide(facts: Facts) -> Needs:
    """Return what this machine lacks. Pure.

    Programs for a private dockerd count only where no daemon answers. busybox-static is unpacked rather than
    installed, because it conflicts with the package busybox that many machines have. A server for ssh is installed
    in CI only: who develops need not have one, and the tests that need it say so.
    """
    private = not facts.has_docker
    wanted = (
        (not facts.has_venv, facts.python_package),
        (not facts.has_etcd, "etcd-server"),
        (not facts.has_etcdctl, "etcd-client"),
        (not facts.has_git, "git"),
        (private and not facts.has_dockerd, "docker.io"),
        (private and not facts.has_ip, "iproute2"),
        (not facts.has_haproxy, "haproxy"),
        (facts.is_ci and not facts.has_sshd, "openssh-server"),
    )
    install = tuple(package for is_missing, package in wanted if is_missing)
    unpack = () if facts.has_busybox else ("busybox-static",)
    return Needs(install, unpack, tuple(_by_hand(facts, install, unpack)))


def _by_hand(facts: Facts, install: tuple[str, ...], unpack: tuple[str, ...]) -> list[str]:
    """Return what set-up can't do here, as instructions."""
    told = []
    if install and not facts.has_apt:
        told.append(f"install what these Debian packages hold: {' '.join((*install, *unpack))}")
    elif install and not (facts.is_root or facts.has_sudo):
        told.append(f"as root: apt-get update && apt-get install {' '.join(install)}")
    elif unpack and not facts.has_apt:
        told.append("install a statically linked busybox")
    if not (facts.has_docker or facts.is_root):
        told.append(
            "start Docker and let this user reach it (or run make as root, which starts a private one)"
        )
    return told


def look() -> Facts:
    """Find out what this machine has.

    sudo is tried only where it is needed, since it reports refusals to the administrator.
    """
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    has_venv = (VENV / "bin/python").exists() or importlib.util.find_spec("ensurepip") is not None
    facts = Facts(
        has_venv=has_venv,
        has_etcd=shutil.which("etcd") is not None,
        has_docker=users_engine() is not None,
        has_dockerd=shutil.which("dockerd") is not None,
        has_ip=shutil.which("ip") is not None,
        has_busybox=find_busybox() is not None,
        is_root=os.geteuid() == 0,
        has_apt=shutil.which("apt-get") is not None,
        has_sudo=False,
        has_haproxy=shutil.which("haproxy") is not None,
        has_etcdctl=shutil.which("etcdctl") is not None,
        has_git=shutil.which("git") is not None,
        has_sshd=shutil.which("sshd") is not None,
        is_ci=bool(os.environ.get("CI")),
        python_package=f"python{version}-venv",
    )
    if decide(facts).install and not facts.is_root:
        return replace(facts, has_sudo=_succeeds("sudo", "-n", "true"))
    return facts


def prepare_machine(needs: Needs) -> None:
    """Do what was decided; raise if a person is needed."""
    if needs.by_hand:
        raise SetupError(
            "this machine lacks something:\n" + "\n".join(f"  - {told}" for told in needs.by_hand)
        )
    if needs.install:
        print(f"installing {' '.join(needs.install)} (services are not started)", flush=True)
        _run_as_root(sys.executable, "-m", "tools.apt", "install", *needs.install)
        if Path("/run/systemd/system").exists() and {"etcd-server", "docker.io"} & set(needs.install):
            print(
                "hint: keep them from starting at the next boot with: systemctl disable etcd docker.socket docker"
            )
    for package in needs.unpack:
        print(f"unpacking {package}", flush=True)
        unpack_package(package, UNPACKED)
        if find_busybox() is None:
            raise SetupError(f"the package {package} holds no static busybox for this machine")


def _run_as_root(*command: str) -> None:
    sudo = [] if os.geteuid() == 0 else ["sudo", "-n"]
    if subprocess.run([*sudo, *command], cwd=CLONE, check=False).returncode != 0:
        raise SetupError("set-up stops here")


def unpack_package(package: str, folder: Path) -> None:
    """Download a package and unpack it into a folder of the build, which is emptied. Raises SetupError."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    try:
        run_apt("download", package, folder=folder)
    except SetupError:  # the lists of packages are absent or stale
        _run_as_root("apt-get", "-q", "-q", "update")
        run_apt("download", package, folder=folder)
    for archive in folder.glob("*.deb"):
        subprocess.run(["dpkg-deb", "-x", archive, folder], check=True)
        archive.unlink()


def prepare_packages() -> None:
    """Create the virtual environment and install the pinned packages, unless the stamp says it is done."""
    wanted = stamp_text()
    if (VENV / "bin/python").exists() and STAMP.exists() and STAMP.read_text() == wanted:
        return
    STAMP.unlink(missing_ok=True)
    if not _succeeds(str(VENV / "bin/python"), "-m", "pip", "--version"):
        print(f"creating {VENV.name} with {sys.executable}", flush=True)
        _run([sys.executable, "-m", "venv", "--clear", str(VENV)], "can't create the virtual environment")
    print("installing the Python packages", flush=True)
    pip = [str(VENV / "bin/python"), "-m", "pip", "--quiet", "--disable-pip-version-check"]
    cache = ["--cache-dir", str(BUILD / "pip")]  # not in the user's home
    _run(
        [*pip, "install", *cache, "-c", "constraints.txt", "-e", ".[dev]"],
        "can't install the Python packages",
    )
    STAMP.parent.mkdir(exist_ok=True)
    STAMP.write_text(wanted)


def stamp_text(clone: Path = CLONE) -> str:
    """Return what an installation depends on: metadata, pins, where the clone is (scripts name it).

    Other sections of pyproject.toml, such as the linters', don't count.
    """
    project = tomllib.loads((clone / "pyproject.toml").read_text())
    metadata = [
        project.get("build-system"),
        project.get("project"),
        project.get("tool", {}).get("setuptools"),
    ]
    pins = (clone / "constraints.txt").read_text()
    return hashlib.sha256(json.dumps([metadata, pins, str(clone)]).encode()).hexdigest()


def _run(command: list[str], failure: str) -> None:
    """Run a command in the clone; its output is shown only if it fails."""
    done = subprocess.run(
        command, cwd=CLONE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    if done.returncode != 0:
        raise SetupError(f"{failure}; `{' '.join(command)}` said:\n{done.stdout[-4000:]}")


def _succeeds(*command: str) -> bool:
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=False)
    except OSError:
        return False
    return done.returncode == 0


def _prepare_all() -> None:
    prepare_machine(decide(look()))
    prepare_packages()


def _prepare_packages_only() -> None:
    """Install nothing of the system but what a virtual environment needs."""
    facts = look()
    if not facts.has_venv:
        only_python = replace(
            facts, has_etcd=True, has_etcdctl=True, has_docker=True, has_busybox=True, has_haproxy=True
        )
        prepare_machine(decide(only_python))
    prepare_packages()


WHAT: dict[tuple[str, ...], Callable[[], None]] = {(): _prepare_all, ("packages",): _prepare_packages_only}


def main(arguments: list[str]) -> int:
    """Run the command line."""
    act = WHAT.get(tuple(arguments))
    if act is None:
        print(__doc__, file=sys.stderr)
        return 2
    os.environ["PATH"] = os.pathsep.join((os.environ.get("PATH", os.defpath), *SBIN))
    act()
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except ToolError as error:
        sys.exit(f"error: {error}")
