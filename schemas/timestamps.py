"""Points in time: seconds since the epoch inside, RFC 3339 in UTC in JSON. They are shown, never compared
across machines: order comes from etcd's revisions."""

from datetime import UTC, datetime
from functools import lru_cache


@lru_cache(256)  # one step of a loop writes its time many times
def format_time(epoch_s: float) -> str:
    """Return `2026-01-31T12:00:00.250Z` (milliseconds)."""
    moment = datetime.fromtimestamp(epoch_s, UTC)
    return moment.isoformat(timespec="milliseconds").removesuffix("+00:00") + "Z"


def parse_time(text: str) -> float:
    """Return seconds since the epoch. Raises ValueError."""
    return datetime.fromisoformat(text).timestamp()
