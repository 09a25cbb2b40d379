"""A store that fails on order: before a call reaches the store behind it, or after."""

from collections import deque
from typing import Any

from store.api import Listing, Lookup, Txn, TxnResult
from store.errors import OutcomeUnknown, StoreError
from store.memory import MemoryStore


class FaultyStore:
    """Passes everything on, but for the errors that a test has lined up for the next calls."""

    def __init__(self, behind: MemoryStore) -> None:
        self.behind = behind
        self.calls: list[str] = []
        self._before: deque[StoreError | None] = deque()
        self._after: deque[StoreError | None] = deque()

    def fail_before(self, *errors: StoreError | None) -> None:
        """The next calls raise these (None: no error) without reaching the store."""
        self._before.extend(errors)

    def lose_reply(self) -> None:
        """The next transaction happens, but its reply is lost."""
        self._after.append(OutcomeUnknown("the reply was lost"))

    def get(self, key: str) -> Lookup:
        self._pass("get")
        return self.behind.get(key)

    def list(self, prefix: str, revision: int = 0) -> Listing:
        self._pass("list")
        return self.behind.list(prefix, revision)

    def page(self, start: str, end: str, *, limit: int, revision: int = 0) -> Listing:
        self._pass("page")
        return self.behind.page(start, end, limit=limit, revision=revision)

    def txn(self, txn: Txn) -> TxnResult:
        self._pass("txn")
        result = self.behind.txn(txn)
        if self._after and (error := self._after.popleft()):
            raise error
        return result

    def watch(self, prefixes: tuple[str, ...], start_revision: int, notify: Any) -> Any:
        self._pass("watch")
        return self.behind.watch(prefixes, start_revision, notify)

    def grant_lease(self, ttl_s: int) -> int:
        self._pass("grant_lease")
        return self.behind.grant_lease(ttl_s)

    def keep_alive(self, lease_id: int) -> int:
        self._pass("keep_alive")
        return self.behind.keep_alive(lease_id)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.behind, name)

    def _pass(self, call: str) -> None:
        self.calls.append(call)
        if self._before and (error := self._before.popleft()):
            raise error
