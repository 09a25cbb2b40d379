"""`-o jsonpath=`: kubectl's templates. Text, `{.path}`, `{"\\n"}`, `{range .items[*]}...{end}`. Pure.

A template is parsed into a tree before anything is printed, so that a wrong one prints nothing.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from cli.paths import JsonPath, show
from client.errors import BadOption


@dataclass(frozen=True, slots=True)
class Range:
    """What is between `{range PATH}` and `{end}`, once for each match."""

    path: JsonPath
    body: tuple["Part", ...]


Part = str | JsonPath | Range


def parse_template(text: str) -> tuple[Part, ...]:
    """Return the parts of a template. Raises BadOption that shows where it can't be read."""
    parser = _Parser(text)
    parts = parser.parts()
    if parser.position < len(text):
        raise parser.wrong("{end} without {range}", parser.position)
    return parts


def fill(parts: Sequence[Part], data: Any) -> str:
    """Return the text of a template for `data`; several matches of a path stand side by side."""
    filled: list[str] = []
    for part in parts:
        match part:
            case str():
                filled.append(part)
            case JsonPath():
                filled.append(" ".join(map(show, part.find(data))))
            case Range():
                filled += [fill(part.body, each) for each in part.path.find(data)]
    return "".join(filled)


class _Parser:
    def __init__(self, text: str) -> None:
        self._text = text
        self.position = 0

    def parts(self) -> tuple[Part, ...]:
        """Read up to the end of the text, or to an `{end}`, which stays."""
        found: list[Part] = []
        while self.position < len(self._text):
            brace = self._text.find("{", self.position)
            brace = len(self._text) if brace < 0 else brace
            if brace > self.position:
                found.append(self._text[self.position : brace])
                self.position = brace
                continue
            end = self._end_of_braces(brace)
            inner = self._text[brace + 1 : end - 1].strip()
            if inner == "end":
                break
            self.position = end
            found.append(self._part(inner, brace))
        return tuple(found)

    def _part(self, inner: str, brace: int) -> Part:
        if inner.startswith("range ") or inner == "range":
            return self._range(inner.removeprefix("range").strip(), brace)
        if inner[:1] in ("'", '"'):
            return self._quoted(inner, brace)
        if not inner:
            raise self.wrong("{} is empty", brace)
        return self._path(inner, brace)

    def _range(self, path: str, brace: int) -> Range:
        if not path:
            raise self.wrong("{range} needs a path, as in {range .items[*]}", brace)
        compiled, body = self._path(path, brace), self.parts()
        if self.position >= len(self._text):
            raise self.wrong("{range} has no {end}", brace)
        self.position = self._end_of_braces(self.position)
        return Range(compiled, body)

    def _path(self, text: str, brace: int) -> JsonPath:
        try:
            return JsonPath(text)
        except BadOption as error:
            raise self.wrong(str(error), brace) from None

    def _quoted(self, inner: str, brace: int) -> str:
        quote = inner[0]
        body = inner[1:-1]
        if len(inner) < 2 or inner[-1] != quote or quote in body.replace(f"\\{quote}", ""):
            raise self.wrong(f"the text {inner} has no end", brace)
        if quote == "'":
            body = body.replace("\\'", "'").replace('"', '\\"')
        try:
            return str(json.loads(f'"{body}"'))
        except ValueError:
            raise self.wrong(f'{inner} is no text: known escapes are \\n, \\t, \\" and \\\\', brace) from None

    def _end_of_braces(self, brace: int) -> int:
        """Return the position after the `}`; one in quotes does not count."""
        quote, position = "", brace + 1
        while position < len(self._text):
            char = self._text[position]
            if char == "\\":
                position += 1
            elif quote:
                quote = "" if char == quote else quote
            elif char in "'\"":
                quote = char
            elif char == "}":
                return position + 1
            position += 1
        raise self.wrong("'{' is not closed", brace)

    def wrong(self, message: str, position: int) -> BadOption:
        shown = self._text.replace("\n", " ").replace("\t", " ")
        return BadOption(
            f"-o jsonpath: {message}; at character {position + 1}:\n  {shown}\n  {' ' * position}^"
        )
