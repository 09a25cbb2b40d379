"""Label selectors as kubectl reads them: `a=b,c!=d,e in (x,y),f notin (z),g,!h`; all must hold. Pure."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from client.errors import BadOption

_KEY = r"[A-Za-z0-9][-A-Za-z0-9_./]*"
_VALUE = r"[-A-Za-z0-9_.]*"
_SET = re.compile(rf"({_KEY})\s+(in|notin)\s*\(\s*({_VALUE}(?:\s*,\s*{_VALUE})*)\s*\)")
_EQUALS = re.compile(rf"({_KEY})\s*(==|=|!=)\s*({_VALUE})")
_EXISTS = re.compile(rf"(!?)\s*({_KEY})")
_COMMA_OUTSIDE_PARENTHESES = re.compile(r",(?![^(]*\))")


@dataclass(frozen=True, slots=True)
class Requirement:
    """One term. For `exists` and `absent` there are no values."""

    key: str
    operator: Literal["in", "notin", "exists", "absent"]
    values: frozenset[str] = frozenset()

    def holds(self, labels: Mapping[str, str]) -> bool:
        """As in Kubernetes, `!=` and `notin` also hold where the label is missing."""
        match self.operator:
            case "in":
                return labels.get(self.key) in self.values
            case "notin":
                return labels.get(self.key) not in self.values
            case "exists":
                return self.key in labels
            case "absent":
                return self.key not in labels


Selector = tuple[Requirement, ...]


def matches(selector: Selector, labels: Mapping[str, str]) -> bool:
    """Say whether all terms hold; an empty selector matches everything."""
    return all(requirement.holds(labels) for requirement in selector)


def parse_selector(text: str) -> Selector:
    """Parse a selector. Raises BadOption with the term that can't be read."""
    if not text.strip():
        return ()
    return tuple(_parse_term(term.strip()) for term in _COMMA_OUTSIDE_PARENTHESES.split(text))


def _parse_term(term: str) -> Requirement:
    if found := _SET.fullmatch(term):
        values = frozenset(value.strip() for value in found[3].split(","))
        return Requirement(found[1], "in" if found[2] == "in" else "notin", values)
    if found := _EQUALS.fullmatch(term):
        return Requirement(found[1], "notin" if found[2] == "!=" else "in", frozenset({found[3]}))
    if found := _EXISTS.fullmatch(term):
        return Requirement(found[2], "absent" if found[1] else "exists")
    raise BadOption(
        f"selector term {term!r} can't be read; write for example app=web, app!=web, 'app in (web,api)', app, '!app'"
    )
