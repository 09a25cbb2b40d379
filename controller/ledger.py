"""Read your writes: who wrote an object at revision R doesn't plan for it again before the cache has reached R."""

import heapq

from schemas.keys import ObjectRef


class Ledger:
    """Writes under way and writes not yet seen, by object. One owner: the core loop."""

    def __init__(self) -> None:
        self._under_way: dict[ObjectRef, int] = {}
        self._unseen: list[int] = []  # a heap of the revisions in `_written_at`
        self._written_at: dict[int, list[ObjectRef]] = {}  # as many share the revision of one transaction
        self._seen_at: dict[ObjectRef, int] = {}
        self._deferred: set[ObjectRef] = set()
        self._released: set[ObjectRef] = set()  # of which a write has ended since `reached` looked

    def sent(self, ref: ObjectRef) -> None:
        """Note that a write about `ref` was handed over."""
        self._under_way[ref] = self._under_way.get(ref, 0) + 1

    def settled(self, ref: ObjectRef, revision: int | None) -> None:
        """Note the end of a write: applied at `revision`, or not applied (None)."""
        left = self._under_way.get(ref, 1) - 1
        if left > 0:
            self._under_way[ref] = left
        else:
            self._under_way.pop(ref, None)
            self._released.add(ref)
        if revision is not None:
            self._seen_at[ref] = max(revision, self._seen_at.get(ref, 0))
            if revision not in self._written_at:
                heapq.heappush(self._unseen, revision)
            self._written_at.setdefault(revision, []).append(ref)

    def blocks(self, ref: ObjectRef) -> bool:
        """Say whether `ref` must not be planned for now; it then comes back from `reached`."""
        if ref in self._under_way or ref in self._seen_at:
            self._deferred.add(ref)
            return True
        return False

    def is_busy(self, ref: ObjectRef) -> bool:
        """Say whether a write about `ref` is under way, or not seen yet."""
        return ref in self._under_way or ref in self._seen_at

    def reached(self, revision: int) -> tuple[list[ObjectRef], list[ObjectRef]]:
        """Take in that the cache is at `revision`; return (objects whose writes are seen, those to look at again)."""
        seen = []
        while self._unseen and self._unseen[0] <= revision:
            written_at = heapq.heappop(self._unseen)
            for ref in self._written_at.pop(written_at):
                if self._seen_at.get(ref) == written_at:
                    del self._seen_at[ref]
                    seen.append(ref)
        released, self._released = self._released.union(seen) & self._deferred, set()
        ready = [ref for ref in released if ref not in self._under_way and ref not in self._seen_at]
        self._deferred.difference_update(ready)
        return seen, sorted(ready)

    @property
    def is_empty(self) -> bool:
        return not self._under_way and not self._seen_at
