"""Ages as kubectl prints them. Source: apimachinery, `duration.HumanDuration`. Pure."""

from schemas.timestamps import parse_time

MINUTE, HOUR, DAY = 60, 3600, 86400
YEAR = 365 * DAY
UNKNOWN = "<unknown>"
_SKEW_S = 2  # clocks of two machines may differ by this before an age counts as invalid


def human_duration(seconds: float) -> str:
    """Return `95s`, `5m30s`, `125m`, `5h10m`, `30h`, `3d4h`, `400d`, `3y20d`."""
    if seconds < -_SKEW_S:
        return "<invalid>"
    whole = max(0, int(seconds))
    if whole < 2 * MINUTE:
        return f"{whole}s"
    if whole < 10 * MINUTE:
        return _two(whole, MINUTE, "m", 1, "s")
    if whole < 3 * HOUR:
        return f"{whole // MINUTE}m"
    if whole < 8 * HOUR:
        return _two(whole, HOUR, "h", MINUTE, "m")
    if whole < 2 * DAY:
        return f"{whole // HOUR}h"
    if whole < 8 * DAY:
        return _two(whole, DAY, "d", HOUR, "h")
    if whole < 2 * YEAR:
        return f"{whole // DAY}d"
    if whole < 8 * YEAR:
        return _two(whole, YEAR, "y", DAY, "d")
    return f"{whole // YEAR}y"


def _two(seconds: int, large: int, large_unit: str, small: int, small_unit: str) -> str:
    rest = seconds % large // small
    return f"{seconds // large}{large_unit}" + (f"{rest}{small_unit}" if rest else "")


def age(timestamp: str, now: float) -> str:
    """Return how long ago an RFC 3339 time was, `<unknown>` for none."""
    try:
        return human_duration(now - parse_time(timestamp))
    except ValueError:
        return UNKNOWN
