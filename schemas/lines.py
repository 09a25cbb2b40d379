"""Where a field stands: problems that name a document's line get that of the field. Pure.

Only wrong manifests are parsed a second time for this, so that right ones pay nothing.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace

import yaml

from schemas.errors import Problem

_PLACE = re.compile(r"(?P<name>.*):(?P<line>[0-9]+)(?: items\[(?P<item>[0-9]+)\])?", re.DOTALL)
_PART = re.compile(r"\.?([^.\[\]]+)|\[([0-9]+)\]")
_FIELD_FIRST = re.compile(r"((?:spec|metadata)(?:\.[A-Za-z0-9]+|\[[0-9]+\])*): (?=\S)")
_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def locate(problems: Iterable[Problem], sources: Mapping[str, bytes]) -> tuple[Problem, ...]:
    """Return the problems with the line of their field, each once, in the order of the lines of a file.

    sources: name -> content. What can't be found keeps the line of its document.
    """
    roots: dict[str, dict[int, yaml.Node]] = {}
    located = [_locate_one(_with_field(problem), sources, roots) for problem in problems]
    return tuple(dict.fromkeys(located))


def _with_field(problem: Problem) -> Problem:
    """Admission names the field at the start of its sentence."""
    found = None if problem.field else _FIELD_FIRST.match(problem.message)
    if found is None:
        return problem
    return replace(problem, field=found[1], message=problem.message[found.end() :])


def _locate_one(
    problem: Problem, sources: Mapping[str, bytes], roots: dict[str, dict[int, yaml.Node]]
) -> Problem:
    place = _PLACE.fullmatch(problem.source)
    if place is None or place["name"] not in sources or not problem.field:
        return problem
    name = place["name"]
    if name not in roots:
        roots[name] = _documents(sources[name])
    root = roots[name].get(int(place["line"]))
    if root is None:
        return problem
    path: list[str | int] = ["items", int(place["item"])] if place["item"] else []
    path += [int(index) if index else key for key, index in _PART.findall(problem.field)]
    item = f" items[{place['item']}]" if place["item"] else ""
    return replace(problem, source=f"{name}:{_line_of(root, path)}{item}")


def _documents(content: bytes) -> dict[int, yaml.Node]:
    """Return line -> root of each document."""
    try:
        nodes = yaml.compose_all(content.decode("utf-8-sig"), Loader=_Loader)
        return {node.start_mark.line + 1: node for node in nodes if node is not None}
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError):
        return {}


def _line_of(root: yaml.Node, path: list[str | int]) -> int:
    """Return the line of the deepest part of `path` that is there: of its key, or of an item of a list."""
    node, line = root, root.start_mark.line + 1
    for part in path:
        if isinstance(node, yaml.MappingNode):
            pair = next((pair for pair in node.value if pair[0].value == part), None)
            if pair is None:
                return line
            line, node = pair[0].start_mark.line + 1, pair[1]
        elif isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
            node = node.value[part]
            line = node.start_mark.line + 1
        else:
            return line
    return line
