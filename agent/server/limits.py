"""A bound on what one agent serves at a time, so that no number of requests takes its memory or threads."""

from typing import TYPE_CHECKING

from agent.server.access import Refusal, refused

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

MAX_STREAMS = 256  # a stream holds two sockets, a log a thread besides; far above what people look at
PATHS = "/v1/"


class StreamLimit:
    """ASGI middleware: over the limit a request is refused with 503. All runs in one thread."""

    def __init__(self, app: "ASGIApp", limit: int = MAX_STREAMS) -> None:
        self._app = app
        self._limit = limit
        self._open = 0

    async def __call__(self, scope: "Scope", receive: "Receive", send: "Send") -> None:
        if not scope.get("path", "").startswith(PATHS):
            await self._app(scope, receive, send)
            return
        if self._open >= self._limit:
            await self._refuse(scope, receive, send)
            return
        self._open += 1
        try:
            await self._app(scope, receive, send)
        finally:
            self._open -= 1

    async def _refuse(self, scope: "Scope", receive: "Receive", send: "Send") -> None:
        from starlette.websockets import WebSocket

        message = f"this node serves {self._limit} streams already; end some of them, or try again later"
        reply = refused(Refusal(503, message))
        if scope["type"] == "websocket":
            await WebSocket(scope, receive, send).send_denial_response(reply)
        else:
            await reply(scope, receive, send)
