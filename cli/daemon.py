"""What `berth controller` and `berth agent` share: options, logs to stderr, and values such as `k=v`."""

import logging
import sys
from collections.abc import Iterable
from typing import Annotated

import typer

from client.errors import BadOption
from schemas.errors import InvalidQuantity
from schemas.quantity import parse_quantity

ServerCert = Annotated[str, typer.Option(help="Certificate of its server; then it serves https.")]
ServerKey = Annotated[str, typer.Option(help="Key of that certificate.")]
ClientCa = Annotated[str, typer.Option(help="CA whose certificate its clients must show.")]
Address = Annotated[str, typer.Option(help="Address by which others reach this host.")]
LogLevel = Annotated[str, typer.Option(help="debug, info, warning or error.")]

LOG_FORMAT = "%(asctime)s %(levelname)s %(name)s %(message)s"
LEVELS = ("debug", "info", "warning", "error")


def start_logging(level: str) -> None:
    """Send logs to stderr; stdout stays free. Raises BadOption."""
    if level.lower() not in LEVELS:
        raise BadOption(f"--log-level {level!r} is unknown; known: {', '.join(LEVELS)}")
    logging.basicConfig(level=level.upper(), stream=sys.stderr, format=LOG_FORMAT)


def parse_pairs(option: str, texts: Iterable[str]) -> dict[str, str]:
    """Return key -> value of `k=v` and `k=v,k2=v2`. Raises BadOption."""
    found: dict[str, str] = {}
    for text in (part for each in texts for part in each.split(",") if part):
        key, equals, value = text.partition("=")
        if not key or not equals:
            raise BadOption(f"{option} {text!r} is not of the form name=value")
        found[key] = value
    return found


def parse_amounts(option: str, texts: Iterable[str]) -> dict[str, int]:
    """Return resource -> amount (millicores, bytes, count) of `cpu=500m,memory=1Gi`. Raises BadOption."""
    try:
        return {name: parse_quantity(name, value) for name, value in parse_pairs(option, texts).items()}
    except InvalidQuantity as error:
        raise BadOption(f"{option}: {error}") from None


def parse_port_range(text: str) -> tuple[int, int]:
    """Return first and last port of `31000-32767`. Raises BadOption."""
    first, dash, last = text.partition("-")
    if not dash or not first.isdecimal() or not last.isdecimal() or not 1 <= int(first) <= int(last) <= 65535:
        raise BadOption(
            f"--port-range {text!r} is not of the form FIRST-LAST within 1-65535, such as 31000-32767"
        )
    return int(first), int(last)


def parse_share(text: str) -> tuple[int, int]:
    """Return (which, of how many) of `2/3`. Raises BadOption."""
    which, slash, of = text.partition("/")
    if not slash or not which.isdecimal() or not of.isdecimal() or not 1 <= int(which) <= int(of):
        raise BadOption(
            f"--share {text!r} is not of the form K/N, such as 2/3 for the second of three agents"
        )
    return int(which), int(of)
