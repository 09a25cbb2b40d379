"""WS /v1/port-forward/{namespace}/{task uid}/{port}: one TCP connection to a port of the task's container.

Binary frames are its bytes; an empty frame ends one direction, as FIN does. The agent connects to the
container's own address, so the port need not be published.
"""

import asyncio
import os
from contextlib import suppress
from typing import TYPE_CHECKING

from agent.runtime.streams import Streams
from agent.server.access import REFUSALS, Door, Refusal, refused
from agent.server.streams import race, receive

if TYPE_CHECKING:
    from starlette.routing import BaseRoute
    from starlette.websockets import WebSocket

CONNECT_TIMEOUT_S = 5.0
CHUNK_BYTES = 65_536
Ends = tuple[asyncio.StreamReader, asyncio.StreamWriter]


def routes(door: Door, streams: Streams) -> "list[BaseRoute]":
    """Return where ports are reached."""
    from starlette.routing import WebSocketRoute

    async def forward(websocket: "WebSocket") -> None:
        try:
            container_id = await door.container(websocket)
            port = parse_port(websocket.path_params["port"])
            reader, writer = await _connect(await streams.address(container_id), port)
        except REFUSALS as error:
            await websocket.send_denial_response(refused(error))
            return
        try:
            await websocket.accept()
            await _pump(websocket, reader, writer)
        finally:
            writer.close()

    return [WebSocketRoute("/v1/port-forward/{namespace}/{task_uid}/{port}", forward)]


def parse_port(text: str) -> int:
    """Return a TCP port. Raises Refusal 400."""
    if not (text.isascii() and text.isdigit() and 0 < int(text) < 65_536):
        raise Refusal(400, f"{text!r} is no port; ports are 1 to 65535")
    return int(text)


async def _connect(address: str, port: int) -> Ends:
    try:
        async with asyncio.timeout(CONNECT_TIMEOUT_S):
            return await asyncio.open_connection(address, port)
    except (OSError, TimeoutError) as error:
        number = getattr(error, "errno", None)
        why = os.strerror(number) if number else "no answer"
        raise Refusal(
            502,
            f"nothing takes connections at port {port} of the container ({why}); "
            "it must listen on 0.0.0.0, as what listens on its own 127.0.0.1 can't be reached",
        ) from None


async def _pump(websocket: "WebSocket", reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Carry bytes both ways until both directions have ended, or one end is gone."""
    input_ended = asyncio.Event()
    await race(_to_person(websocket, reader, input_ended), _to_container(websocket, writer, input_ended))
    with suppress(RuntimeError, OSError):  # the person is gone already
        await websocket.close()


async def _to_person(
    websocket: "WebSocket", reader: asyncio.StreamReader, input_ended: asyncio.Event
) -> None:
    while data := await reader.read(CHUNK_BYTES):
        await websocket.send_bytes(data)
    await websocket.send_bytes(b"")
    await input_ended.wait()


async def _to_container(
    websocket: "WebSocket", writer: asyncio.StreamWriter, input_ended: asyncio.Event
) -> None:
    while (data := await receive(websocket)) is not None:
        if data:
            writer.write(data)
            await writer.drain()
        elif not input_ended.is_set():
            input_ended.set()
            writer.write_eof()
