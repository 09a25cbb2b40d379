"""The read API of a controller: health, readiness, metrics and answers (`readapi`) over HTTP. It writes nothing.

Starlette on uvicorn, in a thread of its own; it reads published values only. With a certificate it speaks https only.
Webhooks are taken there, too, and at an address of their own for callers who have no certificate to show.
"""

import logging
import socket
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

from controller import hooks, readapi
from controller.companions import Hook
from controller.manager import Controller
from store.serving import PLAIN, ServerTls, is_open

if TYPE_CHECKING:
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import Response

log = logging.getLogger(__name__)

MAX_CALLERS = 32  # of webhooks at a time, each with a body in memory; one more gets 503
IN_THE_CLEAR = (
    "this controller can be reached from other hosts without TLS, so it takes no tokens and answers no questions; "
    "start it with --server-cert, --server-key and --client-ca"
)


def metrics_text(controller: Controller) -> str:
    """Return the controller's figures in Prometheus' text format."""
    health = controller.health()
    term = controller.term
    gauges = {
        "berth_controller_synced": int(health.synced),
        "berth_controller_leading": int(health.leading),
        "berth_tasks": len(controller.view.tasks),
        "berth_nodes": len(controller.view.nodes),
        "berth_unreadable_keys": len(controller.view.unreadable),
    }
    counters: dict[str, int] = {}
    if term is not None:
        gauges |= {f"berth_{name}": value for name, value in term.describe().items()}
        counts = term.counters
        counters = {
            "berth_plans_total": counts.planned,
            "berth_binds_total": counts.bound,
            "berth_conflicts_total": counts.conflicts,
            "berth_plan_errors_total": counts.errors,
            "berth_unschedulable_total": counts.unschedulable,
        }
    lines = [f"# TYPE {name} gauge\n{name} {value}" for name, value in gauges.items()]
    lines += [f"# TYPE {name} counter\n{name} {value}" for name, value in counters.items()]
    return "\n".join(lines) + "\n"


def application(
    controller: Callable[[], Controller], refusal: str = "", hook: Hook | None = None
) -> "Starlette":
    """Return the web application.

    controller: gives the current one, which changes after a rewind. refusal: why no question is answered, if none is.
    hook: what a webhook asks for; None: there is none.
    """
    from starlette.applications import Starlette
    from starlette.responses import JSONResponse, PlainTextResponse
    from starlette.routing import Route

    async def healthz(request: "Request") -> "Response":
        return PlainTextResponse("ok\n")

    async def readyz(request: "Request") -> "Response":
        health = controller().health()
        body = {
            "synced": health.synced,
            "leading": health.leading,
            "role": health.role,
            "error": health.error,
        }
        return JSONResponse(body, status_code=200 if health.synced and not health.error else 503)

    async def metrics(request: "Request") -> "Response":
        return PlainTextResponse(metrics_text(controller()))

    own = [Route("/healthz", healthz), Route("/readyz", readyz), Route("/metrics", metrics)]
    hooked = hooks.routes(controller, hook) if hook is not None else []
    return Starlette(routes=[*own, *readapi.routes(controller, refusal), *hooked])


class WebServer:
    """Runs an application until `stop`. connections: at a time; None: as many as come."""

    def __init__(
        self, listener: socket.socket, app: "Starlette", tls: ServerTls, *, connections: int | None = None
    ) -> None:
        import uvicorn

        config = uvicorn.Config(
            app,
            log_level="warning",
            lifespan="off",
            ws="none",
            access_log=False,
            log_config=None,
            limit_concurrency=connections,
            **tls.for_uvicorn(),
        )
        config.load()
        if config.ssl is not None:
            config.ssl.num_tickets = 0  # what comes unasked after the handshake can stall clients
        self._server = uvicorn.Server(config)
        self._listener = listener
        self._thread = threading.Thread(target=self._run, name="api", daemon=True)
        self.started = False

    def _run(self) -> None:
        self._server.run(sockets=[self._listener])

    def start(self) -> None:
        self.started = True
        self._thread.start()

    def stop(self) -> None:
        self._server.should_exit = True
        self._thread.join(5.0)


class ApiServer(WebServer):
    """The read API, and what `application` has besides."""

    def __init__(
        self,
        listener: socket.socket,
        controller: Callable[[], Controller],
        tls: ServerTls = PLAIN,
        hook: Hook | None = None,
    ) -> None:
        refusal = IN_THE_CLEAR if is_open(listener, tls) else ""
        if refusal:
            log.warning("serving no answers, only health and metrics reason=%s", refusal)
        super().__init__(listener, application(controller, refusal, hook), tls)


class HookServer(WebServer):
    """Webhooks and nothing else: who calls shows no certificate, but proves to know a source's secret."""

    def __init__(
        self, listener: socket.socket, controller: Callable[[], Controller], tls: ServerTls, hook: Hook
    ) -> None:
        from starlette.applications import Starlette

        if is_open(listener, tls):
            log.warning("taking webhooks in the clear, signatures are safe there and tokens are not")
        app = Starlette(routes=hooks.routes(controller, hook))
        super().__init__(listener, app, tls.for_anybody(), connections=MAX_CALLERS)
