"""Schedules of CronJobs: five fields or @daily and the like, in a time zone. Pure; times are seconds since 1970.

Reading the fields and the rules of daylight saving are those of the library cronsim, which follows Debian's cron:
a run at a time that the clock skips happens right after; one at a time that comes twice happens once, unless
it is of every hour.
"""

from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import dropwhile
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from schemas.errors import SchemaError

ALIASES = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
UTC_NAME = "UTC"


def check_time_zone(name: str) -> str:
    """Return `name` if it is a time zone such as Europe/Berlin. Raises SchemaError."""
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise SchemaError(f"{name!r} is not a time zone; write for example UTC or Europe/Berlin") from None
    return name


def check_schedule(text: str) -> str:
    """Return `text` if it is a schedule that ever fires. Raises SchemaError."""
    runs = runs_after(text, None, 0.0)
    if next(runs, None) is None:
        raise SchemaError(f"schedule {text!r} never fires: there is no such day")
    return text


def runs_after(schedule: str, time_zone: str | None, after: float) -> Iterator[float]:
    """Yield the times of the runs after `after`, in order, endless unless none comes any more. Raises SchemaError.

    A start within the hour that comes twice is given to the library without saying which of the two it is; what
    it then finds before `after` has happened in the first.
    """
    from cronsim import CronSim, CronSimError

    fields = ALIASES.get(schedule, schedule)
    if len(fields.split()) != 5:
        raise SchemaError(
            f"schedule {schedule!r} must have five fields (minute hour day month weekday) or be one of "
            f"{', '.join(sorted(ALIASES))}"
        )
    start = datetime.fromtimestamp(after, UTC).astimezone(ZoneInfo(time_zone or UTC_NAME))
    try:
        runs = CronSim(fields, start)
    except CronSimError as error:
        raise SchemaError(f"schedule {schedule!r}: {str(error).lower()}; see: man 5 crontab") from None
    return dropwhile(lambda run: run <= after, (run.timestamp() for run in runs))
