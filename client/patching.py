"""Patches of JSON: merge (RFC 7386), json (RFC 6902), strategic (merge, with lists merged by name). Pure."""

import copy
from collections.abc import Callable
from typing import Any

from client.errors import BadOption
from client.merge import three_way

Json = dict[str, Any]  # Any: JSON of any shape


def make_patch(patch: Any, type_: str) -> Callable[[Json], Json]:
    """Return the change that a patch means. Raises BadOption for one of the wrong shape."""
    if type_ == "json":
        if not isinstance(patch, list) or not all(isinstance(each, dict) for each in patch):
            raise BadOption(
                'a json patch is a list, such as [{"op": "replace", "path": "/spec/grace", "value": "5s"}]'
            )
        return lambda raw: apply_json_patch(raw, patch)
    if not isinstance(patch, dict):
        raise BadOption('a patch is a mapping, such as {"spec": {"grace": "5s"}}')
    if type_ == "merge":
        return lambda raw: merge_patch(raw, patch)
    if type_ == "strategic":
        return lambda raw: three_way(None, raw, patch)
    raise BadOption(f"--type {type_!r} is no type of patch; known: strategic, merge, json")


def merge_patch(target: Any, patch: Any) -> Any:
    """Return `target` with a merge patch applied: null removes, lists are replaced."""
    if not isinstance(patch, dict):
        return patch
    merged = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            merged.pop(key, None)
        else:
            merged[key] = merge_patch(merged.get(key), value)
    return merged


def apply_json_patch(raw: Json, operations: list[Json]) -> Json:
    """Return `raw` with all operations applied, in order. Raises BadOption that names the one that failed."""
    document: Any = copy.deepcopy(raw)
    for index, operation in enumerate(operations):
        try:
            document = _apply(document, operation)
        except (KeyError, IndexError, TypeError, ValueError) as error:
            told = f"{operation.get('op')} {operation.get('path')}"
            raise BadOption(f"operation {index} of the patch ({told}) can't be done: {_why(error)}") from None
    if not isinstance(document, dict):
        raise BadOption("the patch replaces the object by something that is none")
    return document


def _why(error: Exception) -> str:
    return f"{error.args[0]} is missing" if isinstance(error, KeyError) else str(error)


def _apply(document: Any, operation: Json) -> Any:
    path = _pointer(operation["path"])
    match operation["op"]:
        case "add":
            return _add(document, path, copy.deepcopy(operation["value"]))
        case "remove":
            return _remove(document, path)
        case "replace":
            _look_up(document, path)
            return _add(_remove(document, path), path, copy.deepcopy(operation["value"]))
        case "move":
            source = _pointer(operation["from"])
            value = _look_up(document, source)
            return _add(_remove(document, source), path, value)
        case "copy":
            return _add(document, path, copy.deepcopy(_look_up(document, _pointer(operation["from"]))))
        case "test":
            if _look_up(document, path) != operation["value"]:
                raise ValueError(f"the value there is {_look_up(document, path)!r}")
            return document
        case unknown:
            raise ValueError(f"{unknown!r} is no operation; known: add, remove, replace, move, copy, test")


def _pointer(text: object) -> list[str]:
    """Parse a JSON pointer (RFC 6901). Raises ValueError."""
    if not isinstance(text, str):
        raise ValueError(f"a path is text, not {text!r}")
    if text and not text.startswith("/"):
        raise ValueError("a path begins with '/'")
    return [part.replace("~1", "/").replace("~0", "~") for part in text.split("/")[1:]]


def _index(part: str) -> int:
    """Return the index of a list that a part of a path means. Raises ValueError; none counts from the end."""
    if not (part.isascii() and part.isdigit()):
        raise ValueError(f"{part!r} is no index of a list")
    return int(part)


def _look_up(document: Any, path: list[str]) -> Any:
    for part in path:
        document = document[_index(part)] if isinstance(document, list) else document[part]
    return document


def _add(document: Any, path: list[str], value: Any) -> Any:
    if not path:
        return value
    parent, last = _look_up(document, path[:-1]), path[-1]
    if isinstance(parent, list):
        position = len(parent) if last == "-" else _index(last)
        if position > len(parent):
            raise IndexError(f"the list has {len(parent)} items")
        parent.insert(position, value)
    else:
        parent[last] = value
    return document


def _remove(document: Any, path: list[str]) -> Any:
    if not path:
        return None
    parent, last = _look_up(document, path[:-1]), path[-1]
    del parent[_index(last) if isinstance(parent, list) else last]
    return document
