"""How long: durations such as `90s` and `5m` that options take, in seconds."""

from client.errors import BadOption

FOR_EVER = float("inf")


def parse_seconds(option: str, text: str, hint: str = "") -> float:
    """Return seconds. hint: how to write it, for the message. Raises BadOption."""
    from schemas.errors import InvalidQuantity
    from schemas.quantity import parse_duration

    try:
        return parse_duration(text)
    except InvalidQuantity as error:
        raise BadOption(f"{option}: {error}{f'; {hint}' if hint else ''}") from None


def parse_timeout(text: str) -> float:
    """Return seconds; 0 means for ever, as in kubectl. Raises BadOption."""
    return parse_seconds("--timeout", text) or FOR_EVER
