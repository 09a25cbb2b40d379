"""What all objects share: the base model, metadata, names, labels, conditions.

Models are strict for what people write (`parse_written`: unknown fields are errors) and tolerant for what
is stored (`parse_stored`: they are ignored, and the raw JSON keeps them), so that old readers survive
new writers. Field names are camelCase in JSON.
"""

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, WithJsonSchema
from pydantic.alias_generators import to_camel

from schemas.errors import InvalidName

API_VERSION = "berth/v1"
CLUSTER_NAMESPACE = "_cluster"  # no DNS-1123 name contains "_", so it can't collide with a namespace
DEFAULT_NAMESPACE = "default"

_DNS_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
_DNS_SUBDOMAIN = re.compile(r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?")
_LABEL_KEY = re.compile(r"([a-z0-9][-a-z0-9.]{0,251}/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?")
_LABEL_VALUE = re.compile(r"([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?")


_SET = object.__setattr__  # models are frozen


class Model(BaseModel):
    """Base of every stored kind: frozen, camelCase in JSON."""

    model_config = ConfigDict(frozen=True, alias_generator=to_camel, populate_by_name=True, defer_build=True)

    @classmethod
    def parse_written(cls, raw: object) -> Self:
        """Parse what a person wrote; an unknown field is an error. Raises pydantic.ValidationError."""
        return cls.model_validate(raw, extra="forbid")

    @classmethod
    def parse_stored(cls, raw: object) -> Self:
        """Parse what is stored; fields of newer versions are ignored. Raises pydantic.ValidationError."""
        return cls.model_validate(raw)

    @classmethod
    def parse_bytes(cls, value: bytes) -> Self | None:
        """Return what `parse_stored` makes of JSON text, in half the time; None for what has to be looked at closely.

        That is what it would refuse, and JSON with numbers that are none, which is no JSON.
        """
        if b"NaN" in value or b"Infinity" in value:
            return None
        try:
            return cls.model_validate_json(value)
        except ValidationError:
            return None

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """Return a copy with the fields of `update` replaced, unchecked: as the base does, at a third of the cost.

        It leaves out what no model of ours has: private attributes, and fields beside the declared ones.
        """
        if deep:
            return super().model_copy(update=update, deep=True)
        copied = self.__class__.__new__(self.__class__)
        changed = update or {}
        _SET(copied, "__dict__", {**self.__dict__, **changed})
        _SET(copied, "__pydantic_fields_set__", self.__pydantic_fields_set__ | changed.keys())
        _SET(copied, "__pydantic_extra__", None)
        _SET(copied, "__pydantic_private__", None)
        return copied

    def to_bytes(self) -> bytes:
        """Return what `to_json` returns as UTF-8, in the order of the fields, at a third of the cost.

        Raises ValueError for half surrogates.
        """
        return self.__pydantic_serializer__.to_json(self, by_alias=True, exclude_none=True)

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON without what is unset; for objects that Berth itself writes whole."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)


def check_dns_label(name: str) -> str:
    """Return `name` if it is a DNS-1123 label of at most 63 characters. Raises InvalidName."""
    if not _DNS_LABEL.fullmatch(name):
        raise InvalidName(
            f"name {name!r} must be at most 63 lower case letters, digits and '-', "
            "and start and end with a letter or digit"
        )
    return name


def check_dns_subdomain(name: str) -> str:
    """Return `name` if it is a DNS-1123 subdomain of at most 253 characters. Raises InvalidName."""
    if not _DNS_SUBDOMAIN.fullmatch(name) or ".." in name:
        raise InvalidName(
            f"name {name!r} must be at most 253 lower case letters, digits, '-' and '.', "
            "and start and end with a letter or digit"
        )
    return name


def check_label_key(key: str) -> str:
    """Return `key` if labels may have it. Raises InvalidName."""
    if not _LABEL_KEY.fullmatch(key):
        raise InvalidName(f"label key {key!r} must be [prefix/]name of letters, digits, '-', '_', '.'")
    return key


def _check_labels(labels: dict[str, str]) -> dict[str, str]:
    for key, value in labels.items():
        check_label_key(key)
        if not _LABEL_VALUE.fullmatch(value):
            raise InvalidName(f"label {key}={value!r}: a value is at most 63 letters, digits, '-', '_', '.'")
    return labels


DNS_LABEL_SCHEMA: dict[str, Any] = {"type": "string", "pattern": f"^{_DNS_LABEL.pattern}$"}
_DNS_SUBDOMAIN_SCHEMA: dict[str, Any] = {
    "type": "string",
    "pattern": rf"^(?!.*\.\.){_DNS_SUBDOMAIN.pattern}$",
}
_LABELS_SCHEMA: dict[str, Any] = {
    "type": "object",
    "propertyNames": {"pattern": f"^{_LABEL_KEY.pattern}$"},
    "additionalProperties": {"type": "string", "pattern": f"^{_LABEL_VALUE.pattern}$"},
}

DnsLabel = Annotated[str, AfterValidator(check_dns_label), WithJsonSchema(DNS_LABEL_SCHEMA)]
DnsSubdomain = Annotated[str, AfterValidator(check_dns_subdomain), WithJsonSchema(_DNS_SUBDOMAIN_SCHEMA)]
LabelKey = Annotated[
    str,
    AfterValidator(check_label_key),
    WithJsonSchema({"type": "string", "pattern": f"^{_LABEL_KEY.pattern}$"}),
]
Labels = Annotated[dict[str, str], AfterValidator(_check_labels), WithJsonSchema(_LABELS_SCHEMA)]


class ObjectMeta(Model):
    """Who an object is. People write name, namespace, labels, annotations; Berth stamps the rest."""

    name: DnsSubdomain
    namespace: DnsLabel | None = None
    labels: Labels = Field(default_factory=dict)
    annotations: dict[str, str] = Field(default_factory=dict)
    uid: str = ""
    creation_timestamp: str = ""


ConditionStatus = Literal["True", "False", "Unknown"]
SHARED_CONDITIONS = 4096  # some for each of a thousand nodes at one moment; each is about 1 KB


class Condition(Model):
    """One observed fact about an object, phrased so that True is the good case where possible."""

    type: str
    status: ConditionStatus
    reason: str = ""
    message: str = ""
    last_transition_time: str = ""
    observed_generation: int | None = None


@lru_cache(SHARED_CONDITIONS)
def condition(type_: str, status: ConditionStatus, reason: str, message: str, at: str) -> Condition:
    """Return a condition since `at`; the very same for all who say the same, as thousands do in a storm."""
    return Condition(type=type_, status=status, reason=reason, message=message, last_transition_time=at)


def set_condition(conditions: tuple[Condition, ...], new: Condition) -> tuple[Condition, ...]:
    """Return `conditions` with `new` in place of its type; the transition time moves only with the status."""
    for index, old in enumerate(conditions):
        if old.type == new.type:
            if old.status == new.status:
                new = new.model_copy(update={"last_transition_time": old.last_transition_time})
            return (*conditions[:index], new, *conditions[index + 1 :])
    return (*conditions, new)


def find_condition(conditions: tuple[Condition, ...], type_: str) -> Condition | None:
    """Return the condition of that type, or None."""
    return next((condition for condition in conditions if condition.type == type_), None)
