"""A person's machine: a home folder of its own, in which `berth up` starts a cluster, and the command line."""

import json
import os
import signal
import subprocess
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import docker

from tests.support.cluster import BERTH, Json, manifest
from tests.support.docker import list_containers, remove_containers
from tests.support.ports import SLOT, free_port_block

START_S = 120.0  # a cold start of four processes on a busy machine
COMMAND_S = 120.0  # any other command, such as a stop of all of them


class Machine:
    """Whatever a test breaks, `with` ends the cluster and removes the containers of its nodes."""

    def __init__(self, folder: Path, docker_host: str) -> None:
        self.home = folder / "home"
        self.home.mkdir()
        self.data = self.home / ".local" / "share" / "berth"
        self.config = self.home / ".config" / "berth" / "config.yaml"
        self.node = f"up-{uuid.uuid4().hex[:8]}"
        self.docker = docker.APIClient(base_url=docker_host, version="auto", timeout=60)
        first = free_port_block()
        self.options = (f"--node={self.node}", f"--port-range={first}-{first + SLOT - 1}")
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("BERTH_", "XDG_"))}
        self.environment = {**kept, "HOME": str(self.home), "DOCKER_HOST": docker_host}

    def __enter__(self) -> "Machine":
        return self

    def __exit__(self, *error: object) -> None:
        self.berth("down")
        for name in (self.node, f"{self.node}-1", f"{self.node}-2"):
            remove_containers(self.docker, name)
        self.docker.close()

    def berth(
        self, *arguments: str, stdin: Json | None = None, **environment: str
    ) -> subprocess.CompletedProcess[str]:
        """Run a command to its end."""
        done = subprocess.run(
            [BERTH, *arguments],
            input=manifest(stdin) if stdin is not None else "",
            cwd=self.home,
            env={**self.environment, **environment},
            capture_output=True,
            text=True,
            timeout=START_S + 30 if "up" in arguments else COMMAND_S,
            check=False,
        )
        assert "Traceback" not in done.stderr, done.stderr
        return done

    def up(self, *options: str) -> None:
        """Start the cluster in the background, which must work."""
        done = self.berth("up", "--detach", *self.options, *options)
        assert done.returncode == 0, done.stderr

    @contextmanager
    def foreground(self, *options: str) -> Iterator[subprocess.Popen[str]]:
        """Run `berth up` as a child that writes into a pipe."""
        with subprocess.Popen(
            [BERTH, "up", *self.options, *options],
            cwd=self.home,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        ) as process:
            try:
                yield process
            finally:
                if process.poll() is None:
                    process.send_signal(signal.SIGTERM)

    @property
    def record(self) -> Any:
        return json.loads((self.data / "up.json").read_text())

    def containers(self, node: str = "") -> list[Json]:
        """Return the containers of a node that run."""
        return list_containers(self.docker, filters={"label": f"berth.node={node or self.node}"})

    def json(self, *arguments: str) -> Any:
        """Return what a command prints as JSON; it must work."""
        done = self.berth(*arguments, "-o", "json")
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)
