"""What is wrong with the fields of an object, in words that say what to write. Pure."""

import difflib
from collections.abc import Iterator
from typing import Any

from pydantic import ValidationError

from schemas.errors import Problem
from schemas.kinds import BY_NAME, nested_model
from schemas.meta import Model

MAX_SHOWN = 80  # characters of a wrong value that a message repeats

_NAMES_OF_THE_FIELD = {
    "terminationGracePeriodSeconds": "grace",
    "schedulerName": "queue",
    "activeDeadlineSeconds": "",
    "podFailurePolicy": "failurePolicy",
    "onPodConditions": "onOOMKilled",
    "podAffinity": "taskAffinity",
    "podAntiAffinity": "taskAntiAffinity",
    "requiredDuringSchedulingIgnoredDuringExecution": "required",
    "preferredDuringSchedulingIgnoredDuringExecution": "preferred",
    "topologySpreadConstraints": "topologySpread",
}


def validation_problems(
    model: type[Model], error: ValidationError, source: str, subject: str
) -> Iterator[Problem]:
    """One problem per field; "too short" says nothing where the items themselves are wrong."""
    details = error.errors(include_url=False)
    locations = [detail["loc"] for detail in details]
    for detail in details:
        here = detail["loc"]
        inner = any(len(other) > len(here) and other[: len(here)] == here for other in locations)
        if not (detail["type"] == "too_short" and inner):
            yield Problem(source, subject, _path(here), _explain(model, detail))


def _path(location: tuple[int | str, ...]) -> str:
    text = ""
    for part in location:
        text += f"[{part}]" if isinstance(part, int) else f".{part}"
    return text.lstrip(".")


def _explain(model: type[Model], detail: Any) -> str:
    """Return what is wrong with one field, in words that say what to write."""
    written = (
        "what is not shown, as it is secret" if model is BY_NAME["Secret"].model else repr(detail["input"])
    )
    written = written if len(written) <= MAX_SHOWN else f"{written[:MAX_SHOWN]}..."
    match detail["type"]:
        case "extra_forbidden":
            return _unknown_field(model, detail["loc"])
        case "missing":
            return "is required"
        case "string_type":
            return f"must be a string, not {written}; put it in quotes"
        case "tuple_type" | "list_type":
            return f"must be a list, not {written}"
        case "dict_type" | "model_type" | "model_attributes_type":
            return f"must be a mapping, not {written}"
        case "int_type" | "int_parsing" | "int_from_float":
            return f"must be a whole number, not {written}"
        case "bool_type" | "bool_parsing":
            return f"must be true or false, not {written}"
        case "value_error":
            return str(detail["ctx"]["error"])
        case _:
            message = detail["msg"]
            return f"{message[0].lower()}{message[1:]}, got {written}"


def _unknown_field(model: type[Model], location: tuple[int | str, ...]) -> str:
    known = _fields_at(model, location[:-1])
    written = str(location[-1])
    other = _NAMES_OF_THE_FIELD.get(written, "")
    close = [other] if other in known else difflib.get_close_matches(written, known, n=1, cutoff=0.5)
    hint = f"did you mean {close[0]}?" if close else f"known fields: {', '.join(sorted(known))}"
    return f"unknown field; {hint}"


def _fields_at(model: type[Model], location: tuple[int | str, ...]) -> list[str]:
    """Return the JSON names of the fields of the model at `location` inside `model`."""
    current: type[Model] | None = model
    for part in location:
        if current is None or isinstance(part, int):
            continue
        fields = {field.alias or name: field for name, field in current.model_fields.items()}
        current = nested_model(fields[part].annotation) if part in fields else None
    return [field.alias or name for name, field in current.model_fields.items()] if current else []
