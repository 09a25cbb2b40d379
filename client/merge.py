"""Three-way merge of JSON objects: what a person wrote last time, what is stored, what they write now.

A field that was in the last manifest and is not in this one is removed; a field that only the stored object
has was set by somebody else and stays; a field of this manifest wins. Lists of objects with unique names
are merged by `name`, all other lists are replaced as a whole. `null` in a manifest removes a field. Pure.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from schemas.canonical import canonical_json

Json = dict[str, Any]  # Any: JSON of any shape

_MISSING = object()


def three_way(last_applied: Json | None, live: Json, desired: Json) -> Json:
    """Return `live` with the changes from `last_applied` to `desired` made to it.

    Idempotent: merging the same manifest into the result gives the result. Without `last_applied`
    (the object was not written by `apply`) nothing is removed.
    """
    return _merge_object(last_applied or {}, live, desired)


def without_nulls(value: Any) -> Any:
    """Return `value` without the fields that are null, as a manifest is stored on create."""
    if isinstance(value, dict):
        return {key: without_nulls(inner) for key, inner in value.items() if inner is not None}
    if isinstance(value, list):
        return [without_nulls(inner) for inner in value]
    return value


def _merge_object(last: Mapping[str, Any], live: Json, desired: Json) -> Json:
    merged = {key: value for key, value in live.items() if key not in last or key in desired}
    for key, wanted in desired.items():
        if wanted is None:
            merged.pop(key, None)
        else:
            merged[key] = _merge_value(last.get(key), live.get(key, _MISSING), wanted)
    return merged


def _merge_value(last: Any, live: Any, desired: Any) -> Any:
    if isinstance(live, dict) and isinstance(desired, dict):
        return _merge_object(last if isinstance(last, dict) else {}, live, desired)
    if isinstance(live, list) and isinstance(desired, list):
        return _merge_list(last if isinstance(last, list) else [], live, desired)
    return without_nulls(desired)


def _merge_list(last: list[Any], live: list[Any], desired: list[Any]) -> list[Any]:
    """Merge by name, in the order of `desired`; items of others follow. Else `desired` as a whole."""
    live_items, desired_items = by_name(live), by_name(desired)
    if live_items is None or desired_items is None:
        return list(without_nulls(desired))
    last_items = by_name(last) or {}
    merged = [
        _merge_value(last_items.get(name), live_items.get(name, _MISSING), item)
        for name, item in desired_items.items()
    ]
    foreign = (name for name in live_items if name not in desired_items and name not in last_items)
    return [*merged, *(live_items[name] for name in foreign)]


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
