"""Docker's HTTP API from an event loop, for streams: the SDK blocks, and its hijacked sockets lose what arrived
together with the reply's head. One connection a call; every wait for a reply has a timeout.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from agent.errors import RuntimeRefused, RuntimeUnavailable

REPLY_TIMEOUT_S = 60.0  # as for the SDK's calls
CHUNK_BYTES = 65_536
_SILENT = (OSError, EOFError, TimeoutError, ValueError)  # ValueError: what came is no HTTP
Json = Any  # Any: JSON as Docker's API defines it


@dataclass(frozen=True, slots=True)
class Reply:
    """The head of a reply, and the connection behind it."""

    status: int
    headers: dict[str, str]  # names in lower case
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def body(self) -> bytes:
        """Return all of a body that ends with the connection, and close."""
        try:
            with _unavailable():
                return await self.reader.read()
        finally:
            self.writer.close()

    async def chunks(self) -> AsyncIterator[bytes]:
        """Yield such a body piece by piece, and close."""
        try:
            while True:
                with _unavailable():
                    chunk = await self.reader.read(CHUNK_BYTES)
                if not chunk:
                    return
                yield chunk
        finally:
            self.writer.close()


@dataclass(frozen=True, slots=True)
class Engine:
    """The engine at `unix:///...` or `tcp://host:port`."""

    host: str

    async def call(self, method: str, path: str, body: Json = None) -> Json:
        """Return the JSON of a reply. Raises RuntimeUnavailable, RuntimeRefused."""
        reply = await self.open(method, path, _encoded(body))
        text = await reply.body()
        with _unavailable():
            return json.loads(text) if text.strip() else None

    async def open(self, method: str, path: str, body: bytes = b"") -> Reply:
        """Return a reply with an unread body. HTTP/1.0, so that the body ends with the connection."""
        return await self._send(method, path, "HTTP/1.0", _body_headers(body), body)

    async def hijack(self, path: str, body: Json = None) -> Reply:
        """Return a connection that is a raw stream from here on, both ways."""
        content = _encoded(body)
        headers = {**_body_headers(content), "Connection": "Upgrade", "Upgrade": "tcp"}
        return await self._send("POST", path, "HTTP/1.1", headers, content)

    async def upload(self, path: str, chunks: AsyncIterator[bytes]) -> None:
        """Put a tar stream there."""
        reader, writer = await self._connect()
        headers = {
            "Content-Type": "application/x-tar",
            "Transfer-Encoding": "chunked",
            "Connection": "close",
        }
        try:
            writer.write(_head("PUT", path, "HTTP/1.1", headers))
            await _write_chunks(writer, chunks)
            await _answer(reader, writer)
        finally:
            writer.close()

    async def _send(
        self, method: str, path: str, version: str, headers: dict[str, str], body: bytes
    ) -> Reply:
        reader, writer = await self._connect()
        try:
            with _unavailable():
                writer.write(_head(method, path, version, headers) + body)
                await writer.drain()
            return await _answer(reader, writer, has_body=method != "HEAD")
        except BaseException:
            writer.close()
            raise

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        url = urlsplit(self.host)
        with _unavailable():
            async with asyncio.timeout(REPLY_TIMEOUT_S):
                if url.scheme == "unix":
                    return await asyncio.open_unix_connection(url.path)
                return await asyncio.open_connection(url.hostname, url.port)


@contextmanager
def _unavailable() -> Iterator[None]:
    try:
        yield
    except _SILENT as error:
        why = str(error) or type(error).__name__
        raise RuntimeUnavailable(f"the container runtime does not answer: {why}") from error


async def _answer(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, has_body: bool = True
) -> Reply:
    """Read the head of a reply. Raises RuntimeRefused with the engine's words for 4xx and 5xx."""
    with _unavailable():
        async with asyncio.timeout(REPLY_TIMEOUT_S):
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        first, *lines = head.strip().split("\r\n")
        status = int(first.split()[1])
    pairs = (line.partition(":") for line in lines)
    reply = Reply(status, {name.lower(): value.strip() for name, _, value in pairs}, reader, writer)
    if status >= 400:
        raise RuntimeRefused(status, await _words(reply) if has_body else f"status {status}")
    return reply


async def _words(reply: Reply) -> str:
    """Return the message of a refusal; its body may have a length, or end with the connection."""
    length = int(reply.headers.get("content-length") or -1)
    with _unavailable():
        async with asyncio.timeout(REPLY_TIMEOUT_S):
            body = await (reply.reader.readexactly(length) if length >= 0 else reply.reader.read(CHUNK_BYTES))
    try:
        return str(json.loads(body)["message"])
    except (ValueError, KeyError, TypeError):
        return body.decode(errors="replace").strip() or f"status {reply.status}"


async def _write_chunks(writer: asyncio.StreamWriter, chunks: AsyncIterator[bytes]) -> None:
    """Send a chunked body. An engine that refuses it closes early; its reply says why."""
    try:
        async for chunk in chunks:
            if chunk:
                writer.write(b"%x\r\n%b\r\n" % (len(chunk), chunk))
                await writer.drain()
        writer.write(b"0\r\n\r\n")
        await writer.drain()
    except ConnectionError:
        return


def _encoded(body: Json) -> bytes:
    return b"" if body is None else json.dumps(body).encode()


def _body_headers(body: bytes) -> dict[str, str]:
    return {"Content-Type": "application/json", "Content-Length": str(len(body))} if body else {}


def _head(method: str, path: str, version: str, headers: dict[str, str]) -> bytes:
    lines = [
        f"{method} {path} {version}",
        "Host: docker",
        *(f"{name}: {value}" for name, value in headers.items()),
    ]
    return "\r\n".join([*lines, "", ""]).encode("latin-1")
