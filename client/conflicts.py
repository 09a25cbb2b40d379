"""Who set what: fields that an apply would change although they belong to another manager. Pure.

A field belongs to every manager whose last applied value of it is the one that is stored. An apply that changes a
field that belongs to another manager, and not to itself, is a conflict. So what was changed by hand (edit, scale,
patch) belongs to nobody, and what a manifest leaves out is never in conflict.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

from client.merge import below, by_name, named
from schemas.canonical import canonical_json

Json = dict[str, Any]  # Any: JSON of any shape
SHOWN_CHARACTERS = 60  # of a value in a sentence
NOT_SET = "not set"
SET_PREFIX = "set."
SOURCE_PREFIX = "git."  # a GitSource, which the leader syncs
PLAIN = "berth"  # who applies without naming a set


class OnConflict(Enum):
    """What an apply does about fields that belong to others."""

    REFUSE = "refuse"
    TAKE_OVER = "take over"


@dataclass(frozen=True, slots=True)
class Conflict:
    """`stored` and `wanted` are JSON as text, or `not set`."""

    field: str
    manager: str
    stored: str
    wanted: str

    def __str__(self) -> str:
        return f"{self.field}: {manager_text(self.manager)} has set it to {self.stored}; this apply wants {self.wanted}"


@dataclass(frozen=True, slots=True)
class Kept:
    """A field that this manifest leaves out, and that stays because another manager has it in its own."""

    field: str
    manager: str


class _Missing:
    """Stands for a field that is not there."""


_MISSING = _Missing()


def conflicts_of(
    last: Json | None, live: Json, merged: Json, others: Mapping[str, Json]
) -> tuple[Conflict, ...]:
    """Return the conflicts of writing `merged` over `live`, by field. last: what this manager applied last.

    others: manager -> its last applied form, without this manager's.
    """
    found = (
        Conflict(path, manager, _text(was), _text(becomes))
        for manager, form in others.items()
        for path, was, becomes in _taken(form, last or {}, live, merged, "")
    )
    return tuple(sorted(found, key=lambda each: (each.field, each.manager)))


def _taken(theirs: Any, mine: Any, live: Any, merged: Any, path: str) -> Iterator[tuple[str, Any, Any]]:
    """Yield (field, stored, wanted) of what is theirs alone and changes."""
    if _same(live, merged):
        return
    parts = _parts(theirs, live)
    if parts is None or (parts == () and _same(theirs, live)):
        if _same(theirs, live) and not _same(mine, live):
            yield path, live, merged
        return
    for part in parts:
        yield from _taken(
            _at(theirs, part), _at(mine, part), _at(live, part), _at(merged, part), _path(path, live, part)
        )


def _parts(theirs: Any, live: Any) -> tuple[str, ...] | None:
    """Return by what names to go on below two values, None for values that are compared as a whole."""
    if isinstance(theirs, dict) and isinstance(live, dict):
        return tuple(theirs)
    if isinstance(theirs, list) and isinstance(live, list):
        their_items, live_items = by_name(theirs), by_name(live)
        if their_items and live_items:
            return tuple(their_items)
    return None


def _at(value: Any, part: str) -> Any:
    found = named([value], part) if isinstance(value, list) else below([value], part)
    return found[0] if found else _MISSING


def _path(path: str, value: Any, part: str) -> str:
    if isinstance(value, list):
        return f"{path}[{part}]"
    return f"{path}.{part}" if path else part


def _same(one: Any, other: Any) -> bool:
    if one is _MISSING or other is _MISSING:
        return one is other
    return canonical_json(one) == canonical_json(other)


def _text(value: Any) -> str:
    if value is _MISSING:
        return NOT_SET
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= SHOWN_CHARACTERS else f"{text[: SHOWN_CHARACTERS - 3]}..."


def kept_fields(
    last: Json | None, merged: Json, desired: Json, others: Mapping[str, Json]
) -> tuple[Kept, ...]:
    """Return what `desired` has no more and what stays in `merged` because of others, by field."""
    found = (
        Kept(path, manager)
        for manager, form in others.items()
        for path in _left(last or {}, form, merged, desired, "")
    )
    return tuple(sorted(found, key=lambda each: (each.field, each.manager)))


def _left(mine: Any, theirs: Any, merged: Any, desired: Any, path: str) -> Iterator[str]:
    """Yield the fields that were mine, are theirs, are there and are no longer wanted."""
    if _MISSING in (mine, theirs, merged) or desired is None:
        return
    if desired is _MISSING:
        yield path
        return
    for part in _parts(theirs, merged) or ():
        yield from _left(
            _at(mine, part),
            _at(theirs, part),
            _at(merged, part),
            _at(desired, part),
            _path(path, merged, part),
        )


def manager_label(manager: str) -> str:
    """Return a manager in a word, for a table: `set default/web`, `gitsource/web`, or its name."""
    if manager.startswith(SOURCE_PREFIX):
        return manager_text(manager)
    namespace, _, name = manager.removeprefix(SET_PREFIX).partition(".")
    return f"set {namespace}/{name}" if manager.startswith(SET_PREFIX) and name else manager


def manager_text(manager: str) -> str:
    """Return a manager as people know it: `set web of namespace default`, `gitsource/web`, or its name."""
    if manager.startswith(SOURCE_PREFIX):
        return f"gitsource/{manager.removeprefix(SOURCE_PREFIX)}"
    namespace, _, name = manager.removeprefix(SET_PREFIX).partition(".")
    if manager.startswith(SET_PREFIX) and name:
        return f"set {name} of namespace {namespace}"
    return "berth apply without --set" if manager == PLAIN else f"manager {manager}"
