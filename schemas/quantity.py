"""Quantities as people write them, as integers inside: millicores, bytes, counts, seconds.

Integers make sums exact, so that "free" never drifts. The written forms are those of Kubernetes
(`500m`, `1.5`, `64Mi`, `1G`); durations are `30s`, `5m`, `1h30m`, `250ms`, or plain seconds.
"""

import math
import re
from collections.abc import Mapping
from decimal import ROUND_CEILING, Decimal, InvalidOperation
from functools import lru_cache
from typing import Annotated, Any

from pydantic import BeforeValidator, PlainSerializer, WithJsonSchema

from schemas.errors import InvalidQuantity

BYTE_RESOURCES = frozenset({"memory", "disk"})
MAX_QUANTITY = 2**63 - 1  # larger sums would not fit the integers of other languages that read our JSON

REMEMBERED = 4096  # texts that were read before: thousands of tasks ask for the same few amounts

_BINARY = {"Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40, "Pi": 2**50, "Ei": 2**60}
_DECIMAL = {"k": 10**3, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12, "P": 10**15, "E": 10**18}
_NUMBER = re.compile(r"^([0-9]{1,18}(?:\.[0-9]{1,9})?)([A-Za-z]*)$")
_RESOURCE_NAME = re.compile(r"[a-z0-9]([a-z0-9._/-]{0,61}[a-z0-9])?")
_DURATION_PART = re.compile(r"([0-9]{1,12}(?:\.[0-9]{1,6})?)(ms|s|m|h|d)")
_SECONDS = {
    "ms": Decimal("0.001"),
    "s": Decimal(1),
    "m": Decimal(60),
    "h": Decimal(3600),
    "d": Decimal(86400),
}


def parse_quantity(resource: str, value: object) -> int:
    """Return `value` of `resource` as an integer: cpu in millicores, memory and disk in bytes, else a count.

    Raises InvalidQuantity with the accepted forms.
    """
    return _known_quantity(resource, value) if isinstance(value, str) else _parse_quantity(resource, value)


def _parse_quantity(resource: str, value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise InvalidQuantity(f"{resource} must be a number or a string such as {_example(resource)}")
    text = str(value).strip()
    match = _NUMBER.match(text)
    if match is None and re.match(r"-[0-9]", text):
        raise InvalidQuantity(f"{resource} {value!r} must not be negative")
    if match is None and re.match(r"[0-9]{19,}", text):
        raise InvalidQuantity(f"{resource} {value!r} is larger than {MAX_QUANTITY}")
    if match is None:
        raise InvalidQuantity(
            f"{resource} {value!r} is not a quantity; write for example {_example(resource)}"
        )
    amount = Decimal(match.group(1)) * _factor(resource, match.group(2), value)
    if resource == "cpu":
        amount *= 1000
    if amount != amount.to_integral_value():
        if resource == "cpu" or resource not in BYTE_RESOURCES:
            raise InvalidQuantity(f"{resource} {value!r} is finer than {'1m' if resource == 'cpu' else '1'}")
        amount = amount.to_integral_value(ROUND_CEILING)
    if amount > MAX_QUANTITY:
        raise InvalidQuantity(f"{resource} {value!r} is larger than {MAX_QUANTITY}")
    return int(amount)


_known_quantity = lru_cache(REMEMBERED)(_parse_quantity)


def _factor(resource: str, suffix: str, value: object) -> Decimal:
    if suffix == "":
        return Decimal(1)
    if suffix == "m" and resource == "cpu":
        return Decimal("0.001")
    if suffix in _BINARY and resource != "cpu":
        return Decimal(_BINARY[suffix])
    if suffix in _DECIMAL and resource != "cpu":
        return Decimal(_DECIMAL[suffix])
    raise InvalidQuantity(f"{resource} {value!r} has the unknown unit {suffix!r}; write {_example(resource)}")


def _example(resource: str) -> str:
    if resource == "cpu":
        return "'500m' or 1.5"
    return "'64Mi' or '1G'" if resource in BYTE_RESOURCES else "1"


@lru_cache(REMEMBERED)
def format_quantity(resource: str, amount: int) -> str:
    """Return the shortest exact text: `500m`, `2`, `64Mi`, `1000`; `parse_quantity` reads it back."""
    sign, amount = ("-", -amount) if amount < 0 else ("", amount)
    if resource == "cpu":
        return f"{sign}{amount // 1000}" if amount % 1000 == 0 else f"{sign}{amount}m"
    if resource in BYTE_RESOURCES and amount:
        for suffix, factor in reversed(_BINARY.items()):
            if amount % factor == 0:
                return f"{sign}{amount // factor}{suffix}"
    return f"{sign}{amount}"


def show_quantity(resource: str, amount: int) -> str:
    """Return a quantity for people: bytes always have a unit, rounded down to whole MiB or KiB."""
    text = format_quantity(resource, amount)
    if resource not in BYTE_RESOURCES or amount < 2**10 or not text.isdigit():
        return text
    return f"{amount // 2**20}Mi" if amount >= 2**20 else f"{amount // 2**10}Ki"


def show_shortfall(resource: str, amount: int) -> str:
    """Return how much is missing, for people: rounded up, so that so much more does suffice."""
    unit = 2**20 if amount >= 2**20 else 2**10
    is_odd = resource in BYTE_RESOURCES and amount >= 2**10 and amount % 2**10
    return show_quantity(resource, amount + unit - 1 if is_odd else amount)


def show_comparison(resource: str, more: int, less: int) -> tuple[str, str]:
    """Return two amounts for people, exact where they would look the same."""
    shown = show_quantity(resource, more), show_quantity(resource, less)
    return shown if len({*shown}) == 2 else (format_quantity(resource, more), format_quantity(resource, less))


def show_resources(amounts: Mapping[str, int]) -> dict[str, str]:
    """Return resource name -> amount for people, by name."""
    return {name: show_quantity(name, amount) for name, amount in sorted(amounts.items())}


def parse_duration(value: object) -> float:
    """Return seconds of `30s`, `1h30m`, `250ms` or a plain number. Raises InvalidQuantity."""
    return _known_duration(value) if isinstance(value, str) else _parse_duration(value)


def _parse_duration(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise InvalidQuantity("a duration must be a number of seconds or a string such as '30s' or '1h30m'")
    text = str(value).strip()
    try:
        seconds = Decimal(text)
    except InvalidOperation:
        if re.match(r"[0-9]{13,}", text):
            raise InvalidQuantity(f"duration {value!r} is longer than 300 years") from None
        if not re.fullmatch(f"(?:{_DURATION_PART.pattern})+", text):
            raise InvalidQuantity(
                f"duration {value!r} is not of the form '30s', '5m', '1h30m', '250ms'"
            ) from None
        parts = _DURATION_PART.findall(text)
        seconds = sum((Decimal(number) * _SECONDS[unit] for number, unit in parts), Decimal(0))
    if not seconds.is_finite() or seconds < 0:
        raise InvalidQuantity(f"duration {value!r} must not be negative")
    if seconds > 10**10:
        raise InvalidQuantity(f"duration {value!r} is longer than 300 years")
    return float(seconds)


_known_duration = lru_cache(REMEMBERED)(_parse_duration)


@lru_cache(REMEMBERED)
def format_duration(seconds: float) -> str:
    """Return `30s`, `5m`, `1h30m`, `0.25s`; `parse_duration` reads it back."""
    if seconds != int(seconds):
        return f"{Decimal(str(round(seconds, 6))).normalize():f}s"
    whole, text = int(seconds), ""
    for unit, size in (("h", 3600), ("m", 60)):
        if whole >= size:
            text += f"{whole // size}{unit}"
            whole %= size
    return text + f"{whole}s" if whole or not text else text


def _parse_resources(value: object) -> dict[str, int]:
    if not isinstance(value, Mapping):
        raise InvalidQuantity("resources must be a mapping such as {cpu: 500m, memory: 64Mi}")
    for name in value:
        if not isinstance(name, str) or not _RESOURCE_NAME.fullmatch(name):
            raise InvalidQuantity(f"resource name {name!r} must be lower case letters, digits, '-', '.', '/'")
    return {name: parse_quantity(name, amount) for name, amount in value.items()}


def _parse_amounts(value: object) -> dict[str, int]:
    if not isinstance(value, Mapping):
        raise InvalidQuantity("resources must be a mapping")
    return {
        name: amount if type(amount) is int else parse_quantity(name, amount)
        for name, amount in value.items()
    }


def format_resources(amounts: Mapping[str, int]) -> dict[str, str]:
    """Return resource name -> written quantity."""
    return {name: format_quantity(name, amount) for name, amount in sorted(amounts.items())}


def _parse_never_or_duration(value: object) -> float:
    return math.inf if value == "never" else parse_duration(value)


def _format_never_or_duration(seconds: float) -> str:
    return "never" if seconds == math.inf else format_duration(seconds)


_AMOUNT = r"[0-9]{1,18}(\.[0-9]{1,9})?"
_UNITS = "|".join((*_BINARY, *_DECIMAL))
_CPU_SCHEMA: dict[str, Any] = {
    "anyOf": [{"type": "number", "minimum": 0}, {"type": "string", "pattern": f"^{_AMOUNT}m?$"}],
    "examples": ["500m", 1.5],
}
_BYTES_SCHEMA: dict[str, Any] = {
    "anyOf": [{"type": "number", "minimum": 0}, {"type": "string", "pattern": f"^{_AMOUNT}({_UNITS})?$"}],
    "examples": ["64Mi", "1G"],
}
_COUNT_SCHEMA: dict[str, Any] = {
    "anyOf": [{"type": "integer", "minimum": 0}, {"type": "string", "pattern": f"^{_AMOUNT}({_UNITS})?$"}],
    "examples": [1],
    "description": "Anything else that nodes offer, such as gpu: a count.",
}
_RESOURCES_SCHEMA: dict[str, Any] = {
    "type": "object",
    "propertyNames": {"pattern": f"^{_RESOURCE_NAME.pattern}$"},
    "properties": {"cpu": _CPU_SCHEMA, **dict.fromkeys(sorted(BYTE_RESOURCES), _BYTES_SCHEMA)},
    "additionalProperties": _COUNT_SCHEMA,
}
_DURATION = r"([0-9]{1,12}(\.[0-9]{1,6})?(ms|s|m|h|d))+|[0-9]+(\.[0-9]+)?"


def _duration_schema(words: str, example: str) -> dict[str, Any]:
    return {
        "anyOf": [{"type": "number", "minimum": 0}, {"type": "string", "pattern": f"^({_DURATION}{words})$"}],
        "examples": ["30s", example],
    }


Resources = Annotated[
    dict[str, int],
    BeforeValidator(_parse_resources),
    PlainSerializer(format_resources),
    WithJsonSchema(_RESOURCES_SCHEMA),
]
"""resource name -> integer amount (millicores, bytes, count)."""

Amounts = Annotated[
    dict[str, int],
    BeforeValidator(_parse_amounts),
    PlainSerializer(format_resources),
    WithJsonSchema(_RESOURCES_SCHEMA),
]
"""As Resources, but for what Berth itself writes: an integer given by code is in base units already."""

Bytes = Annotated[
    int,
    BeforeValidator(lambda value: parse_quantity("memory", value)),
    PlainSerializer(lambda amount: format_quantity("memory", amount)),
    WithJsonSchema(_BYTES_SCHEMA),
]

Duration = Annotated[
    float,
    BeforeValidator(parse_duration),
    PlainSerializer(format_duration),
    WithJsonSchema(_duration_schema("", "1h30m")),
]
"""Seconds."""

DurationOrNever = Annotated[
    float,
    BeforeValidator(_parse_never_or_duration),
    PlainSerializer(_format_never_or_duration),
    WithJsonSchema(_duration_schema("|never", "never")),
]
"""Seconds; infinity is written "never"."""
