"""Reads which objects are meant: `tasks`, `tasks,nodes`, `task web api`, `task/web node/n1`, `all`. Pure."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from client.errors import BadOption
from client.naming import find_kind
from schemas.kinds import BY_ALIAS, KINDS, Kind

ENDPOINTS = ("endpoints", "endpoint", "ep")
EVENTS = ("events", "event", "ev")
_NOT_IN_ALL = ("Secret",)  # as in kubectl, whose `all` means what runs


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
    if any("/" in word for word in words) and not is_queue_kind(words[0]):
        return _merge(_parse_slashed(word) for word in words)
    kinds = _parse_kinds(words[0])
    return tuple(Target(kind, tuple(dict.fromkeys(words[1:]))) for kind in kinds)


def _parse_kinds(text: str) -> list[Kind]:
    if text == "all":
        return [kind for kind in KINDS if kind.namespaced and kind.name not in _NOT_IN_ALL]
    return list({kind.plural: kind for kind in map(find_kind, filter(None, text.split(",")))}.values())


def _parse_slashed(word: str) -> Target:
    kind, slash, name = word.partition("/")
    if not slash or not name or ("/" in name and not is_queue_kind(kind)):
        raise BadOption(f"{word!r} is not of the form KIND/NAME; all arguments must be, once one is")
    return Target(find_kind(kind), (name,))


def is_queue_kind(word: str) -> bool:
    """Say whether a word is a name of the kind Queue, the only one whose objects may have slashes in their names."""
    kind = BY_ALIAS.get(word)
    return kind is not None and kind.name == "Queue"


def _merge(targets: Iterable[Target]) -> tuple[Target, ...]:
    names: dict[str, dict[str, None]] = {}
    kinds: dict[str, Kind] = {}
    for target in targets:
        kinds[target.kind.plural] = target.kind
        names.setdefault(target.kind.plural, {}).update(dict.fromkeys(target.names))
    return tuple(Target(kinds[plural], tuple(found)) for plural, found in names.items())


def task_name(written: str) -> str:
    """Return the name in `NAME` or `task/NAME`. Raises BadOption for another kind, NotFound for an unknown one."""
    if "/" not in written:
        return written
    target = _parse_slashed(written)
    if target.kind.name != "Task":
        raise BadOption(f"only tasks have containers, not {written}; see: berth get tasks")
    return target.names[0]


def is_task_kind(written: str) -> bool:
    """Say whether `written` is one of the names of the kind Task."""
    return any(kind.name == "Task" for kind in KINDS if BY_ALIAS.get(written) is kind)
