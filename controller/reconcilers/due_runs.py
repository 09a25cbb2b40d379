"""Which runs of a schedule are due: the newest, and how many before it were missed. Pure, and quick for any gap."""

from dataclasses import dataclass
from itertools import islice, takewhile

from schemas.schedule import runs_after

WINDOWS_S = (3600.0, 86_400.0, 32 * 86_400.0, 367 * 86_400.0)
"""Looked through from the end until one has a run: a minutely schedule is found in the first, after any gap."""
COUNTED = 100  # missed runs; more are told as "at least"


@dataclass(frozen=True, slots=True)
class Due:
    """newest: seconds since 1970. missed: how many runs before it are passed over, at most COUNTED."""

    newest: float
    missed: int


def due_run(schedule: str, time_zone: str | None, after: float, now: float) -> Due | None:
    """Return what is due in (after, now], None for nothing. Raises SchemaError."""
    newest = _newest(schedule, time_zone, after, now)
    if newest is None:
        return None
    before = takewhile(lambda run: run < newest, runs_after(schedule, time_zone, after))
    return Due(newest, sum(1 for _ in islice(before, COUNTED)))


def _newest(schedule: str, time_zone: str | None, after: float, now: float) -> float | None:
    for start in (*(now - window for window in WINDOWS_S), after):
        newest = None
        for run in takewhile(lambda run: run <= now, runs_after(schedule, time_zone, max(start, after))):
            newest = run
        if newest is not None or start <= after:
            return newest
    return None


def next_run(schedule: str, time_zone: str | None, after: float) -> float | None:
    return next(runs_after(schedule, time_zone, after), None)
