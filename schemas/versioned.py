"""A value together with what etcd knows of its key; filled in on read, never stored."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

T_co = TypeVar("T_co", covariant=True)


@dataclass(frozen=True, slots=True)
class Versioned(Generic[T_co]):
    """`generation` is etcd's version of the key, `create_revision` orders by age."""

    value: T_co
    raw: Mapping[str, Any]
    create_revision: int
    mod_revision: int
    generation: int
