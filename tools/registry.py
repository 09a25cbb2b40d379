"""The image registry for tests of private images: Debian's docker-registry, unpacked in the clone, never installed.

python3 -m tools.registry       unpack it unless it is there; where that can't be, those tests are left out
"""

import shutil
import sys
from pathlib import Path

from tools import BUILD
from tools.errors import SetupError
from tools.setup import unpack_package

PROGRAM = "docker-registry"
UNPACKED = BUILD / "docker-registry"


def find_registry() -> Path | None:
    """Return the program: that of the system, or the one that was unpacked."""
    on_path = shutil.which(PROGRAM)
    if on_path is not None:
        return Path(on_path)
    unpacked = UNPACKED / "usr/bin" / PROGRAM
    return unpacked if unpacked.exists() else None


def prepare() -> None:
    """Unpack the registry unless it is there. Nothing but tests needs it, so a failure is only told."""
    if find_registry() is not None:
        return
    print(f"unpacking {PROGRAM}", flush=True)
    try:
        unpack_package(PROGRAM, UNPACKED)
    except (SetupError, OSError) as error:
        print(f"hint: tests of private images need {PROGRAM}, and are left out: {error}", file=sys.stderr)


if __name__ == "__main__":
    prepare()
