"""Ports of the loopback for servers under test, that no other run of the tests on this machine takes as well.

They are below those which Linux gives to clients (from 32768) and those which Berth gives to containers by default
(from 31000), so that no connection that somebody opens takes one between our choice and the server's bind, or
while the server is being restarted. A process reserves them in slots, by a name that only one socket can have and
that the kernel frees when the process ends.
"""

import random
import socket
from collections.abc import Iterator

SLOT = 40  # ports; as many as one machine of the tests needs
FIRST, LAST = 10_000, 30_000
PORTS_EACH = 20  # host ports of an agent; enough for its tests

_reserved: list[socket.socket] = []  # open until this process ends


def free_port_block() -> int:
    """Return the first of `SLOT` ports in a row that nobody listens on and that nobody else is given."""
    slots = range(FIRST, LAST, SLOT)
    for first in random.sample(slots, len(slots)):
        if _reserve(first) and all(_is_free(port) for port in range(first, first + SLOT)):
            return first
    raise AssertionError(f"no {SLOT} free ports in a row")


def free_port() -> int:
    """Return a port that nobody listens on; each is given once."""
    return next(_singles)


def _each_port() -> Iterator[int]:
    while True:
        first = free_port_block()
        yield from filter(_is_free, range(first, first + SLOT))


_singles = _each_port()


def _reserve(first: int) -> bool:
    """Make the slot ours; False if it is somebody's already."""
    name = socket.socket(socket.AF_UNIX)
    try:
        name.bind(f"\0berth-tests-ports-{first}")
    except OSError:
        name.close()
        return False
    _reserved.append(name)
    return True


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(
            socket.SOL_SOCKET, socket.SO_REUSEADDR, 1
        )  # as servers do: closed connections don't count
        try:
            probe.bind(("0.0.0.0", port))
        except OSError:
            return False
    return True
