"""YAML as people write it, to plain values. Pure.

Bounded: a file has a size limit, nesting has an end, aliases can't blow up. Dates stay text and keys are unique, as in
JSON. What is an object and what is right about it, is `schemas.manifest`'s.
"""

import re
from collections.abc import Callable, Iterator
from typing import Any

import yaml

from schemas.errors import InvalidManifest, Problem

MAX_FILE_BYTES = 16 * 2**20  # a folder of 1,000 objects is under 1 MiB
MAX_YAML_DEPTH = 200  # levels; libyaml's composer recurses in C and ends the process at some thousands
MAX_YAML_NODES = 200_000  # after aliases are followed: an alias bomb has billions


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """Safe loader that keeps dates as text, as JSON would."""


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
    for place, node, loader in _checked_nodes(source, content):
        if fill is not None:
            fill(source, node)
        try:
            value = _value_of(node, loader)
        except (yaml.YAMLError, ValueError) as error:
            raise _invalid(source, error) from None
        if value is not None:
            yield place, value


def nodes_of(source: str, content: bytes) -> Iterator[tuple[str, yaml.Node]]:
    """Yield (file:line, node) of each document, checked like those of manifests. Raises InvalidManifest."""
    return ((place, node) for place, node, _ in _checked_nodes(source, content))


def type_of(text: str) -> str:
    """Return the tag that a text without quotes gets: of a number, a truth value, null, or text."""
    resolve: Any = _RESOLVER.resolve  # untyped in PyYAML
    return str(resolve(yaml.ScalarNode, text, (True, False)))


def _checked_nodes(source: str, content: bytes) -> Iterator[tuple[str, yaml.Node, Any]]:
    """Yield (file:line, node, its loader) of each document."""
    if len(content) > MAX_FILE_BYTES:
        raise _fail(source, f"is {len(content)} bytes; a manifest file may have {MAX_FILE_BYTES}")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise _fail(source, f"is not UTF-8 (byte {error.start}); save it as UTF-8") from None
    try:
        _check_depth(source, text)
        loader = _Loader(text)
        while loader.check_node():
            node = loader.get_node()
            place = f"{source}:{node.start_mark.line + 1}"
            _check_nodes(place, node)
            yield place, node, loader
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


def _check_depth(source: str, text: str) -> None:
    """Refuse deep nesting before anything recurses. Each level takes a bracket or a column of indentation,
    so most texts need no closer look; the parser of events itself does not recurse."""
    brackets = text.count("[") + text.count("{")
    if brackets + max(map(len, _INDICATORS.findall(text))) <= MAX_YAML_DEPTH:
        return
    depth = 0
    for event in yaml.parse(text, Loader=_Loader):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        if depth > MAX_YAML_DEPTH:
            raise _fail(source, f"is nested too deeply; at most {MAX_YAML_DEPTH} levels")


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
            sizes[identity] = 1 + sum(size(child) for child in _children(place, node))
            open_nodes.discard(identity)
        return sizes[identity]

    if size(root) > MAX_YAML_NODES:
        raise _fail(place, f"unfolds to more than {MAX_YAML_NODES} values; are there nested aliases?")


_TEXT, _MERGE = "tag:yaml.org,2002:str", "tag:yaml.org,2002:merge"
_MAP, _LIST = "tag:yaml.org,2002:map", "tag:yaml.org,2002:seq"


class _NeedsConstructor(Exception):
    """A node that only the YAML library itself can make a value of: a merge, or a tag of its own."""


def _value_of(root: yaml.Node, loader: Any) -> object:
    """Return the value of a checked document; plain maps, lists and texts by ourselves, which is what it mostly is.

    The library's own constructor works with a generator for each collection and takes several times as long.
    """
    try:
        value = _plain_value(root, loader, {})
        loader.constructed_objects = {}  # it remembers every scalar that it was asked about
        return value
    except _NeedsConstructor:
        return loader.construct_document(root)


def _plain_value(node: yaml.Node, loader: Any, known: dict[int, object]) -> object:
    """`known`: id of a collection's node -> its value, which all aliases of it share."""
    if isinstance(node, yaml.ScalarNode):
        return node.value if node.tag == _TEXT else loader.construct_object(node)
    if id(node) in known:
        return known[id(node)]
    value: object
    if node.tag == _MAP and not any(key.tag == _MERGE for key, _ in node.value):
        value = {key.value: _plain_value(inner, loader, known) for key, inner in node.value}
    elif node.tag == _LIST:
        value = [_plain_value(inner, loader, known) for inner in node.value]
    else:
        raise _NeedsConstructor
    known[id(node)] = value
    return value


_KEY_TAGS = ("tag:yaml.org,2002:str", "tag:yaml.org,2002:merge")


def _children(place: str, node: yaml.Node) -> Iterator[yaml.Node]:
    if isinstance(node, yaml.SequenceNode):
        yield from node.value
        return
    seen: set[str] = set()
    for key, value in node.value:
        where = f"{place.rpartition(':')[0]}:{key.start_mark.line + 1}"
        if not isinstance(key, yaml.ScalarNode) or key.tag not in _KEY_TAGS:
            raise _fail(where, f"key {getattr(key, 'value', '')!r} is not text; put it in quotes")
        if key.value in seen and key.value != "<<":
            raise _fail(where, f"key {key.value!r} appears twice")
        seen.add(key.value)
        yield key
        yield value
