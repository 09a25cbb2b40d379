"""Reading the store as an invariant does: by an admin's client, each revision parsed once."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from schemas.keys import Family, Keys, ObjectRef, OwnedKey, SpecKey
from schemas.owned import Owned, Revision
from store.api import KeyValue
from store.codec import Unreadable, decode
from store.memory import MemoryStore


@dataclass(slots=True)
class Stored:
    """`client` returns an admin's own: it never fails, and is another one after a rewind."""

    client: Callable[[], MemoryStore]
    keys: Keys
    _parsed: dict[tuple[str, int], Any] = field(default_factory=dict)  # a value, or Unreadable

    def read(self, model: Any, key: str) -> Any:
        """Return the parsed value of a key, None when it is not there or can't be read."""
        return self.parse(model, self.client().get(key).kv)

    def parse(self, model: Any, kv: KeyValue | None) -> Any:
        found = self.slot(model, kv)
        return None if isinstance(found, Unreadable) else found

    def slot(self, model: Any, kv: KeyValue | None) -> Any:
        """Return the parsed value, Unreadable, or None when there is no key."""
        if kv is None:
            return None
        place = (kv.key, kv.mod_revision)
        if place not in self._parsed:
            try:
                self._parsed[place] = model.model_validate_json(kv.value)
            except ValueError as error:
                self._parsed[place] = Unreadable(kv.key, None, str(error), kv.mod_revision)
        return self._parsed[place]

    def raw(self, key: str) -> dict[str, Any] | None:
        """Return the JSON of a key, None when it is not there or can't be read."""
        kv = self.client().get(key).kv
        found = decode(kv) if kv is not None else None
        return found if isinstance(found, dict) and "metadata" in found else None

    def of_kind(self, model: Any, plural: str, family: str = "spec") -> Iterator[tuple[ObjectRef, Any]]:
        """Yield the objects of one kind, in the one namespace there is; None for one that can't be read."""
        for kv in self.client().list(f"{self.keys.root}{family}/default/{plural}/").kvs:
            yield ObjectRef(plural, "default", kv.key.rsplit("/", 1)[1]), self.parse(model, kv)

    def owned(self) -> Iterator[tuple[ObjectRef, Owned]]:
        """Yield all tasks and jobs that owners made."""
        for kv in self.client().list(self.keys.family_range(Family.OWNED)).kvs:
            parsed, value = self.keys.parse(kv.key), self.parse(Owned, kv)
            if isinstance(parsed, OwnedKey) and value is not None:
                yield parsed.ref, value

    def labels_of(self, owned: Owned) -> dict[str, str]:
        """Return the labels that something owned has from its template."""
        key = self.keys.revision("default", owned.owner.uid, owned.revision)
        revision: Revision | None = self.read(Revision, key)
        metadata = (revision.template.get("metadata") or {}) if revision is not None else {}
        return {**(metadata.get("labels") or {}), **owned.metadata.labels}

    def tasks(self) -> Iterator[tuple[ObjectRef, str, dict[str, str] | None, Owned | None]]:
        """Yield (ref, uid, labels, what owners wrote) of all tasks; uid "" and labels None: can't be read."""
        for kv in self.client().list(f"{self.keys.root}spec/default/tasks/").kvs:
            parsed = self.keys.parse(kv.key)
            assert isinstance(parsed, SpecKey)
            raw = self.raw(kv.key)
            metadata = raw["metadata"] if raw is not None else {}
            yield parsed.ref, metadata.get("uid", ""), metadata.get("labels") or {} if raw else None, None
        for ref, owned in self.owned():
            if ref.plural == "tasks":
                yield ref, owned.metadata.uid, self.labels_of(owned), owned

    def forget(self) -> None:
        """History went back: revisions are used again."""
        self._parsed.clear()
