"""Check constraints.txt: exact versions of all that `.[dev]` installs, and nothing but names and versions.

python -m tools.constraints             in the virtual environment
"""

import re
import sys
from importlib.metadata import PackageNotFoundError, distribution

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tools import CLONE

PIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*==[0-9][A-Za-z0-9.!+]*")
PROJECT = "berth"
EXTRA = "dev"


def malformed_lines(text: str) -> list[str]:
    """Return the lines that are not exactly `name==version`. Pure."""
    return [line for line in text.splitlines() if not PIN.fullmatch(line)]


def pinned_versions(text: str) -> dict[str, str]:
    """Return canonical name -> version. Pure."""
    pairs = (line.partition("==") for line in text.splitlines() if PIN.fullmatch(line))
    return {canonicalize_name(name): version for name, _, version in pairs}


def unpinned(needed: dict[str, str], pinned: dict[str, str]) -> list[str]:
    """Return what is needed, as `name==version`, but not pinned at this version. Pure."""
    return [f"{name}=={version}" for name, version in sorted(needed.items()) if pinned.get(name) != version]


def installed_needs() -> dict[str, str]:
    """Return canonical name -> installed version of everything that the project needs, directly or not."""
    found: dict[str, str] = {}
    queue = [(PROJECT, frozenset({EXTRA}))]
    seen = set(queue)
    while queue:
        name, extras = queue.pop()
        try:
            installed = distribution(name)
        except PackageNotFoundError:
            continue  # needed on other platforms only
        found[canonicalize_name(name)] = installed.version
        new = {need for need in _direct_needs(installed.requires or [], extras) if need not in seen}
        seen |= new
        queue += sorted(new, key=str)
    del found[PROJECT]
    return found


def _direct_needs(requirements: list[str], extras: frozenset[str]) -> list[tuple[str, frozenset[str]]]:
    parsed = [Requirement(text) for text in requirements]
    return [
        (canonicalize_name(need.name), frozenset(need.extras))
        for need in parsed
        if need.marker is None or any(need.marker.evaluate({"extra": extra}) for extra in (extras or {""}))
    ]


def main() -> int:
    """Report every fault of the file."""
    text = (CLONE / "constraints.txt").read_text()
    faults = [f"not `name==version`: {line!r}" for line in malformed_lines(text)]
    faults += [
        f"missing or other version: {pin}" for pin in unpinned(installed_needs(), pinned_versions(text))
    ]
    for fault in faults:
        print(f"constraints.txt: {fault}", file=sys.stderr)
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
