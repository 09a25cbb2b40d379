"""Schedules: what fires when, also where clocks change."""

from datetime import UTC, datetime
from itertools import islice, pairwise

import pytest

from schemas.errors import SchemaError
from schemas.schedule import check_schedule, check_time_zone, runs_after


def at(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


def runs(schedule: str, zone: str | None, start: str, number: int) -> list[str]:
    """Return runs in UTC."""
    found = islice(runs_after(schedule, zone, at(start)), number)
    return [datetime.fromtimestamp(run, UTC).strftime("%m-%d %H:%M") for run in found]


def test_runs_are_strictly_after_the_start() -> None:
    assert runs("*/15 * * * *", None, "2025-01-01T10:00:00+00:00", 3) == [
        "01-01 10:15",
        "01-01 10:30",
        "01-01 10:45",
    ]


def test_daily_is_midnight_in_its_zone() -> None:
    assert runs("@daily", "Asia/Tokyo", "2025-01-01T10:00:00+00:00", 2) == ["01-01 15:00", "01-02 15:00"]


@pytest.mark.parametrize(
    ("zone", "schedule", "start", "expected"),
    [
        # Berlin, 30 March: 02:00 becomes 03:00; the run of 02:30 happens right after
        ("Europe/Berlin", "30 2 * * *", "2025-03-29T12:00:00+01:00", ["03-30 01:00", "03-31 00:30"]),
        # New York, 9 March: 02:00 becomes 03:00
        ("America/New_York", "30 2 * * *", "2025-03-08T12:00:00-05:00", ["03-09 07:00", "03-10 06:30"]),
        # Lord Howe, 5 October: 02:00 becomes 02:30, half an hour only
        ("Australia/Lord_Howe", "15 2 * * *", "2025-10-04T12:00:00+10:30", ["10-04 15:30", "10-05 15:15"]),
    ],
)
def test_run_in_the_hour_that_is_skipped_happens_right_after(
    zone: str, schedule: str, start: str, expected: list[str]
) -> None:
    assert runs(schedule, zone, start, 2) == expected


@pytest.mark.parametrize(
    ("zone", "start", "expected"),
    [
        ("Europe/Berlin", "2025-10-25T12:00:00+02:00", ["10-26 00:30", "10-27 01:30"]),
        ("America/New_York", "2025-11-01T12:00:00-04:00", ["11-02 06:30", "11-03 07:30"]),
    ],
)
def test_run_in_the_hour_that_comes_twice_happens_once(zone: str, start: str, expected: list[str]) -> None:
    schedule = "30 2 * * *" if zone == "Europe/Berlin" else "30 1 * * *"
    if zone == "America/New_York":
        expected = ["11-02 05:30", "11-03 06:30"]
    assert runs(schedule, zone, start, 2) == expected


def test_hourly_runs_happen_each_hour_also_where_one_comes_twice_or_never() -> None:
    autumn = runs("0 * * * *", "Europe/Berlin", "2025-10-25T23:30:00+00:00", 4)
    assert autumn == ["10-26 00:00", "10-26 01:00", "10-26 02:00", "10-26 03:00"]
    spring = runs("0 * * * *", "Europe/Berlin", "2025-03-30T00:30:00+00:00", 3)
    assert spring == ["03-30 01:00", "03-30 02:00", "03-30 03:00"]


def test_start_in_the_second_of_two_hours_finds_no_run_of_the_first() -> None:
    assert runs("30 2 * * *", "Europe/Berlin", "2025-10-26T02:15:00+01:00", 1) == ["10-27 01:30"]


@pytest.mark.parametrize(
    "zone", ["Europe/Berlin", "America/Havana", "Africa/Cairo", "Pacific/Chatham", "UTC"]
)
@pytest.mark.parametrize("schedule", ["0 0 * * *", "*/20 * * * *", "17 1-4 * * *", "0 */2 * * 0"])
def test_runs_of_a_year_come_in_order_in_every_zone(zone: str, schedule: str) -> None:
    """Some zones change their clocks at midnight."""
    found = list(islice(runs_after(schedule, zone, at("2025-02-20T00:00:00+00:00")), 300))
    assert all(before < after for before, after in pairwise(found))


@pytest.mark.parametrize(
    ("schedule", "why"),
    [
        ("0 0 30 2 *", "bad day-of-month"),
        ("* * * *", "five fields"),
        ("61 * * * *", "minute"),
        ("@often", "@daily"),
    ],
)
def test_bad_schedule_is_told(schedule: str, why: str) -> None:
    with pytest.raises(SchemaError, match=why):
        check_schedule(schedule)


def test_unknown_time_zone_is_told() -> None:
    with pytest.raises(SchemaError, match="is not a time zone"):
        check_time_zone("Mars/Olympus")
