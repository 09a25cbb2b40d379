"""What runs on this machine, as values: the command of each process, in the order in which they start. Pure."""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from client.connect import Settings
from local.errors import LocalError
from local.folder import Folder
from local.pki import Pki

HOLLOW = "berth/hollow"  # label and taint of simulated nodes, so that no real task lands there by accident
MIN_PORTS_EACH = 10  # host ports that an agent needs to be of any use
CONTROLLER_LEASE_S, AGENT_LEASE_S = 5, 10  # no network lies between, so a silent one is dead sooner
STOP_FIRST, STOP_NEXT = 0, 1  # etcd goes last


@dataclass(frozen=True, slots=True)
class UpOptions:
    """What a person asked for.

    nodes, hollow: numbers of agents and of simulated nodes. node: name of the (first part of the) node.
    ports: first and last host port for tasks, of all agents together. capacity: as `berth agent --capacity`.
    external: settings of an etcd that runs already; None starts one. docker_host: as `berth agent --docker-host`.
    """

    node: str
    nodes: int = 1
    hollow: int = 0
    ports: tuple[int, int] = (31000, 32767)
    capacity: str = ""
    docker_host: str = ""
    prefix: str = "/berth"
    external: Settings | None = None
    context: str = "local"

    @property
    def node_names(self) -> tuple[str, ...]:
        if self.nodes == 1:
            return (self.node,)
        return tuple(f"{self.node}-{number}" for number in range(1, self.nodes + 1))

    @property
    def fleet(self) -> str:
        """The name of the process that simulates nodes."""
        return f"{self.node}-hollow"

    @property
    def hollow_names(self) -> tuple[str, ...]:
        """As `berth agent --count` names them."""
        return tuple(f"{self.fleet}-{number:04d}" for number in range(1, self.hollow + 1))


@dataclass(frozen=True, slots=True)
class Child:
    """One process. turn: when it is stopped, lower ones first; patience_s: from SIGTERM to SIGKILL."""

    name: str
    command: tuple[str, ...]
    turn: int
    patience_s: float


def berth(*arguments: str) -> tuple[str, ...]:
    """Return the command of another `berth`, the same code as this one; it runs in the folder of the packages."""
    return (sys.executable, "-m", "cli", *arguments)


def package_folder() -> Path:
    """Return the folder that holds the packages: a clone, or site-packages."""
    return Path(__file__).resolve().parents[1]


def etcd_command(program: str, folder: Folder, pki: Pki, client_port: int, peer_port: int) -> tuple[str, ...]:
    """Return the command of a single member that speaks to nobody without a certificate of our CA."""
    client, peer = f"https://127.0.0.1:{client_port}", f"https://127.0.0.1:{peer_port}"
    cert, key, ca = pki.server_cert, pki.server_key, pki.ca
    return (
        program,
        "--name=berth",
        f"--data-dir={folder.etcd}",
        f"--listen-client-urls={client}",
        f"--advertise-client-urls={client}",
        f"--cert-file={cert}",
        f"--key-file={key}",
        f"--trusted-ca-file={ca}",
        "--client-cert-auth",
        f"--listen-peer-urls={peer}",
        f"--initial-advertise-peer-urls={peer}",
        f"--initial-cluster=berth={peer}",
        f"--peer-cert-file={cert}",
        f"--peer-key-file={key}",
        f"--peer-trusted-ca-file={ca}",
        "--peer-client-cert-auth",
        "--snapshot-count=10000",  # 3.4 keeps ten times as many entries in memory
        "--logger=zap",
        "--log-level=warn",
    )


def children(options: UpOptions, settings: Settings, folder: Folder, pki: Pki) -> tuple[Child, ...]:
    """Return controller, agents and the fleet of simulated nodes. settings: how they reach etcd."""
    agents = [
        Child(f"agent-{name}", _agent(options, settings, folder, pki, index), STOP_FIRST, 20.0)
        for index, name in enumerate(options.node_names)
    ]
    secret_key = (f"--secret-key={pki.secret_key}",) if options.external is None else ()
    lease = f"--lease-ttl={CONTROLLER_LEASE_S}"
    tls = _server_tls(options, pki)
    kept = (f"--history-file={folder.history}", f"--state-dir={folder.controller}")
    controller = (*_etcd_options(settings), "--listen=127.0.0.1:0", *tls, lease, *kept, *secret_key)
    found = [Child("controller", berth("controller", *controller), STOP_NEXT, 15.0), *agents]
    if options.hollow:
        found.append(Child("hollow", _fleet(options, settings, folder), STOP_FIRST, 15.0))
    return tuple(found)


def _agent(options: UpOptions, settings: Settings, folder: Folder, pki: Pki, index: int) -> tuple[str, ...]:
    name, (first, last) = options.node_names[index], port_ranges(options)[index]
    return berth(
        "agent",
        *_etcd_options(settings),
        f"--node={name}",
        f"--state-dir={folder.agents / name}",
        "--listen=127.0.0.1:0",
        *((f"--docker-host={options.docker_host}",) if options.docker_host else ()),
        f"--port-range={first}-{last}",
        f"--share={index + 1}/{options.nodes}",
        *((f"--capacity={options.capacity}",) if options.capacity else ()),
        f"--lease-ttl={AGENT_LEASE_S}",
        *_server_tls(options, pki),
    )


def _server_tls(options: UpOptions, pki: Pki) -> tuple[str, ...]:
    """How controller and agents serve; of an etcd that is not ours the client's certificates are of another CA."""
    if options.external is not None:
        return ()
    return (f"--server-cert={pki.server_cert}", f"--server-key={pki.server_key}", f"--client-ca={pki.ca}")


def _fleet(options: UpOptions, settings: Settings, folder: Folder) -> tuple[str, ...]:
    return berth(
        "agent",
        "--runtime=hollow",
        f"--count={options.hollow}",
        *_etcd_options(settings),
        f"--node={options.fleet}",
        f"--state-dir={folder.hollow}",
        "--listen=127.0.0.1:0",
        "--label",
        f"{HOLLOW}=true",
        "--gpu=none",
    )


def stop_tasks_command(node: str, docker_host: str, folder: Folder) -> tuple[str, ...]:
    """Return the command that stops and removes the containers of a node whose agent has ended."""
    host = (f"--docker-host={docker_host}",) if docker_host else ()
    return berth(
        "agent", "--stop-tasks", f"--node={node}", f"--state-dir={folder.agents / node}", *host, "--etcd=none"
    )


def _etcd_options(settings: Settings) -> tuple[str, ...]:
    given = {
        "etcd": ",".join(settings.endpoints),
        "cacert": settings.ca_file,
        "cert": settings.cert_file,
        "key": settings.key_file,
        "root": settings.prefix,
    }
    return tuple(f"--{name}={value}" for name, value in given.items() if value)


def port_ranges(options: UpOptions) -> tuple[tuple[int, int], ...]:
    """Return the host ports of each agent. Raises LocalError where they are too few."""
    first, last = options.ports
    each = (last - first + 1) // max(1, options.nodes)
    if options.nodes and each < MIN_PORTS_EACH:
        raise LocalError(
            f"--port-range {first}-{last} leaves {each} ports for each of {options.nodes} nodes, and each needs "
            f"{MIN_PORTS_EACH}; give a wider one"
        )
    return tuple((first + each * index, first + each * (index + 1) - 1) for index in range(options.nodes))


def clean_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the environment without what would change the meaning of the options."""
    foreign = ("BERTH_", "ETCD_")
    return {name: value for name, value in environment.items() if not name.startswith(foreign)}


def left_behind(gone: Sequence[str], folder_option: str, context_option: str) -> str:
    """Say what goes on at nodes of the last time, and how it is ended. gone: at least one name. Pure."""
    told = (
        f"nodes {', '.join(gone)} of the last time are" if gone[1:] else f"node {gone[0]} of the last time is"
    )
    fences = "; ".join(f"berth node fence {name}{context_option}" for name in gone)
    return (
        f"{told} not started; what runs there goes on; to end it: berth down --stop-tasks{folder_option}, "
        f"then, with the cluster up: {fences}"
    )
