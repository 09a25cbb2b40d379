"""What the state machine may answer."""

from collections.abc import Iterable
from dataclasses import dataclass

from agent.runtime.api import Op


@dataclass(frozen=True, slots=True)
class Wait:
    """Nothing before `until` (seconds since the epoch), unless something is observed."""

    until: float


@dataclass(frozen=True, slots=True)
class Nothing:
    """Nothing until something is observed."""


@dataclass(frozen=True, slots=True)
class BeginEnd:
    """Note that from now on all containers of a binding are brought to an end; then ask again."""

    binding_uid: str


Action = Op | BeginEnd | Wait | Nothing
NOTHING = Nothing()


def first_of(actions: Iterable[Action]) -> Action:
    """Return the first that is to be done; without one the earliest wait; without one nothing."""
    earliest: Wait | None = None
    for action in actions:
        if isinstance(action, Wait):
            earliest = action if earliest is None or action.until < earliest.until else earliest
        elif not isinstance(action, Nothing):
            return action
    return earliest or NOTHING
