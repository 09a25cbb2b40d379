"""From stored values to slots: decoded, or Unreadable and noted as such.

What this leader wrote itself is not parsed again: it notes the bytes on their way to a key, and what they say.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from pydantic import ValidationError

from controller.records import Slot
from schemas.keys import ObjectRef
from schemas.meta import CLUSTER_NAMESPACE, Model, ObjectMeta
from schemas.versioned import Versioned
from store.api import KeyValue
from store.codec import RawJson, Unreadable, decode, uid_of

M = TypeVar("M", bound=Model)

# Writes that failed never come; the oldest goes, and costs a parse if it comes after all.
MAX_EXPECTED = 50_000


@dataclass(frozen=True, slots=True)
class _Expected:
    """A value that this leader writes, and what it says."""

    value: bytes
    model: Model
    settles: bool
    is_whole: bool


class SlotReader:
    """Decodes values. unreadable: key -> what can't be decoded, or names another object than its key."""

    def __init__(self) -> None:
        self.unreadable: dict[str, Unreadable] = {}
        self._expected: dict[str, _Expected] = {}

    def forget(self, key: str) -> None:
        """The key is gone."""
        self.unreadable.pop(key, None)
        self._expected.pop(key, None)

    def read(self, model: type[M], kv: KeyValue | None, decoder: Callable[..., object] = decode) -> Slot[M]:
        """Decode one value; what can't be decoded is noted as Unreadable."""
        if kv is None:
            return None
        expected = self._expected.pop(kv.key, None)
        if expected is not None and expected.value == kv.value and isinstance(expected.model, model):
            return self._readable(expected.model, kv, is_whole=expected.is_whole)
        value = model.parse_bytes(kv.value)
        if value is not None and (decoder is decode or _has_uid(value)):
            return self._readable(value, kv)
        raw = decoder(kv)
        if isinstance(raw, dict):
            try:
                return self._readable(model.parse_stored(raw), kv)
            except ValidationError as error:
                first = error.errors(include_url=False)[0]
                where = ".".join(str(part) for part in first["loc"])
                raw = Unreadable(kv.key, None, f"{where}: {first['msg']}", kv.mod_revision)
        assert isinstance(raw, Unreadable)
        self.unreadable[kv.key] = raw
        return raw

    def read_matching(
        self, model: type[M], kv: KeyValue | None, matches: Callable[[M], bool] | None = None
    ) -> Slot[M]:
        """Decode one value that has to name what its key does."""
        slot = self.read(model, kv)
        return self.matching(kv, slot, matches) if matches else slot

    def _readable(self, value: M, kv: KeyValue, *, is_whole: bool = False) -> Versioned[M]:
        self.unreadable.pop(kv.key, None)
        raw = RawJson(kv.value, is_whole=is_whole)
        return Versioned(value, raw, kv.create_revision, kv.mod_revision, kv.version)

    def expect(
        self, key: str, value: bytes, model: Model, *, settles: bool = False, is_whole: bool = False
    ) -> None:
        """Note what `value`, on its way to `key`, says: if the store shows these very bytes, they need no parsing.

        settles: nor is there anything left to plan for the object, as far as this value goes. is_whole: nor do the
        bytes hold anything that the model does not say.
        """
        self._expected.pop(key, None)
        self._expected[key] = _Expected(value, model, settles, is_whole)
        if len(self._expected) > MAX_EXPECTED:
            del self._expected[next(iter(self._expected))]

    def is_settled_by(self, kv: KeyValue | None) -> bool:
        """Say whether this leader expects these very bytes, and they leave nothing to plan."""
        expected = self._expected.get(kv.key) if kv is not None else None
        return expected is not None and kv is not None and expected.settles and expected.value == kv.value

    def matching(self, kv: KeyValue | None, slot: Slot[M], matches: Callable[[M], bool]) -> Slot[M]:
        """A value that names another object than its key does is somebody's mistake: unreadable."""
        if not isinstance(slot, Versioned) or kv is None or matches(slot.value):
            return slot
        wrong = Unreadable(
            kv.key, uid_of(slot.raw), "the value names another object than the key", kv.mod_revision
        )
        self.unreadable[kv.key] = wrong
        return wrong


def _has_uid(value: Model) -> bool:
    metadata = getattr(value, "metadata", None)
    return isinstance(metadata, ObjectMeta) and bool(metadata.uid)


def names(metadata: ObjectMeta, ref: ObjectRef) -> bool:
    namespace = metadata.namespace if ref.namespace != CLUSTER_NAMESPACE else ref.namespace
    return (metadata.name, namespace) == (ref.name, ref.namespace)


def is_named(value: Model, ref: ObjectRef) -> bool:
    metadata = getattr(value, "metadata", None)
    return isinstance(metadata, ObjectMeta) and names(metadata, ref)
