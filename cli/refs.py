"""Reads which objects are meant: `tasks`, `tasks,nodes`, `task web api`, `task/web node/n1`, `all`. Pure."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from client.client import find_kind
from client.errors import BadOption
from schemas.kinds import KINDS, Kind

EVENTS = ("events", "event", "ev")


@dataclass(frozen=True, slots=True)
class Target:
    """Objects of a kind: those named, or all of them when `names` is empty."""

    kind: Kind
    names: tuple[str, ...] = ()


def parse_targets(words: Sequence[str]) -> tuple[Target, ...]:
    """Return the targets in the order written. Raises NotFound for an unknown kind, BadOption."""
    if not words:
        known = ", ".join(kind.plural for kind in KINDS)
        raise BadOption(f"say what: a kind ({known}, events, all) or KIND/NAME; for example: berth get tasks")
    if any("/" in word for word in words):
        return _merge(_parse_slashed(word) for word in words)
    kinds = _parse_kinds(words[0])
    return tuple(Target(kind, tuple(dict.fromkeys(words[1:]))) for kind in kinds)


def _parse_kinds(text: str) -> list[Kind]:
    if text == "all":
        return [kind for kind in KINDS if kind.namespaced]
    return list({kind.plural: kind for kind in map(find_kind, filter(None, text.split(",")))}.values())


def _parse_slashed(word: str) -> Target:
    kind, slash, name = word.partition("/")
    if not slash or not name or "/" in name:
        raise BadOption(f"{word!r} is not of the form KIND/NAME; all arguments must be, once one is")
    return Target(find_kind(kind), (name,))


def _merge(targets: Iterable[Target]) -> tuple[Target, ...]:
    names: dict[str, dict[str, None]] = {}
    kinds: dict[str, Kind] = {}
    for target in targets:
        kinds[target.kind.plural] = target.kind
        names.setdefault(target.kind.plural, {}).update(dict.fromkeys(target.names))
    return tuple(Target(kinds[plural], tuple(found)) for plural, found in names.items())
