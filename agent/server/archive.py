"""/v1/archive/{namespace}/{task uid}/{container}?path=  Files of a container, as tar streams.

GET   a tar of the file or folder; with stat=true what is there, as JSON:
      {"exists": true, "name", "size", "isFolder", "linkTarget"} or {"exists": false}
PUT   unpacks the body, a tar, into the folder `path`

Both directions stream: neither the agent nor the engine holds more than a piece of it.
"""

import logging
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import TYPE_CHECKING
from unicodedata import category

from agent.runtime.streams import PathStat, Streams
from agent.server.access import REFUSALS, Door, Refusal, refused
from agent.server.streams import is_set

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.routing import BaseRoute

log = logging.getLogger(__name__)

MAX_DRAINED_BYTES = 2**26  # of a refused upload: read on, so that its sender gets to read why


def routes(door: Door, streams: Streams) -> "list[BaseRoute]":
    """Return where files are served."""
    from starlette.requests import ClientDisconnect
    from starlette.responses import JSONResponse, Response, StreamingResponse
    from starlette.routing import Route

    async def get(container_id: str, path: str, request: "Request") -> "Response":
        if is_set(request.query_params, "stat"):
            return JSONResponse(stat_json(await streams.stat(container_id, path)))
        chunks = await streams.read_archive(container_id, path)
        return StreamingResponse(_until_lost(chunks), media_type="application/x-tar")

    async def put(container_id: str, path: str, request: "Request") -> "Response":
        body = request.stream()
        try:
            await streams.write_archive(container_id, path, body)
        except REFUSALS:
            with suppress(ClientDisconnect):
                await _drain(body)
            raise
        except ClientDisconnect:
            log.info("upload broken off path=%r", path)
            return Response(status_code=400)  # which nobody reads
        return Response(status_code=204)

    methods = {"GET": get, "PUT": put}

    async def archive(request: "Request") -> "Response":
        try:
            container_id = await door.container(request)
            path = parse_path(request.query_params.get("path", ""))
            return await methods.get(request.method, get)(container_id, path, request)
        except REFUSALS as error:
            return refused(error)

    return [Route("/v1/archive/{namespace}/{task_uid}/{container}", archive, methods=list(methods))]


def parse_path(path: str) -> str:
    """Return an absolute path in a container. Raises Refusal 400."""
    if not path.startswith("/"):
        raise Refusal(400, f"{path!r} is no absolute path in the container; write it as TASK:/path")
    if any(category(character) == "Cc" for character in path):
        raise Refusal(400, f"{path!r} has a control character; copy the folder that holds it")
    return path


def stat_json(stat: PathStat | None) -> dict[str, object]:
    if stat is None:
        return {"exists": False}
    return {
        "exists": True,
        "name": stat.name,
        "size": stat.size_bytes,
        "isFolder": stat.is_folder,
        "linkTarget": stat.link_target,
    }


async def _until_lost(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """Pass on; an archive that is cut off lacks its end, by which its reader knows."""
    try:
        async for chunk in chunks:
            yield chunk
    except REFUSALS as error:
        log.warning("archive cut off error=%s", error)


async def _drain(body: AsyncIterator[bytes]) -> None:
    left = MAX_DRAINED_BYTES
    async for chunk in body:
        left -= len(chunk)
        if left <= 0:
            return
