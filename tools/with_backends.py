"""Run a command, the tests as a rule, with a Docker Engine at hand that is gone afterwards.

    python -m tools.with_backends pytest -m "not slow"

The command finds the engine in BERTH_TEST_DOCKER_HOST and DOCKER_HOST; its exit code becomes ours. On a user's
own daemon, the demo image is removed again if it wasn't there before. Without any engine the command runs all the
same: it is the tests' business to skip, or to fail in CI. Temporary files go to the build folder.
"""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from tools import BUILD
from tools.docker_http import DEFAULT_HOST
from tools.errors import EngineUnavailable, ToolError
from tools.image import ensure_demo_image, remove_demo_image
from tools.private import docker_engine, stop_on_sigterm

TEMPORARY = BUILD / "tmp"
TEST_HOST = "BERTH_TEST_DOCKER_HOST"


@contextmanager
def engine_with_image(host: str | None = None) -> Iterator[str]:
    """Yield the host of an engine that has the demo image: the given one, the user's own, or a private one."""
    if host is not None:
        yield host
        return
    with docker_engine() as found:
        made = ensure_demo_image(found)
        try:
            yield found
        finally:
            if made and is_users(found):
                remove_demo_image(found)


def is_users(host: str) -> bool:
    """The host is the user's own daemon rather than a private one."""
    return host in (os.environ.get("DOCKER_HOST"), DEFAULT_HOST)


def run(command: list[str], extra: Mapping[str, str]) -> int:
    """Run the command and return its exit code, as a shell would; it is never left running."""
    process = subprocess.Popen(command, env={**os.environ, **extra})
    try:
        return as_exit_code(_wait(process))
    finally:
        if process.poll() is None:
            process.terminate()
            process.wait()


def _wait(process: subprocess.Popen[bytes]) -> int:
    """Wait for the command, also when Ctrl-C reaches us: it reached the command as well."""
    while True:
        try:
            return process.wait()
        except KeyboardInterrupt:
            continue


def as_exit_code(returncode: int) -> int:
    """Return 128 + the signal for a process that a signal ended. Pure."""
    return returncode if returncode >= 0 else 128 - returncode


def main(command: list[str]) -> int:
    """Run the command line."""
    if not command:
        print(__doc__, file=sys.stderr)
        return 2
    stop_on_sigterm()
    TEMPORARY.mkdir(parents=True, exist_ok=True)
    os.environ["TMPDIR"] = str(TEMPORARY)
    try:
        with engine_with_image(os.environ.get(TEST_HOST)) as host:
            print(f"Docker Engine: {host}", flush=True)
            return run(command, {TEST_HOST: host, "DOCKER_HOST": host})
    except EngineUnavailable as reason:
        print(f"no Docker Engine: {reason}", file=sys.stderr, flush=True)
    return run(command, {})


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit(128 + signal.SIGINT)
    except ToolError as error:
        sys.exit(f"error: {error}")
