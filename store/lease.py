"""Keep one lease alive: granted, beaten every third of its time, granted anew after a loss.

`step` makes at most one call; a shell runs it about once a second. The keeper believes less than the store
does: it counts from before a request was sent, so it takes itself for dead before the store does. A lease
proves nothing (any client may keep any lease alive); the fenced key under it does.
"""

from store.api import Store
from store.errors import LeaseExpired, StoreError, Unavailable


class LeaseKeeper:
    """The owner of one lease at a time.

    lease_id: 0 before the first grant and after a loss; a new id means a new life.
    last_renewed: when the last successful request was sent, by the caller's `now`; None without a lease.
    last_error: why the last step failed, None after a success.
    """

    def __init__(self, store: Store, ttl_s: int) -> None:
        self._store = store
        self.ttl_s = ttl_s
        self.lease_id = 0
        self.last_renewed: float | None = None
        self.last_error: StoreError | None = None

    @property
    def lost(self) -> bool:
        """There is no lease: none was granted yet, or it expired and the next step grants another."""
        return self.lease_id == 0

    def alive(self, now: float) -> bool:
        """The store surely still holds the lease at `now`."""
        return self.last_renewed is not None and now < self.last_renewed + self.ttl_s

    def next_due(self) -> float | None:
        """Return when the next beat is due; None: at once."""
        return None if self.last_renewed is None else self.last_renewed + self.ttl_s / 3

    def step(self, now: float) -> None:
        """Grant or beat if it is time. An unreachable store is remembered in `last_error`, not raised."""
        due = self.next_due()
        if due is not None and self.last_error is None and now < due:
            return
        try:
            if self.lease_id:
                self._store.keep_alive(self.lease_id)
            else:
                self.lease_id = self._store.grant_lease(self.ttl_s)
        except LeaseExpired as error:
            self._forget(error)
        except Unavailable as error:
            self.last_error = error
        else:
            self.last_renewed, self.last_error = now, None

    def revoke(self) -> None:
        """Give the lease up, and with it every key under it; safe to call twice."""
        lease_id = self.lease_id
        self._forget(None)
        if lease_id:
            try:
                self._store.revoke_lease(lease_id)
            except LeaseExpired:
                return  # gone already, which is what was asked for

    def _forget(self, error: StoreError | None) -> None:
        self.lease_id, self.last_renewed, self.last_error = 0, None, error
