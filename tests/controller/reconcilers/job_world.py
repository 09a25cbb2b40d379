"""A little world for the planner of jobs: what is stored, what tasks do, and transactions that may lose a race."""

from dataclasses import dataclass, field, replace
from typing import Any

from controller.reconcilers.job import plan_job
from controller.reconcilers.job_status import JobInputs
from controller.reconcilers.owner_inputs import OwnedTask, OwnerInputs
from controller.reconcilers.plan import (
    CreateOwned,
    Plan,
    PutOwnerStatus,
    PutRevision,
    RemoveObject,
    RemoveOwned,
    RemoveRevision,
)
from schemas.binding import Binding
from schemas.job import Job
from schemas.keys import ObjectRef, task_ref
from schemas.meta import find_condition
from schemas.owned import Owned, OwnedMeta, Revision, compose_task
from schemas.report import ContainerStatus
from schemas.state import ContainerState, TaskState
from schemas.status import TaskStatus
from schemas.task import Task
from schemas.versioned import Versioned
from schemas.workload_status import JobStatus
from tests.controller.builders import make_binding, make_delete, versioned

UID = "uid-job"
REF = ObjectRef("jobs", "default", "j")
_BINDING = make_binding()


def raw_job(*, template: dict[str, Any] | None = None, policy: str = "Never", **spec: Any) -> dict[str, Any]:
    task = {"containers": [{"name": "main", "image": "demo:1"}], "restartPolicy": policy}
    return {
        "apiVersion": "berth/v1",
        "kind": "Job",
        "metadata": {"name": REF.name, "namespace": "default", "uid": UID},
        "spec": {"template": template or {"spec": task}, **spec},
    }


@dataclass
class Made:
    """A task as the world keeps it."""

    owned: Versioned[Owned] | None
    task: Task
    index: int | None
    status: TaskStatus
    binding: Versioned[Binding] | None = None
    is_deleted: bool = False
    has_ended: bool = False


@dataclass
class JobWorld:
    raw: dict[str, Any]
    now: float = 1_000_000.0
    revision: int = 100
    generation: int = 1
    spec: Versioned[Job] | None = None
    status: Versioned[JobStatus] | None = None
    revisions: dict[int, Versioned[Revision]] = field(default_factory=dict)
    tasks: dict[str, Made] = field(default_factory=dict)
    names: list[str] = field(default_factory=list)
    successes: list[tuple[str, int | None]] = field(default_factory=list)
    failures: int = 0
    is_gone: bool = False
    taken: frozenset[str] = frozenset()
    denied: tuple[str, ...] = ()
    delete: Any = None

    def __post_init__(self) -> None:
        self.edit()

    def tick(self) -> int:
        self.revision += 1
        return self.revision

    def edit(self, **spec: Any) -> None:
        """A person changes the spec."""
        self.raw = {**self.raw, "spec": {**self.raw["spec"], **spec}}
        number = self.tick()
        self.spec = Versioned(Job.parse_stored(self.raw), self.raw, number, number, self.generation)
        self.generation += 1

    # What the planner sees and does

    def inputs(self) -> JobInputs:
        return OwnerInputs(
            ref=REF,
            uid=UID,
            spec=self.spec,
            status=self.status,
            delete=self.delete,
            revisions=dict(self.revisions),
            tasks=tuple(self._seen(name, made) for name, made in sorted(self.tasks.items())),
            taken=self.taken,
            denied=self.denied,
        )

    def _seen(self, name: str, made: Made) -> OwnedTask:
        return OwnedTask(
            ref=task_ref("default", name),
            uid=f"uid-{name}",
            owned=made.owned,
            task=made.task,
            status=versioned(made.status),
            binding=made.binding,
            template_hash="",
            ready_at=self.now if made.status.state is TaskState.RUNNING else None,
            is_deleted=made.is_deleted,
            has_ended=made.has_ended,
            node_is_up=True,
        )

    def plan(self) -> Plan:
        return plan_job(self.inputs(), self.now)

    def apply(self, plan: Plan) -> bool:
        """Write a plan as one transaction; False if what it was made from has changed meanwhile."""
        if not self._is_current(plan):
            return False
        for intent in plan.intents:
            self._do(intent)
        return True

    def _is_current(self, plan: Plan) -> bool:
        spec = self.spec.mod_revision if self.spec else 0
        if self.is_gone or (plan.reads.spec, plan.reads.status) != (spec, self._status_revision()):
            return False
        for intent in plan.intents:
            if isinstance(intent, CreateOwned) and intent.ref.name in self.tasks:
                return False
            if isinstance(intent, RemoveOwned):
                made = self.tasks.get(intent.ref.name)
                if made is None or made.owned is not intent.owned:
                    return False
                stopped = intent.stop.binding if intent.stop is not None else None
                if stopped is not made.binding:
                    return False  # where it had none: the leader plans for nobody who is being bound
        return True

    def _status_revision(self) -> int:
        return self.status.mod_revision if self.status else 0

    def _do(self, intent: object) -> None:
        match intent:
            case PutRevision():
                assert intent.number not in self.revisions
                kept = Revision(
                    owner=intent.owner,
                    number=intent.number,
                    hash=intent.hash,
                    template=dict(intent.template),
                )
                self.revisions[intent.number] = versioned(kept, revision=self.tick())
            case CreateOwned():
                self._create(intent)
            case RemoveOwned(ref):
                made = self.tasks[ref.name]
                made.owned = None
                if made.binding is None or made.status.state in (TaskState.SUCCEEDED, TaskState.FAILED):
                    del self.tasks[ref.name]
            case PutOwnerStatus(status):
                assert isinstance(status, JobStatus)
                self.status = versioned(status, revision=self.tick())
            case RemoveRevision(_, number):
                del self.revisions[number]
            case RemoveObject():
                assert not any(made.owned for made in self.tasks.values())
                self.is_gone = True
            case _:
                raise AssertionError(intent)

    def _create(self, intent: CreateOwned) -> None:
        name = intent.ref.name
        assert name not in self.taken
        meta = OwnedMeta(name=name, namespace="default", uid=f"uid-{name}")
        owned = Owned(
            kind="Task", metadata=meta, owner=intent.owner, revision=intent.revision, index=intent.index
        )
        composed = Task.parse_stored(compose_task(owned, self.revisions[intent.revision].value))
        status = TaskStatus(uid=meta.uid)
        self.tasks[name] = Made(versioned(owned, revision=self.tick()), composed, intent.index, status)
        self.names.append(name)

    def settle(self) -> None:
        """Plan and write until nothing is left to do just now."""
        for _ in range(50):
            plan = self.plan()
            if not plan.intents:
                return
            assert self.apply(plan)
        raise AssertionError("the planner does not come to rest")

    def settle_gone(self) -> None:
        """Plan and write until the job is gone."""
        for _ in range(50):
            if self.is_gone:
                return
            assert self.apply(self.plan())
        raise AssertionError("the job does not go")

    # What happens to tasks

    def active(self) -> list[str]:
        over = (TaskState.SUCCEEDED, TaskState.FAILED, TaskState.STOPPED, TaskState.LOST)
        found = self.tasks.items()
        return [
            n for n, made in found if made.owned and not made.is_deleted and made.status.state not in over
        ]

    def running(self) -> int:
        """How many tasks have containers that may run, whatever is wished of them."""
        over = (TaskState.SUCCEEDED, TaskState.FAILED, TaskState.STOPPED, TaskState.LOST)
        return sum(not each.has_ended and each.status.state not in over for each in self.tasks.values())

    def _set(self, name: str, state: TaskState, *containers: ContainerStatus) -> None:
        made = self.tasks[name]
        made.binding = replace(_BINDING, mod_revision=self.tick())
        times = (
            {"finished_at": f"t{self.revision:09}"}
            if state in (TaskState.SUCCEEDED, TaskState.FAILED)
            else {}
        )
        made.status = made.status.model_copy(
            update={"state": state, "node": "n1", "containers": containers, **times}
        )

    def run(self, name: str, *, attempt: int = 0) -> None:
        container = ContainerStatus(name="main", state=ContainerState.RUNNING, attempt=attempt)
        self._set(name, TaskState.RUNNING, container)

    def succeed(self, name: str) -> None:
        self._set(name, TaskState.SUCCEEDED, exited(0))
        self.successes.append((name, self.tasks[name].index))

    def fail(self, name: str, code: int = 1, *, oom: bool = False) -> None:
        self._set(name, TaskState.FAILED, exited(code, oom=oom))
        self.failures += 1

    def lose(self, name: str) -> None:
        """Its node is lost, or it is evicted: the task planner looks for another node."""
        made = self.tasks[name]
        made.status = TaskStatus(uid=made.status.uid)
        made.binding = None

    def stop(self, name: str, state: TaskState = TaskState.STOPPED) -> None:
        made = self.tasks[name]
        made.status = made.status.model_copy(update={"state": state})
        made.has_ended = True

    def end_leaving(self) -> None:
        """What was removed or is being deleted comes to its end."""
        for name, made in list(self.tasks.items()):
            if made.owned is None:
                del self.tasks[name]
            elif made.is_deleted:
                made.has_ended = True

    def ask_to_delete(self) -> None:
        self.delete = make_delete(UID, revision=self.tick())

    # What the status says

    @property
    def said(self) -> JobStatus:
        assert self.status is not None
        return self.status.value

    def condition(self, type_: str) -> str:
        """The reason of a condition that is True, else ""."""
        found = find_condition(self.said.conditions, type_)
        return found.reason if found is not None and found.status == "True" else ""


def exited(code: int, *, oom: bool = False, name: str = "main") -> ContainerStatus:
    return ContainerStatus(name=name, state=ContainerState.EXITED, exit_code=code, oom=oom)
