"""An etcd and a Docker Engine for tests and the demo, which leave nothing behind when they end.

with private_etcd(folder) as endpoint, docker_engine(folder) as host: ...

python -m tools.private etcd|docker     run one until Ctrl-C, and print its address
python -m tools.private clean           remove what crashed runs left
"""

import json
import platform
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import FrameType
from typing import NoReturn

from tools import BUILD
from tools.docker_http import users_engine
from tools.engine import clear_leftovers, private_engine
from tools.errors import StartError, ToolError
from tools.image import ensure_demo_image
from tools.processes import kill_marked, start_server, stop_server, tail

__all__ = ["docker_engine", "ensure_demo_image", "private_etcd", "stop_on_sigterm"]

ETCD_START_TIMEOUT_S = 30.0  # well under 1 s as a rule
PORT_ATTEMPTS = 3  # another process may take a port between our choice and etcd's bind
POLL_S = 0.05


@contextmanager
def docker_engine(folder: Path = BUILD / "docker") -> Iterator[str]:
    """Yield the host of the user's own Docker daemon if one answers, else of a private one in `folder`.

    Raise EngineUnavailable when there is neither.
    """
    host = users_engine()
    if host is not None:
        yield host
        return
    with private_engine(folder) as private_host:
        yield private_host


@contextmanager
def private_etcd(folder: Path = BUILD / "etcd") -> Iterator[str]:
    """Run an etcd of one member with its data in `folder`; yield its endpoint `127.0.0.1:port`."""
    folder = folder.resolve()
    kill_marked(folder)
    server, port = _start_etcd(folder)
    try:
        yield f"127.0.0.1:{port}"
    finally:
        stop_server(server)
        shutil.rmtree(folder / "data", ignore_errors=True)


def _start_etcd(folder: Path) -> tuple[subprocess.Popen[bytes], int]:
    """Start etcd with empty data on free ports and wait until it is healthy."""
    log = folder / "etcd.log"
    for _ in range(PORT_ATTEMPTS):
        shutil.rmtree(folder / "data", ignore_errors=True)
        log.unlink(missing_ok=True)
        client_port, peer_port = free_ports(2)
        command = etcd_command(folder / "data", client_port, peer_port)
        server = start_server(command, folder, log=log, extra={"ETCD_UNSUPPORTED_ARCH": _etcd_arch()})
        if _becomes_healthy(server, client_port):
            return server, client_port
        stop_server(server)
    raise StartError(f"etcd does not start; end of {log}:\n{tail(log)}")


def etcd_command(data: Path, client_port: int, peer_port: int) -> list[str]:
    """Return the command of a one-member etcd that only this machine reaches. Pure."""
    client, peer = f"http://127.0.0.1:{client_port}", f"http://127.0.0.1:{peer_port}"
    options = {
        "name": "private",
        "data-dir": str(data),
        "listen-client-urls": client,
        "advertise-client-urls": client,
        "listen-peer-urls": peer,
        "initial-advertise-peer-urls": peer,
        "initial-cluster": f"private={peer}",
    }
    return ["etcd", *(f"--{name}={value}" for name, value in options.items())]


def _etcd_arch() -> str:
    """etcd 3.4 refuses to start on arm64 unless it is told to; it ignores the wish elsewhere."""
    return {"aarch64": "arm64"}.get(platform.machine(), "")


def _becomes_healthy(server: subprocess.Popen[bytes], port: int) -> bool:
    deadline = time.monotonic() + ETCD_START_TIMEOUT_S
    while server.poll() is None and time.monotonic() < deadline:
        if _is_healthy(port):
            return True
        time.sleep(POLL_S)
    return False


def _is_healthy(port: int) -> bool:
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # no proxy for loopback
    try:
        with direct.open(f"http://127.0.0.1:{port}/health", timeout=2) as answer:
            return json.load(answer).get("health") in ("true", True)
    except (OSError, ValueError):
        return False


def free_ports(count: int) -> list[int]:
    """Return TCP ports of the loopback that nobody listens on right now, all different."""
    with ExitStack() as held:
        sockets = [held.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [int(each.getsockname()[1]) for each in sockets]


def stop_on_sigterm() -> None:
    """Let SIGTERM and SIGHUP unwind the context managers, as Ctrl-C does."""

    def leave(number: int, _frame: FrameType | None) -> NoReturn:
        sys.exit(128 + number)

    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, leave)


def _clean() -> None:
    """End what crashed runs of this clone left, then remove the traces."""
    clear_leftovers(BUILD / "docker")
    kill_marked(BUILD)


def _run_until_stopped(what: str) -> None:
    stop_on_sigterm()
    with private_etcd() if what == "etcd" else docker_engine() as address:
        print(address, flush=True)
        try:
            signal.pause()
        except KeyboardInterrupt:
            return


def main(arguments: list[str]) -> int:
    """Run the command line."""
    if arguments == ["clean"]:
        _clean()
    elif arguments in (["etcd"], ["docker"]):
        _run_until_stopped(arguments[0])
    else:
        print(__doc__, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except ToolError as error:
        sys.exit(f"error: {error}")
