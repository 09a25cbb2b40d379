"""`berth agent`: run the agent of this host."""

import os
import socket
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from cli.daemon import (
    Address,
    ClientCa,
    LogLevel,
    ServerCert,
    ServerKey,
    parse_amounts,
    parse_pairs,
    parse_port_range,
    parse_share,
    start_logging,
)
from cli.session import session_of
from cli.settings import HELP
from client.connect import with_port
from client.errors import BadOption
from client.version import berth_version

SYSTEM_STATE = Path("/var/lib/berth")
USER_STATE = Path("~/.local/state/berth")
Many = list[str] | None

Node = Annotated[str, typer.Option(help="Name of this node [default: the hostname].")]
DockerHost = Annotated[str, typer.Option(help="Docker's socket [default: DOCKER_HOST].")]
StateDir = Annotated[str, typer.Option(help=f"Its memory [default: {SYSTEM_STATE}, or {USER_STATE}].")]
SecretDir = Annotated[
    str, typer.Option(help="A tmpfs for files of secrets [default: /run/berth or one below /dev/shm].")
]
Listen = Annotated[str, typer.Option(help="host:port of its server; port 0: any.")]
Label = Annotated[Many, typer.Option(help="A label of the node, k=v; repeatable.")]
Reserve = Annotated[Many, typer.Option(help="Kept for the system, such as cpu=500m,memory=1Gi.")]
Capacity = Annotated[
    Many, typer.Option(help="Offered at most of this host, such as cpu=2,memory=4Gi [default: all].")
]
Share = Annotated[
    str, typer.Option(help="K/N: this is the Kth of N agents on this host, and offers an Nth of it.")
]
Resource = Annotated[Many, typer.Option(help="A resource of your own, name=N; repeatable.")]
Gpu = Annotated[Many, typer.Option(help="Id of a GPU; repeatable [default: all that are found].")]
PortRange = Annotated[str, typer.Option(help="Host ports that tasks are allotted.")]
Count = Annotated[int, typer.Option(min=0, help="So many hollow nodes, NODE-0001 and so on.")]
LeaseTtl = Annotated[int, typer.Option(min=2, max=15, help="Seconds until a silent node is NotReady.")]
ImageGcHigh = Annotated[
    int,
    typer.Option(
        min=1,
        max=100,
        help="Percent of the disk in use above which dead containers, then unused images go.",
    ),
]
ImageGcLow = Annotated[
    int, typer.Option(min=0, max=100, help="Percent down to which they go; only those that it pulled.")
]
ImageGcMinAge = Annotated[int, typer.Option(min=0, help="Seconds for which an image stays in any case.")]
ContainerGcMaxAge = Annotated[
    int,
    typer.Option(
        min=0,
        help="Seconds for which dead containers are kept for their logs at most; 0: no limit.",
    ),
]
JoinNewCluster = Annotated[
    bool, typer.Option("--join-new-cluster", help="Leave the cluster that it knows for the one in etcd.")
]
StopTasks = Annotated[
    bool,
    typer.Option(
        "--stop-tasks",
        help="Only stop and remove this node's containers; the next agent runs them again.",
    ),
]


class Runtime(StrEnum):
    DOCKER = "docker"
    HOLLOW = "hollow"


def register(app: typer.Typer, name: str) -> None:
    app.command(name, epilog=HELP)(agent)


def agent(
    context: typer.Context,
    node: Node = "",
    docker_host: DockerHost = "",
    state_dir: StateDir = "",
    secret_dir: SecretDir = "",
    listen: Listen = "127.0.0.1:0",
    server_cert: ServerCert = "",
    server_key: ServerKey = "",
    client_ca: ClientCa = "",
    address: Address = "",
    label: Label = None,
    reserve: Reserve = None,
    capacity: Capacity = None,
    share: Share = "1/1",
    resource: Resource = None,
    gpu: Gpu = None,
    port_range: PortRange = "31000-32767",
    runtime: Annotated[Runtime, typer.Option(help="hollow runs nothing, for simulations.")] = Runtime.DOCKER,
    count: Count = 0,
    lease_ttl: LeaseTtl = 15,
    image_gc_high: ImageGcHigh = 85,
    image_gc_low: ImageGcLow = 80,
    image_gc_min_age: ImageGcMinAge = 120,
    container_gc_max_age: ContainerGcMaxAge = 604_800,
    join_new_cluster: JoinNewCluster = False,
    stop_tasks: StopTasks = False,
    log_level: LogLevel = "info",
) -> None:
    """Run the agent of this host until SIGTERM. Containers go on when it ends."""
    settings = session_of(context).settings
    start_logging(log_level)
    from agent.main import AgentOptions, DeadPolicy, ImagePolicy, run_agent

    if image_gc_low > image_gc_high:
        raise BadOption(
            f"--image-gc-low {image_gc_low} is above --image-gc-high {image_gc_high}; give a lower one"
        )
    if count and runtime is not Runtime.HOLLOW:
        raise BadOption(
            "--count starts hollow nodes only; add --runtime hollow, or start one agent for each node"
        )
    options = AgentOptions(
        etcd=tuple(map(with_port, settings.endpoints)),
        node=node or socket.gethostname().lower(),
        cacert=settings.ca_file or None,
        cert=settings.cert_file or None,
        key=settings.key_file or None,
        prefix=settings.prefix,
        docker_host=docker_host or None,
        state_dir=Path(state_dir) if state_dir else default_state_dir(),
        secret_dir=Path(secret_dir).resolve() if secret_dir else None,
        listen=listen,
        server_cert=server_cert or None,
        server_key=server_key or None,
        client_ca=client_ca or None,
        address=address,
        labels=parse_pairs("--label", label or []),
        reserve=parse_amounts("--reserve", reserve or []),
        capacity=parse_amounts("--capacity", capacity or []),
        share=parse_share(share),
        resources=parse_amounts("--resource", resource or []),
        gpus=tuple(gpu or ()),
        port_range=parse_port_range(port_range),
        images=ImagePolicy(image_gc_high, image_gc_low, float(image_gc_min_age)),
        dead=DeadPolicy(float(container_gc_max_age or "inf")),
        lease_ttl_s=lease_ttl,
        join_new_cluster=join_new_cluster,
        runtime=runtime.value,
        count=count,
        version=berth_version(),
    )
    if stop_tasks:
        from agent.main import stop_tasks_of

        raise typer.Exit(stop_tasks_of(options))
    raise typer.Exit(run_agent(options))


def default_state_dir() -> Path:
    """Root's memory belongs to the system, a user's to the user."""
    return SYSTEM_STATE if os.geteuid() == 0 else USER_STATE.expanduser()
