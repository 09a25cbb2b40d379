"""The read API of a controller: health, readiness, metrics and answers (`readapi`) over HTTP. It writes nothing.

Starlette on uvicorn, in a thread of its own; it reads published values only.
"""

import logging
import socket
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

from controller import hooks, readapi
from controller.companions import Hook
from controller.manager import Controller

if TYPE_CHECKING:
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import Response

log = logging.getLogger(__name__)


def bind_socket(listen: str) -> socket.socket:
    """Return a listening socket for `host:port`; port 0 takes a free one. Raises OSError."""
    host, _, port = listen.rpartition(":")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind((host.strip("[]"), int(port)))
    return listener


def address_of(listener: socket.socket) -> str:
    """Return `http://host:port` of a bound socket."""
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


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


def application(controller: Callable[[], Controller], hook: Hook | None = None) -> "Starlette":
    """Return the web application; `controller` gives the current one, which changes after a rewind."""
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
    return Starlette(routes=[*own, *readapi.routes(controller), *hooked])


class ApiServer:
    """Runs the application until `stop`."""

    def __init__(
        self, listener: socket.socket, controller: Callable[[], Controller], hook: Hook | None = None
    ) -> None:
        import uvicorn

        config = uvicorn.Config(
            application(controller, hook),
            log_level="warning",
            lifespan="off",
            access_log=False,
            log_config=None,
        )
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
