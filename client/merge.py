"""Three-way merge of JSON objects: what a person wrote last time, what is stored, what they write now.

A field that was in the last manifest and is not in this one is removed, unless another manager's last manifest has
it; a field that only the stored object has was set by somebody else and stays; a field of this manifest wins.
Lists of objects with unique names are merged by `name`, all other lists are replaced as a whole. `null` in a
manifest removes a field. Pure.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from schemas.canonical import canonical_json

Json = dict[str, Any]  # Any: JSON of any shape

_MISSING = object()


def three_way(last_applied: Json | None, live: Json, desired: Json, others: Sequence[Json] = ()) -> Json:
    """Return `live` with the changes from `last_applied` to `desired` made to it.

    Idempotent: merging the same manifest into the result gives the result. Without `last_applied`
    (the object was not written by `apply`) nothing is removed. others: what other managers applied last; what
    they have stays where `desired` only leaves it out.
    """
    return _merge_object(last_applied or {}, live, desired, others)


def without_nulls(value: Any) -> Any:
    """Return `value` without the fields that are null, as a manifest is stored on create."""
    if isinstance(value, dict):
        return {key: without_nulls(inner) for key, inner in value.items() if inner is not None}
    if isinstance(value, list):
        return [without_nulls(inner) for inner in value]
    return value


def _merge_object(last: Mapping[str, Any], live: Json, desired: Json, others: Sequence[Any]) -> Json:
    merged = {}
    for key, value in live.items():
        if key not in last or key in desired:
            merged[key] = value
        elif theirs := below(others, key):
            merged[key] = _what_others_have(last[key], value, theirs)
    for key, wanted in desired.items():
        if wanted is None:
            merged.pop(key, None)
        else:
            merged[key] = _merge_value(last.get(key), live.get(key, _MISSING), wanted, below(others, key))
    return merged


def below(forms: Sequence[Any], key: str) -> list[Any]:
    """Return what those of `forms` that are objects have under `key`."""
    return [form[key] for form in forms if isinstance(form, dict) and key in form]


def _what_others_have(last: Any, live: Any, others: Sequence[Any]) -> Any:
    """Return a value that this manager leaves out, without what it alone had in it."""
    if isinstance(live, dict) and isinstance(last, dict) and any(isinstance(each, dict) for each in others):
        return _merge_object(last, live, {}, others)
    live_items = by_name(live) if isinstance(live, list) else None
    last_items = by_name(last) if isinstance(last, list) else None
    if live_items is None or last_items is None:
        return live
    return list(_foreign_items(last_items, live_items, others))


def _merge_value(last: Any, live: Any, desired: Any, others: Sequence[Any]) -> Any:
    if isinstance(live, dict) and isinstance(desired, dict):
        return _merge_object(last if isinstance(last, dict) else {}, live, desired, others)
    if isinstance(live, list) and isinstance(desired, list):
        return _merge_list(last if isinstance(last, list) else [], live, desired, others)
    return without_nulls(desired)


def _merge_list(last: list[Any], live: list[Any], desired: list[Any], others: Sequence[Any]) -> list[Any]:
    """Merge by name, in the order of `desired`; items of others follow. Else `desired` as a whole."""
    live_items, desired_items = by_name(live), by_name(desired)
    if live_items is None or desired_items is None:
        return list(without_nulls(desired))
    last_items = by_name(last) or {}
    merged = [
        _merge_value(last_items.get(name), live_items.get(name, _MISSING), item, named(others, name))
        for name, item in desired_items.items()
    ]
    left = {name: item for name, item in live_items.items() if name not in desired_items}
    return [*merged, *_foreign_items(last_items, left, others)]


def _foreign_items(
    last: Mapping[str, Any], live: Mapping[str, Json], others: Sequence[Any]
) -> Iterator[Json]:
    """Yield the items that this manager leaves out and that others have, or that nobody applied."""
    for name, item in live.items():
        theirs = named(others, name)
        if name not in last:
            yield item
        elif theirs:
            yield {**_what_others_have(last[name], item, theirs), "name": name}


def named(forms: Sequence[Any], name: str) -> list[Any]:
    """Return the items of that name of those of `forms` that are lists of named items."""
    found = (by_name(form) or {} for form in forms if isinstance(form, list))
    return [items[name] for items in found if name in items]


def by_name(items: list[Any]) -> dict[str, Json] | None:
    """Return name -> item when every item is an object with a name of its own, else None."""
    named: dict[str, Json] = {}
    for item in items:
        name = item.get("name") if isinstance(item, dict) else None
        if not isinstance(name, str) or name in named:
            return None
        named[name] = item
    return named


def changed_paths(old: Any, new: Any, path: str = "") -> Iterator[str]:
    """Yield the deepest paths at which two values differ, as in `spec.containers[web].image`."""
    if isinstance(old, dict) and isinstance(new, dict):
        for key in sorted(old.keys() | new.keys()):
            below = f"{path}.{key}" if path else key
            yield from changed_paths(old.get(key, _MISSING), new.get(key, _MISSING), below)
    elif isinstance(old, list) and isinstance(new, list):
        if canonical_json(old) != canonical_json(new):  # Python takes 0 for False, JSON does not
            yield from _changed_items(old, new, path)
    elif old is not new and (old != new or type(old) is not type(new)):
        yield path


def _changed_items(old: list[Any], new: list[Any], path: str) -> Iterator[str]:
    old_items, new_items = by_name(old), by_name(new)
    if old_items is None or new_items is None or list(old_items) != list(new_items):
        yield path
        return
    for name, item in old_items.items():
        yield from changed_paths(item, new_items[name], f"{path}[{name}]")
