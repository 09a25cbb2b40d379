"""Watching events: what was told, then each one that is told or told again."""

import threading
from collections.abc import Callable, Iterator

from client.reading import parse_event
from client.waiting import Waiter
from schemas.event import Event
from schemas.keys import Keys
from store.errors import Unavailable
from store.informer import Informer

STEP_EVERY_S = 1.0  # what the informer asks for


def watch_events(
    waiter: Waiter, keys: Keys, namespace: str | None, say: Callable[[str], None], *, only_new: bool
) -> Iterator[tuple[Event, ...]]:
    """Yield events as they come, some at a time, oldest first. Never ends; survives lost watches.

    only_new: leave out what there is at the start. Raises Rewound, and the error of the first listing.
    """
    woken = threading.Event()
    informer = Informer(waiter.store, (keys.events_range(namespace),), woken.set)
    is_away = False
    try:
        while True:
            woken.clear()
            is_first = not informer.synced
            changes = informer.step(waiter.clock())
            if not informer.synced and informer.last_error is not None:
                raise informer.last_error
            if isinstance(informer.last_error, Unavailable) and not is_away:
                say(f"the watch waits for etcd, events may be missing: {informer.last_error}")
            is_away = isinstance(informer.last_error, Unavailable)
            kvs = [kv for change in changes if (kv := informer.get(change.key)) is not None]
            found = [event for kv in kvs if (event := parse_event(kv)) is not None]
            if found and not (only_new and is_first):
                yield tuple(sorted(found, key=lambda event: event.last_timestamp))
            waiter.pause(woken, STEP_EVERY_S)
    finally:
        informer.close()
