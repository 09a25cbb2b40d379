"""Columns over the rows of nodes: numpy arrays that grow, and what is derived of a node's labels, made on demand."""

from collections.abc import Callable, Iterable
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Codes = NDArray[np.int32]
Bools = NDArray[np.bool_]
Floats = NDArray[np.float64]

K = TypeVar("K")
V = TypeVar("V")

ABSENT = -1
EVERY_ROW = slice(None)


def grown(array: NDArray[np.generic], rows: int) -> NDArray[np.generic]:
    """Return a copy with room for `rows`, the new ones zero; the last axis is the rows."""
    bigger = np.zeros((*array.shape[:-1], rows), dtype=array.dtype)
    bigger[..., : array.shape[-1]] = array
    return bigger


class Codebook:
    """Small numbers for values, in the order in which they were first seen."""

    def __init__(self) -> None:
        self.values: list[str] = []
        self._codes: dict[str, int] = {}

    def code(self, value: str) -> int:
        """Return the number of a value, a new one if need be."""
        known = self._codes.get(value)
        if known is None:
            known = self._codes[value] = len(self.values)
            self.values.append(value)
        return known

    def find(self, value: str) -> int:
        """Return the number of a value, ABSENT if no node has it."""
        return self._codes.get(value, ABSENT)


class Memo(Generic[K, V]):
    """What was made of a key, for one cycle. A key is known by identity first: nested values take long to hash.

    Each key that was asked for is kept, so that no other object gets its id.
    """

    def __init__(self, make: Callable[[K], V]) -> None:
        self._make = make
        self._same: dict[int, tuple[K, V]] = {}
        self._equal: dict[K, V] = {}

    def of(self, key: K) -> V:
        same = self._same.get(id(key))
        if same is not None:
            return same[1]
        try:
            value = self._equal[key]
        except KeyError:
            value = self._equal[key] = self._make(key)
        self._same[id(key)] = key, value
        return value

    def items(self) -> Iterable[tuple[K, V]]:
        return self._equal.items()
