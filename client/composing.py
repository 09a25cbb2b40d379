"""What owners made, as the objects that people see: an owned key names a kept template, and both give the object.

Kept templates never change, so one that was read stays right; each is read once, however many tasks name it.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pydantic import ValidationError

from schemas.keys import Keys, ObjectRef, OwnedKey
from store import codec
from store.api import KeyValue, Store
from store.codec import Json

if TYPE_CHECKING:
    from schemas.owned import Owned, OwnerReference, Revision

OWNED_PLURALS = frozenset({"tasks", "jobs"})
"""Kinds of which objects may be made by owners."""


@dataclass(frozen=True, slots=True)
class Composed:
    """An object as a stored spec would be, who made it, and why it can't be read ("" when it can)."""

    raw: Json
    owner: "OwnerReference | None"
    error: str = ""


class Templates:
    """Kept templates, read as they are needed: `complete` adds those that owned keys name."""

    def __init__(self, store: Store, keys: Keys) -> None:
        self._store = store
        self._keys = keys
        self._known: dict[str, KeyValue] = {}

    def complete(self, found: Mapping[str, KeyValue], revision: int = 0) -> dict[str, KeyValue]:
        """Return `found` and the templates that its owned keys name.

        revision: that of `found`, to read a template that is gone by now; 0: it is left out. Raises Compacted.
        """
        wanted = {name for key, kv in found.items() if (name := template_key(self._keys, key, kv))}
        if not wanted:
            return dict(found)
        self._read(wanted - self._known.keys(), revision)
        return {**found, **{key: self._known[key] for key in wanted if key in self._known}}

    def _read(self, missing: set[str], revision: int) -> None:
        from client.reading import read_keys

        self._known.update(read_keys(self._store, sorted(missing)))
        gone = missing - self._known.keys() if revision else ()
        for key in gone:
            listed = self._store.list(key, revision).kvs  # of a prefix: 1 finds 10, too
            self._known.update({kv.key: kv for kv in listed if kv.key == key})


def template_key(keys: Keys, key: str, kv: KeyValue) -> str:
    """Return the key of the template that an owned key names, "" for any other key and what can't be read."""
    parsed = keys.parse(key)
    raw = codec.decode(kv) if isinstance(parsed, OwnedKey) else None
    if not isinstance(parsed, OwnedKey) or not isinstance(raw, dict):
        return ""
    owner = raw.get("owner")
    uid = owner.get("uid") if isinstance(owner, dict) else None
    number = raw.get("revision")
    return keys.revision(parsed.ref.namespace, uid, number) if uid and isinstance(number, int) else ""


@dataclass(slots=True)
class Composer:
    """Composes the objects of one answer; each template is parsed and checked once. templates: key -> value."""

    keys: Keys
    templates: Mapping[str, KeyValue]
    _revisions: "dict[str, Revision | str]" = field(default_factory=dict)  # or why it can't be read

    def compose(self, ref: ObjectRef, kv: KeyValue) -> Composed:
        """Return the object that the owned key `kv` stands for."""
        from schemas.owned import compose_job, compose_task

        owned = _parse_owned(ref, kv)
        if isinstance(owned, str):
            return Composed({}, None, owned)
        key = self.keys.revision(ref.namespace, owned.owner.uid, owned.revision)
        if key not in self._revisions:
            self._revisions[key] = _parse_revision(owned, self.templates.get(key))
        revision = self._revisions[key]
        if isinstance(revision, str):
            return Composed({}, owned.owner, revision)
        compose = compose_job if owned.kind == "Job" else compose_task
        return Composed(compose(owned, revision), owned.owner)


def _parse_owned(ref: ObjectRef, kv: KeyValue) -> "Owned | str":
    """Return what is stored, or why it can't be read."""
    from schemas.owned import Owned

    raw = codec.decode_object(kv)
    if isinstance(raw, codec.Unreadable):
        return raw.error
    try:
        owned = Owned.parse_stored(raw)
    except ValidationError as error:
        return _first(error)
    if owned.metadata.name != ref.name:
        return f"metadata.name is {owned.metadata.name!r}, but the key says {ref.name!r}"
    return owned


def _parse_revision(owned: "Owned", kv: KeyValue | None) -> "Revision | str":
    """Return the template, checked as the spec of what it is for, or why it can't be used."""
    from schemas.owned import Revision

    owner = f"{owned.owner.kind.lower()}/{owned.owner.name}"
    if kv is None:
        return f"its template, revision {owned.revision} of {owner}, is not there"
    raw = codec.decode(kv)
    if isinstance(raw, codec.Unreadable):
        return f"its template, revision {owned.revision} of {owner}, is {raw.error}"
    try:
        revision = Revision.parse_stored(raw)
        _check_template(owned.kind, revision)
    except ValidationError as error:
        return f"its template, revision {owned.revision} of {owner}, can't be read: {_first(error)}"
    return revision


def _check_template(kind: str, revision: "Revision") -> None:
    """Raise ValidationError for a template whose spec is none."""
    if kind == "Job":
        from schemas.job import JobSpec

        JobSpec.parse_stored(revision.template.get("spec"))
    else:
        from schemas.task import TaskSpec

        TaskSpec.parse_stored(revision.template.get("spec"))


def _first(error: ValidationError) -> str:
    first = error.errors(include_url=False)[0]
    where = ".".join(str(part) for part in first["loc"])
    return f"{where}: {first['msg']}" if where else first["msg"]


def owner_text(owner: "OwnerReference") -> str:
    """Return `deployment/web`."""
    return f"{owner.kind.lower()}/{owner.name}"


def made_by(kvs: Iterable[KeyValue], uid: str) -> list[KeyValue]:
    """Return the owned keys that may be of the owner with that uid, without parsing them all."""
    mark = uid.encode()
    return [kv for kv in kvs if mark in kv.value]
