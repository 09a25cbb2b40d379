"""Watching objects: an informer's changes as views; it survives lost and compacted watches."""

import threading
from collections.abc import Callable, Iterator

from client.composing import Templates
from client.reading import keys_of, prefixes_of
from client.views import ObjectView, build_view
from client.waiting import Waiter
from schemas.keys import (
    Family,
    HeartbeatKey,
    Keys,
    NodeReportKey,
    ObjectRef,
    OwnedKey,
    RequestKey,
    SpecKey,
    StatusKey,
    cluster_ref,
)
from schemas.kinds import Kind
from store.errors import Unavailable
from store.informer import Informer

STEP_EVERY_S = 1.0  # what the informer asks for


def watch_objects(
    waiter: Waiter,
    kind: Kind,
    keys: Keys,
    namespace: str | None,
    say: Callable[[str], None],
    *,
    only_changes: bool = False,
) -> Iterator[tuple[ObjectRef, ObjectView | None]]:
    """Yield every object of a kind, then each one that changed; None for one that is gone. Never ends.

    only_changes: what the first listing holds is left out. An outage is told by `say`, once. Raises
    Rewound, and the store's error when the first listing fails.
    """
    woken = threading.Event()
    prefixes = prefixes_of(kind, keys, namespace)
    if kind.name == "Node":
        prefixes = (*prefixes, keys.family_range(Family.REPORTS))
    informer = Informer(waiter.store, prefixes, woken.set)
    templates = Templates(waiter.store, keys)
    is_away = False
    try:
        while True:
            woken.clear()
            is_first_listing = not informer.synced
            changes = informer.step(waiter.clock())
            if not informer.synced and informer.last_error is not None:
                raise informer.last_error
            if isinstance(informer.last_error, Unavailable) and not is_away:
                say(f"the watch waits for etcd, rows may be old: {informer.last_error}")
            is_away = isinstance(informer.last_error, Unavailable)
            shown = () if only_changes and is_first_listing else changes
            for ref in sorted({ref for change in shown if (ref := _ref_of(kind, keys, change.key))}):
                cached = {key: kv for key in keys_of(ref, keys) if (kv := informer.get(key)) is not None}
                yield ref, build_view(kind, ref, keys, templates.complete(cached))
            waiter.pause(woken, STEP_EVERY_S)
    finally:
        informer.close()


def _ref_of(kind: Kind, keys: Keys, key: str) -> ObjectRef | None:
    """Return the object that a key concerns, None for another kind's."""
    match keys.parse(key):
        case SpecKey(ref) | OwnedKey(ref) | StatusKey(ref) | RequestKey(ref, "delete") if (
            ref.plural == kind.plural
        ):
            return ref
        case NodeReportKey(node) | HeartbeatKey(node) if kind.name == "Node":
            return cluster_ref("nodes", node)
        case _:
            return None
