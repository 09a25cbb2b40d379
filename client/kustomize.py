"""Folders with a `kustomization.yaml`, built by the `kustomize` program where it is installed.

The program is started without a shell, and with its own defaults: no plugins, and no files from outside of the folder's
own root.
"""

import subprocess
from pathlib import Path

from client.errors import BadOption
from schemas.tree import KUSTOMIZATIONS

PROGRAM = "kustomize"
TIMEOUT_S = 60.0  # a build takes less than a second; bases that it fetches may take longer
SHOWN_CHARACTERS = 2_000  # of what it says of an error


def is_kustomized(folder: Path) -> bool:
    """Say whether a folder is built by kustomize, and not read file by file."""
    return any((folder / name).is_file() for name in KUSTOMIZATIONS)


def build(folder: Path, *, program: str = PROGRAM) -> bytes:
    """Return the manifests that `kustomize build` makes of a folder. Raises BadOption with what it says."""
    command = [program, "build", "--", str(folder)]
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=TIMEOUT_S)
    except FileNotFoundError:
        raise BadOption(
            f"{folder} has a kustomization, and the program {program} that builds it is not installed here; install "
            "it (https://kubectl.docs.kubernetes.io/installation/kustomize/), or name the files themselves with -f"
        ) from None
    except OSError as error:
        raise BadOption(f"{folder}: {program} can't be started: {error.strerror}") from None
    except subprocess.TimeoutExpired:
        raise BadOption(f"{folder}: {program} build has not ended within {TIMEOUT_S:g} s") from None
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip()[-SHOWN_CHARACTERS:]
        raise BadOption(f"{folder}: {program} build failed with exit code {done.returncode}: {said}")
    return done.stdout
