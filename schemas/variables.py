"""Variables of manifests: `${NAME}` in a value becomes the text that a file for the environment gives. Pure.

    vars file --read_variables--> Variables --Filler--> the nodes of each document, before values are made of them

What is put in stays inside its value: a text can't add keys, items or documents. A value without quotes is typed by
what it then says, as if it had been written so; one in quotes, or in a block, stays text. `$${` stands for `${`. All
else with a dollar, such as `$NAME` and `$(command)`, is left alone. Nothing is put in twice, so variables name no
variables.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import yaml

from schemas.errors import InvalidManifest, Problem
from schemas.yamltext import MAX_FILE_BYTES, nodes_of, type_of

MAX_VALUE_CHARACTERS = 65_536  # of one variable; what is longer belongs into a file of its own
NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_MARK = re.compile(r"\$\$\{|\$\{([^{}\n]*)(\}?)")
_LINE = re.compile(r"(?:export[ \t]+)?([^=\s]*)[ \t]*=(.*)")
_SCALARS = ("'", '"')
_LITERAL = "|"
_PLAIN_STYLES = (None, "")


@dataclass(frozen=True, slots=True)
class Variables:
    """Name -> text, and where each is written, as file:line."""

    values: Mapping[str, str]
    places: Mapping[str, str]
    source: str = ""


def read_variables(source: str, content: bytes) -> Variables:
    """Return what a file says: a YAML mapping of names to single values, or lines NAME=VALUE.

    A value is taken as it is written: 1.10 stays 1.10. Raises InvalidManifest with every problem.
    """
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = ""  # told by `nodes_of`
    pairs = _env_pairs if _is_env(text) else _yaml_pairs
    found: dict[str, str] = {}
    places: dict[str, str] = {}
    problems: list[Problem] = []
    for place, name, value in pairs(source, content):
        problem = _wrong(name, value, places.get(name))
        if problem:
            problems.append(Problem(place, "", "", problem))
        else:
            found[name], places[name] = value or "", place
    if problems:
        raise InvalidManifest(tuple(problems))
    return Variables(found, places, source)


def _wrong(name: str, value: str | None, first: str | None) -> str:
    if not NAME.fullmatch(name):
        return f"{name!r} is no name of a variable; it has letters, digits and _, and no digit first"
    if first is not None:
        return f"variable {name} is given twice; first at {first}"
    if value is None:
        return f"variable {name} must have one value: a text, a number, true or false"
    if len(value) > MAX_VALUE_CHARACTERS:
        return f"variable {name} has {len(value)} characters; at most {MAX_VALUE_CHARACTERS}"
    return ""


def _is_env(text: str) -> bool:
    """Say whether the first line that says something is NAME=VALUE."""
    lines = (line.strip() for line in text.splitlines())
    first = next((line for line in lines if line and not line.startswith("#")), "")
    found = _LINE.fullmatch(first)
    return found is not None and ":" not in found[1]


def _env_pairs(source: str, content: bytes) -> Iterator[tuple[str, str, str | None]]:
    """Yield (place, name, value) of lines NAME=VALUE; quotes around a value are taken off, and no shell is asked."""
    if len(content) > MAX_FILE_BYTES:
        raise InvalidManifest(
            (Problem(source, "", "", f"is {len(content)} bytes; it may have {MAX_FILE_BYTES}"),)
        )
    for number, line in enumerate(content.decode("utf-8-sig").splitlines(), 1):
        stripped = line.strip()
        if not stripped or stripped.startswith("#"):
            continue
        place, found = f"{source}:{number}", _LINE.fullmatch(stripped)
        if found is None:
            raise InvalidManifest((Problem(place, "", "", "is no line NAME=VALUE"),))
        value = found[2].strip()
        if len(value) >= 2 and value[0] == value[-1] and value[0] in _SCALARS:
            value = value[1:-1]
        yield place, found[1], value


def _yaml_pairs(source: str, content: bytes) -> Iterator[tuple[str, str, str | None]]:
    for number, (place, root) in enumerate(nodes_of(source, content)):
        if number or not isinstance(root, yaml.MappingNode):
            message = "a file of variables is one mapping of names to values, or lines NAME=VALUE"
            raise InvalidManifest((Problem(place, "", "", message),))
        for key, value in root.value:
            written = value.value if isinstance(value, yaml.ScalarNode) else None
            yield f"{source}:{key.start_mark.line + 1}", key.value, written


@dataclass(slots=True)
class Filler:
    """Puts variables into documents, and notes which were used and what is wrong."""

    variables: Variables
    used: set[str] = field(default_factory=set)
    problems: list[Problem] = field(default_factory=list)
    _left: int = (
        MAX_FILE_BYTES  # characters that may still be put in: a small file must not become a huge one
    )

    def __call__(self, source: str, root: yaml.Node) -> None:
        """Put the variables into a document's nodes. source: the name of its file."""
        seen: set[int] = set()
        waiting = [root]
        while waiting:
            node = waiting.pop()
            if id(node) in seen:
                continue
            seen.add(id(node))
            if isinstance(node, yaml.MappingNode):
                waiting += [value for _, value in reversed(node.value)]
                for key, _ in node.value:
                    self._check_key(source, key)
            elif isinstance(node, yaml.SequenceNode):
                waiting += reversed(node.value)
            elif isinstance(node, yaml.ScalarNode):
                self._fill(source, node)

    def unused(self) -> tuple[str, ...]:
        """Return the names that nothing has used so far."""
        return tuple(sorted(self.variables.values.keys() - self.used))

    def _check_key(self, source: str, key: yaml.Node) -> None:
        if "${" in key.value:
            place = f"{source}:{key.start_mark.line + 1}"
            self.problems.append(Problem(place, "", "", f"key {key.value!r}: only values may hold variables"))

    def _fill(self, source: str, node: yaml.ScalarNode) -> None:
        if "${" not in node.value:
            return
        before = node.value
        node.value = _MARK.sub(lambda mark: self._text_for(source, node, before, mark), before)
        if node.style in _PLAIN_STYLES and node.tag == type_of(before):
            node.tag = type_of(node.value)

    def _text_for(self, source: str, node: yaml.ScalarNode, before: str, mark: "re.Match[str]") -> str:
        if mark[0] == "$${":
            return "${"
        name = mark[1]
        if not mark[2] or not NAME.fullmatch(name):
            return self._problem(source, node, before, mark, f"{mark[0]} names no variable")
        if name not in self.variables.values:
            return self._problem(source, node, before, mark, f"variable {name} is not given")
        self.used.add(name)
        value = self.variables.values[name]
        self._left -= len(value)
        if self._left < 0:
            raise InvalidManifest(
                (Problem(source, "", "", f"with its variables it has more than {MAX_FILE_BYTES} characters"),)
            )
        return value

    def _problem(
        self, source: str, node: yaml.ScalarNode, before: str, mark: "re.Match[str]", what: str
    ) -> str:
        lines = before.count("\n", 0, mark.start()) + 1 if node.style == _LITERAL else 0
        place = f"{source}:{node.start_mark.line + 1 + lines}"
        given = f" in {self.variables.source}" if self.variables.source else ""
        hint = f"add it{given}, or write $${{ for ${{ if it is meant for a shell"
        self.problems.append(Problem(place, "", "", f"{what}; {hint}"))
        return mark[0]
