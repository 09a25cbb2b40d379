"""Everything random that a controller uses, injected."""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Random:
    """uids and tokens are strings without meaning; `seed` breaks ties and jitters waits."""

    uid: Callable[[], str]
    token: Callable[[], str]
    seed: int
