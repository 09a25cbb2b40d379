"""The agent's server: Starlette on uvicorn, in its own thread. Its parts add their routes.

GET /healthz              anybody
/v1/logs/...              logs.py       /v1/port-forward/...   forward.py
/v1/exec, /v1/attach/...  streams.py    /v1/archive/...        archive.py
/v1/usage                 anybody       /v1/usage/{namespace}  usage.py

All but health and the node's own usage demands the token of a namespace. With a certificate it speaks https
only; with a CA for clients it demands a certificate of that CA before it reads anything.
"""

import logging
import socket
import threading
from typing import TYPE_CHECKING

from agent.runtime.logs import Logs
from agent.runtime.streams import Streams
from agent.server import archive, forward, streams
from agent.server import logs as log_routes
from agent.server import usage as usage_routes
from agent.server.access import Door, Find
from agent.server.limits import StreamLimit
from agent.server.usage import UsageSource
from store.serving import PLAIN, ServerTls, is_open

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.routing import BaseRoute
    from starlette.types import ASGIApp

log = logging.getLogger(__name__)

STOP_TIMEOUT_S = 5.0
MAX_MESSAGE_BYTES = 2**20  # clients send pieces of 64 KiB
MAX_QUEUED_MESSAGES = 8  # of one slow web socket
PING_S = 20.0  # a silent peer is taken for gone after twice that
MAX_HEAD_BYTES = 65_536  # of a request


def application(find: Find, logs: Logs, ways: Streams, usage: UsageSource) -> "ASGIApp":
    """Return the web application."""
    from starlette.applications import Starlette
    from starlette.responses import PlainTextResponse
    from starlette.routing import Route

    async def healthz(request: "Request") -> "Response":
        return PlainTextResponse("ok\n")

    door = Door(find, logs)
    served: list[BaseRoute] = [
        Route("/healthz", healthz),
        *log_routes.routes(find, logs),
        *streams.routes(door, ways),
        *forward.routes(door, ways),
        *archive.routes(door, ways),
        *usage_routes.routes(usage),
    ]
    return StreamLimit(Starlette(routes=served))


def warn_if_open(listener: socket.socket, tls: ServerTls) -> None:
    """Say so when tokens and what people type would cross a network in the clear."""
    if is_open(listener, tls):
        host, port = listener.getsockname()[:2]
        log.warning(
            "serving without TLS beyond this host address=%s port=%d; give --server-cert, --server-key and --client-ca",
            host,
            port,
        )


def _is_no_false_alarm(record: logging.LogRecord) -> bool:
    """uvicorn calls a web socket that was refused with a reply, as ours are, an error (seen with 0.54)."""
    return "without completing handshake" not in record.getMessage()


class AgentServer:
    """Serves the application in a thread from `start` to `stop`."""

    def __init__(
        self,
        listener: socket.socket,
        find: Find,
        logs: Logs,
        ways: Streams,
        tls: ServerTls = PLAIN,
        usage: UsageSource | None = None,
    ) -> None:
        import uvicorn

        config = uvicorn.Config(
            application(find, logs, ways, usage or UsageSource()),
            log_config=None,
            log_level="warning",
            access_log=False,
            lifespan="off",
            timeout_graceful_shutdown=1,
            http="h11",
            h11_max_incomplete_event_size=MAX_HEAD_BYTES,
            ws="websockets-sansio",
            ws_max_size=MAX_MESSAGE_BYTES,
            ws_max_queue=MAX_QUEUED_MESSAGES,
            ws_ping_interval=PING_S,
            ws_ping_timeout=PING_S,
            ws_per_message_deflate=False,
            **tls.for_uvicorn(),
        )
        logging.getLogger("uvicorn.error").addFilter(_is_no_false_alarm)
        config.load()
        if config.ssl is not None:
            config.ssl.num_tickets = 0  # what comes unasked after the handshake can stall clients
        self._server = uvicorn.Server(config)
        self._listener = listener
        self._thread = threading.Thread(target=self._run, name="server", daemon=True)

    def _run(self) -> None:
        self._server.run(sockets=[self._listener])

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._server.should_exit = True
        self._thread.join(STOP_TIMEOUT_S)
        self._listener.close()
