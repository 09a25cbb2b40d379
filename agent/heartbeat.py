"""The node's name in the store: one key under this agent's lease, which is its life sign and its fence.

Every life of the key begins with a create, also for an agent that finds its own key of a former life, so that
what that former self still has on the wire can't land. The key is taken only in the agent's own cluster.
"""

import logging
from collections.abc import Callable
from typing import Any

from agent.errors import NameTaken
from agent.identity import IdentityKeeper
from schemas.cluster import Cluster
from schemas.keys import Keys
from schemas.report import Heartbeat
from store import codec
from store.api import Compare, Delete, KeyValue, Put, Store, Txn, absent, unchanged
from store.errors import Rewound, StoreError
from store.fence import Fence
from store.lease import LeaseKeeper

log = logging.getLogger(__name__)

LEASE_TTL_S = 15  # docs/design: a node is NotReady this long after its last beat
RETRY_S = 1.0
CHECK_EVERY_S = 10.0  # well below the 30 s after which tasks of a node without a key are bound elsewhere


class HeartbeatActor:
    """Keeps the lease and the heartbeat key. `fence` is None while the name is not surely ours.

    confirmed_at: when the last beat under our own key was sent, seconds since the epoch.
    has_beaten: there was one since this agent started.
    """

    def __init__(
        self,
        store: Store,
        keys: Keys,
        node: str,
        *,
        keeper: IdentityKeeper,
        instance: str,
        started_at: float,
        wake: Callable[[], None] = lambda: None,
        ttl_s: int = LEASE_TTL_S,
    ) -> None:
        """wake: called when `fence` changed."""
        self._store, self._keys, self._node = store, keys, node
        self._identity = keeper
        self._instance = instance
        self._wake = wake
        self._lease = LeaseKeeper(store, ttl_s)
        self._fence_lease = 0
        self._doubt = False
        self._check_at = 0.0
        self._was_held = False
        self.fence: Fence | None = None
        self.confirmed_at = started_at
        self.has_beaten = False
        self.last_error: str = ""

    @property
    def name(self) -> str:
        return "heartbeat"

    @property
    def key(self) -> str:
        """The key that holds the node's name."""
        return self._keys.heartbeat(self._node)

    def confirmed(self, now: float) -> bool:
        """The store surely still takes this node for alive."""
        return self.fence is not None and now < self.confirmed_at + self._lease.ttl_s

    def doubt(self) -> None:
        """A fenced write was refused: look whether the key is still ours. Callable from any thread."""
        self._doubt = True

    def step(self, now: float) -> float:
        """Beat, and take the key if it is not held. Raises NameTaken before it was first held, and Rewound."""
        before = self.fence
        try:
            self._lease.step(now)
            self._hold(now)
            self._note(self._lease.last_error)
        except Rewound:
            raise
        except StoreError as error:
            self._note(error)
        if self.fence is not None and self._lease.last_renewed is not None:
            self.confirmed_at = max(self.confirmed_at, self._lease.last_renewed)
            self.has_beaten = True
        if self.fence != before:
            self._wake()
        return self._next(now)

    def release(self) -> None:
        """Give the name up at once: for a clean stop. Raises StoreError."""
        fence, self.fence = self.fence, None
        if fence is not None:
            self._store.txn(Txn((fence.compare(),), (Delete(fence.key),)))
        self._lease.revoke()

    def _next(self, now: float) -> float:
        due = self._lease.next_due()
        if self.fence is None or due is None or self._lease.last_error is not None:
            return now + RETRY_S
        return due

    def _note(self, error: StoreError | None) -> None:
        text = str(error) if error is not None else ""
        if text and not self.last_error:
            log.warning("heartbeat failed node=%s error=%s", self._node, text)
        self.last_error = text

    def _hold(self, now: float) -> None:
        if self._lease.lost or not self._identity.identity.cluster_uid:
            self.fence = None
        elif self._fence_lease != self._lease.lease_id or self._doubt or now >= self._check_at:
            self.fence = self._take()
            self._fence_lease = self._lease.lease_id if self.fence is not None else 0
            self._doubt = False
            self._check_at = now + CHECK_EVERY_S

    def _take(self) -> Fence | None:
        """Return the fence of the key, taking it if it may be taken; None to try again later."""
        key, home = self._keys.heartbeat(self._node), self._home()
        if home is None:
            return None
        found = self._store.get(key).kv
        if found is not None:
            if self._is_this_life(found):
                return Fence(key, found.create_revision)
            if not self._may_replace(found):
                return None
            self._store.txn(Txn((unchanged(key, found.mod_revision), home), (Delete(key),)))
        put = Put(key, self._value(), self._lease.lease_id)
        result = self._store.txn(Txn((absent(key), home), (put,)))
        if not result.succeeded:
            return None
        log.info("heartbeat taken node=%s revision=%d", self._node, result.revision)
        self._was_held = True
        return Fence(key, result.revision)

    def _home(self) -> Compare | None:
        """Return the condition that this is still our cluster's store, None if it is not."""
        kv = self._store.get(self._keys.cluster).kv
        raw = codec.decode(kv) if kv is not None else None
        if kv is None or not isinstance(raw, dict):
            return None
        try:
            uid = Cluster.parse_stored(raw).cluster_uid
        except ValueError:
            return None
        return unchanged(kv.key, kv.mod_revision) if uid == self._identity.identity.cluster_uid else None

    def _value(self) -> bytes:
        return codec.encode(
            Heartbeat(node_uid=self._identity.identity.node_uid, instance=self._instance).to_json()
        )

    def _is_this_life(self, found: KeyValue) -> bool:
        """The key that this process made under its present lease (its reply may have been lost)."""
        return found.lease_id == self._lease.lease_id and found.value == self._value()

    def _may_replace(self, found: KeyValue) -> bool:
        """The key of a former life is ours; another's is not. Raises NameTaken at the start."""
        raw = codec.decode(found)
        holder = _holder(raw) if isinstance(raw, dict) else "?"
        if holder == self._identity.identity.node_uid:
            return True
        message = (
            f"the name {self._node} belongs to node uid {holder} (this one is "
            f"{self._identity.identity.node_uid}); start with another --node, or stop the other agent and wait "
            f"until {found.key} is gone"
        )
        if not self._was_held:
            raise NameTaken(message)
        if not self.last_error:
            log.error("node name lost node=%s holder=%s", self._node, holder)
        self.last_error = message
        return False


def _holder(raw: dict[str, Any]) -> str:
    """Return the node uid that a heartbeat names, "?" for garbage."""
    try:
        return Heartbeat.parse_stored(raw).node_uid
    except ValueError:
        return "?"
