"""Blame: who set each field of an object, when, at which revision. Pure: from the object, records and history.

The history tells when a field got its value, and which managers applied that change. The applied records tell which
managers' manifests have the field with that value now. A value that is in no manifest, or in none as it is, was set by
hand: by `scale`, `edit`, `patch`, `set` and the like, which leave no record.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from client.history import BY_HAND, Revision, comparable
from client.merge import by_name

Json = dict[str, Any]  # Any: JSON of any shape
IDENTITY = frozenset({"apiVersion", "kind", "metadata.name", "metadata.namespace"})


@dataclass(frozen=True, slots=True)
class Origin:
    """Since when a field has its value. `is_exact` False: since then at the latest."""

    revision: int
    time: str
    by: tuple[str, ...]
    is_exact: bool


@dataclass(frozen=True, slots=True)
class FieldBlame:
    """One field. managers: whose manifests have it so. origin None: nothing that is known goes back so far."""

    path: str
    value: Any
    managers: tuple[str, ...]
    origin: Origin | None

    @property
    def who(self) -> tuple[str, ...]:
        """Who set it: the managers whose manifests say so, else who changed it then, else it was done by hand."""
        if self.managers:
            return self.managers
        if self.origin is None:
            return (BY_HAND,)
        # who applied that change did not leave it in his manifest: it came with it, or was taken over since
        return self.origin.by or (BY_HAND,)


def leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Yield path and value of each field without fields below it, as in `spec.containers[web].image`."""
    if isinstance(value, dict) and value:
        for key in sorted(value):
            yield from leaves(value[key], f"{path}.{key}" if path else key)
    elif isinstance(value, list) and value and (named := by_name(value)) is not None:
        for name, item in named.items():
            yield from leaves(item, f"{path}[{name}]")
    else:
        yield path, value


def blame(live: Json, applied: Mapping[str, Json], revisions: Sequence[Revision]) -> tuple[FieldBlame, ...]:
    """Return who set each field of `live`. applied: manager -> its manifest. revisions: oldest first."""
    own = _of_this_object(live, revisions)
    past = [dict(leaves(comparable(each.object))) if each.object else {} for each in own]
    manifests = {manager: dict(leaves(raw)) for manager, raw in sorted(applied.items())}
    return tuple(
        FieldBlame(path, value, _managers(path, value, manifests), _origin(path, value, own, past))
        for path, value in leaves(comparable(live))
        if path not in IDENTITY
    )


def _of_this_object(live: Json, revisions: Sequence[Revision]) -> list[Revision]:
    """Return the changes of the object that is there now, and not of earlier ones of its name."""
    uid = (live.get("metadata") or {}).get("uid")
    found: list[Revision] = []
    for each in reversed(revisions):
        if each.is_deletion or each.uid != uid or (found and each.era != found[-1].era):
            break
        found.append(each)
    return found[::-1]


def _managers(path: str, value: Any, manifests: Mapping[str, Json]) -> tuple[str, ...]:
    return tuple(manager for manager, fields in manifests.items() if path in fields and fields[path] == value)


_MISSING = object()


def _origin(path: str, value: Any, own: Sequence[Revision], past: Sequence[Json]) -> Origin | None:
    """Walk back as long as the field has its value."""
    first: int | None = None
    for index in range(len(own) - 1, -1, -1):
        if past[index].get(path, _MISSING) != value:
            break
        first = index
    if first is None:
        return None
    revision = own[first]
    is_known = first > 0 or revision.action == "created"
    if first == 0 and not is_known:
        return None  # it had that value before anybody looked
    return Origin(revision.revision, revision.time, revision.by, revision.is_exact)
