"""The actor that stands for election: keeps the controller's lease and says who leads."""

from collections.abc import Callable

from schemas.cluster import LeaderInfo
from schemas.keys import Keys
from store.api import Store
from store.codec import encode
from store.election import Candidate, Election, Leader, Role
from store.errors import Rewound, StoreError
from store.fence import Fence
from store.lease import LeaseKeeper

LEASE_TTL_S = 10  # a leader that dies is replaced within this and one step
ELECTION_EVERY_S = 1.0


class Electing:
    """`role` is read by the core; it is advice, the fence in each write is what is safe."""

    name = "election"

    def __init__(
        self,
        store: Store,
        keys: Keys,
        info: LeaderInfo,
        wake_core: Callable[[], None],
        *,
        lease_ttl_s: int = LEASE_TTL_S,
    ) -> None:
        self.keeper = LeaseKeeper(store, lease_ttl_s)
        self._election = Election(
            store, self.keeper, prefix=keys.election, identity=info.identity, value=encode(info.to_json())
        )
        self._wake_core = wake_core
        self._spent: Fence | None = None
        self.role: Role = Candidate("not started")

    def step(self, now: float) -> float | None:
        """Beat, stand, and publish the role. Raises Rewound."""
        self.keeper.step(now)
        role = self._election.step(now)
        if isinstance(role, Leader) and role.fence == self._spent:
            role = self._stand_anew()
        if role != self.role:
            self.role = role
            self._wake_core()
        return now + ELECTION_EVERY_S

    def renounce(self, fence: Fence) -> None:
        """Never lead under `fence` again: writes of the term that ended may still be under way under it."""
        self._spent = fence

    def _stand_anew(self) -> Role:
        try:
            self._election.resign()
        except Rewound:
            raise
        except StoreError as error:
            return Candidate(f"resigning failed, the lease will expire: {error}")
        return Candidate("resigned")

    def resign(self) -> None:
        """Step down at once, so that another controller need not wait for the lease."""
        self.role = Candidate("resigned")
        self._election.resign()
