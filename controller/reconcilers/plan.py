"""What a planner may want: intents as data. `controller.writes` alone turns a plan into one transaction.

All intents of a plan happen together or not at all; applying a plan and planning again gives nothing to do.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from controller.reconcilers.task_config import Copies
from controller.scheduler.snapshot import TaskView
from schemas.binding import Binding, StopReason
from schemas.cluster import Cluster
from schemas.configmap import ConfigCopy
from schemas.gang import GangCommit
from schemas.keys import ObjectRef
from schemas.owned import Endpoints, Owned, OwnerReference, Revision
from schemas.secret import SealedCopy
from schemas.status import NodeStatus, ObjectStatus, TaskStatus
from schemas.task import TaskSpec
from schemas.versioned import Versioned
from schemas.workload_status import (
    CronJobStatus,
    DaemonSetStatus,
    DeploymentStatus,
    DisruptionBudgetStatus,
    JobStatus,
)

OwnerStatus = (
    DeploymentStatus | DaemonSetStatus | JobStatus | CronJobStatus | DisruptionBudgetStatus | ObjectStatus
)


@dataclass(frozen=True, slots=True)
class StopBinding:
    """First step of a binding's end. `grace_s` overrides the grace of its spec."""

    binding: Versioned[Binding]
    reason: StopReason
    message: str = ""
    grace_s: float | None = None


@dataclass(frozen=True, slots=True)
class UpdateBinding:
    """Hand live changes of the task to the agent; the binding stays the same one."""

    binding: Versioned[Binding]
    labels: tuple[tuple[str, str], ...]
    generation: int
    spec: TaskSpec


@dataclass(frozen=True, slots=True)
class RunBinding:
    """The gang is whole: what was held starts."""

    binding: Versioned[Binding]


@dataclass(frozen=True, slots=True)
class PutGangCommit:
    """Say that all members of an attempt run; `ref` names the attempt."""

    commit: GangCommit


@dataclass(frozen=True, slots=True)
class RemoveGangCommit:
    commit: Versioned[GangCommit]


@dataclass(frozen=True, slots=True)
class SealBinding:
    """A wish for other copies in a binding; `controller.sealing` makes a PutSealed of it."""

    binding: Versioned[Binding]
    copies: Copies


@dataclass(frozen=True, slots=True)
class PutSealed:
    """Put copies of Secrets and ConfigMaps, by name, into a binding; the task runs on."""

    binding: Versioned[Binding]
    sealed: tuple[tuple[str, SealedCopy], ...]
    config: tuple[tuple[str, ConfigCopy], ...] = ()


@dataclass(frozen=True, slots=True)
class AdoptBinding:
    """Carry a binding over into a new incarnation, after history was rewound."""

    binding: Versioned[Binding]
    incarnation: int


@dataclass(frozen=True, slots=True)
class ReplaceBinding:
    """Put what runs in place of a binding that names something else, after history was rewound."""

    before: Versioned[Binding]
    binding: Binding


@dataclass(frozen=True, slots=True)
class CreateBinding:
    """Put a binding where none is: to answer a container without binding, or to restore a lost key."""

    binding: Binding


@dataclass(frozen=True, slots=True)
class RemoveBinding:
    """Last step of a binding's end."""

    binding: Versioned[Binding]


@dataclass(frozen=True, slots=True)
class GiveUpBinding:
    """Remove a binding whose agent will not report its end: its node was fenced, and still does not answer."""

    binding: Versioned[Binding]


@dataclass(frozen=True, slots=True)
class PutTaskStatus:
    status: TaskStatus


@dataclass(frozen=True, slots=True)
class PutNodeStatus:
    status: NodeStatus


@dataclass(frozen=True, slots=True)
class PutCluster:
    cluster: Cluster


@dataclass(frozen=True, slots=True)
class RemoveObject:
    """Remove spec, status, what was applied, and every request: the end of an object."""


@dataclass(frozen=True, slots=True)
class RemoveRequest:
    """Remove a request that is answered or names an object that is gone; a newer one of that key stays."""

    verb: Literal["delete", "fence", "evict"]
    revision: int


@dataclass(frozen=True, slots=True)
class RemoveNodeReports:
    """Remove what a node that is gone for good once reported."""

    node: str


@dataclass(frozen=True, slots=True)
class CreateOwned:
    """Make a task or job of an owner: `ref` names it. The shell stamps uid and time; a taken name is a conflict."""

    ref: ObjectRef
    owner: OwnerReference
    revision: int
    index: int | None = None
    node_name: str | None = None
    scheduled_at: str = ""
    labels: tuple[tuple[str, str], ...] = ()
    annotations: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class RemoveOwned:
    """Remove the key of something owned, which begins its end: its containers stop, and then the rest goes.

    `stop`: its binding, which becomes Stop in the same transaction. Only its owner's planner removes such a key.
    """

    ref: ObjectRef
    owned: Versioned[Owned]
    stop: StopBinding | None = None


@dataclass(frozen=True, slots=True)
class OrphanOwned:
    """Turn something owned into an object of its own: what it is composed of becomes its spec, with its uid."""

    ref: ObjectRef
    owned: Versioned[Owned]


@dataclass(frozen=True, slots=True)
class PutRevision:
    """Keep a template; `number` is new for this owner."""

    owner: OwnerReference
    number: int
    hash: str
    template: Mapping[str, Any]
    cause: str = ""


@dataclass(frozen=True, slots=True)
class PutCause:
    """Note why the newest revision came about, told after it was kept; `before` is what was read of it."""

    before: Versioned[Revision]
    cause: str


@dataclass(frozen=True, slots=True)
class RemoveRevision:
    owner_uid: str
    number: int


@dataclass(frozen=True, slots=True)
class PutEndpoints:
    """Replace the list of ready addresses of a deployment; `before` is what was read, None for none."""

    ref: ObjectRef  # the deployment's
    before: Versioned[Endpoints] | None
    endpoints: Endpoints


@dataclass(frozen=True, slots=True)
class RemoveEndpoints:
    ref: ObjectRef
    before: Versioned[Endpoints]


@dataclass(frozen=True, slots=True)
class PutOwnerStatus:
    status: OwnerStatus


Intent = (
    StopBinding
    | UpdateBinding
    | RunBinding
    | PutGangCommit
    | RemoveGangCommit
    | SealBinding
    | PutSealed
    | AdoptBinding
    | ReplaceBinding
    | CreateBinding
    | RemoveBinding
    | GiveUpBinding
    | PutTaskStatus
    | PutNodeStatus
    | PutCluster
    | CreateOwned
    | RemoveOwned
    | OrphanOwned
    | PutRevision
    | PutCause
    | RemoveRevision
    | PutEndpoints
    | RemoveEndpoints
    | PutOwnerStatus
    | RemoveObject
    | RemoveRequest
    | RemoveNodeReports
)


@dataclass(frozen=True, slots=True)
class EventNote:
    """Something worth telling people about an object."""

    type: Literal["Normal", "Warning"]
    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class Reads:
    """Which keys a plan was made from, as mod_revisions (0: absent); the transaction compares them."""

    spec: int = 0
    status: int = 0
    owned: int = 0


@dataclass(frozen=True, slots=True)
class Waiting:
    """A task that wants a node; `spec` is effective. `replaces`: its binding on an unreachable node.

    nominated: the node on which room is being made for it, empty for none.
    """

    task: TaskView
    spec: TaskSpec
    reads: Reads
    replaces: Versioned[Binding] | None = None
    nominated: str = ""


@dataclass(frozen=True, slots=True)
class Plan:
    """What to do about `ref`; `requeue_at`: look again at that time even if nothing changes.

    beside: what nobody may write about meanwhile, though the plan itself does not.
    """

    ref: ObjectRef
    uid: str
    reads: Reads
    intents: tuple[Intent, ...] = ()
    events: tuple[EventNote, ...] = ()
    waiting: Waiting | None = None
    requeue_at: float | None = None
    beside: tuple[ObjectRef, ...] = ()
