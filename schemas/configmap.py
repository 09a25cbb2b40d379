"""ConfigMap: values in clear that tasks take as environment variables or as files; and how tasks name keys."""

import base64
import binascii
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from schemas.meta import DnsSubdomain, Model, ObjectMeta
from schemas.secret import KeyName

MAX_CONFIG_BYTES = 262_144  # 256 KiB: what a binding carries of it stays well below etcd's request


class ConfigMap(Model):
    api_version: Literal["berth/v1"]
    kind: Literal["ConfigMap"]
    metadata: ObjectMeta
    data: dict[KeyName, str] = Field(default_factory=dict)
    binary_data: dict[KeyName, str] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _fits(self) -> Self:
        both = sorted(self.data.keys() & self.binary_data.keys())
        if both:
            raise ValueError(f"key {both[0]} is in data and in binaryData; write it once")
        total = sum(map(len, config_values(self).values()))
        if total > MAX_CONFIG_BYTES:
            raise ValueError(f"its values take {total} bytes; a ConfigMap may have {MAX_CONFIG_BYTES}")
        return self


def config_values(config: "ConfigMap | ConfigCopy") -> dict[str, bytes]:
    """Return key -> value. Raises ValueError for binaryData that is not base64."""
    values = {key: text.encode() for key, text in config.data.items()}
    for key, encoded in config.binary_data.items():
        try:
            values[key] = base64.b64decode("".join(encoded.split()), validate=True)
        except (binascii.Error, ValueError):
            raise ValueError(f"binaryData.{key} is not base64; write text into data instead") from None
    return values


class ConfigCopy(Model):
    """What a binding carries of a ConfigMap: the keys that its task takes."""

    data: dict[str, str] = Field(default_factory=dict)
    binary_data: dict[str, str] = Field(default_factory=dict)


class KeyRef(Model):
    """One key of a ConfigMap or Secret of the same namespace; `optional`: it may be missing."""

    name: DnsSubdomain
    key: KeyName
    optional: bool = False


class SourceRef(Model):
    """All keys of a ConfigMap or Secret of the same namespace."""

    name: DnsSubdomain
    optional: bool = False


def _check_relative(path: str) -> str:
    parts = path.split("/")
    if path.startswith("..") or not {"", ".", ".."}.isdisjoint(parts):
        raise ValueError(f"path {path!r} must be relative, such as conf/app.ini, and without '..'")
    return path


class KeyToPath(Model):
    """Which key becomes which file."""

    key: KeyName
    path: Annotated[str, Field(min_length=1), AfterValidator(_check_relative)]
    mode: Annotated[int, Field(ge=0, le=0o777)] | None = None
