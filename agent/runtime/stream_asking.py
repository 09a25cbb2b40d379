"""Asks containers over their streams: a command inside, an HTTP request, a TCP connection.

One thread with an event loop carries all questions of a node; it is started with the first one. Questions go to the
container's own address, so nothing needs to be published. As in Kubernetes, HTTPS certificates are not checked, and
a redirect is followed on the same host only: one to another host is an answer, and a good one.
"""

import asyncio
import contextlib
import logging
import ssl
import threading
from collections import deque
from collections.abc import Callable
from functools import cache
from urllib.parse import urljoin, urlsplit

from agent.errors import RuntimeRefused, RuntimeUnavailable
from agent.probes import Answer, ProbeKind, one_line
from agent.runtime.asking import Answered, Ask
from agent.runtime.streams import ExecRequest, Process, Streams
from schemas.probe import ExecAction, HttpGetAction

log = logging.getLogger(__name__)

COMMANDS_AT_ONCE = (
    16  # a command costs the engine some 50 ms of processor time; more at once only delay each other
)
CONNECTIONS_AT_ONCE = 256
OUTPUT_BYTES = 2048  # kept of what a probe says; the rest is read and dropped
MAX_REDIRECTS = 10  # as Go's client, which Kubernetes asks with
CLOSE_TIMEOUT_S = 5.0
KNOWN_ADDRESSES = 4096


class StreamAsker:
    """`agent.runtime.asking.Asker` on the streams of a runtime."""

    def __init__(self, streams: Streams, notify: Callable[[], None]) -> None:
        self._streams, self._notify = streams, notify
        self._answers: deque[Answered] = deque()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._commands = asyncio.Semaphore(COMMANDS_AT_ONCE)
        self._connections = asyncio.Semaphore(CONNECTIONS_AT_ONCE)
        self._addresses: dict[str, str] = {}  # container id -> its IP
        self._hanging: dict[tuple[str, ProbeKind], Process] = {}  # commands that could not be killed

    def submit(self, ask: Ask) -> None:
        loop = self._loop or self._begin()
        loop.call_soon_threadsafe(self._spawn, ask)

    def poll(self) -> tuple[Answered, ...]:
        found = []
        while self._answers:
            found.append(self._answers.popleft())
        return tuple(found)

    def close(self) -> None:
        """End the thread; nothing that is under way is answered any more."""
        if self._loop is None or self._thread is None:
            return
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(CLOSE_TIMEOUT_S)

    def _begin(self) -> asyncio.AbstractEventLoop:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, args=(self._loop,), name="probes", daemon=True)
        self._thread.start()
        return self._loop

    def _run(self, loop: asyncio.AbstractEventLoop) -> None:
        asyncio.set_event_loop(loop)
        try:
            loop.run_forever()
        finally:
            for task in self._tasks:
                task.cancel()
            loop.run_until_complete(asyncio.gather(*self._tasks, return_exceptions=True))
            loop.run_until_complete(loop.shutdown_asyncgens())
            loop.close()

    def _spawn(self, ask: Ask) -> None:
        task = asyncio.ensure_future(self._answer(ask))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _answer(self, ask: Ask) -> None:
        try:
            answer = await self._ask(ask)
        except (RuntimeUnavailable, RuntimeRefused) as error:  # it has just ended, or the engine is away
            answer = Answer(None, str(error))
        except Exception as error:  # the border around one question
            log.exception("probe broken container=%s kind=%s", ask.container_id[:12], ask.kind)
            answer = Answer(None, str(error))
        self._answers.append(Answered(ask, answer))
        self._notify()

    async def _ask(self, ask: Ask) -> Answer:
        probe = ask.probe
        if probe.exec is not None:
            async with self._commands:
                return await self._run_command(ask, probe.exec)
        if ask.port is None:
            return Answer(False, f"the container has no port named {probe.port}")
        async with self._connections:
            address = await self._address(ask.container_id)
            if probe.http_get is not None:
                answer = await http_get(address, ask.port, probe.http_get, probe.timeout_seconds)
            else:
                answer = await tcp_connect(address, ask.port, probe.timeout_seconds)
        if not answer.ok:
            self._addresses.pop(ask.container_id, None)
        return answer

    async def _address(self, container_id: str) -> str:
        known = self._addresses.get(container_id)
        if known is None:
            known = await self._streams.address(container_id)
            if len(self._addresses) >= KNOWN_ADDRESSES:
                self._addresses.clear()
            self._addresses[container_id] = known
        return known

    async def _run_command(self, ask: Ask, action: ExecAction) -> Answer:
        key = (ask.container_id, ask.kind)
        hanging = self._hanging.get(key)
        if hanging is not None and not await hanging.kill():
            return Answer(False, "the command of an earlier probe still runs")
        self._hanging.pop(key, None)
        process = await self._streams.exec(ask.container_id, ExecRequest(action.command))
        answer = await run_command(process, ask.probe.timeout_seconds)
        if answer is not None:
            return answer
        if not await process.kill():
            self._hanging[key] = process
        return Answer(False, f"command timed out after {ask.probe.timeout_seconds}s")


async def run_command(process: Process, timeout_s: float) -> Answer | None:
    """Return what a command came to; None if it runs for longer than `timeout_s`: the caller kills it."""
    output = b""
    try:
        async with asyncio.timeout(timeout_s):
            while (piece := await process.read()) is not None:
                output = (output + piece[1])[:OUTPUT_BYTES]
            code = await process.exit_code()
    except TimeoutError:
        return None
    finally:
        process.close()
    said = one_line(output.decode(errors="replace"))
    return Answer(True) if code == 0 else Answer(False, f"{said} (exit code {code})".lstrip())


async def tcp_connect(address: str, port: int, timeout_s: float) -> Answer:
    """Open a connection, and close it."""
    try:
        async with asyncio.timeout(timeout_s):
            _, writer = await asyncio.open_connection(address, port)
            await _close(writer)
    except (OSError, TimeoutError) as error:
        return Answer(False, _why(error, f"port {port}", timeout_s))
    return Answer(True)


async def http_get(address: str, port: int, action: HttpGetAction, timeout_s: float) -> Answer:
    """Ask over HTTP: a status of 200 to 399 is success."""
    where = f"{action.scheme} port {port}{action.path}"
    try:
        async with asyncio.timeout(timeout_s):
            return await _follow(address, port, action)
    except (OSError, EOFError, TimeoutError, ValueError, asyncio.LimitOverrunError) as error:
        return Answer(False, _why(error, where, timeout_s))


async def _follow(address: str, port: int, action: HttpGetAction) -> Answer:
    path, base = action.path, f"{action.scheme.lower()}://{address}:{port}"
    for _ in range(MAX_REDIRECTS):
        status, location, said = await _get(address, port, path, action)
        if not 300 <= status < 400 or not location:
            break
        there, here = urlsplit(urljoin(base + path, location)), urlsplit(base)
        if (there.scheme, there.hostname, there.port) != (here.scheme, here.hostname, here.port):
            break
        path = there._replace(scheme="", netloc="", fragment="").geturl() or "/"
    else:
        return Answer(False, f"stopped after {MAX_REDIRECTS} redirects")
    if 200 <= status < 400:
        return Answer(True)
    return Answer(False, f"HTTP status {status}" + (f": {said}" if said else ""))


async def _get(address: str, port: int, path: str, action: HttpGetAction) -> tuple[int, str, str]:
    """Return status, Location, and for a failure the beginning of the body."""
    tls = _unchecked_tls() if action.scheme == "HTTPS" else None
    reader, writer = await asyncio.open_connection(address, port, ssl=tls)
    try:
        writer.write(_request(address, port, path, action))
        await writer.drain()
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        first, *lines = head.strip().split("\r\n")
        protocol, code, *_ = [*first.split(None, 2), ""]
        if not protocol.startswith("HTTP/") or not code.isdigit():
            raise ValueError(f"what answers does not speak HTTP: {one_line(first)}")
        headers = {name.lower(): value.strip() for name, _, value in (each.partition(":") for each in lines)}
        body = await reader.read(OUTPUT_BYTES) if int(code) >= 400 else b""
        return int(code), headers.get("location", ""), one_line(body.decode(errors="replace"))
    finally:
        await _close(writer)


def _request(address: str, port: int, path: str, action: HttpGetAction) -> bytes:
    headers = {"host": ("Host", f"{address}:{port}"), "user-agent": ("User-Agent", "berth-probe")}
    headers["accept"] = ("Accept", "*/*")
    headers |= {each.name.lower(): (each.name, each.value) for each in action.http_headers}
    headers["connection"] = ("Connection", "close")
    lines = [f"GET {path} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.values())]
    return "\r\n".join([*lines, "", ""]).encode()


@cache
def _unchecked_tls() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


async def _close(writer: asyncio.StreamWriter) -> None:
    """Close at once: whoever answers need not say goodbye."""
    writer.transport.abort()
    with contextlib.suppress(OSError):
        await writer.wait_closed()


def _why(error: Exception, where: str, timeout_s: float) -> str:
    if isinstance(error, TimeoutError) and not error.strerror:
        return f"no answer from {where} within {timeout_s}s"
    if isinstance(error, EOFError):
        return f"{where}: the connection was closed without an answer"
    return one_line(f"{where}: {getattr(error, 'strerror', None) or error or type(error).__name__}")
