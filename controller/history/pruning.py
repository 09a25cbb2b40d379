"""Which rows go when the archive is full. Pure.

A row can go when another has taken its place: what stands now is always kept, however old it is. Those go first whose
successor is oldest; then every state from that successor on can still be told, and none before (the horizon).
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Candidate:
    """A row that may go. superseded: seq of the row that took its place; of a deletion its own."""

    seq: int
    superseded: int
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Pruning:
    """Remove all rows that were superseded at or before `horizon`; 0: none."""

    horizon: int
    freed_bytes: int


def choose(candidates: Iterable[Candidate], excess_bytes: int) -> Pruning:
    """Return the smallest horizon that frees `excess_bytes`, or the largest that there is."""
    horizon = freed = 0
    for each in sorted(candidates, key=lambda one: (one.superseded, one.seq)):
        if freed >= excess_bytes and each.superseded > horizon:
            break
        horizon, freed = each.superseded, freed + each.size_bytes
    return Pruning(horizon, freed)


def forget(standing: Sequence[Candidate], excess_bytes: int) -> tuple[int, ...]:
    """Return the rows whose content goes, oldest first, when what stands alone is too much."""
    chosen, freed = [], 0
    for each in sorted(standing, key=lambda one: one.seq):
        if freed >= excess_bytes:
            break
        chosen.append(each.seq)
        freed += each.size_bytes
    return tuple(chosen)
