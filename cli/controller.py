"""`berth controller`: run the controller."""

import os
import socket
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from cli.daemon import Address, ClientCa, LogLevel, ServerCert, ServerKey, start_logging
from cli.durations import FOR_EVER, parse_seconds
from cli.session import session_of
from cli.settings import HELP
from client.connect import with_port
from client.errors import BadOption
from client.version import berth_version

Identity = Annotated[str, typer.Option(help="Name shown as leader [default: hostname-pid].")]
Listen = Annotated[str, typer.Option(help="host:port of health, metrics and read API; port 0: any.")]
WebhookListen = Annotated[
    str,
    typer.Option(
        help="host:port for webhooks alone, whose callers show no certificate; with --server-cert it is https "
        "[default: they call at --listen]."
    ),
]
LeaseTtl = Annotated[int, typer.Option(min=2, help="Seconds until a dead leader is replaced.")]
SecretKey = Annotated[
    str, typer.Option(help="File of the private key that opens secrets; see: berth secret keygen.")
]
FinishedTaskTtl = Annotated[
    str, typer.Option(help="How long finished tasks that no owner made are kept, such as 24h; 0: for ever.")
]
FinishedTaskKeep = Annotated[
    int, typer.Option(min=0, help="How many of those are kept in a namespace; the oldest go first.")
]
HistoryFile = Annotated[
    str,
    typer.Option(
        help="File in which each change of an object is kept, for berth history and get --at; "
        "each controller has its own [default: none is kept]."
    ),
]
HistorySize = Annotated[
    str, typer.Option(help="How large it may get, at least 4Mi; the oldest changes go first.")
]
PackingBudget = Annotated[
    str,
    typer.Option(
        help="How long tasks with placement: optimal wait for the optimiser, such as 5s; 0: it is not asked."
    ),
]
StateDir = Annotated[
    str, typer.Option(help="Keeps copies of repositories of gitsources; unless given, a temporary folder.")
]


class Score(StrEnum):
    BINPACK = "binpack"
    SPREAD = "spread"


def register(app: typer.Typer, name: str) -> None:
    app.command(name, epilog=HELP)(controller)


def controller(
    context: typer.Context,
    identity: Identity = "",
    listen: Listen = "127.0.0.1:0",
    server_cert: ServerCert = "",
    server_key: ServerKey = "",
    client_ca: ClientCa = "",
    webhook_listen: WebhookListen = "",
    address: Address = "",
    score: Annotated[Score, typer.Option(help="Fill few nodes, or use all evenly.")] = Score.BINPACK,
    lease_ttl: LeaseTtl = 10,
    secret_key: SecretKey = "",
    finished_task_ttl: FinishedTaskTtl = "168h",
    finished_task_keep: FinishedTaskKeep = 1000,
    history_file: HistoryFile = "",
    history_size: HistorySize = "64Mi",
    packing_budget: PackingBudget = "5s",
    state_dir: StateDir = "",
    log_level: LogLevel = "info",
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
        packing_budget_s=parse_seconds("--packing-budget", packing_budget, "write it as in 5s, 0 for none"),
    )
    git = GitOps(Path(state_dir).absolute() / "git" if state_dir else None)
    raise typer.Exit(run_controller(options, Beside((git,), hook)))


def parse_ttl(text: str) -> float:
    """Return seconds, inf for 0. Raises BadOption."""
    return parse_seconds("--finished-task-ttl", text, "write it as in 24h or 90m, 0 for no limit") or FOR_EVER


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
