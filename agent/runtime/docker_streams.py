"""`agent.runtime.streams.Streams` on a Docker Engine."""

import asyncio
import base64
import json
import os
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from itertools import chain, repeat
from pathlib import Path
from urllib.parse import urlencode

from agent.errors import RuntimeRefused, RuntimeUnavailable
from agent.runtime.docker_http import CHUNK_BYTES, Engine, Json, Reply
from agent.runtime.exec_refusal import ENGINE_REFUSES, ExecRefusal, exec_refusal
from agent.runtime.streams import ExecRequest, PathStat, Process
from schemas.stream import Channel

HEADER_BYTES = 8  # of a frame without terminal: stream, three zeros, length in network order
ENDED_POLL_S = 0.05  # the engine ends the stream a moment before it notes the exit code
ENDED_TRIES = 100
SLOW_POLL_S = 1.0  # of a command that goes on without its output
RESIZE_TRIES = 10
RESIZE_TIMEOUT_S = 2.0  # input waits meanwhile
MODE_FOLDER, MODE_LINK = 1 << 31, 1 << 27  # Go's os.FileMode, in which Docker tells modes
DETACH_KEYS = b"\x10\x11"  # ctrl-p ctrl-q, which the engine takes out of the input of a terminal
NEVER_TYPED = "ctrl-^,ctrl-_,ctrl-^"  # instead of ctrl-p,ctrl-q: a shell needs its ctrl-p


class DockerProcess:
    """One hijacked connection. `inspect`: path that tells the exit code."""

    def __init__(self, engine: Engine, reply: Reply, *, is_tty: bool, inspect: str, resize: str) -> None:
        self._engine = engine
        self._reader, self._writer = reply.reader, reply.writer
        self._is_tty = is_tty
        self._inspect, self._resize = inspect, resize
        self._channel, self._left = Channel.STDOUT, 0

    async def read(self) -> tuple[Channel, bytes] | None:
        try:
            if self._is_tty:
                data = await self._reader.read(CHUNK_BYTES)
                return (Channel.STDOUT, data) if data else None
            while self._left == 0:
                header = await self._reader.readexactly(HEADER_BYTES)
                self._channel = Channel.STDERR if header[0] == Channel.STDERR else Channel.STDOUT
                self._left = int.from_bytes(header[4:], "big")
            data = await self._reader.read(min(self._left, CHUNK_BYTES))
        except (OSError, EOFError):
            return None
        self._left -= len(data)
        return (self._channel, data) if data else None

    async def write(self, data: bytes) -> None:
        with suppress(ConnectionError):  # it does not read any more; its output tells the rest
            self._writer.write(data)
            await self._writer.drain()

    async def end_input(self) -> None:
        with suppress(OSError):
            self._writer.write_eof()

    async def resize(self, width: int, height: int) -> None:
        with suppress(RuntimeUnavailable, TimeoutError):  # a terminal of the wrong size is better than none
            async with asyncio.timeout(RESIZE_TIMEOUT_S):
                await self._try_resize(width, height)

    async def _try_resize(self, width: int, height: int) -> None:
        for _ in range(RESIZE_TRIES):  # refused until the process has its terminal, and after its end
            with suppress(RuntimeRefused):
                await self._engine.call("POST", f"{self._resize}?{urlencode({'w': width, 'h': height})}")
                return
            await asyncio.sleep(ENDED_POLL_S)

    async def exit_code(self) -> int | None:
        for pause_s in self._pauses():
            told = await self._engine.call("GET", self._inspect)
            state = told.get("State", told)
            if not state["Running"]:
                return int(state["ExitCode"] or 0)
            await asyncio.sleep(pause_s)
        return None

    def _pauses(self) -> Iterator[float]:
        """Yield pauses for as long as the command runs: it may have closed its output and gone on."""
        return chain(repeat(ENDED_POLL_S, ENDED_TRIES), repeat(SLOW_POLL_S))

    async def kill(self) -> bool:
        """Docker has no call for that. Its number counts only if that process is seen here, in that container."""
        told = await self._engine.call("GET", self._inspect)
        pid, container_id = int(told.get("Pid") or 0), str(told.get("ContainerID") or "")
        if not told.get("Running"):
            return True
        return bool(pid and container_id) and kill_in_container(pid, container_id)

    def close(self) -> None:
        self._writer.close()


class ExecProcess(DockerProcess):
    """A command. That it could not be started the engine says in its output, with 126 for whatever is wrong."""

    def __init__(self, engine: Engine, reply: Reply, path: str, request: ExecRequest) -> None:
        super().__init__(engine, reply, is_tty=request.tty, inspect=f"{path}/json", resize=f"{path}/resize")
        self._request = request
        self._refusal: ExecRefusal | None = None

    async def read(self) -> tuple[Channel, bytes] | None:
        """A command may print the engine's phrase, too; but one that was never started has no process."""
        piece = await super().read()
        if piece is None or self._refusal is not None or not piece[1].startswith(ENGINE_REFUSES):
            return piece
        told = await self._engine.call("GET", self._inspect)
        if told.get("Running") or told.get("Pid"):
            return piece
        self._refusal = exec_refusal(piece[1].decode(errors="replace"), self._request)
        end = "\r\n" if self._is_tty else "\n"
        return Channel.STDERR, f"Error: {self._refusal.message}{end}".encode()

    async def exit_code(self) -> int | None:
        return await super().exit_code() if self._refusal is None else self._refusal.code


class AttachedProcess(DockerProcess):
    """A container's main process. It goes on when the engine's own keys for detaching were typed."""

    _typed = b""

    async def write(self, data: bytes) -> None:
        self._typed = (self._typed + data)[-len(DETACH_KEYS) :]
        await super().write(data)

    async def exit_code(self) -> int | None:
        if self._is_tty and self._typed == DETACH_KEYS:
            return None
        return await super().exit_code()

    def _pauses(self) -> Iterator[float]:
        """Yield pauses for a moment: what runs on has been detached from."""
        return repeat(ENDED_POLL_S, ENDED_TRIES)


class DockerStreams:
    """Opens streams of containers."""

    def __init__(self, host: str) -> None:
        self._engine = Engine(host)

    async def exec(self, container_id: str, request: ExecRequest) -> Process:
        body = {
            "Cmd": list(request.command),
            "Tty": request.tty,
            "AttachStdin": request.stdin,
            "AttachStdout": True,
            "AttachStderr": True,
            "DetachKeys": NEVER_TYPED,
        }
        made = await self._engine.call("POST", f"/containers/{container_id}/exec", body)
        path = f"/exec/{made['Id']}"
        reply = await self._engine.hijack(f"{path}/start", {"Detach": False, "Tty": request.tty})
        return ExecProcess(self._engine, reply, path, request)

    async def attach(self, container_id: str, *, stdin: bool) -> Process:
        path = f"/containers/{container_id}"
        told = await self._engine.call("GET", f"{path}/json")
        if not told["State"]["Running"]:
            raise RuntimeRefused(409, "the container does not run")
        if stdin and not told["Config"]["OpenStdin"]:
            raise RuntimeRefused(
                400, "the container has no input: it takes `stdin: true` in its spec for attach -i"
            )
        query = {"stream": 1, "stdout": 1, "stderr": 1, "stdin": int(stdin)}
        reply = await self._engine.hijack(f"{path}/attach?{urlencode(query)}")
        return AttachedProcess(
            self._engine,
            reply,
            is_tty=told["Config"]["Tty"],
            inspect=f"{path}/json",
            resize=f"{path}/resize",
        )

    async def address(self, container_id: str) -> str:
        told = await self._engine.call("GET", f"/containers/{container_id}/json")
        if not told["State"]["Running"]:
            raise RuntimeRefused(409, "the container does not run")
        _, joined, sandbox_id = str(told["HostConfig"].get("NetworkMode") or "").partition("container:")
        if joined:
            return await self.address(sandbox_id)
        found = container_address(told)
        if not found:
            raise RuntimeRefused(409, "the container has no address of its own on this node")
        return found

    async def stat(self, container_id: str, path: str) -> PathStat | None:
        try:
            reply = await self._engine.open("HEAD", _archive(container_id, path=path))
        except RuntimeRefused as error:
            if error.status == 404:
                return None
            raise
        reply.writer.close()
        told = json.loads(base64.b64decode(reply.headers["x-docker-container-path-stat"]))
        return PathStat(
            name=told["name"],
            size_bytes=told["size"],
            is_folder=bool(told["mode"] & MODE_FOLDER),
            link_target=told["linkTarget"] if told["mode"] & MODE_LINK else "",
        )

    async def read_archive(self, container_id: str, path: str) -> AsyncIterator[bytes]:
        reply = await self._engine.open("GET", _archive(container_id, path=path))
        return reply.chunks()

    async def write_archive(self, container_id: str, folder: str, chunks: AsyncIterator[bytes]) -> None:
        query = {"path": folder, "noOverwriteDirNonDir": "true", "copyUIDGID": "true"}
        await self._engine.upload(_archive(container_id, **query), chunks)


def kill_in_container(pid: int, container_id: str) -> bool:
    """Kill a process, with its group, if it belongs to that container; say whether it is at its end."""
    try:
        if container_id not in Path(f"/proc/{pid}/cgroup").read_text():
            return False  # of an engine that runs elsewhere, or has another count of processes
        if os.getpgid(pid) == pid:
            os.killpg(pid, signal.SIGKILL)
        else:
            os.kill(pid, signal.SIGKILL)
    except OSError:  # it may have ended just now: the next look tells
        return False
    return True


def container_address(told: Json) -> str:
    """Return the first IP of an inspected container, empty without one."""
    settings = told["NetworkSettings"]
    found = [settings.get("IPAddress") or ""]
    found += [each.get("IPAddress") or "" for each in (settings.get("Networks") or {}).values()]
    return next(filter(None, found), "")


def _archive(container_id: str, **query: str) -> str:
    return f"/containers/{container_id}/archive?{urlencode(query)}"
