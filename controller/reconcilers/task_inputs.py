"""What the planner of tasks looks at: all that is stored about the task of one name. Values only."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from controller.reconcilers.eviction import Evicted
from controller.reconcilers.gang import Verdict
from controller.reconcilers.plan import Reads
from controller.reconcilers.rollup import NodeHealth
from controller.reconcilers.task_config import NO_CONFIG, TaskConfig
from schemas.admission import Admitted, Denied
from schemas.binding import Binding
from schemas.keys import ObjectRef
from schemas.owned import Endpoints, OwnerReference
from schemas.report import TaskReport
from schemas.request import DeleteRequest, EvictRequest
from schemas.status import TaskStatus
from schemas.task import Task, template_hash
from schemas.versioned import Versioned

Site = tuple[str, str]
"""(node name, task uid): where a binding and its report live."""


@dataclass(frozen=True, slots=True)
class TaskInputs:
    """All that is stored about the task of one name, and what it depends on. Nothing here is unreadable.

    is_owned: its spec is composed of its owned key, and has that key's revisions; only its owner removes that key.
    endpoints: the list of ready addresses that names the task, None if none does.
    evict: somebody's wish that it moves. evicted: the decision that a binding of it ends now.
    gang: what those who are held with it are to do, None if nothing is decided yet.
    collected: the decision that it goes, as it has finished long ago, or too many have.

    What follows from that, and is asked a dozen times a plan, is worked out once:
    is_terminating: asked to go, to be collected, or gone already: a plain delete of the spec key counts as a wish.
    own_status: the status, unless it is that of an older object of the same name.
    current: the binding that the placement names.
    """

    ref: ObjectRef
    spec: Versioned[Task] | None
    status: Versioned[TaskStatus] | None
    delete: Versioned[DeleteRequest] | None
    bindings: Mapping[Site, Versioned[Binding]]
    reports: Mapping[Site, Versioned[TaskReport]]
    verdict: Admitted | Denied | None
    nodes: Mapping[str, NodeHealth]
    incarnation: int
    access_hash: str
    config: TaskConfig = NO_CONFIG
    known_template: str = ""
    is_owned: bool = False
    owner: OwnerReference | None = None
    endpoints: Versioned[Endpoints] | None = None
    evict: Versioned[EvictRequest] | None = None
    evicted: Evicted | None = None
    collected: bool = False
    gang: Verdict | None = None
    uid: str = field(init=False)
    is_terminating: bool = field(init=False)
    own_status: TaskStatus | None = field(init=False)
    current: Versioned[Binding] | None = field(init=False)

    def __post_init__(self) -> None:
        set_once = object.__setattr__
        set_once(self, "uid", self._uid())
        set_once(self, "is_terminating", self._is_terminating())
        set_once(self, "own_status", self._own_status())
        set_once(self, "current", self._current())

    @property
    def template_hash(self) -> str:
        """The hash of what a change of would replace the task; known for each revision of the spec."""
        assert self.spec is not None
        return self.known_template or template_hash(self.spec.raw["spec"])

    def _uid(self) -> str:
        if self.spec is not None:
            return self.spec.value.metadata.uid
        if self.status is not None:
            return self.status.value.uid
        return next((uid for _, uid in self.bindings), "")

    def _is_terminating(self) -> bool:
        if self.spec is None or self.collected:
            return True
        return self.delete is not None and self.delete.value.uid == self.spec.value.metadata.uid

    def _own_status(self) -> TaskStatus | None:
        if self.status is None or self.status.value.uid != self.uid:
            return None
        return self.status.value

    def _current(self) -> Versioned[Binding] | None:
        status = self.own_status
        if status is None or self.is_terminating:
            return None
        found = self.bindings.get((status.node, self.uid))
        return found if found is not None and found.value.binding_uid == status.binding_uid else None

    def report_of(self, binding: Binding) -> TaskReport | None:
        found = self.reports.get((binding.node, binding.task_uid))
        return found.value if found and found.value.binding_uid == binding.binding_uid else None

    def has_ended(self, binding: Binding) -> bool:
        """The agent said that nothing of it runs or will run, or an operator said that the node is dead."""
        report = self.report_of(binding)
        return (report is not None and report.final) or self.health(binding.node).fenced

    def health(self, node: str) -> NodeHealth:
        return self.nodes.get(node) or NodeHealth(node)


def reads_of(inputs: TaskInputs) -> Reads:
    """Return the revisions that a decision about this task depends on."""
    revision = inputs.spec.mod_revision if inputs.spec else 0
    return Reads(
        spec=0 if inputs.is_owned else revision,
        status=inputs.status.mod_revision if inputs.status else 0,
        owned=revision if inputs.is_owned else 0,
    )
