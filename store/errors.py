"""What can go wrong between Berth and its store.

StoreError
├── Unavailable        no endpoint answered; nothing was written
│   └── OutcomeUnknown     the reply was lost: the write may or may not have happened
├── Deposed            the fence that the write carried is gone: somebody else is entitled to write now
├── PermissionDenied   the user may not read or write this range
├── InvalidRequest     the store refuses its form, such as one key put twice: a bug of the caller
├── RequestTooLarge    over 1.5 MiB, or over 128 operations
├── ValuesInClear      a Secret that is not sealed: a bug of the caller
├── NoSpace            the store raised its quota alarm
├── Compacted          the revision asked for is gone; list again
├── WatchLost          the stream ended; open another after the last event
├── LeaseExpired       the lease is unknown to the store
├── Rewound            the store went back in time: a restored backup, or another store
└── ServerTooOld       older than etcd 3.4
"""


class StoreError(Exception):
    """Base of all errors of the store."""


class Unavailable(StoreError):
    """No endpoint answered in time; a read failed or a write was not sent."""


class OutcomeUnknown(Unavailable):
    """The reply to a write was lost; read before writing again."""


class Deposed(StoreError):
    """The fence of the writer is gone; nothing was written."""


class PermissionDenied(StoreError):
    """The store's own users and roles refuse this."""


class InvalidRequest(StoreError):
    """The store refuses the form of the request: one key put twice, an empty key, a future revision."""


class RequestTooLarge(StoreError):
    """The store refuses a request of this size or of that many operations."""


class ValuesInClear(StoreError):
    """A Secret with values in clear was about to be written; nothing was."""


class NoSpace(StoreError):
    """The store has reached its quota and refuses writes."""


class Compacted(StoreError):
    """The revision asked for is older than `compact_revision`, the oldest that is kept."""

    def __init__(self, compact_revision: int) -> None:
        super().__init__(f"history before revision {compact_revision} is compacted")
        self.compact_revision = compact_revision


class WatchLost(StoreError):
    """A watch ended, with or without an error."""


class LeaseExpired(StoreError):
    """The lease is not known to the store (any more)."""

    def __init__(self, lease_id: int) -> None:
        super().__init__(f"lease {lease_id:x} is expired")
        self.lease_id = lease_id


class Rewound(StoreError):
    """A linearizable reply carries a revision below the highest one seen before it was asked for."""

    def __init__(self, seen: int, now: int) -> None:
        super().__init__(f"the store went back from revision {seen} to {now}: was a backup restored?")
        self.seen = seen
        self.now = now


class ServerTooOld(StoreError):
    """The server is older than etcd 3.4."""
