"""Values in the store: canonical JSON, and patches that keep what this version does not know.

What is stored stays raw: a writer patches the stored JSON and never dumps a model over it, so that older
code keeps the fields of newer code. What can't be read is not absent: it is an `Unreadable`.
"""

from collections.abc import ItemsView, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from pydantic_core import from_json

from schemas.canonical import canonical_json
from store.api import KeyValue

Json = dict[str, Any]  # Any: JSON of any shape; models of `schemas` give it types


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A stored value that can't be parsed; whatever names it is frozen until somebody repairs it."""

    key: str
    uid: str | None
    error: str
    mod_revision: int


class _Removed:
    """The value of a patch that takes a field away."""


REMOVED: Final = _Removed()


def encode(value: Any) -> bytes:
    """Return canonical JSON: sorted keys, no spaces, UTF-8. Raises ValueError for NaN and half surrogates."""
    return canonical_json(value)


def decode(kv: KeyValue) -> Json | Unreadable:
    """Parse a stored JSON object; whatever it returns as a dict can be encoded again."""
    try:
        parsed = from_json(kv.value, allow_inf_nan=False)
    except ValueError as error:
        return Unreadable(kv.key, None, f"not JSON: {error}", kv.mod_revision)
    if not isinstance(parsed, dict):
        return Unreadable(kv.key, None, f"not a JSON object but {type(parsed).__name__}", kv.mod_revision)
    return parsed


def decode_object(kv: KeyValue) -> Json | Unreadable:
    """Parse a stored object of the API; one without `metadata.uid` is Unreadable."""
    parsed = decode(kv)
    if isinstance(parsed, dict) and uid_of(parsed) is None:
        return Unreadable(kv.key, None, "metadata.uid is missing", kv.mod_revision)
    return parsed


def uid_of(obj: Mapping[str, Any]) -> str | None:
    """Return `metadata.uid`, None where there is none."""
    metadata = obj.get("metadata")
    uid = metadata.get("uid") if isinstance(metadata, Mapping) else None
    return uid if isinstance(uid, str) and uid else None


class RawJson(Mapping[str, Any]):
    """The stored JSON of an object as a mapping that is parsed when it is asked, which is seldom.

    It holds the bytes that the cache holds anyway; what was parsed is not kept. For bytes that `decode` took.
    is_whole: it is known to hold no field but those of its model, so that who writes over it need not look for others.
    """

    __slots__ = ("_value", "is_whole")

    def __init__(self, value: bytes, *, is_whole: bool = False) -> None:
        self._value = value
        self.is_whole = is_whole

    def parse(self) -> Json:
        """Return a dict of the caller's own."""
        parsed: Json = from_json(self._value)
        return parsed

    def __getitem__(self, key: str) -> Any:
        return self.parse()[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self.parse())

    def __len__(self) -> int:
        return len(self.parse())

    def items(self) -> ItemsView[str, Any]:
        return self.parse().items()


def patch(raw: Mapping[str, Any], values: Mapping[tuple[str, ...], Any]) -> Json:
    """Return `raw` with some fields replaced; all other fields stay, known or not.

    values: path -> new value, or REMOVED, as in {("spec", "replicas"): 3}. Folders on the way are made;
    `raw` is not changed, and what the patch does not touch is shared with it.
    """
    patched = raw.parse() if isinstance(raw, RawJson) else dict(raw)
    for path, value in values.items():
        patched = _patch_one(patched, path, value)
    return patched


def _patch_one(raw: Json, path: tuple[str, ...], value: Any) -> Json:
    head, rest = path[0], path[1:]
    patched = dict(raw)
    if rest:
        inner = raw.get(head)
        if value is REMOVED and not isinstance(inner, dict):
            return patched
        patched[head] = _patch_one(inner if isinstance(inner, dict) else {}, rest, value)
    elif value is REMOVED:
        patched.pop(head, None)
    else:
        patched[head] = value
    return patched
