"""Points in time: seconds since the epoch inside, RFC 3339 in UTC in JSON. They are shown, never compared
across machines: order comes from etcd's revisions."""

from datetime import UTC, datetime


def format_time(epoch_s: float) -> str:
    """Return `2026-01-31T12:00:00.250Z` (milliseconds)."""
    moment = datetime.fromtimestamp(epoch_s, UTC)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03d}Z"


def parse_time(text: str) -> float:
    """Return seconds since the epoch. Raises ValueError."""
    return datetime.fromisoformat(text).timestamp()
