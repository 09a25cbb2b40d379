"""Whether this agent may act, from the cluster's key and its own identity. Pure; docs/design/protocol.md."""

from dataclasses import dataclass, replace
from enum import StrEnum

from schemas.cluster import Cluster


@dataclass(frozen=True, slots=True)
class Identity:
    """What an agent must not forget.

    cluster_uid: empty before it first joined. rewound_from: the revision from which the store went back, until
    the incarnation is raised; 0 otherwise. halted: ids of containers that it stopped while cut off. hooks_due: ids of
    those that it started, and whose postStart hook has not ended.
    """

    node_uid: str
    cluster_uid: str = ""
    incarnation: int = 0
    highest_revision: int = 0
    rewound_from: int = 0
    halted: tuple[str, ...] = ()
    hooks_due: tuple[str, ...] = ()


class Standing(StrEnum):
    """Only Active acts on bindings; all of them let run what runs."""

    ACTIVE = "Active"
    UNKNOWN = "Unknown"  # the store was not read yet, or its cluster key is unreadable
    NO_CLUSTER = "NoCluster"  # never joined, and no controller has initialised this store yet
    RECOVERING = "Recovering"  # the leader rebuilds placements
    REWOUND = "Rewound"  # history went back, and the incarnation is not raised yet
    CLUSTER_GONE = "ClusterGone"  # the cluster key vanished: a wiped store
    FOREIGN_CLUSTER = "ForeignCluster"  # another cluster's store

    @property
    def is_home(self) -> bool:
        """This store is our cluster's: heartbeat and reports belong there."""
        return self in (Standing.ACTIVE, Standing.RECOVERING, Standing.REWOUND)


@dataclass(frozen=True, slots=True)
class Verdict:
    """Where the agent stands, and the identity that it has from now on."""

    standing: Standing
    identity: Identity
    message: str = ""


def judge(cluster: Cluster | None, identity: Identity) -> Verdict:
    """Return where the agent stands when `cluster` is what the store says (None: there is no cluster key).

    An agent without cluster joins the one that it finds.
    """
    if cluster is None:
        return _without_cluster(identity)
    if not identity.cluster_uid:
        identity = _entered(identity, cluster)
    if cluster.cluster_uid != identity.cluster_uid:
        return Verdict(Standing.FOREIGN_CLUSTER, identity, _foreign(cluster, identity))
    return _at_home(cluster, identity)


def _without_cluster(identity: Identity) -> Verdict:
    if not identity.cluster_uid:
        return Verdict(Standing.NO_CLUSTER, identity, "no controller has initialised this store yet")
    message = f"the store lost cluster {identity.cluster_uid}; what runs goes on, nothing starts or stops"
    return Verdict(Standing.CLUSTER_GONE, identity, message)


def _foreign(cluster: Cluster, identity: Identity) -> str:
    return (
        f"the store belongs to cluster {cluster.cluster_uid}, this agent to {identity.cluster_uid}; what runs "
        "goes on, nothing starts or stops; to give up its cluster start it with --join-new-cluster"
    )


def _at_home(cluster: Cluster, identity: Identity) -> Verdict:
    if cluster.incarnation > identity.incarnation:
        identity = _entered(identity, cluster)
    elif cluster.incarnation < identity.incarnation and not identity.rewound_from:
        identity = replace(identity, rewound_from=max(1, identity.highest_revision))
    if identity.rewound_from:
        message = (
            f"the store went back from revision {identity.rewound_from}; what runs goes on, nothing starts or "
            "stops until the leader raises the incarnation"
        )
        return Verdict(Standing.REWOUND, identity, message)
    if cluster.recovering:
        return Verdict(Standing.RECOVERING, identity, "the leader rebuilds placements from what runs")
    return Verdict(Standing.ACTIVE, identity)


def _entered(identity: Identity, cluster: Cluster) -> Identity:
    """Live in the cluster's incarnation: what was rewound before does not count any more."""
    return replace(identity, cluster_uid=cluster.cluster_uid, incarnation=cluster.incarnation, rewound_from=0)
