"""A sorted set of keys that answers "all keys that start with" without looking at the others.

What is added or discarded is put in order when somebody asks, all at once: thousands of keys come between two
questions, and each insertion into a long list would move half of it.
"""

from bisect import bisect_left
from collections.abc import Iterable


class KeyIndex:
    """Keys in order."""

    __slots__ = ("_added", "_gone", "_keys")

    def __init__(self, keys: Iterable[str] = ()) -> None:
        self._keys = sorted(keys)
        self._added: list[str] = []  # not in `_keys` yet
        self._gone: set[str] = set()  # still in `_keys` or `_added`

    def add(self, key: str) -> None:
        """Add a key that is not in the index yet."""
        if key in self._gone:
            self._gone.discard(key)
        else:
            self._added.append(key)

    def discard(self, key: str) -> None:
        """Take out a key that is in the index."""
        self._gone.add(key)

    def _settle(self) -> None:
        if self._added:
            self._keys += self._added
            self._keys.sort()  # of two sorted runs, which takes one pass
            self._added.clear()
        if self._gone:
            self._keys = [key for key in self._keys if key not in self._gone]
            self._gone.clear()

    def under(self, prefix: str) -> list[str]:
        """Return the keys that start with `prefix` in order; a copy, safe to iterate while keys change."""
        self._settle()
        if not prefix:
            return list(self._keys)
        start = bisect_left(self._keys, prefix)
        after = prefix[:-1] + chr(ord(prefix[-1]) + 1)
        return self._keys[start : bisect_left(self._keys, after, lo=start)]
