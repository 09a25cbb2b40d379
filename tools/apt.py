"""Install Debian packages without starting their services.

While apt runs, /usr/sbin/policy-rc.d answers 101, "action forbidden by policy", to every wish to start a service
(invoke-rc.d(8)). An administrator's own policy is never replaced; ours is removed whatever happens, and one that
a killed run left is recognised by its text.

    python -m tools.apt install PACKAGE...      as root
"""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tools.errors import SetupError, ToolError

POLICY = Path("/usr/sbin/policy-rc.d")
POLICY_TEXT = (
    "#!/bin/sh\n# Written by the set-up of Berth while it installs packages; safe to remove.\nexit 101\n"
)


@contextmanager
def services_held_back(policy: Path = POLICY) -> Iterator[None]:
    """Forbid package scripts to start services, unless a policy exists that is not ours."""
    if policy.exists() and policy.read_text(errors="replace") != POLICY_TEXT:
        yield
        return
    policy.write_text(POLICY_TEXT)
    policy.chmod(0o755)
    try:
        yield
    finally:
        policy.unlink(missing_ok=True)


def install(packages: list[str]) -> None:
    """Install packages; remove none in exchange."""
    with services_held_back():
        run_apt("update")
        run_apt("install", "--yes", "--no-install-recommends", "--no-remove", *packages)


def run_apt(*arguments: str, folder: Path | None = None) -> None:
    """Run apt-get, quietly unless it fails."""
    command = ["apt-get", "-q", "-o", "DPkg::Lock::Timeout=300", *arguments]
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    done = subprocess.run(
        command,
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise SetupError(f"`{' '.join(command)}` failed:\n{done.stdout[-3000:]}{done.stderr[-3000:]}")


def main(arguments: list[str]) -> int:
    """Run the command line."""
    if len(arguments) < 2 or arguments[0] != "install":
        print(__doc__, file=sys.stderr)
        return 2
    install(arguments[1:])
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except ToolError as error:
        sys.exit(f"error: {error}")
