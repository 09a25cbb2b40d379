"""Paths into JSON as kubectl's users write them: `.metadata.name`, `{.spec.containers[*].image}`,
`.metadata.labels.app\\.kubernetes\\.io/name`, `.items[?(@.kind=="Task")].metadata.name`, `..image`.

The paths themselves are jsonpath-ng's; what it has no word for, keys with dots and slashes, is put in quotes. Pure.
"""

import re
from typing import Any

from client.errors import BadOption

_KEY = re.compile(r"(?:\\.|[^.\[\]\\'\"\s])+")


class JsonPath:
    """One path; `text` is as written."""

    def __init__(self, text: str) -> None:
        from jsonpath_ng.exceptions import JSONPathError
        from jsonpath_ng.ext.parser import parse

        self.text = text
        try:
            self._found = parse(_translate(text))
        except (JSONPathError, _Unreadable) as error:
            why = " ".join(str(error).split())
            raise BadOption(f"path {text!r} can't be read: {why}; write for example .metadata.name") from None
        except Exception as error:  # jsonpath-ng's lexer and filters raise whatever they meet
            raise BadOption(
                f"path {text!r} can't be read ({error}); write for example .metadata.name"
            ) from None

    def find(self, data: Any) -> list[Any]:
        """Return what the path leads to, in the order of the data; nothing where it leads nowhere."""
        try:
            return [match.value for match in self._found.find(data)]
        except (TypeError, KeyError, IndexError, AttributeError):
            return []  # a filter that compares text with a number matches nothing


class _Unreadable(Exception):
    """Says at which character."""


def _translate(text: str) -> str:
    """Return the path in jsonpath-ng's words, from `$` on, with every key in quotes."""
    inner = text.strip()
    if inner.startswith("{") and inner.endswith("}"):
        inner = inner[1:-1].strip()
    elif inner.startswith("{") or inner.endswith("}"):
        raise _Unreadable("a brace is not closed" if inner.startswith("{") else "a brace is not opened")
    inner = inner[1:] if inner[:1] in ("$", "@") else inner
    position, words = 0, ["$"]
    if inner and inner[0] not in ".[":
        inner = f".{inner}"
    while position < len(inner):
        if inner[position] == "[":
            end = _end_of_bracket(inner, position)
            words.append(inner[position:end])
        else:
            end = _translate_key(inner, position, words)
        position = end
    return "".join(words)


def _translate_key(text: str, position: int, words: list[str]) -> int:
    """Add one `.key`, `.*` or `..key`; return where it ends."""
    dots = 2 if text.startswith("..", position) else 1
    if text[position] != ".":
        raise _Unreadable(f"unexpected {text[position]!r} at character {position + 1}")
    start = position + dots
    if start == len(text) and dots == 1 and position == 0:
        return start  # "." alone is the whole
    if text.startswith("*", start):
        words.append("." * dots + "*")
        return start + 1
    if dots == 2 and text.startswith("[", start):
        words.append("..")
        return start
    found = _KEY.match(text, start)
    if found is None:
        raise _Unreadable(f"a key is missing at character {start + 1}")
    key = re.sub(r"\\(.)", r"\1", found[0])
    words.append("." * dots + f"'{key}'")
    return found.end()


def _end_of_bracket(text: str, start: int) -> int:
    """Return the position after the bracket that opens at `start`; quotes inside hide brackets."""
    depth, quote = 0, ""
    for position in range(start, len(text)):
        char = text[position]
        if quote:
            quote = "" if char == quote else quote
        elif char in "'\"":
            quote = char
        elif char == "[":
            depth += 1
        elif char == "]":
            depth -= 1
            if depth == 0:
                return position + 1
    raise _Unreadable(f"the '[' at character {start + 1} is not closed")


def show(value: Any) -> str:
    """Return a value as kubectl's templates print it: text as it is, all else as JSON."""
    import json

    if isinstance(value, str):
        return value
    return "" if value is None else json.dumps(value, ensure_ascii=False, separators=(",", ":"))
