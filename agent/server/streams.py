"""Web sockets between a person and a process in a container.

WS /v1/exec/{namespace}/{task uid}/{container}?command=&command=&tty=&stdin=
WS /v1/attach/{namespace}/{task uid}/{container}?stdin=

Binary frames; the first byte is the `Channel`. The last frame is STATUS. When the person is gone, the
connection to the process is closed and the process goes on, as with docker exec.
"""

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING

from agent.errors import AgentError
from agent.runtime.streams import ExecRequest, Process, Streams
from agent.server.access import REFUSALS, Door, Refusal, refused
from schemas.stream import Channel

if TYPE_CHECKING:
    from starlette.routing import BaseRoute
    from starlette.websockets import WebSocket

log = logging.getLogger(__name__)

MAX_SIDE = 10_000  # of a terminal, in characters
Open = Callable[["WebSocket"], Awaitable[Process]]


def routes(door: Door, streams: Streams) -> "list[BaseRoute]":
    """Return where processes are reached."""
    from starlette.routing import WebSocketRoute

    async def start(websocket: "WebSocket") -> Process:
        container_id = await door.container(websocket)
        request = parse_exec(websocket.query_params.multi_items(), websocket.path_params["container"])
        return await streams.exec(container_id, request)

    async def attach(websocket: "WebSocket") -> Process:
        container_id = await door.container(websocket)
        return await streams.attach(container_id, stdin=is_set(websocket.query_params, "stdin"))

    async def serve_exec(websocket: "WebSocket") -> None:
        await _serve(websocket, start)

    async def serve_attach(websocket: "WebSocket") -> None:
        await _serve(websocket, attach)

    place = "{namespace}/{task_uid}/{container}"
    return [
        WebSocketRoute(f"/v1/exec/{place}", serve_exec),
        WebSocketRoute(f"/v1/attach/{place}", serve_attach),
    ]


def parse_exec(query: list[tuple[str, str]], container: str) -> ExecRequest:
    """Return what to run in the container of that name. Raises Refusal 400."""
    command = tuple(value for name, value in query if name == "command")
    if not command or not command[0]:
        raise Refusal(400, "there is no command; write it after --, as in: berth exec TASK -- ls")
    flags = dict(query)
    return ExecRequest(command, is_set(flags, "tty"), is_set(flags, "stdin"), container)


def is_set(query: Mapping[str, str], name: str) -> bool:
    return query.get(name, "").lower() in ("1", "true", "yes")


async def _serve(websocket: "WebSocket", open_process: Open) -> None:
    try:
        process = await open_process(websocket)
    except REFUSALS as error:
        await websocket.send_denial_response(refused(error))
        return
    try:
        await websocket.accept()
        await race(_send_output(websocket, process), take_input(websocket, process))
    finally:
        process.close()


async def race(*works: Awaitable[None]) -> None:
    """Do all at once until one ends, and end the others. What went wrong with the peer's end is only logged."""
    tasks = [asyncio.ensure_future(work) for work in works]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for each in done:
            if (error := each.exception()) is not None:
                log.info("stream ended error=%s", error)
    finally:
        for each in tasks:
            each.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _send_output(websocket: "WebSocket", process: Process) -> None:
    while (piece := await process.read()) is not None:
        channel, data = piece
        await websocket.send_bytes(bytes([channel]) + data)
    status = json.dumps(await _end(process)).encode()
    await websocket.send_bytes(bytes([Channel.STATUS]) + status)
    await websocket.close()


async def _end(process: Process) -> dict[str, object]:
    """Return the last frame."""
    try:
        code = await process.exit_code()
    except AgentError as error:
        return {"error": str(error)}
    return {"detached": True} if code is None else {"exitCode": code}


async def take_input(websocket: "WebSocket", process: Process) -> None:
    """Pass on what comes until the peer is gone; frames that make no sense are left out."""
    while (frame := await receive(websocket)) is not None:
        channel, data = (frame[0], frame[1:]) if frame else (-1, b"")
        if channel == Channel.STDIN:
            await process.write(data)
        elif channel == Channel.END_OF_STDIN:
            await process.end_input()
        elif channel == Channel.RESIZE and (size := parse_size(data)) is not None:
            await process.resize(*size)


def parse_size(data: bytes) -> tuple[int, int] | None:
    """Return columns and rows, None if they make no sense."""
    try:
        told = json.loads(data)
        size = (int(told["width"]), int(told["height"]))
    except (ValueError, KeyError, TypeError):
        return None
    return size if all(0 < side <= MAX_SIDE for side in size) else None


async def receive(websocket: "WebSocket") -> bytes | None:
    """Return the next binary frame, None when the peer is gone; text frames count as empty ones."""
    message = await websocket.receive()
    if message["type"] == "websocket.disconnect":
        return None
    return message.get("bytes") or b""
