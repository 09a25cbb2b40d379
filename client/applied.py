"""What was applied last to an object, and by whom: the records at `applied/<ns>/<plural>/<name>/<manager>`.

A record is written in the transaction that writes its object, and goes with it. So it says what a manager has set,
and that the object belongs to its set.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field

from schemas.keys import AppliedKey, Family, Keys, ObjectRef
from schemas.manifest import Document
from store import codec
from store.api import Store
from store.codec import Json

LISTED_ALONE = (
    32  # objects whose records are listed one by one; of more, those of a kind in a namespace together
)


@dataclass(frozen=True, slots=True)
class Claims:
    """Manager -> what it applied last, as it was at `revision` (0: nothing was read). {} is one that can't be read.

    written: manager -> the revision of its record.
    """

    forms: Mapping[str, Json] = field(default_factory=dict)
    revision: int = 0
    written: Mapping[str, int] = field(default_factory=dict)

    def since(self, create_revision: int) -> "Claims":
        """Return the claims on the object that was made at that revision, without those on one before it.

        A record goes with its object, but not when somebody takes the object out of the store by force.
        """
        kept = {name: form for name, form in self.forms.items() if self.written[name] >= create_revision}
        return Claims(kept, self.revision, self.written)

    def split(self, manager: str, adopted: Collection[str] = ()) -> "tuple[Json | None, Claims]":
        """Return what that manager applied last, None for nothing, and the claims of all others.

        adopted: managers in whose place it stands from now on; what they applied counts where it applied nothing.
        """
        others = {name: form for name, form in self.forms.items() if name != manager and name not in adopted}
        last = next((self.forms[name] for name in (manager, *adopted) if self.forms.get(name)), None)
        return last, Claims(others, self.revision, self.written)


NO_CLAIMS = Claims()


def record_form(document: Document) -> Json:
    """Return what is kept of a document: all of it, but of a Secret no more than who it is."""
    if document.kind.name != "Secret":
        return document.raw
    return {key: document.raw[key] for key in ("apiVersion", "kind", "metadata")}


def read_claims(store: Store, keys: Keys, refs: Iterable[ObjectRef]) -> dict[ObjectRef, Claims]:
    """Return what was applied to each object, by all managers. An unreadable record claims no field."""
    wanted = tuple(refs)
    ranges: dict[str, list[ObjectRef]] = {}
    for ref in wanted:
        together = keys.objects_range(Family.APPLIED, ref.namespace, ref.plural)
        prefix = keys.applied_range(ref) if len(wanted) <= LISTED_ALONE else together
        ranges.setdefault(prefix, []).append(ref)
    found: dict[ObjectRef, Claims] = {}
    for prefix, inside in ranges.items():
        found.update(_claims_below(store, keys, prefix, frozenset(inside)))
    return found


def _claims_below(
    store: Store, keys: Keys, prefix: str, wanted: frozenset[ObjectRef]
) -> dict[ObjectRef, Claims]:
    listing = store.list(prefix)
    forms: dict[ObjectRef, dict[str, Json]] = {ref: {} for ref in wanted}
    written: dict[ObjectRef, dict[str, int]] = {ref: {} for ref in wanted}
    for kv in listing.kvs:
        parsed = keys.parse(kv.key)
        if isinstance(parsed, AppliedKey) and parsed.ref in wanted:
            raw = codec.decode(kv)
            forms[parsed.ref][parsed.manager] = {} if isinstance(raw, codec.Unreadable) else raw
            written[parsed.ref][parsed.manager] = kv.mod_revision
    return {ref: Claims(of_ref, listing.revision, written[ref]) for ref, of_ref in forms.items()}
