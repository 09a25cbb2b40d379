"""`berth controller`: run the controller."""

import os
import socket
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from cli.daemon import start_logging
from cli.session import session_of
from cli.settings import HELP
from client.connect import with_port
from client.errors import BadOption
from client.version import berth_version


class Score(StrEnum):
    BINPACK = "binpack"
    SPREAD = "spread"


def register(app: typer.Typer, name: str) -> None:
    app.command(name, epilog=HELP)(controller)


def controller(
    context: typer.Context,
    identity: Annotated[str, typer.Option(help="Name shown as leader [default: hostname-pid].")] = "",
    listen: Annotated[str, typer.Option(help="host:port of health, metrics and read API; port 0: any.")] = (
        "127.0.0.1:0"
    ),
    server_cert: Annotated[str, typer.Option(help="Certificate of its server; then it serves https.")] = "",
    server_key: Annotated[str, typer.Option(help="Key of that certificate.")] = "",
    client_ca: Annotated[str, typer.Option(help="CA whose certificate its clients must show.")] = "",
    webhook_listen: Annotated[
        str,
        typer.Option(
            help="host:port for webhooks alone, whose callers show no certificate; with --server-cert it is https "
            "[default: they call at --listen]."
        ),
    ] = "",
    address: Annotated[str, typer.Option(help="Address by which others reach this host.")] = "",
    score: Annotated[Score, typer.Option(help="Fill few nodes, or use all evenly.")] = Score.BINPACK,
    lease_ttl: Annotated[int, typer.Option(min=2, help="Seconds until a dead leader is replaced.")] = 10,
    secret_key: Annotated[
        str, typer.Option(help="File of the private key that opens secrets; see: berth secret keygen.")
    ] = "",
    finished_task_ttl: Annotated[
        str,
        typer.Option(help="How long finished tasks that no owner made are kept, such as 24h; 0: for ever."),
    ] = "168h",
    finished_task_keep: Annotated[
        int, typer.Option(min=0, help="How many of those are kept in a namespace; the oldest go first.")
    ] = 1000,
    history_file: Annotated[
        str,
        typer.Option(
            help="File in which each change of an object is kept, for berth history and get --at; "
            "each controller has its own [default: none is kept]."
        ),
    ] = "",
    history_size: Annotated[
        str, typer.Option(help="How large it may get, at least 4Mi; the oldest changes go first.")
    ] = "64Mi",
    packing_budget: Annotated[
        str,
        typer.Option(
            help="How long tasks with placement: optimal wait for the optimiser, such as 5s; 0: it is not asked."
        ),
    ] = "5s",
    state_dir: Annotated[
        str,
        typer.Option(help="Keeps copies of repositories of gitsources; unless given, a temporary folder."),
    ] = "",
    log_level: Annotated[str, typer.Option(help="debug, info, warning or error.")] = "info",
) -> None:
    """Run the controller until SIGTERM. Several may run: one leads, the others stand by."""
    settings = session_of(context).settings
    start_logging(log_level)
    from controller.main import Beside, ControllerOptions, FinishedPolicy, run_controller
    from gitops.companion import GitOps
    from gitops.webhook import hook
    from store.serving import ServerTls

    options = ControllerOptions(
        etcd=tuple(map(with_port, settings.endpoints)),
        identity=identity or f"{socket.gethostname()}-{os.getpid()}",
        cacert=settings.ca_file or None,
        cert=settings.cert_file or None,
        key=settings.key_file or None,
        prefix=settings.prefix,
        listen=listen,
        address=address,
        tls=ServerTls(server_cert, server_key, client_ca),
        hook_listen=webhook_listen,
        score=score.value,
        lease_ttl_s=lease_ttl,
        version=berth_version(),
        secret_key=Path(secret_key) if secret_key else None,
        finished=FinishedPolicy(parse_ttl(finished_task_ttl), finished_task_keep),
        history_file=Path(history_file).absolute() if history_file else None,
        history_bytes=parse_size(history_size),
        packing_budget_s=parse_budget(packing_budget),
    )
    git = GitOps(Path(state_dir).absolute() / "git" if state_dir else None)
    raise typer.Exit(run_controller(options, Beside((git,), hook)))


def parse_ttl(text: str) -> float:
    """Return seconds, inf for 0. Raises BadOption."""
    from schemas.errors import InvalidQuantity
    from schemas.quantity import parse_duration

    try:
        return parse_duration(text) or float("inf")
    except InvalidQuantity as error:
        raise BadOption(f"--finished-task-ttl: {error}; write it as in 24h or 90m, 0 for no limit") from None


def parse_size(text: str) -> int:
    """Return bytes. Raises BadOption."""
    from controller.main import MIN_HISTORY_BYTES
    from schemas.errors import InvalidQuantity
    from schemas.quantity import parse_quantity

    try:
        size = parse_quantity("memory", text)
    except InvalidQuantity as error:
        raise BadOption(f"--history-size: {error}; write it as in 64Mi or 1Gi") from None
    if size < MIN_HISTORY_BYTES:
        raise BadOption(f"--history-size {text} is too little to be of use; give it 4Mi or more")
    return size


def parse_budget(text: str) -> float:
    """Return seconds. Raises BadOption."""
    from schemas.errors import InvalidQuantity
    from schemas.quantity import parse_duration

    try:
        return parse_duration(text)
    except InvalidQuantity as error:
        raise BadOption(f"--packing-budget: {error}; write it as in 5s, 0 for none") from None
