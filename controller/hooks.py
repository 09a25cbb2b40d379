"""Where others may call in: POST /v1/webhook/{name}, handed to whatever this process has for it.

The one way in that needs no token of a namespace: who calls proves himself to the hook.
"""

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from controller.companions import Hook
from controller.manager import Controller

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.routing import Route

log = logging.getLogger(__name__)

MAX_BODY_BYTES = 2**22  # a push of many commits; the servers of repositories send up to some megabytes


def routes(controller: Callable[[], Controller], hook: Hook) -> "list[Route]":
    """Return the route; calls are answered one at a time, so that a flood costs one thread."""
    from starlette.responses import JSONResponse
    from starlette.routing import Route

    pool = ThreadPoolExecutor(1, "hooks")

    async def webhook(request: "Request") -> "Response":
        body = bytearray()
        async for piece in request.stream():
            body += piece
            if len(body) > MAX_BODY_BYTES:
                return JSONResponse({"message": f"a call may have {MAX_BODY_BYTES} bytes"}, 413)

        def work() -> tuple[int, str]:
            current = controller()
            headers = {name.lower(): value for name, value in request.headers.items()}
            name = request.path_params["name"]
            return hook(
                current.store, current.keys, current.key_pair, name=name, headers=headers, body=bytes(body)
            )

        try:
            status, message = await asyncio.get_running_loop().run_in_executor(pool, work)
        except Exception:
            log.exception("hook failed path=%s", request.url.path)
            status, message = 500, "the controller failed at this call; its log says how"
        return JSONResponse({"message": message}, status)

    return [Route("/v1/webhook/{name}", webhook, methods=["POST"])]
