"""YAML as people write it, to plain values. Pure.

Bounded: a file has a size limit, nesting has an end, aliases can't blow up. Dates stay text and keys are unique, as in
JSON. What is an object and what is right about it, is `schemas.manifest`'s.
"""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import yaml

from schemas.errors import InvalidManifest, Problem

MAX_FILE_BYTES = 16 * 2**20  # a folder of 1,000 objects is under 1 MiB
MAX_YAML_DEPTH = 200  # levels; libyaml's composer recurses in C and ends the process at some thousands
MAX_YAML_NODES = 200_000  # after aliases are followed: an alias bomb has billions


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """Safe loader that keeps dates as text, as JSON would.

    What the library asks of it for each node is answered by what is needed here: no tag depends on a path.
    """

    def descend_resolver(self, current_node: object, current_index: object) -> None:
        pass

    def ascend_resolver(self) -> None:
        pass

    def resolve(self, kind: type[yaml.Node], value: str, implicit: tuple[bool, bool]) -> str:
        """Return the tag of a node that has none."""
        if kind is not yaml.ScalarNode:
            return _LIST if kind is yaml.SequenceNode else _MAP
        if implicit[0]:
            for tag, pattern in self.yaml_implicit_resolvers.get(value[:1], ()):
                if pattern.match(value):
                    return str(tag)
        return _TEXT


_TEXT, _MERGE = "tag:yaml.org,2002:str", "tag:yaml.org,2002:merge"
_MAP, _LIST = "tag:yaml.org,2002:map", "tag:yaml.org,2002:seq"


_Loader.yaml_implicit_resolvers = {
    first: [(tag, regexp) for tag, regexp in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


class _Resolver(yaml.resolver.Resolver):
    """Says of what type a plain scalar is, as the loader does."""


_Resolver.yaml_implicit_resolvers = _Loader.yaml_implicit_resolvers
_RESOLVER = _Resolver()


def _fail(source: str, message: str) -> InvalidManifest:
    return InvalidManifest((Problem(source, "", "", message),))


def parse(
    source: str, content: bytes, fill: "Callable[[str, yaml.Node], None] | None" = None
) -> Iterator[tuple[str, object]]:
    """Yield (file:line, value) of each document that is not empty. Raises InvalidManifest.

    fill: changes the scalars of a document, before values are made of them; see `schemas.variables`.
    """
    for place, node, loader in _nodes(source, content):
        if fill is not None:
            with _in_words(source):
                _check_nodes(place, node)
            fill(source, node)
        with _in_words(source):
            value = _value_of(place, node, loader)
        if value is not None:
            yield place, value


def nodes_of(source: str, content: bytes) -> Iterator[tuple[str, yaml.Node]]:
    """Yield (file:line, node) of each document, checked like those of manifests. Raises InvalidManifest."""
    for place, node, _ in _nodes(source, content):
        with _in_words(source):
            _check_nodes(place, node)
        yield place, node


def type_of(text: str) -> str:
    """Return the tag that a text without quotes gets: of a number, a truth value, null, or text."""
    resolve: Any = _RESOLVER.resolve  # untyped in PyYAML
    return str(resolve(yaml.ScalarNode, text, (True, False)))


def _nodes(source: str, content: bytes) -> Iterator[tuple[str, yaml.Node, Any]]:
    """Yield (file:line, node, its loader) of each document, whose keys and size nobody has checked yet."""
    if len(content) > MAX_FILE_BYTES:
        raise _fail(source, f"is {len(content)} bytes; a manifest file may have {MAX_FILE_BYTES}")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise _fail(source, f"is not UTF-8 (byte {error.start}); save it as UTF-8") from None
    with _in_words(source):
        _check_depth(source, text)
        loader = _Loader(text)
    while (node := _next_node(source, loader)) is not None:
        yield f"{source}:{node.start_mark.line + 1}", node, loader


def _next_node(source: str, loader: Any) -> yaml.Node | None:
    with _in_words(source):
        return loader.get_node() if loader.check_node() else None


@contextmanager
def _in_words(source: str) -> Iterator[None]:
    """Raise InvalidManifest for whatever the library says of a document."""
    try:
        yield
    except InvalidManifest:
        raise
    except RecursionError:
        raise _fail(source, "is nested too deeply") from None
    except (yaml.YAMLError, ValueError) as error:
        raise _invalid(source, error) from None


def _invalid(source: str, error: Exception) -> InvalidManifest:
    if not isinstance(error, yaml.MarkedYAMLError):
        return _fail(source, f"is not valid YAML: {error}")
    mark = error.problem_mark or error.context_mark
    line = f":{mark.line + 1}" if mark else ""
    return _fail(source + line, f"is not valid YAML: {error.problem or error.context}")


_INDICATORS = re.compile(r"^[ \t?:-]*", re.MULTILINE)
_DOCUMENT = re.compile(r"^---(?=\s)", re.MULTILINE)  # nothing reaches over it, not even a bracket or a quote


def _check_depth(source: str, text: str) -> None:
    """Refuse deep nesting before anything recurses. Each level takes a bracket or a column of indentation,
    so most documents need no closer look; the parser of events itself does not recurse."""
    if all(_most_levels(document) <= MAX_YAML_DEPTH for document in _DOCUMENT.split(text)):
        return
    depth = 0
    for event in yaml.parse(text, Loader=_Loader):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        if depth > MAX_YAML_DEPTH:
            raise _fail(source, f"is nested too deeply; at most {MAX_YAML_DEPTH} levels")


def _most_levels(document: str) -> int:
    brackets = document.count("[") + document.count("{")
    return brackets + max(map(len, _INDICATORS.findall(document)))


def _check_nodes(place: str, root: yaml.Node) -> None:
    """Refuse duplicate keys, aliases that contain themselves, and aliases that unfold to too much."""
    sizes: dict[int, int] = {}
    open_nodes: set[int] = set()

    def size(node: yaml.Node) -> int:
        if isinstance(node, yaml.ScalarNode):
            return 1
        identity = id(node)
        if identity in open_nodes:
            raise _fail(place, "an alias contains itself")
        if identity not in sizes:
            open_nodes.add(identity)
            children = node.value if isinstance(node, yaml.SequenceNode) else _values(place, node)
            sizes[identity] = 1 + sum(map(size, children))
            open_nodes.discard(identity)
        return sizes[identity]

    _check_size(place, size(root))


def _check_size(place: str, size: int) -> None:
    if size > MAX_YAML_NODES:
        raise _fail(place, f"unfolds to more than {MAX_YAML_NODES} values; are there nested aliases?")


class _NeedsConstructor(Exception):
    """A node that only the YAML library itself can make a value of: a merge, or a tag of its own."""


def _value_of(place: str, root: yaml.Node, loader: Any) -> object:
    """Return the value of a document, and check it; plain maps, lists and texts by ourselves, which it mostly is.

    The library's own constructor works with a generator for each collection and takes several times as long.
    """
    try:
        value, size = _Plain(place, loader).make(root)
    except _NeedsConstructor:
        _check_nodes(place, root)
        return loader.construct_document(root)
    loader.constructed_objects = {}  # it remembers every scalar that it was asked about
    _check_size(place, size)
    return value


class _Plain:
    """Makes values of one document's nodes, and counts what they unfold to: checked as `_check_nodes` does."""

    def __init__(self, place: str, loader: Any) -> None:
        self._place = place
        self._loader = loader
        self._known: dict[
            int, tuple[object, int]
        ] = {}  # id of a collection's node; aliases of it share its value
        self._open: set[int] = set()

    def make(self, node: yaml.Node) -> tuple[object, int]:
        """Return the value of a node, and how many values that is once aliases are unfolded."""
        if isinstance(node, yaml.ScalarNode):
            return self._scalar(node), 1
        identity = id(node)
        if identity in self._known:
            return self._known[identity]
        if identity in self._open:
            raise _fail(self._place, "an alias contains itself")
        self._open.add(identity)
        if node.tag == _MAP:
            made = self._map(node)
        elif node.tag == _LIST:
            parts = [self.make(inner) for inner in node.value]
            made = [value for value, _ in parts], 1 + sum(size for _, size in parts)
        else:
            raise _NeedsConstructor
        self._open.discard(identity)
        self._known[identity] = made
        return made

    def _map(self, node: yaml.Node) -> tuple[object, int]:
        found: dict[str, object] = {}
        size = 1
        for key, inner in node.value:
            if key.tag != _TEXT or key.value in found or not isinstance(key, yaml.ScalarNode):
                self._refuse(node)
            if isinstance(inner, yaml.ScalarNode):  # most are, and need no call
                found[key.value] = inner.value if inner.tag == _TEXT else self._scalar(inner)
                size += 1
            else:
                found[key.value], inside = self.make(inner)
                size += inside
        return found, size

    def _scalar(self, node: yaml.Node) -> object:
        return node.value if node.tag == _TEXT else self._loader.construct_object(node)

    def _refuse(self, node: yaml.Node) -> None:
        """Say what is wrong with the keys of a map, or leave one with a merge to the library."""
        _values(self._place, node)
        raise _NeedsConstructor


_KEY_TAGS = ("tag:yaml.org,2002:str", "tag:yaml.org,2002:merge")


def _values(place: str, node: yaml.Node) -> list[yaml.Node]:
    """Return the values of a map whose keys are right."""
    seen: set[str] = set()
    for key, _ in node.value:
        if not isinstance(key, yaml.ScalarNode) or key.tag not in _KEY_TAGS:
            text = f"key {getattr(key, 'value', '')!r} is not text; put it in quotes"
            raise _fail(_line_of(place, key), text)
        if key.value in seen and key.value != "<<":
            raise _fail(_line_of(place, key), f"key {key.value!r} appears twice")
        seen.add(key.value)
    return [value for _, value in node.value]


def _line_of(place: str, node: yaml.Node) -> str:
    return f"{place.rpartition(':')[0]}:{node.start_mark.line + 1}"
