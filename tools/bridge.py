"""A network bridge of one's own for a private dockerd, because `docker0` is shared by name.

The bridge is named after the engine's folder, so that a later run finds what a crashed one left. Its subnet
is the first free one: none that overlaps an address or route of this machine.
"""

import hashlib
import subprocess
from collections.abc import Iterable, Iterator
from ipaddress import IPv4Network
from pathlib import Path

from tools.errors import StartError

POOL = IPv4Network("10.213.0.0/16")  # rarely used; 256 subnets of 254 containers
PREFIX_LENGTH = 24


def bridge_name(folder: Path) -> str:
    """Return the bridge's name; the kernel allows 15 characters."""
    return "berth-" + hashlib.sha256(str(folder).encode()).hexdigest()[:8]


def create_bridge(name: str) -> None:
    """Create the bridge, give it an address in a free subnet, and bring it up."""
    address = next(free_subnet(taken_networks()).hosts())
    _ip("link", "add", name, "type", "bridge")
    _ip("addr", "add", f"{address}/{PREFIX_LENGTH}", "dev", name)
    _ip("link", "set", name, "up")


def delete_bridge(name: str) -> None:
    """Delete the bridge if it is there."""
    if bridge_exists(name):
        _ip("link", "delete", name, "type", "bridge")


def bridge_exists(name: str) -> bool:
    """The network interface exists."""
    return Path("/sys/class/net", name).exists()


def free_subnet(taken: Iterable[IPv4Network]) -> IPv4Network:
    """Return the first subnet of the pool that overlaps none of `taken`. Pure."""
    used = [network for network in taken if network.prefixlen > 0]
    for candidate in POOL.subnets(new_prefix=PREFIX_LENGTH):
        if not any(candidate.overlaps(network) for network in used):
            return candidate
    raise StartError(f"no free subnet in {POOL} for a private Docker network")


def taken_networks() -> list[IPv4Network]:
    """Return the networks of this machine's routes."""
    return list(parse_routes(_ip("-4", "route", "show", "table", "all")))


def parse_routes(routes: str) -> Iterator[IPv4Network]:
    """Yield the destinations in the output of `ip route`. Pure."""
    for line in routes.splitlines():
        for word in line.split()[:2]:
            try:
                yield IPv4Network(word, strict=False)
                break
            except ValueError:
                continue


def _ip(*arguments: str) -> str:
    done = subprocess.run(["ip", *arguments], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise StartError(f"`ip {' '.join(arguments)}` failed: {done.stderr.strip()}")
    return done.stdout
