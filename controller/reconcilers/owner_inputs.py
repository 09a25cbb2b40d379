"""What the planners of owners look at: the owner, what it made, and what is in its way. Values only.

One shape for Deployment, DaemonSet, Job and CronJob, so that the shell builds it in one place.
"""

from collections.abc import Container, Mapping
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from controller.reconcilers.plan import Reads
from controller.scheduler.node_view import NodeView
from schemas.binding import Binding, Desired
from schemas.job import Job
from schemas.keys import ObjectRef
from schemas.owned import Endpoints, Owned, Revision
from schemas.request import DeleteRequest
from schemas.state import FINISHED, TaskState
from schemas.status import TaskStatus
from schemas.task import Task
from schemas.versioned import Versioned
from schemas.workload_status import JobStatus

MAX_OWNED_A_PLAN = 40
"""Things made and removed in one plan, which is one transaction: etcd takes 128 compares and 128 operations."""

O_co = TypeVar("O_co", covariant=True)
S_co = TypeVar("S_co", covariant=True)


@dataclass(frozen=True, slots=True)
class OwnedTask:
    """One task of an owner. `owned` is None once its key was removed and only its end is still under way.

    ready_at: seconds since 1970 at which it became ready, None while it is not. binding: the one that its
    placement names. has_ended: nothing of it runs or will run (its agent's final report, or a fenced node).
    is_deleted: a person asked to delete it. node_is_up: its node's heartbeat is there.

    What follows from these is worked out once, for the plans of an owner of thousands look at each of them:
    revision: the number of its kept template, 0 once its key is gone. is_leaving: it is being removed, by its owner
    or because a person asked. is_serving: it is ready, and nobody
    asked it to stop.
    """

    ref: ObjectRef
    uid: str
    owned: Versioned[Owned] | None
    task: Task | None
    status: Versioned[TaskStatus] | None
    binding: Versioned[Binding] | None
    template_hash: str
    ready_at: float | None
    is_deleted: bool
    has_ended: bool
    node_is_up: bool
    state: TaskState = field(init=False)
    revision: int = field(init=False)
    is_leaving: bool = field(init=False)
    is_finished: bool = field(init=False)
    is_serving: bool = field(init=False)

    def __post_init__(self) -> None:
        state = self.status.value.state if self.status else TaskState.PENDING
        is_leaving = self.owned is None or self.is_deleted
        is_to_run = self.binding is not None and self.binding.value.desired is Desired.RUN
        is_up = self.ready_at is not None and self.node_is_up
        object.__setattr__(self, "state", state)
        object.__setattr__(self, "revision", self.owned.value.revision if self.owned is not None else 0)
        object.__setattr__(self, "is_leaving", is_leaving)
        object.__setattr__(self, "is_finished", state in FINISHED)
        object.__setattr__(self, "is_serving", is_up and is_to_run and not is_leaving)


@dataclass(frozen=True, slots=True)
class OwnedJob:
    """One job of a CronJob."""

    ref: ObjectRef
    uid: str
    owned: Versioned[Owned] | None
    job: Job | None
    status: Versioned[JobStatus] | None
    is_deleted: bool


@dataclass(frozen=True, slots=True)
class OwnerInputs(Generic[O_co, S_co]):
    """All that is stored about one owner, and what it made. No value here is unreadable.

    spec: None once the owner's key is gone (a plain etcdctl del counts as a background delete).
    revisions: number -> kept template of this owner. tasks, jobs: in order of name. taken: names of tasks (for a
    CronJob: of jobs) of the namespace that nothing new may have; those of its own may be among them.
    nodes: for DaemonSets. denied: why admission refuses tasks of the present template, empty if it does not.
    unreadable: what this owner made or kept and can't be read, in words; then nothing is created, and nothing removed
    unless the owner goes. stuck: those of them that its end has to wait for, too; they are not among `tasks` and
    `jobs`. unread_revisions: numbers of kept templates that can't be read.
    owned: of a CronJob's job, which is itself owned; `spec` is composed of it then, and has its revisions.
    leading_since: seconds since 1970 from which on this leader looks at it: what was due before could not be done.
    """

    ref: ObjectRef
    uid: str
    spec: Versioned[O_co] | None
    status: Versioned[S_co] | None
    delete: Versioned[DeleteRequest] | None
    revisions: Mapping[int, Versioned[Revision]]
    tasks: tuple[OwnedTask, ...] = ()
    jobs: tuple[OwnedJob, ...] = ()
    endpoints: Versioned[Endpoints] | None = None
    taken: Container[str] = frozenset()
    nodes: tuple[NodeView, ...] = ()
    denied: tuple[str, ...] = ()
    unreadable: tuple[str, ...] = ()
    stuck: tuple[str, ...] = ()
    unread_revisions: tuple[int, ...] = ()
    owned: Versioned[Owned] | None = None
    leading_since: float = 0.0

    @property
    def reads(self) -> Reads:
        """The revisions that a plan depends on: of the spec's key, or of the owned one where it is composed."""
        spec = 0 if self.owned is not None or self.spec is None else self.spec.mod_revision
        status = self.status.mod_revision if self.status is not None else 0
        return Reads(spec, status, self.owned.mod_revision if self.owned is not None else 0)

    @property
    def is_terminating(self) -> bool:
        """Asked to go, or gone already."""
        if self.spec is None:
            return True
        return self.delete is not None and self.delete.value.uid == self.uid

    @property
    def own_status(self) -> S_co | None:
        """The status, unless it is that of an older object of the same name."""
        status = self.status
        return status.value if status is not None and getattr(status.value, "uid", "") == self.uid else None
