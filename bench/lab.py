"""What rows work with: a folder, a private Docker Engine, private etcds, `berth` processes, and what they use up.

Nothing here touches a daemon or an etcd of the user's. Every process is ended by its own id.
"""

import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from store.etcd import EtcdOptions, EtcdStore
from tools.engine import private_engine
from tools.image import ensure_demo_image
from tools.private import private_etcd
from tools.processes import start_server, stop_server, tail

BERTH = Path(sys.executable).parent / "berth"
WAIT_S = 120.0  # for what takes seconds
POLL_S = 0.02


class LabError(Exception):
    """Something that a measurement needs did not come up; the text has the end of its log."""


@dataclass(slots=True)
class Lab:
    """`folder` is emptied by the caller; `say` prints a line of progress."""

    folder: Path
    say: Callable[[str], None]
    _stack: ExitStack = field(default_factory=ExitStack)
    _docker_host: str = ""

    def __enter__(self) -> "Lab":
        return self

    def __exit__(self, *error: object) -> None:
        self._stack.close()

    @property
    def docker_host(self) -> str:
        """The private engine, started when it is first asked for; it has the image berth/demo:latest."""
        if not self._docker_host:
            self.say("starting a private Docker Engine")
            self._docker_host = self._stack.enter_context(private_engine(self.folder / "docker"))
            ensure_demo_image(self._docker_host)
        return self._docker_host

    @contextmanager
    def etcd(self, name: str) -> Iterator[str]:
        """Run an empty etcd; yield `host:port`."""
        with private_etcd(self.folder / name / "etcd") as endpoint:
            yield endpoint

    @contextmanager
    def berth(self, name: str, *arguments: str) -> Iterator["Component"]:
        """Run `berth ARGUMENTS` in the background, its log in `name`.log."""
        log = self.folder / f"{name}.log"
        component = Component(name, start_server([str(BERTH), *arguments], self.folder, log=log), log)
        try:
            yield component
        finally:
            stop_server(component.process)


@dataclass(frozen=True, slots=True)
class Component:
    """A running `berth` process."""

    name: str
    process: subprocess.Popen[bytes]
    log: Path

    def check(self) -> None:
        """Raise if it ended by itself."""
        if self.process.poll() is not None:
            raise LabError(f"{self.name} ended with {self.process.returncode}:\n{tail(self.log)}")

    def cpu_s(self) -> float:
        """Seconds of processor time that it has used, in user and system mode."""
        times = psutil.Process(self.process.pid).cpu_times()
        return float(times.user + times.system)

    def rss_bytes(self) -> int:
        """Memory that it holds now."""
        return int(psutil.Process(self.process.pid).memory_info().rss)


def connect(endpoint: str) -> EtcdStore:
    return EtcdStore(EtcdOptions(endpoints=(endpoint,)))


def until(
    what: str,
    holds: Callable[[], Any],
    *components: Component,
    timeout_s: float = WAIT_S,
    poll_s: float = POLL_S,
) -> None:
    """Wait until something holds; what of ours is measured is watched, not polled."""
    deadline = time.monotonic() + timeout_s
    while not holds():
        for component in components:
            component.check()
        if time.monotonic() > deadline:
            logs = "\n".join(f"--- {each.name}\n{tail(each.log)}" for each in components)
            raise LabError(f"not so after {timeout_s:.0f} s: {what}\n{logs}")
        time.sleep(poll_s)


def etcd_puts(endpoint: str) -> int:
    """Return how many puts etcd has done since it was started, by its own count."""
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with direct.open(f"http://{endpoint}/metrics", timeout=10) as answer:
        text = answer.read().decode()
    counts = {
        line.split()[0]: float(line.split()[1])
        for line in text.splitlines()
        if line.startswith(("etcd_mvcc_put_total", "etcd_debugging_mvcc_put_total"))
    }
    if not counts:
        raise LabError(f"the etcd at {endpoint} does not tell how many puts it has done")
    return int(max(counts.values()))
