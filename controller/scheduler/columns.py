"""Columns over the rows of nodes: numpy arrays that grow, and what is derived of a node's labels, made on demand."""

from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Codes = NDArray[np.int32]
Bools = NDArray[np.bool_]
Floats = NDArray[np.float64]

K = TypeVar("K")

ABSENT = -1


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
