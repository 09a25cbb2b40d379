"""A real image registry that asks for a password: Debian's docker-registry on a free port of loopback.

    with Registry(tmp_path) as registry:
        registry.push(docker_client, "berth/demo:latest", "team/app:1")

Docker takes plain HTTP for 127.0.0.0/8, so no certificate is needed; the engine must run on this very host.
"""

import os
import subprocess
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any, Self

import pytest
import yaml

from tests.support.ports import free_port
from tests.support.wait import eventually
from tools.processes import start_server, stop_server
from tools.registry import find_registry

USER = "robot"
PASSWORDS = {  # password -> its bcrypt hash of the lowest cost, as `htpasswd -nbB -C 4` makes it
    "first-pw-Zq81xK": "$2b$04$2EE9HVn.lOLgQsILO.tsZeglh9G2/pPUKjqRRS8bjEz30l7NMBxg6",
    "second-pw-Vt93mR": "$2b$04$knd5kiBA4B6qzts5lHxKleXT4mUj1jZa1ZDUtMxYO.0LJO6R79gWy",
}
FIRST, SECOND = PASSWORDS


def require_registry() -> None:
    """Skip a test where there is no registry to start; in CI (the variable CI is set) fail instead."""
    if find_registry() is None:
        reason = "needs docker-registry; unpack it with: python3 -m tools.registry"
        (pytest.fail if os.environ.get("CI") else pytest.skip)(reason)


class Registry:
    """A registry whose only user is `USER`; its password may be changed while it runs."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.host = f"127.0.0.1:{free_port()}"
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self._folder.mkdir(parents=True, exist_ok=True)
        self.set_password(FIRST)
        config = self._folder / "config.yml"
        config.write_text(yaml.safe_dump(self._config()))
        program = find_registry()
        assert program is not None
        command = [str(program), "serve", str(config)]
        self._process = start_server(command, self._folder, log=self._folder / "log")
        eventually(self._answers)
        return self

    def __exit__(self, *_: object) -> None:
        if self._process is not None:
            stop_server(self._process)

    def _config(self) -> dict[str, Any]:
        passwords = {"realm": "tests", "path": str(self._folder / "htpasswd")}
        return {
            "version": 0.1,
            "log": {"accesslog": {"disabled": True}},
            "storage": {"filesystem": {"rootdirectory": str(self._folder / "images")}},
            "http": {"addr": self.host},
            "auth": {"htpasswd": passwords},
        }

    def _answers(self) -> bool:
        try:
            urllib.request.urlopen(f"http://{self.host}/v2/", timeout=5).close()
        except urllib.error.HTTPError as refusal:
            refusal.close()
            return refusal.code == 401
        except OSError:
            return False
        return False

    def set_password(self, password: str) -> None:
        """Let only this one in from now on; the registry reads the file again when its time has changed."""
        path = self._folder / "htpasswd"
        older = path.stat().st_mtime if path.exists() else 0.0
        fresh = path.with_suffix(".new")
        fresh.write_text(f"{USER}:{PASSWORDS[password]}\n")
        os.utime(fresh, (older + 10, older + 10) if older else None)
        fresh.replace(path)

    def push(self, client: Any, image: str, repository: str) -> str:
        """Push an image of the engine under another name, and return that; locally it is gone again."""
        name, _, tag = repository.partition(":")
        target = f"{self.host}/{name}"
        client.tag(image, target, tag)
        login = {"username": USER, "password": FIRST}
        try:
            for line in client.push(target, tag=tag, stream=True, decode=True, auth_config=login):
                assert "error" not in line, line
        finally:
            client.remove_image(f"{target}:{tag}")
        return f"{target}:{tag}"
