"""GET /v1/logs/{namespace}/{task uid}/{container}?follow=&tail=&previous=&timestamps=&since=&after=

The reply's header `Berth-Container` names the attempt, by its container id. With `after=` that id the attempt
that followed it is read: so a follower goes from attempt to attempt and misses none that is still there.
Each log has a thread of its own, so a slow reader holds up nobody.
"""

import asyncio
import logging
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, MutableMapping
from typing import TYPE_CHECKING, Any

from agent.runtime.logs import LogQuery, Logs, OpenLog
from agent.server.access import REFUSALS, Find, Refusal, authorize, choose_attempt, refused
from schemas.errors import InvalidQuantity
from schemas.quantity import parse_duration
from schemas.timestamps import parse_time

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.routing import BaseRoute

log = logging.getLogger(__name__)

CONTAINER_HEADER = "Berth-Container"
MAX_BUFFERED_CHUNKS = 64  # of a log whose reader is slow; then its thread waits

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]  # Any: an ASGI message


def routes(find: Find, logs: Logs) -> "list[BaseRoute]":
    """Return where logs are served."""
    from starlette.responses import StreamingResponse
    from starlette.routing import Route

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
            after = request.query_params.get("after", "")
            chosen = (
                choose_next(attempts, container, after)
                if after
                else choose_attempt(attempts, container, previous, binding)
            )
            opened = await asyncio.to_thread(logs.open, chosen, query)
        except REFUSALS as error:
            return refused(error)
        headers = {CONTAINER_HEADER: chosen}
        return StreamingResponse(
            stream(opened, request.receive), media_type="text/plain; charset=utf-8", headers=headers
        )

    return [Route("/v1/logs/{namespace}/{task_uid}/{container}", read_log)]


def choose_next(attempts: tuple[str, ...], container: str, after: str) -> str:
    """Return the attempt that followed `after`, the oldest one that is kept if `after` is not. Raises Refusal 404."""
    index = attempts.index(after) if after in attempts else len(attempts)
    if index == 0:
        raise Refusal(404, f"container {container} has no attempt after {after[:12]} yet")
    return attempts[index - 1]


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
