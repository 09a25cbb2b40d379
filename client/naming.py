"""What people call things: kinds by any of their names, and what to say when there is no such kind or object."""

import difflib
from collections.abc import Iterable

from client.errors import NotFound
from schemas.keys import ObjectRef
from schemas.kinds import BY_ALIAS, KINDS, Kind
from schemas.meta import CLUSTER_NAMESPACE


def find_kind(written: str) -> Kind:
    """Return the kind that people call `written`, by any of its names. Raises NotFound."""
    kind = BY_ALIAS.get(written) or BY_ALIAS.get(written.lower())
    if kind is None:
        known = sorted(kind.plural for kind in KINDS)
        close = closest(written.lower(), BY_ALIAS)
        hint = (
            f"did you mean {BY_ALIAS[close].plural}? See"
            if close
            else f"known kinds: {', '.join(known)}; see"
        )
        raise NotFound(f'there is no kind "{written}"; {hint}: berth api-resources')
    return kind


def closest(written: str, known: Iterable[str]) -> str:
    """Return the one of `known` that was probably meant, "" for none."""
    found = difflib.get_close_matches(written, sorted(known), n=1, cutoff=0.7)
    return found[0] if found else ""


def make_ref(kind: Kind, namespace: str, name: str) -> ObjectRef:
    """Return the reference of an object; kinds without namespace are in none, whatever `namespace` says."""
    return ObjectRef(kind.plural, namespace if kind.namespaced else CLUSTER_NAMESPACE, name)


def not_found(kind: Kind, name: str, namespace: str) -> NotFound:
    """Return the error that says so, and how to see what there is."""
    where = f" in namespace {namespace}" if kind.namespaced else ""
    return NotFound(f'{kind.singular} "{name}" not found{where}; see: berth get {kind.plural}')
