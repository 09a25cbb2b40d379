"""The leader's way back to trusted placements: the cluster's key made, and history that was rewound mended.

    rewound -> incarnation raised, recovering -> every agent has reported -> placements rebuilt -> recovered

What must be rebuilt is decided in `controller.reconcilers.recovery`; docs/design/protocol.md tells why.
"""

import logging
from collections.abc import Callable

from controller.outbox import Outbox
from controller.reconcilers.recovery import all_reported, must_raise, next_incarnation
from controller.source import Random
from controller.view import View
from schemas.cluster import Cluster
from schemas.keys import Keys, cluster_ref
from schemas.report import NodeReport
from schemas.versioned import Versioned
from store.api import Put, absent, unchanged
from store.batch import Write
from store.codec import encode

log = logging.getLogger(__name__)

RECOVERY_WAIT_S = 20.0  # longer than an agent's lease, so that an agent that lives has its heartbeat back
CLUSTER_REF = cluster_ref("cluster", "cluster")


class Recovery:
    """Owns the cluster's key. `rebuild` writes what is left to rebuild and says whether there was anything."""

    def __init__(
        self,
        view: View,
        keys: Keys,
        outbox: Outbox,
        source: Random,
        rebuild: Callable[[float], bool],
        *,
        saw_rewind: bool,
        now: float,
        public_key: str | None = None,
    ) -> None:
        self._view = view
        self._key = keys.cluster
        self._outbox = outbox
        self._random = source
        self._rebuild = rebuild
        self._saw_rewind = saw_rewind
        self._public_key = public_key
        self._known = view.cluster.value if isinstance(view.cluster, Versioned) else None
        in_recovery = saw_rewind or (self._known is not None and self._known.recovering)
        self._due = now + RECOVERY_WAIT_S if in_recovery else now
        self._is_settled = False  # nothing changed since it was done

    def node_changed(self) -> None:
        """Take in that a node reported, came or went."""
        self._is_settled = False

    def cluster_changed(self) -> None:
        """Take in that the cluster's key has changed."""
        self._is_settled = False
        before = self._known
        if isinstance(self._view.cluster, Versioned):
            self._known = self._view.cluster.value
            if before is not None and self._known.incarnation > before.incarnation:
                self._saw_rewind = False  # answered

    def next_due(self, now: float) -> float | None:
        """Return when the wait for agents is over; after it only what comes in helps, and that wakes the core."""
        return self._due if self._due > now else None

    def is_done(self, now: float) -> bool:
        """Say whether placements may be trusted; if not, do the next step towards it."""
        if self._is_settled:
            return True
        cluster = self._view.cluster
        if not isinstance(cluster, Versioned):
            self._create()
            return False
        reports = self._reports()
        incarnation = cluster.value.incarnation
        if must_raise(incarnation, reports, saw_rewind=self._saw_rewind):
            raised = {"incarnation": next_incarnation(incarnation, reports), "recovering": True}
            self._put(cluster, cluster.value.model_copy(update=raised))
            self._due = now + RECOVERY_WAIT_S
            return False
        if not cluster.value.recovering:
            self._publish_key(cluster)
            self._is_settled = not self._public_key or cluster.value.public_key is not None
            return True
        if now >= self._due and self._may_rebuild(incarnation, reports) and not self._rebuild(now):
            self._put(cluster, cluster.value.model_copy(update={"recovering": False}))
        return False

    def _publish_key(self, cluster: Versioned[Cluster]) -> None:
        """Say which key secrets are to be sealed to; one that is published already is never replaced here."""
        if self._public_key and cluster.value.public_key is None:
            self._put(cluster, cluster.value.model_copy(update={"public_key": self._public_key}))

    def _may_rebuild(self, incarnation: int, reports: dict[str, NodeReport]) -> bool:
        nodes = self._view.nodes.items()
        alive = {name: reports.get(name) for name, node in nodes if node.heartbeat is not None}
        return all_reported(incarnation, alive) and self._outbox.ledger.is_empty

    def _reports(self) -> dict[str, NodeReport]:
        return {
            name: node.report.value
            for name, node in self._view.nodes.items()
            if isinstance(node.report, Versioned) and node.heartbeat is not None
        }

    def _create(self) -> None:
        if self._view.cluster is not None or self._outbox.ledger.blocks(CLUSTER_REF):
            return
        known = self._known  # its key was removed under a living cluster: that is the same cluster still
        if known is None:
            self._saw_rewind = False  # a new cluster has no history, and no agent that remembers one
        value = encode((known or Cluster(cluster_uid=self._random.uid())).to_json())
        self._outbox.submit(CLUSTER_REF, Write(CLUSTER_REF, (absent(self._key),), (Put(self._key, value),)))

    def _put(self, before: Versioned[Cluster], cluster: Cluster) -> None:
        if self._outbox.ledger.blocks(CLUSTER_REF):
            return
        if cluster.recovering:
            log.warning("history was rewound, incarnation is raised incarnation=%d", cluster.incarnation)
        value = encode({**before.raw, **cluster.to_json()})
        compare = unchanged(self._key, before.mod_revision)
        self._outbox.submit(CLUSTER_REF, Write(CLUSTER_REF, (compare,), (Put(self._key, value),)))
