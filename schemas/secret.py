"""Secret: values that nobody reads back. People write them in clear, and only sealed ones are ever stored.

`data` and `stringData` exist in manifests and in the process that seals them; what is stored has `sealed` in their
place: a box for the cluster's key, the names of the keys, and a slow salted hash by which an apply knows that
nothing changed. See docs/design/secrets.md.
"""

import base64
import binascii
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from schemas.meta import DnsSubdomain, Model, ObjectMeta
from schemas.registry import DOCKER_CONFIG, parse_docker_config

SecretType = Literal["Opaque", "berth/registry", "kubernetes.io/dockerconfigjson"]
REGISTRY_TYPES: frozenset[str] = frozenset({"berth/registry", "kubernetes.io/dockerconfigjson"})
MAX_VALUES_BYTES = 262_144  # 256 KiB: sealed, in base64 twice, it stays well below etcd's request
MAX_REGISTRY_BYTES = 16_384  # 16 KiB: copies of up to eight are in one binding
MAX_PULL_SECRETS = 8

KeyName = Annotated[str, Field(pattern=r"^\.?[-_a-zA-Z0-9][-._a-zA-Z0-9]{0,251}$")]
"""It may become the name of a file, and those that begin with two dots are the agent's own."""


class SealedValues(Model):
    """What is stored instead of values: `box` opens with the private key that `to` names."""

    to: str = Field(description="Which public key it is sealed to: 16 hex digits that name it.")
    keys: tuple[KeyName, ...] = Field(default=(), description="The names of the keys inside.")
    box: str = Field(description="The values, sealed to the cluster's public key, in base64.")
    digest: str = Field(default="", description="A slow salted hash; the same values are known again by it.")


class SealedCopy(Model):
    """A Secret in a binding: sealed by the leader to the key of that node, for that task.

    `of` names the box of the Secret that it is a copy of, `to` the node's key.
    """

    of: str
    to: str
    box: str


class SecretRef(Model):
    """A Secret of the same namespace."""

    name: DnsSubdomain


class Secret(Model):
    """Values that only the nodes read whose tasks name them."""

    api_version: Literal["berth/v1"]
    kind: Literal["Secret"]
    metadata: ObjectMeta
    type: SecretType = Field(
        default="Opaque",
        description="Opaque, or berth/registry for credentials of an image registry, "
        "which kubernetes.io/dockerconfigjson means too.",
    )
    data: dict[KeyName, str] = Field(default_factory=dict, description="Key -> value in base64.")
    string_data: dict[KeyName, str] = Field(
        default_factory=dict, description="Key -> value as text; wins over data."
    )
    sealed: SealedValues | None = Field(
        default=None, description="What is stored in place of data and stringData."
    )

    @model_validator(mode="after")
    def _is_one_of_both(self) -> Self:
        if not (self.data or self.string_data):
            return self
        if self.sealed is not None:
            raise ValueError("write either sealed, or data and stringData")
        check_values(self.type, values_of(self))
        return self


def values_of(secret: Secret) -> dict[str, bytes]:
    """Return the values of a written Secret, in clear. Raises ValueError, whose message names the key only."""
    values: dict[str, bytes] = {}
    for key, encoded in secret.data.items():
        try:
            values[key] = base64.b64decode("".join(encoded.split()), validate=True)
        except (binascii.Error, ValueError):
            raise ValueError(f"data.{key} is not base64; write text into stringData instead") from None
    return values | {key: text.encode() for key, text in secret.string_data.items()}


def check_values(type_: str, values: dict[str, bytes]) -> None:
    """Check the values of a Secret against its type. Raises ValueError, whose message holds none of them."""
    total = sum(map(len, values.values()))
    limit = MAX_REGISTRY_BYTES if type_ in REGISTRY_TYPES else MAX_VALUES_BYTES
    if total > limit:
        raise ValueError(f"its values take {total} bytes; a secret of type {type_} may have {limit}")
    if type_ in REGISTRY_TYPES:
        if DOCKER_CONFIG not in values:
            raise ValueError(
                f"a secret of type {type_} needs the key {DOCKER_CONFIG}; "
                "or make it with: berth create secret docker-registry NAME"
            )
        parse_docker_config(values[DOCKER_CONFIG])


def has_clear_values(raw: dict[str, object]) -> bool:
    """Say whether raw JSON is a Secret with values in clear, which is never stored, shown or sent."""
    return raw.get("kind") == "Secret" and bool({"data", "stringData"} & raw.keys())
