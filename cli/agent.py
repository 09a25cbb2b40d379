"""`berth agent`: run the agent of this host."""

import os
import socket
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from cli.daemon import parse_amounts, parse_pairs, parse_port_range, start_logging
from cli.session import session_of
from cli.settings import HELP
from client.connect import with_port
from client.version import berth_version

SYSTEM_STATE = Path("/var/lib/berth")
USER_STATE = Path("~/.local/state/berth")
Many = list[str] | None


class Runtime(StrEnum):
    DOCKER = "docker"
    HOLLOW = "hollow"


def register(app: typer.Typer, name: str) -> None:
    app.command(name, epilog=HELP)(agent)


def agent(
    context: typer.Context,
    node: Annotated[str, typer.Option(help="Name of this node [default: the hostname].")] = "",
    docker_host: Annotated[str, typer.Option(help="Docker's socket [default: DOCKER_HOST].")] = "",
    state_dir: Annotated[
        str, typer.Option(help=f"Its memory [default: {SYSTEM_STATE}, or {USER_STATE}].")
    ] = "",
    listen: Annotated[str, typer.Option(help="host:port for logs; port 0: any.")] = "127.0.0.1:0",
    address: Annotated[str, typer.Option(help="Address by which others reach this host.")] = "",
    label: Annotated[Many, typer.Option(help="A label of the node, k=v; repeatable.")] = None,
    reserve: Annotated[Many, typer.Option(help="Kept for the system, such as cpu=500m,memory=1Gi.")] = None,
    resource: Annotated[Many, typer.Option(help="A resource of your own, name=N; repeatable.")] = None,
    gpu: Annotated[Many, typer.Option(help="Id of a GPU; repeatable [default: all that are found].")] = None,
    port_range: Annotated[str, typer.Option(help="Host ports that tasks are allotted.")] = "31000-32767",
    runtime: Annotated[Runtime, typer.Option(help="hollow runs nothing, for simulations.")] = Runtime.DOCKER,
    lease_ttl: Annotated[
        int, typer.Option(min=2, max=15, help="Seconds until a silent node is NotReady.")
    ] = 15,
    join_new_cluster: Annotated[
        bool, typer.Option("--join-new-cluster", help="Leave the cluster that it knows for the one in etcd.")
    ] = False,
    log_level: Annotated[str, typer.Option(help="debug, info, warning or error.")] = "info",
) -> None:
    """Run the agent of this host until SIGTERM. Containers go on when it ends."""
    settings = session_of(context).settings
    start_logging(log_level)
    from agent.main import AgentOptions, run_agent

    options = AgentOptions(
        etcd=tuple(map(with_port, settings.endpoints)),
        node=node or socket.gethostname().lower(),
        cacert=settings.ca_file or None,
        cert=settings.cert_file or None,
        key=settings.key_file or None,
        prefix=settings.prefix,
        docker_host=docker_host or None,
        state_dir=Path(state_dir) if state_dir else default_state_dir(),
        listen=listen,
        address=address,
        labels=parse_pairs("--label", label or []),
        reserve=parse_amounts("--reserve", reserve or []),
        resources=parse_amounts("--resource", resource or []),
        gpus=tuple(gpu or ()),
        port_range=parse_port_range(port_range),
        lease_ttl_s=lease_ttl,
        join_new_cluster=join_new_cluster,
        runtime=runtime.value,
        version=berth_version(),
    )
    raise typer.Exit(run_agent(options))


def default_state_dir() -> Path:
    """Root's memory belongs to the system, a user's to the user."""
    return SYSTEM_STATE if os.geteuid() == 0 else USER_STATE.expanduser()
