"""Label selectors as people write them in workloads, and amounts that may be written in percent. Pure."""

import math
from collections.abc import Mapping
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, WithJsonSchema, model_validator

from schemas.meta import Labels, Model


class LabelExpression(Model):
    key: Annotated[str, Field(min_length=1)]
    operator: Literal["In", "NotIn", "Exists", "DoesNotExist"]
    values: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _values_fit(self) -> Self:
        if (self.operator in ("In", "NotIn")) != bool(self.values):
            raise ValueError("In and NotIn need values, Exists and DoesNotExist take none")
        return self

    def matches(self, labels: Mapping[str, str]) -> bool:
        match self.operator:
            case "In":
                return labels.get(self.key) in self.values
            case "NotIn":
                return labels.get(self.key) not in self.values
            case "Exists":
                return self.key in labels
            case _:
                return self.key not in labels


class LabelSelector(Model):
    """All of it must hold; an empty one matches everything."""

    match_labels: Labels = Field(default_factory=dict)
    match_expressions: tuple[LabelExpression, ...] = ()

    def matches(self, labels: Mapping[str, str]) -> bool:
        return all(labels.get(key) == value for key, value in self.match_labels.items()) and all(
            each.matches(labels) for each in self.match_expressions
        )


def _check_share(value: int | str) -> int | str:
    if isinstance(value, str):
        digits = value.removesuffix("%")
        if not value.endswith("%") or not digits.isdigit():
            raise ValueError(f'{value!r} must be a number of tasks, or a share of them such as "25%"')
    elif value < 0:
        raise ValueError("must not be negative")
    return value


IntOrPercent = Annotated[
    int | str,
    AfterValidator(_check_share),
    WithJsonSchema(
        {"anyOf": [{"type": "integer", "minimum": 0}, {"type": "string", "pattern": "^[0-9]+%$"}]}
    ),
]
"""A number, or a share in percent of the number of tasks that are wanted."""


def share_of(written: int | str, total: int, *, round_up: bool) -> int:
    """Return how many of `total` are meant: a number as it is, percent rounded up or down."""
    if isinstance(written, int):
        return written
    exact = total * int(written[:-1]) / 100
    return math.ceil(exact) if round_up else math.floor(exact)
