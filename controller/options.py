"""What a person may set of a controller."""

from dataclasses import dataclass, field
from pathlib import Path

from controller.history.sizes import DEFAULT_SIZE_BYTES
from controller.reconcilers.collection import FinishedPolicy
from controller.scheduler.scores import Strategy
from store.serving import PLAIN, ServerTls


@dataclass(frozen=True, slots=True)
class ControllerOptions:
    """All that a person may set.

    etcd: endpoints. cacert, cert, key: files for TLS towards it. listen: host:port of the read API, port 0 for any.
    address: by which others reach that, where it listens everywhere; empty: found out. tls: how it serves.
    hook_listen: host:port for webhooks alone, of callers without a certificate; empty: they call at `listen` only.
    identity: name shown as leader. score: how nodes are chosen. lease_ttl_s: seconds until a dead leader is replaced.
    secret_key: file of the private key that opens Secrets; None: tasks that need one wait.
    finished: when tasks of nobody's that have ended are removed.
    history_file: where changes of spec are taken down, None: nowhere; history_bytes: how large it may get.
    packing_budget_s: how long tasks with `placement: optimal` wait for the optimiser; 0: it is not asked.
    """

    etcd: tuple[str, ...]
    identity: str
    cacert: str | None = None
    cert: str | None = None
    key: str | None = None
    prefix: str = "/berth"
    listen: str = "127.0.0.1:0"
    address: str = ""
    tls: ServerTls = PLAIN
    hook_listen: str = ""
    score: Strategy = "binpack"
    lease_ttl_s: int = 10
    version: str = ""
    secret_key: Path | None = None
    finished: FinishedPolicy = field(default_factory=FinishedPolicy)
    history_file: Path | None = None
    history_bytes: int = DEFAULT_SIZE_BYTES
    packing_budget_s: float = 5.0

    @property
    def addresses(self) -> tuple[tuple[str, str], ...]:
        """Option -> where it listens, as pairs: the read API's comes first."""
        hooks = (("--webhook-listen", self.hook_listen),) if self.hook_listen else ()
        return (("--listen", self.listen), *hooks)
