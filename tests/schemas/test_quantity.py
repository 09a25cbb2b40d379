import math
from contextlib import suppress
from functools import partial
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.errors import InvalidQuantity
from schemas.quantity import (
    MAX_QUANTITY,
    format_duration,
    format_quantity,
    format_resources,
    parse_duration,
    parse_quantity,
    show_comparison,
    show_quantity,
    show_shortfall,
)
from schemas.task import ResourceRequirements, Unreachable

resources = st.sampled_from(["cpu", "memory", "disk", "gpu", "example.com/fpga"])


@given(resource=resources, amount=st.integers(0, 10**18 - 1))
def test_what_is_formatted_is_read_back(resource: str, amount: int) -> None:
    assert parse_quantity(resource, format_quantity(resource, amount)) == amount


@given(seconds=st.integers(0, 10**9))
def test_whole_durations_are_read_back(seconds: int) -> None:
    assert parse_duration(format_duration(float(seconds))) == seconds


@given(millis=st.integers(0, 10**9))
def test_durations_in_milliseconds_are_read_back(millis: int) -> None:
    assert parse_duration(format_duration(millis / 1000)) == pytest.approx(millis / 1000, abs=1e-9)


@given(text=st.text(max_size=12) | st.from_regex(r"[0-9]{0,3}[.]?[0-9]{0,3}[A-Za-z]{0,2}", fullmatch=True))
def test_any_text_is_a_quantity_or_an_error(text: str) -> None:
    for read in (partial(parse_quantity, "memory"), partial(parse_quantity, "cpu"), parse_duration):
        with suppress(InvalidQuantity):
            assert read(text) >= 0


@pytest.mark.parametrize(
    ("resource", "written", "amount"),
    [
        ("cpu", "500m", 500),
        ("cpu", 1.5, 1500),
        ("cpu", 2, 2000),
        ("cpu", "0.001", 1),
        ("memory", "64Mi", 64 * 2**20),
        ("memory", "1G", 10**9),
        ("memory", "1k", 1000),
        ("memory", 1024, 1024),
        ("memory", "1.5Gi", 3 * 2**29),
        ("memory", "0.3", 1),
        ("disk", "1Ti", 2**40),
        ("gpu", 1, 1),
        ("gpu", "2", 2),
        ("cpu", 0, 0),
    ],
)
def test_written_forms(resource: str, written: object, amount: int) -> None:
    assert parse_quantity(resource, written) == amount


@pytest.mark.parametrize(
    ("resource", "written", "told"),
    [
        ("cpu", "lots", "write for example '500m' or 1.5"),
        ("cpu", "-1", "must not be negative"),
        ("cpu", "0.0001", "finer than 1m"),
        ("cpu", "1Gi", "unknown unit 'Gi'"),
        ("memory", "64mb", "unknown unit 'mb'"),
        ("memory", "64m", "unknown unit 'm'"),
        ("memory", True, "must be a number or a string"),
        ("memory", None, "must be a number or a string"),
        ("memory", [1], "must be a number or a string"),
        ("memory", math.nan, "is not a quantity"),
        ("memory", math.inf, "is not a quantity"),
        ("memory", "100Ei", "is larger than"),
        ("gpu", "0.5", "finer than 1"),
        ("gpu", "", "is not a quantity"),
    ],
)
def test_bad_quantity_says_what_to_write(resource: str, written: object, told: str) -> None:
    with pytest.raises(InvalidQuantity, match=told):
        parse_quantity(resource, written)


@pytest.mark.parametrize(
    ("written", "seconds"),
    [("30s", 30), ("1h30m", 5400), ("250ms", 0.25), (5, 5), ("1.5", 1.5), ("2d", 172800)],
)
def test_written_durations(written: object, seconds: float) -> None:
    assert parse_duration(written) == seconds


@pytest.mark.parametrize(
    "written", ["soon", "-5s", -5, "5 s", "", True, None, "inf", "nan", "1e99", "s", "5y"]
)
def test_bad_duration_is_an_error(written: object) -> None:
    with pytest.raises(InvalidQuantity):
        parse_duration(written)


def test_largest_quantity_is_read() -> None:
    assert parse_quantity("memory", "7Ei") < MAX_QUANTITY


@given(amounts=st.dictionaries(resources, st.integers(0, 10**15), max_size=4))
def test_models_read_back_what_they_write(amounts: dict[str, int]) -> None:
    model = ResourceRequirements(requests=format_resources(amounts), limits={})  # type: ignore[arg-type]
    assert model.requests == amounts
    assert ResourceRequirements.parse_stored(model.to_json()) == model


@pytest.mark.parametrize("written", ["never", "10s", None])
def test_never_is_a_duration_where_it_may_be(written: Any) -> None:
    model = Unreachable(stop_after=written)
    assert Unreachable.parse_stored(model.to_json()) == model


@pytest.mark.parametrize(
    ("resource", "amount", "shown"),
    [("memory", 7364512153, "7023Mi"), ("memory", 2**30, "1Gi"), ("memory", 1500, "1Ki"), ("memory", 12, "12"),
     ("cpu", 3500, "3500m"), ("gpu", 2000, "2000")],
)  # fmt: skip
def test_bytes_have_a_unit_for_people(resource: str, amount: int, shown: str) -> None:
    assert show_quantity(resource, amount) == shown


@given(amount=st.integers(min_value=1, max_value=2**50))
def test_what_is_said_to_be_missing_is_enough_and_less_than_one_unit_too_much(amount: int) -> None:
    said = parse_quantity("memory", show_shortfall("memory", amount))
    assert amount <= said < amount + (2**20 if amount >= 2**20 else 2**10)


def test_amounts_that_are_compared_never_look_the_same() -> None:
    assert show_comparison("memory", 2**30 + 1, 2**30 - 1) == ("1024Mi", "1023Mi")
    assert show_comparison("memory", 2**40 + 2, 2**40 + 1) == (str(2**40 + 2), str(2**40 + 1))
