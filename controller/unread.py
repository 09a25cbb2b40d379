"""What an owner made or kept and can't be read: in words for its status, and what its end has to wait for."""

from collections.abc import Mapping
from dataclasses import dataclass

from controller.composing import Kept
from controller.made import Group
from controller.records import ObjectRecord, Slot, TaskRecord
from controller.view import View
from schemas.keys import ObjectRef
from schemas.owned import Endpoints
from store.codec import Unreadable


@dataclass(frozen=True, slots=True)
class Unread:
    """words: of all of it. stuck: of what nobody knows enough about to end it; records: whose that is.

    revisions: numbers of kept templates. What only lacks its template can be ended: the owner's key and the binding
    are there.
    """

    words: tuple[str, ...] = ()
    stuck: tuple[str, ...] = ()
    records: frozenset[ObjectRef] = frozenset()
    revisions: tuple[int, ...] = ()


NOTHING = Unread()


def unread_of(
    view: View, ref: ObjectRef, group: Group, kept: Mapping[int, Kept], endpoints: Slot[Endpoints]
) -> Unread:
    """Return what can't be read of all that one owner made and kept."""
    templates = {number: each.slot for number, each in kept.items() if isinstance(each.slot, Unreadable)}
    lost = view.workloads.may_have_lost(ref)
    list_is_bad = isinstance(endpoints, Unreadable)
    if not (templates or lost or list_is_bad or group.frozen or view.sites.has_unread):
        return NOTHING
    found = {each.ref: words for each in group.records if (words := _stuck(view, each))}
    stuck = [*found.values(), *(f"{lost_ref}: its owned key: {error}" for lost_ref, error in lost)]
    if isinstance(endpoints, Unreadable):
        stuck.append(f"its list of addresses: {endpoints.error}")
    numbers = sorted(templates)
    loose = [f"its kept template, revision {number}: {templates[number].error}" for number in numbers]
    loose += [
        f"{each.ref}: {each.spec.error}"
        for each in group.records
        if isinstance(each.spec, Unreadable) and each.ref not in found
    ]
    return Unread((*stuck, *loose), tuple(stuck), frozenset(found), tuple(numbers))


def _stuck(view: View, record: TaskRecord | ObjectRecord) -> str:
    """Return why nobody can end it as it should be, empty if enough is known of it."""
    named = {"owned key": record.owned, "status": record.status, "request to delete it": record.delete}
    for what, slot in named.items():
        if isinstance(slot, Unreadable):
            return f"{record.ref}: its {what}: {slot.error}"
    has_unread_site = isinstance(record, TaskRecord) and view.sites.has_unread_of(record)
    return f"{record.ref}: its binding or report can't be read" if has_unread_site else ""
