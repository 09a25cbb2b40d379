"""`berth up`: a cluster on this machine: etcd, a controller and agents as children of one command."""

import os
import socket
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cli.daemon import parse_amounts, parse_port_range
from cli.session import note, session_of
from cli.settings import HELP
from client.connect import LOCAL_CONTEXT, Settings, resolve
from client.errors import BadOption, ClientError
from local.folder import Folder, default_data_dir
from local.plan import UpOptions

if TYPE_CHECKING:
    from cli.up_screens import UpScreen

MAX_NODES = 32  # agents that share one Docker; for more there are simulated nodes


def register(app: typer.Typer, name: str) -> None:
    app.command(name, epilog=HELP)(up)


def up(
    context: typer.Context,
    nodes: Annotated[
        int | None,
        typer.Option(min=0, max=MAX_NODES, help="Agents that share this machine's Docker [default: 1]."),
    ] = None,
    hollow: Annotated[
        int,
        typer.Option(
            min=0, max=9999, help="Simulated nodes; only tasks that tolerate berth/hollow go there."
        ),
    ] = 0,
    detach: Annotated[
        bool, typer.Option("-d", "--detach", help="Return when the cluster is ready; it goes on.")
    ] = False,
    node: Annotated[
        str, typer.Option(help="Name of the node, of several NAME-1 and so on [default: hostname].")
    ] = "",
    data_dir: Annotated[
        str, typer.Option(help="Folder of its data [BERTH_DATA_DIR, default: ~/.local/share/berth].")
    ] = "",
    docker_host: Annotated[
        str, typer.Option(help="Docker's socket [default: DOCKER_HOST, or the usual one].")
    ] = "",
    port_range: Annotated[
        str, typer.Option(help="Host ports for tasks, of all nodes together.")
    ] = "31000-32767",
    capacity: Annotated[
        str,
        typer.Option(help="Offered by all nodes together, such as cpu=2,memory=4Gi [default: the machine]."),
    ] = "",
    ready_fd: Annotated[int, typer.Option(hidden=True)] = -1,
) -> None:
    """Start a cluster on this machine, and watch it until Ctrl-C.

    The first time it makes certificates, so that no other user of the machine can reach its etcd or its agents,
    and a context (--context, default "local"), so that all other commands find it. With --etcd it uses an etcd
    that runs already. Containers go on when it ends, and are adopted by the next berth up.
    """
    given = session_of(context).settings.given
    parse_amounts("--capacity", [capacity] if capacity else [])
    options = UpOptions(
        node=node or socket.gethostname().lower().partition(".")[0],
        nodes=_nodes(nodes, hollow),
        hollow=hollow,
        ports=parse_port_range(port_range),
        capacity=capacity,
        docker_host=docker_host,
        prefix="/" + given.get("root", "berth").strip("/"),
        external=_external(given),
        context=given.get("context") or LOCAL_CONTEXT,
    )
    _check_name(options)
    folder = Folder(Path(data_dir).expanduser().absolute() if data_dir else default_data_dir(os.environ))
    if detach:
        _detach(options, folder)
    else:
        _run(options, folder, ready_fd)


def _nodes(nodes: int | None, hollow: int) -> int:
    """One node unless told otherwise."""
    if nodes == 0 and not hollow:
        raise BadOption("--nodes 0 leaves a cluster without nodes; add simulated ones: --hollow 3")
    return 1 if nodes is None else nodes


def _external(given: Mapping[str, str]) -> Settings | None:
    """Return how an etcd that runs already is reached, None to start one; only --etcd counts, no variable."""
    named = {name: value for name, value in given.items() if name != "context"}
    if "etcd" in named:
        found = resolve(named, {})
        return replace(
            found,
            ca_file=_absolute(found.ca_file),
            cert_file=_absolute(found.cert_file),
            key_file=_absolute(found.key_file),
        )
    wrong = [f"--{name}" for name in ("cacert", "cert", "key") if name in named]
    if wrong:
        raise BadOption(f"{wrong[0]} is for an etcd of your own; give its address, too: --etcd HOST:PORT")
    return None


def _absolute(path: str) -> str:
    return str(Path(path).absolute()) if path else ""


def _check_name(options: UpOptions) -> None:
    from schemas.errors import InvalidName
    from schemas.meta import check_dns_subdomain

    try:
        for name in (*options.node_names[:1], *options.hollow_names[:1]):
            check_dns_subdomain(name)
    except InvalidName as error:
        raise BadOption(f"--node: {error}") from None


def _detach(options: UpOptions, folder: Folder) -> None:
    from local.detach import detach

    detach(_arguments(options, folder), folder, os.environ, note)


def _arguments(options: UpOptions, folder: Folder) -> list[str]:
    """Return the arguments that make another `berth up` do the same, from whatever folder it runs in."""
    external = options.external
    files = {} if external is None else {
        "etcd": ",".join(external.endpoints), "cacert": external.ca_file,
        "cert": external.cert_file, "key": external.key_file,
    }  # fmt: skip
    given = {
        **files,
        "root": options.prefix,
        "context": options.context,
        "data-dir": str(folder.path),
        "node": options.node,
        "nodes": str(options.nodes),
        "hollow": str(options.hollow),
        "port-range": f"{options.ports[0]}-{options.ports[1]}",
        "capacity": options.capacity,
        "docker-host": options.docker_host,
    }
    return [f"--{name}={value}" for name, value in given.items() if value]


def _run(options: UpOptions, folder: Folder, ready_fd: int) -> None:
    """Run in the foreground, or as the child of `--detach`, which listens at `ready_fd`."""
    from local.up import Up

    screen = _screen(folder, ready_fd)
    try:
        Up(options, folder, screen, os.environ).run()
    except ClientError as error:
        screen.failed(str(error))
        raise
    finally:
        screen.close()


def _screen(folder: Folder, ready_fd: int) -> "UpScreen":
    if ready_fd >= 0:
        from cli.up_screens import PipeScreen

        return PipeScreen(ready_fd)
    if sys.stdout.isatty() and os.environ.get("TERM", "dumb") != "dumb":
        from cli.up_live import LiveScreen

        return LiveScreen(folder)
    from cli.up_screens import PlainScreen

    return PlainScreen()
