"""The agent's server: health, and the logs of this node's tasks. Starlette on uvicorn, in its own thread.

GET /healthz
GET /v1/logs/{namespace}/{task uid}/{container}?follow=&tail=&previous=&timestamps=&since=

A reader shows the token of the task's namespace; the binding holds its SHA-256. Each log has a thread of its
own, so a slow reader holds up nobody. A refusal is JSON: {"message": what, why and what next}.
"""

import asyncio
import hashlib
import hmac
import logging
import socket
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, MutableMapping
from typing import TYPE_CHECKING, Any

from agent.errors import AgentError, OptionError, RuntimeUnavailable
from agent.runtime.logs import LogQuery, Logs, OpenLog
from schemas.binding import Binding
from schemas.errors import InvalidQuantity
from schemas.quantity import parse_duration
from schemas.timestamps import parse_time

if TYPE_CHECKING:
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import Response

log = logging.getLogger(__name__)

MAX_BUFFERED_CHUNKS = 64  # of a log whose reader is slow; then its thread waits
STOP_TIMEOUT_S = 5.0

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]  # Any: an ASGI message
Find = Callable[[str], tuple[str, Binding] | None]
"""task uid -> (cluster uid, its binding on this node)"""


class Refusal(AgentError):
    """What a request gets instead of a log."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


def authorize(header: str, namespace: str, task_uid: str, found: tuple[str, Binding] | None) -> Binding:
    """Return the binding that the bearer of `header` may read the logs of. Raises Refusal 401, 403 or 404."""
    scheme, _, token = header.partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise Refusal(401, "the log token is missing; send it as: Authorization: Bearer <token>")
    if found is None or found[1].namespace != namespace:
        raise Refusal(
            404,
            f"task uid {task_uid} of namespace {namespace} has no binding here; see: berth get tasks -o wide",
        )
    digest = hashlib.sha256(token.strip().encode()).hexdigest()
    if not hmac.compare_digest(digest.encode(), found[1].access_hash.encode()):
        raise Refusal(403, f"this is not the log token of namespace {namespace}; read it with: berth logs")
    return found[1]


def parse_query(query: Mapping[str, str], now: float) -> tuple[LogQuery, bool]:
    """Return what to read, and whether of the previous attempt. Raises Refusal 400.

    since: a duration before `now` (`10m`), or a time in RFC 3339.
    """
    try:
        tail = query.get("tail", "")
        since = query.get("since", "")
        log_query = LogQuery(
            follow=_flag(query, "follow"),
            tail=max(0, int(tail)) if tail not in ("", "all", "-1") else None,
            timestamps=_flag(query, "timestamps"),
            since=_since(since, now) if since else 0.0,
        )
    except (ValueError, InvalidQuantity) as error:
        raise Refusal(400, f"the query can't be read: {error}") from None
    return log_query, _flag(query, "previous")


def _flag(query: Mapping[str, str], name: str) -> bool:
    return query.get(name, "").lower() in ("1", "true", "yes")


def _since(text: str, now: float) -> float:
    try:
        return now - parse_duration(text)
    except InvalidQuantity:
        return parse_time(text)


def choose_attempt(attempts: tuple[str, ...], container: str, previous: bool) -> str:
    """Return the id of the newest attempt, or of the one before. Raises Refusal 404."""
    index = 1 if previous else 0
    if len(attempts) > index:
        return attempts[index]
    if previous and attempts:
        raise Refusal(
            404, f"container {container} has no previous attempt: it was not restarted on this node"
        )
    raise Refusal(404, f"container {container} was not created yet; see: berth describe task")


def application(find: Find, logs: Logs) -> "Starlette":
    """Return the web application."""
    from starlette.applications import Starlette
    from starlette.responses import JSONResponse, PlainTextResponse, StreamingResponse
    from starlette.routing import Route

    async def healthz(request: "Request") -> "Response":
        return PlainTextResponse("ok\n")

    async def read_log(request: "Request") -> "Response":
        path = request.path_params
        task_uid, container = path["task_uid"], path["container"]
        try:
            found = find(task_uid)
            header = request.headers.get("authorization", "")
            binding = authorize(header, path["namespace"], task_uid, found)
            query, previous = parse_query(request.query_params, time.time())
            cluster = found[0] if found else ""
            attempts = await asyncio.to_thread(
                logs.attempts, cluster, task_uid, binding.binding_uid, container
            )
            opened = await asyncio.to_thread(logs.open, choose_attempt(attempts, container, previous), query)
        except Refusal as refusal:
            return JSONResponse({"message": str(refusal)}, status_code=refusal.status)
        except RuntimeUnavailable as error:
            return JSONResponse({"message": str(error)}, status_code=503)
        return StreamingResponse(stream(opened, request.receive), media_type="text/plain; charset=utf-8")

    return Starlette(
        routes=[
            Route("/healthz", healthz),
            Route("/v1/logs/{namespace}/{task_uid}/{container}", read_log),
        ]
    )


async def stream(opened: OpenLog, receive: Receive) -> AsyncIterator[bytes]:
    """Yield a log's bytes, read in a thread of its own, until it ends or the reader goes away.

    Of a quiet log only `receive` tells that the reader is gone, as nothing is sent that could fail.
    """
    loop = asyncio.get_running_loop()
    room = threading.Semaphore(MAX_BUFFERED_CHUNKS)
    chunks: asyncio.Queue[bytes | None] = asyncio.Queue()
    gone = threading.Event()

    def read() -> None:
        try:
            for chunk in opened:
                room.acquire()
                if gone.is_set():
                    return
                loop.call_soon_threadsafe(chunks.put_nowait, chunk)
        except Exception as error:  # the border of this thread: the reader sees the log end
            log.warning("log ended error=%s", error)
        finally:
            if not gone.is_set():
                loop.call_soon_threadsafe(chunks.put_nowait, None)

    async def watch_reader() -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        chunks.put_nowait(None)

    threading.Thread(target=read, name="log-reader", daemon=True).start()
    watcher = asyncio.create_task(watch_reader())
    try:
        while (chunk := await chunks.get()) is not None:
            room.release()
            yield chunk
    finally:
        watcher.cancel()
        gone.set()
        room.release()
        opened.close()  # does not block; in a cancelled task nothing could be awaited any more


def bind_socket(listen: str) -> socket.socket:
    """Return a socket bound to `host:port`; port 0 takes a free one. Raises OptionError."""
    host, _, port = listen.rpartition(":")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host.strip("[]"), int(port)))
    except (OSError, ValueError, OverflowError) as error:
        listener.close()
        raise OptionError(f"can't listen on {listen}: {error}; choose another with --listen") from None
    return listener


def api_address(listener: socket.socket, address: str) -> str:
    """Return the URL under which others reach `listener`: at `address` if it listens everywhere."""
    host, port = listener.getsockname()[:2]
    if host in ("0.0.0.0", "::"):
        host = address
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


class AgentServer:
    """Serves the application in a thread from `start` to `stop`."""

    def __init__(self, listener: socket.socket, find: Find, logs: Logs) -> None:
        import uvicorn

        config = uvicorn.Config(
            application(find, logs),
            log_config=None,
            log_level="warning",
            access_log=False,
            lifespan="off",
            timeout_graceful_shutdown=1,
        )
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
