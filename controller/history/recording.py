"""From what the informer tells to rows and gaps. Pure: the archive only stores what comes out here.

A list after a gap shows what is there, and not how it came to be. What can be said all the same is said: an object
whose revision is the same did not change, and one that is a single generation further changed once, at the revision
that it names. The rest is left open: `Row.after` tells since when.
"""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import replace

from controller.history.changes import (
    Action,
    ClusterMark,
    Gap,
    Gone,
    Head,
    Listed,
    Mark,
    Reason,
    Recorded,
    Row,
    Seen,
    Stored,
)
from schemas.keys import ObjectRef

Heads = Mapping[ObjectRef, Head]
"""The last row of each object that exists, as far as the archive knows."""


def digest_of(value: bytes | None) -> str:
    """Return what two values are compared by."""
    return "" if value is None else hashlib.blake2b(value, digest_size=16).hexdigest()


def record_seen(seen: Seen, mark: Mark, heads: Heads) -> Recorded:
    """Return the rows of changes that follow on `mark`; what it covers already is passed over."""
    known = dict(heads)
    time = max(seen.time, mark.time)
    rows = []
    for change in seen.changes:
        row = (
            _seen_row(change, mark, known.get(change.ref), time) if change.revision > mark.revision else None
        )
        if row is not None:
            rows.append(row)
            _follow(known, row)
    until = max(seen.until, mark.revision)
    return Recorded(tuple(rows), None, Mark(mark.era, until, time, _newer(seen.cluster, mark.cluster)))


def _follow(known: dict[ObjectRef, Head], row: Row) -> None:
    if row.is_deletion:
        known.pop(row.ref, None)
    else:
        known[row.ref] = row.head


def _newer(told: ClusterMark, before: ClusterMark) -> ClusterMark:
    """A cluster key that is not there tells nothing."""
    return told if told.uid else before


def _seen_row(change: Stored | Gone, mark: Mark, head: Head | None, time: float) -> Row | None:
    after = change.revision - 1
    if isinstance(change, Gone):
        if head is None:
            return None
        return Row(
            mark.era,
            change.ref,
            change.revision,
            head.generation,
            head.uid,
            Action.DELETED,
            time,
            after,
            time,
        )
    missed = change.generation > 1 and (head is None or not _is_next(change, head))
    if missed:  # no watch should do that; what it left out is left open
        after = head.revision if head is not None else 0
    action = Action.CREATED if change.generation == 1 else Action.CHANGED
    return _row(change, mark.era, action, time, after, time)


def _is_next(stored: Stored, head: Head) -> bool:
    """Say whether exactly one write lies between both."""
    return stored.uid == head.uid and stored.generation == head.generation + 1


def _row(stored: Stored, era: int, action: Action, time: float, after: int, after_time: float) -> Row:
    return Row(
        era,
        stored.ref,
        stored.revision,
        stored.generation,
        stored.uid,
        action,
        time,
        after,
        after_time,
        stored.who,
        stored.value,
        digest_of(stored.value),
    )


def record_listed(listed: Listed, mark: Mark | None, heads: Heads) -> Recorded:
    """Return what a list tells. mark None: the archive is new."""
    if mark is None:
        return _begin(listed, Mark(1, 0, 0.0), Reason.BEGAN, {})
    listed = replace(listed, time=max(listed.time, mark.time), cluster=_newer(listed.cluster, mark.cluster))
    if is_rewound(listed, mark, heads):
        return _begin(listed, Mark(mark.era + 1, 0, mark.time), Reason.REWOUND, heads)
    new = Mark(mark.era, listed.revision, listed.time, listed.cluster)
    if listed.revision == mark.revision:
        return Recorded((), None, new)
    gap = Gap(mark.era, mark.revision, listed.revision, listed.reason, mark.time, listed.time)
    return Recorded(tuple(_differences(listed, mark, heads)), gap, new)


def is_rewound(listed: Listed, mark: Mark, heads: Heads) -> bool:
    """Say whether the list can't follow on what was seen: history was rewound, or this is another etcd."""
    before, now = mark.cluster, listed.cluster
    if (
        listed.reason is Reason.REWOUND
        or listed.revision < mark.revision
        or (before.uid and now.uid and before != now)
    ):
        return True
    return any(
        stored.revision < head.revision
        or (stored.revision == head.revision and digest_of(stored.value) != head.digest)
        for stored in listed.objects
        if (head := heads.get(stored.ref)) is not None
    )


def _begin(listed: Listed, mark: Mark, reason: Reason, heads: Heads) -> Recorded:
    """Begin an era: every object is written down anew, as its revisions mean something else now."""
    gap = Gap(mark.era, 0, listed.revision, reason, mark.time, listed.time)
    found = [
        _row(each, mark.era, _first_action(each), listed.time, 0, mark.time) for each in _in_order(listed)
    ]
    rows = (*found, *_deletions(listed, mark, heads))
    return Recorded(rows, gap, Mark(mark.era, listed.revision, listed.time, listed.cluster))


def _in_order(listed: Listed) -> list[Stored]:
    return sorted(listed.objects, key=lambda each: (each.revision, each.ref))


def _first_action(stored: Stored) -> Action:
    return Action.CREATED if stored.generation == 1 else Action.FOUND


def _differences(listed: Listed, mark: Mark, heads: Heads) -> Iterator[Row]:
    for stored in _in_order(listed):
        head = heads.get(stored.ref)
        if head is None:
            yield _row(stored, mark.era, _first_action(stored), listed.time, mark.revision, mark.time)
        elif stored.revision != head.revision:
            after = stored.revision - 1 if _is_next(stored, head) else mark.revision
            action = Action.CHANGED if stored.uid == head.uid else _first_action(stored)
            yield _row(stored, mark.era, action, listed.time, after, mark.time)
    yield from _deletions(listed, mark, heads)


def _deletions(listed: Listed, mark: Mark, heads: Heads) -> Iterator[Row]:
    """What is not there any more went at a revision that nobody saw; it is surely gone at that of the list."""
    there = {stored.ref for stored in listed.objects}
    for ref, head in heads.items():
        if ref not in there:
            yield Row(
                mark.era,
                ref,
                listed.revision,
                head.generation,
                head.uid,
                Action.DELETED,
                listed.time,
                mark.revision,
                mark.time,
            )
