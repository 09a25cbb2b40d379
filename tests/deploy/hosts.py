"""Three hosts on one machine: each has a loopback address of its own, and the files that deploy/three-hosts makes.

Processes are started as systemd would: with the settings files and the command lines of the units. Only paths
below / and /etc are moved into the test's folder, and a few options are added (short leases, the test's Docker).
"""

import os
import random
import re
import shlex
import shutil
import subprocess
import sys
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from client import Client
from tests.support.cluster import LEASE_TTL_S
from tests.support.ports import PORTS_EACH, free_port_block
from tests.support.wait import eventually
from tools import CLONE
from tools.docker_http import container_labels, remove_container
from tools.processes import start_server, stop_server

DEPLOY = CLONE / "deploy"
BERTH = Path(sys.executable).parent / "berth"
NAMES = ("a", "b", "c")
TEAM, USER = "team-a", "alice"
ETCD_START_S = 60.0


def settings(path: Path, root: Path) -> dict[str, str]:
    """Return the variables of a file as systemd reads it, with paths below /etc moved to below `root`."""
    lines = [line.strip() for line in path.read_text().splitlines()]
    pairs = (line.partition("=") for line in lines if line and not line.startswith("#"))
    return {name: value.replace("/etc/", f"{root}/etc/") for name, _, value in pairs}


def unit_text(name: str) -> str:
    return (DEPLOY / "systemd" / f"{name}.service").read_text()


def restricted(name: str) -> list[str]:
    """Return what takes from root all rights that a unit leaves out; nothing where that can't be done."""
    if os.geteuid() != 0 or shutil.which("setpriv") is None:
        return []
    found = re.search(r"^CapabilityBoundingSet=(.*)$", unit_text(name), re.MULTILINE)
    assert found
    kept = [f"+{each.removeprefix('CAP_').lower()}" for each in found[1].split()]
    return ["setpriv", "--no-new-privs", f"--bounding-set=-all,{','.join(kept)}"]


def unit_command(name: str, variables: dict[str, str]) -> list[str]:
    """Return the command line of a unit, its variables filled in as systemd does: split at spaces."""
    found = re.search(r"^ExecStart=(.*)$", unit_text(name), re.MULTILINE)
    assert found
    line = re.sub(r"\$(\w+)", lambda variable: variables[variable[1]], found[1])
    return shlex.split(line)


@dataclass
class Host:
    """One host: its name is also that of its node."""

    name: str
    address: str
    root: Path  # what lies below / there
    running: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def start_etcd(self) -> None:
        variables = settings(self.root / "etc/default/etcd", self.root)
        variables["ETCD_DATA_DIR"] = str(self.root / "data")
        self._start("etcd", ["etcd"], {**variables, "ETCD_LOG_LEVEL": "warn", "ETCD_LOGGER": "zap"})

    def start_controller(self) -> None:
        variables = settings(self.root / "etc/berth/controller.env", self.root)
        command = unit_command("berth-controller", variables)
        command[command.index("/var/lib/berth-controller/history.db")] = str(self.root / "history.db")
        more = ["--identity", self.name, "--lease-ttl", str(LEASE_TTL_S)]
        self._start("controller", [str(BERTH), *command[1:], *more], variables)

    def start_agent(self, docker_host: str) -> None:
        variables = settings(self.root / "etc/berth/agent.env", self.root)
        command = unit_command("berth-agent", variables)
        command[command.index("/var/lib/berth")] = str(self.root / "state")
        first = free_port_block()
        ports = ["--port-range", f"{first}-{first + PORTS_EACH - 1}"]
        more = ["--docker-host", docker_host, "--lease-ttl", str(LEASE_TTL_S), *ports]
        self._start("agent", [*restricted("berth-agent"), str(BERTH), *command[1:], *more], variables)

    def _start(self, what: str, command: list[str], variables: dict[str, str]) -> None:
        cleared = dict.fromkeys((each for each in os.environ if each.startswith(("BERTH_", "ETCD"))), "")
        kept = {name: value for name, value in {**cleared, **variables}.items() if value}
        self.running[what] = start_server(command, self.root, log=self.log(what), extra=kept)

    def log(self, what: str) -> Path:
        return self.root / f"{what}.log"

    def kill(self, what: str) -> None:
        """End one process at once, as a power cut does."""
        process = self.running.pop(what)
        process.kill()
        process.wait()

    def end(self, what: str) -> None:
        """End one process without waiting for it: etcd at once, as its members would wait for each other."""
        if what in self.running:
            process = self.running[what]
            process.kill() if what == "etcd" else process.terminate()

    def close(self) -> None:
        for process in self.running.values():
            stop_server(process)
        self.running.clear()


@dataclass(frozen=True)
class ThreeHosts:
    """The hosts, and what a person at a fourth machine has: certificates and a list of endpoints."""

    folder: Path
    hosts: tuple[Host, ...]

    @property
    def endpoints(self) -> str:
        return ",".join(f"https://{host.address}:2379" for host in self.hosts)

    def variables(self, user: str) -> dict[str, str]:
        """What makes a person a user: his certificate."""
        users = self.folder / "users"
        named = {"cacert": users / "ca.crt", "cert": users / f"{user}.crt", "key": users / f"{user}.key"}
        files = {
            f"{tool}_{name.upper()}": str(path)
            for tool in ("BERTH", "ETCDCTL")
            for name, path in named.items()
        }
        return {**files, "BERTH_ETCD": self.endpoints, "ETCDCTL_ENDPOINTS": self.endpoints}

    def run(
        self, user: str, *command: str, stdin: str = "", **variables: str
    ) -> subprocess.CompletedProcess[str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("BERTH_", "ETCD"))}
        environment = {**kept, "ETCDCTL_API": "3", **self.variables(user), **variables}
        return subprocess.run(
            command, input=stdin, env=environment, capture_output=True, text=True, timeout=120, check=False
        )

    def berth(self, user: str, *arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        done = self.run(user, str(BERTH), *arguments, stdin=stdin)
        assert "Traceback" not in done.stderr, done.stderr
        return done

    def client(self, user: str) -> Client:
        given = {name: self.variables(user)[f"BERTH_{name.upper()}"] for name in ("cacert", "cert", "key")}
        return Client.connect(self.endpoints, **given)

    def logs(self) -> dict[str, str]:
        paths = [host.log(what) for host in self.hosts for what in ("etcd", "controller", "agent")]
        return {
            f"{path.parent.name}/{path.name}": path.read_text()[-3000:] for path in paths if path.exists()
        }


def make(folder: Path, names: tuple[str, ...] = NAMES) -> ThreeHosts:
    """Make the files of hosts whose addresses nobody else on this machine uses."""
    net = f"127.{random.randint(16, 250)}.{random.randint(1, 250)}"
    mark = uuid.uuid4().hex[:6]
    addresses = {f"e2e-{mark}-{name}": f"{net}.{11 + index}" for index, name in enumerate(names)}
    words = [f"{name}={address}" for name, address in addresses.items()]
    run_script("make.sh", str(folder), *words, f"user:{USER}")
    return ThreeHosts(folder, tuple(Host(name, each, folder / name) for name, each in addresses.items()))


def run_script(name: str, *arguments: str, **environment: str) -> str:
    """Run a script of deploy/three-hosts, which must work, and return what it prints."""
    command = [str(DEPLOY / "three-hosts" / name), *arguments]
    variables = {**os.environ, "BERTH": str(BERTH), **environment}
    done = subprocess.run(command, env=variables, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@contextmanager
def started(folder: Path, docker_host: str) -> Iterator[ThreeHosts]:
    """Start etcd, its users, controllers on the first two hosts, and an agent on each."""
    three = make(folder)
    with ExitStack() as stack:
        stack.callback(_remove_containers, docker_host, {host.name for host in three.hosts})
        for host in three.hosts:
            stack.callback(host.close)
        for part in ("etcd", "controller", "agent"):  # ended in the other order, all hosts at once
            stack.callback(_end_everywhere, three, part)
        for host in three.hosts:
            host.start_etcd()
        eventually(lambda: three.run("root", "etcdctl", "endpoint", "health").returncode == 0, ETCD_START_S)
        run_script(
            "users.sh", *(host.name for host in three.hosts), f"{TEAM}:{USER}", **three.variables("root")
        )
        for host in three.hosts[:2]:
            host.start_controller()
        for host in three.hosts:
            host.start_agent(docker_host)
        yield three


def _end_everywhere(three: ThreeHosts, part: str) -> None:
    for host in three.hosts:
        host.end(part)
    for host in three.hosts:
        if part in host.running:
            stop_server(host.running.pop(part))


def _remove_containers(docker_host: str, nodes: set[str]) -> None:
    for container, labels in container_labels(docker_host).items():
        if labels.get("berth.node") in nodes:
            remove_container(docker_host, container)
