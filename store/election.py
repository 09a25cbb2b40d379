"""Election by etcd's classic recipe: the oldest living candidate leads.

Each candidate puts one key under its own lease; of the keys under the prefix, the one with the lowest create
revision leads. Its `Fence` goes into every write of the leader, so that a deposed one can't write; the
role that `step` returns is for knowing when to try, the fence is what is safe.
"""

from dataclasses import dataclass

from store.api import KeyValue, Put, Store, Txn, absent
from store.errors import LeaseExpired, Unavailable
from store.fence import Fence
from store.lease import LeaseKeeper


@dataclass(frozen=True, slots=True)
class Leader:
    """This candidate leads; `fence` goes into every write."""

    fence: Fence


@dataclass(frozen=True, slots=True)
class Follower:
    """Somebody else leads; `leader` is the value of its key, such as its identity and address."""

    leader: bytes


@dataclass(frozen=True, slots=True)
class Candidate:
    """Not known to lead or follow: no living lease, no key yet, or the store did not answer."""

    reason: str


Role = Leader | Follower | Candidate


class Election:
    """One candidate. `step` makes at most two calls; a shell runs it about once a second."""

    def __init__(
        self, store: Store, keeper: LeaseKeeper, *, prefix: str, identity: str, value: bytes
    ) -> None:
        self._store = store
        self._keeper = keeper
        self._prefix = prefix
        self._value = value
        self.identity = identity

    def step(self, now: float) -> Role:
        """Stand for election, and return the role at `now`.

        The keeper's own `step` runs before. Time may pass in here: the caller asks `keeper.alive` with a
        fresh `now` before it relies on an answer that is old.
        """
        if not self._keeper.alive(now):
            return Candidate("no living lease")
        key = f"{self._prefix}{self._keeper.lease_id:x}"
        try:
            kvs = self._store.list(self._prefix).kvs
            if all(kv.key != key for kv in kvs):
                self._stand(key)
                kvs = self._store.list(self._prefix).kvs
        except Unavailable as error:
            return Candidate(str(error))
        except LeaseExpired:
            return Candidate("the lease expired")  # the keeper finds out by itself
        return _role(key, kvs)

    def resign(self) -> None:
        """Give the lease up, and with it the candidacy; the next candidate leads at once."""
        self._keeper.revoke()

    def _stand(self, key: str) -> None:
        """Put the key of this candidate; a lost reply needs no care, as its name is that of the lease."""
        self._store.txn(Txn((absent(key),), (Put(key, self._value, self._keeper.lease_id),)))


def _role(key: str, kvs: tuple[KeyValue, ...]) -> Role:
    """Say who leads, given all candidates."""
    oldest = min(kvs, key=lambda kv: (kv.create_revision, kv.key), default=None)
    if oldest is None or all(kv.key != key for kv in kvs):
        return Candidate("the key of this candidate is gone")
    if oldest.key == key:
        return Leader(Fence(key, oldest.create_revision))
    return Follower(oldest.value)
