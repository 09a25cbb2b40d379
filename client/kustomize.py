"""Folders with a `kustomization.yaml`, built by the `kustomize` program where it is installed, or by kubectl.

The program is started without a shell, and with its own defaults: no plugins, and no files from outside of the folder's
own root.
"""

import shutil
import subprocess
from pathlib import Path

from client.errors import BadOption
from schemas.tree import KUSTOMIZATIONS

PROGRAMS = (("kustomize", "build"), ("kubectl", "kustomize"))  # kubectl carries it, of some release
TIMEOUT_S = 60.0  # a build takes less than a second; bases that it fetches may take longer
SHOWN_CHARACTERS = 2_000  # of what it says of an error


def is_kustomized(folder: Path) -> bool:
    """Say whether a folder is built by kustomize, and not read file by file."""
    return any((folder / name).is_file() for name in KUSTOMIZATIONS)


def build(folder: Path) -> bytes:
    """Return the manifests that the program makes of a folder. Raises BadOption with what it says."""
    name, verb = _program(folder)
    command = [name, verb, "--", str(folder)]
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=TIMEOUT_S)
    except OSError as error:
        raise BadOption(f"{folder}: {name} can't be started: {error.strerror}") from None
    except subprocess.TimeoutExpired:
        raise BadOption(f"{folder}: {name} {verb} has not ended within {TIMEOUT_S:g} s") from None
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip()[-SHOWN_CHARACTERS:]
        raise BadOption(f"{folder}: {name} {verb} failed with exit code {done.returncode}: {said}")
    return done.stdout


def _program(folder: Path) -> tuple[str, str]:
    """Return the first program that is here, and what it calls a build."""
    found = next((each for each in PROGRAMS if shutil.which(each[0])), None)
    if found is None:
        raise BadOption(
            f"{folder} has a kustomization, and the program kustomize that builds it is not installed here, nor is "
            "kubectl, which has it too; install it (https://kubectl.docs.kubernetes.io/installation/kustomize/), or "
            "name the files themselves with -f"
        )
    return found
