"""Restore: an object as it was becomes what is stored now, as a new version that is checked like any other write.

It is written as an edit writes: what a manifest says wins again with its next apply. An object that is there becomes
what it was, identity aside, and the records of managers stay. One that is gone is made anew, with a new uid, and is
nobody's until somebody applies it: a set or source that had it takes it back without a conflict, and may prune it then.
"""

from typing import TYPE_CHECKING, Any

from client.diff import past_diff
from client.errors import Refused
from client.history import STAMPED, Revision, content_of
from schemas.errors import InvalidManifest
from schemas.manifest import Document, check_object
from schemas.meta import CLUSTER_NAMESPACE
from store.codec import Json

if TYPE_CHECKING:
    from client.client import Client
    from client.views import ObjectView


def restored(old: Json, live: Json) -> Json:
    """Return the old object with the identity of the present one. Pure."""
    stamped = {key: value for key, value in (live.get("metadata") or {}).items() if key in STAMPED}
    metadata = {key: value for key, value in (old.get("metadata") or {}).items() if key not in STAMPED}
    return {**old, "metadata": {**metadata, **stamped}}


def standing(client: "Client", revision: Revision) -> "ObjectView | None":
    """Return the object as it is now, None where there is none, or where it is being deleted. Raises Refused."""
    ref = revision.ref
    view = client.find(ref.plural, ref.name, _namespace(revision))
    if view is None or view.is_terminating or view.spec_kv is None:
        return None
    if view.owner is not None:
        from client.ownership import owned_refusal

        raise owned_refusal(view)
    return view


def preview(view: "ObjectView | None", revision: Revision) -> str:
    """Return the diff from what there is to what there would be, empty if that is the same."""
    old = content_of(revision)
    live: dict[str, Any] | None = None if view is None else view.raw
    target = restored(old, live or {})
    return past_diff(revision.ref, ("live", live), (f"rev-{revision.revision}", target))


def restore(client: "Client", revision: Revision) -> str:
    """Write the object as it was; return what became of it: created, restored, unchanged.

    Raises Refused, InvalidManifest, Contended.
    """
    old = content_of(revision)
    if standing(client, revision) is not None:
        changed = client.change(revision.ref, lambda live: restored(old, live))
        return "restored" if changed.is_change else "unchanged"
    from client.apply import NOBODY, Applier

    maker = Applier(client.store, client.keys, NOBODY, wait_gone=client.wait_deleted)
    (planned,) = maker.plan((_document(revision, old),))
    return maker.write(planned).action


def sources_of(client: "Client", revision: Revision) -> tuple[str, ...]:
    """Return the sources that keep the object as their repositories have it."""
    from client.applied import read_claims
    from client.conflicts import SOURCE_PREFIX

    managers = read_claims(client.store, client.keys, (revision.ref,))[revision.ref].forms
    return tuple(
        sorted(each.removeprefix(SOURCE_PREFIX) for each in managers if each.startswith(SOURCE_PREFIX))
    )


def _document(revision: Revision, old: Json) -> Document:
    source = f"{revision.ref} at revision {revision.revision}"
    found = check_object(restored(old, {}), source, _namespace(revision) or "default")
    if not isinstance(found, Document):
        raise InvalidManifest(found)
    if found.ref != revision.ref:
        raise Refused(f"{source} calls itself {found.ref}, so it is not restored")
    return found


def _namespace(revision: Revision) -> str:
    return "" if revision.ref.namespace == CLUSTER_NAMESPACE else revision.ref.namespace
