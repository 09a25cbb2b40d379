"""A little world for planners of owners: it applies plans as one transaction each, and its tasks start and end.

It checks what etcd and the shell would: names that are taken, keys that are not there, what a transaction holds.
"""

from dataclasses import dataclass, field, replace
from typing import Any

from controller.reconcilers.owner_inputs import MAX_OWNED_A_PLAN, OwnedTask, OwnerInputs
from controller.reconcilers.plan import (
    CreateOwned,
    OrphanOwned,
    Plan,
    PutCause,
    PutEndpoints,
    PutOwnerStatus,
    PutRevision,
    RemoveEndpoints,
    RemoveObject,
    RemoveOwned,
    RemoveRevision,
)
from controller.scheduler.node_view import NodeView
from schemas.binding import Binding, Desired, GrantedPort, Grants
from schemas.keys import ObjectRef, task_ref
from schemas.meta import Model
from schemas.owned import Endpoints, Owned, OwnedMeta, OwnerReference, Revision
from schemas.request import DeleteRequest
from schemas.state import TaskState
from schemas.status import TaskStatus
from schemas.task import TaskSpec
from schemas.versioned import Versioned

UID = "uid-web"
_SPEC = TaskSpec.parse_stored({"containers": [{"name": "main", "image": "demo:1"}]})


@dataclass(slots=True)
class Replica:
    """A task of the world; `owned` None: its key is gone. `is_running`: bound, and its containers live."""

    name: str
    revision: int
    hash: str
    created: int
    node_name: str | None = None
    owned: bool = True
    is_running: bool = False
    ready_at: float | None = None
    is_deleted: bool = False
    is_lost: bool = False
    is_told_to_stop: bool = False


@dataclass
class World:
    """All that one owner's planner sees, and the tasks that its plans make. `now`: seconds."""

    kind: type[Any]
    plural: str
    spec: dict[str, Any]
    now: float = 1_000_000.0
    generation: int = 1
    revision: int = 10
    is_there: bool = True
    delete: DeleteRequest | None = None
    status: Any = None
    tasks: dict[str, Replica] = field(default_factory=dict)
    revisions: dict[int, Revision] = field(default_factory=dict)
    endpoints: Endpoints | None = None
    orphans: list[str] = field(default_factory=list)
    nodes: dict[str, NodeView] = field(default_factory=dict)
    taken: set[str] = field(default_factory=set)
    denied: tuple[str, ...] = ()
    annotations: dict[str, str] = field(default_factory=dict)
    leading_since: float = 0.0

    @property
    def ref(self) -> ObjectRef:
        return ObjectRef(self.plural, "default", "web")

    def edit(self, **changes: Any) -> None:
        self.spec = {**self.spec, **changes}
        self.generation += 1

    def set_image(self, image: str) -> None:
        self.edit(template=template_of(image))

    def ask_delete(self, **options: Any) -> None:
        self.delete = DeleteRequest(uid=UID, **options)

    def inputs(self) -> OwnerInputs[Any, Any]:
        return OwnerInputs(
            ref=self.ref,
            uid=UID,
            spec=self._spec() if self.is_there else None,
            status=self._versioned(self.status) if self.status is not None else None,
            delete=self._versioned(self.delete) if self.delete is not None else None,
            revisions={number: self._versioned(each) for number, each in self.revisions.items()},
            tasks=tuple(self._task(each) for each in self.tasks.values()),
            endpoints=self._versioned(self.endpoints) if self.endpoints is not None else None,
            taken=frozenset(self.taken),
            nodes=tuple(self.nodes.values()),
            denied=self.denied,
            leading_since=self.leading_since,
        )

    def _spec(self) -> Versioned[Any]:
        raw = {
            "apiVersion": "berth/v1",
            "kind": self.kind.__name__,
            "metadata": {"name": "web", "namespace": "default", "uid": UID, "annotations": self.annotations},
            "spec": self.spec,
        }
        return Versioned(self.kind.parse_written(raw), raw, 1, self.generation, self.generation)

    def _versioned(self, value: Any, created: int = 1) -> Versioned[Any]:
        assert isinstance(value, Model)
        return Versioned(value, {}, created, self.revision, 1)

    def _task(self, task: Replica) -> OwnedTask:
        node = task.node_name or f"n{task.created % 3}"
        ref, uid = task_ref("default", task.name), f"uid-{task.name}"
        return OwnedTask(
            ref=ref,
            uid=uid,
            owned=self._owned(task) if task.owned else None,
            task=None,
            status=self._versioned(_status(task, node, uid)),
            binding=self._versioned(_binding(task, node, uid)) if task.is_running else None,
            template_hash=task.hash,
            ready_at=task.ready_at if node not in self.nodes or self.nodes[node].ready else None,
            is_deleted=task.is_deleted,
            has_ended=not task.is_running,
            node_is_up=node not in self.nodes or self.nodes[node].ready,
        )

    def _owned(self, task: Replica) -> Versioned[Owned]:
        owned = Owned(
            kind="Task",
            metadata=OwnedMeta(name=task.name, namespace="default", uid=f"uid-{task.name}"),
            owner=OwnerReference(kind=self.kind.__name__, name="web", uid=UID),
            revision=task.revision,
            node_name=task.node_name,
        )
        return self._versioned(owned, task.created)

    def apply(self, plan: Plan) -> None:
        moved = [i for i in plan.intents if isinstance(i, CreateOwned | RemoveOwned | OrphanOwned)]
        assert len(moved) <= MAX_OWNED_A_PLAN
        for intent in sorted(plan.intents, key=lambda each: isinstance(each, CreateOwned)):
            self._apply(intent)

    def _apply(self, intent: Any) -> None:
        self.revision += 1
        match intent:
            case CreateOwned(ref, _, revision):
                assert ref.name not in self.tasks, f"{ref} is there"
                assert ref.name not in self.taken, f"{ref} is somebody else's"
                kept = self.revisions[revision]
                self.tasks[ref.name] = Replica(ref.name, revision, kept.hash, self.revision, intent.node_name)
            case RemoveOwned(ref, _, stop):
                task = self.tasks[ref.name]
                assert task.owned
                assert (stop is not None) == (task.is_running and not task.is_told_to_stop)
                task.owned, task.ready_at, task.is_told_to_stop = False, None, True
                self._forget_ended()
            case OrphanOwned(ref):
                self.orphans.append(ref.name)
                del self.tasks[ref.name]
            case PutRevision(owner, number, hash_, template, cause):
                assert number > max(self.revisions, default=0)
                kept = Revision(owner=owner, number=number, hash=hash_, template=dict(template), cause=cause)
                self.revisions[number] = kept
            case PutCause(before, cause):
                kept = self.revisions[before.value.number]
                assert cause != kept.cause
                self.revisions[kept.number] = kept.model_copy(update={"cause": cause})
            case RemoveRevision(_, number):
                assert all(each.revision != number for each in self.tasks.values() if each.owned)
                del self.revisions[number]
            case PutEndpoints():
                self.endpoints = intent.endpoints
            case RemoveEndpoints():
                self.endpoints = None
            case PutOwnerStatus(status):
                self.status = status
            case RemoveObject():
                self.is_there, self.delete, self.status = False, None, None
            case _:
                raise AssertionError(f"not expected: {intent}")

    def _forget_ended(self) -> None:
        for name in [n for n, t in self.tasks.items() if not t.owned and not t.is_running]:
            del self.tasks[name]

    def start(self, name: str) -> None:
        """It runs, though it is not ready."""
        self.tasks[name].is_running = True

    def make_ready(self, name: str) -> None:
        task = self.tasks[name]
        if task.owned and not task.is_deleted and not task.is_lost:
            task.is_running, task.ready_at = True, self.now

    def end(self, name: str) -> None:
        """The containers of a task that is to stop are gone."""
        task = self.tasks[name]
        if not task.owned or task.is_deleted:
            task.is_running, task.ready_at = False, None
            self._forget_ended()

    def settle(self, plan_with: Any, *, is_broken: Any = lambda task: False) -> None:
        """Plan, start, and end until nothing changes. Tasks for which `is_broken` holds never get ready."""
        for _ in range(80):
            plan = plan_with(self.inputs(), self.now)
            self.apply(plan)
            moved = self._let_time_pass(is_broken)
            if not plan.intents and not moved:
                if plan.requeue_at is None or any(task.ready_at is None for task in self.live):
                    return
                self.now = plan.requeue_at
        raise AssertionError("it does not settle")

    def _let_time_pass(self, is_broken: Any) -> bool:
        """Every task does its next thing; return whether there was any."""
        before = [(t.name, t.is_running, t.ready_at) for t in self.tasks.values()]
        for name, task in list(self.tasks.items()):
            if not task.owned or task.is_deleted:
                self.end(name)
            elif is_broken(task):
                self.start(name)
            elif task.ready_at is None:
                self.make_ready(name)
        self.now += 1
        return before != [(t.name, t.is_running, t.ready_at) for t in self.tasks.values()]

    @property
    def live(self) -> list[Replica]:
        return [
            each for each in self.tasks.values() if each.owned and not each.is_deleted and not each.is_lost
        ]

    def available(self, min_ready_s: float = 0) -> int:
        return sum(t.ready_at is not None and t.ready_at + min_ready_s <= self.now for t in self.live)


def _status(task: Replica, node: str, uid: str) -> TaskStatus:
    state = TaskState.LOST if task.is_lost else TaskState.RUNNING if task.is_running else TaskState.PENDING
    return TaskStatus(uid=uid, node=node if task.is_running else "", state=state, host_ip="10.0.0.1")


def _binding(task: Replica, node: str, uid: str) -> Binding:
    port = GrantedPort(container="main", container_port=80, host_port=31000 + task.created)
    return Binding(
        task_uid=uid,
        namespace="default",
        name=task.name,
        node=node,
        epoch=1,
        binding_uid=f"b-{task.name}",
        incarnation=1,
        desired=Desired.STOP if task.is_told_to_stop else Desired.RUN,
        generation=1,
        template_hash="",
        grants=Grants(ports=(port,)),
        spec=_SPEC,
    )


def template_of(image: str, **spec: Any) -> dict[str, Any]:
    container = {"name": "main", "image": image, "ports": [{"containerPort": 80}]}
    return {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [container], **spec}}


def node_view(name: str, **more: Any) -> NodeView:
    values: dict[str, Any] = {
        "name": name,
        "ready": True,
        "cordoned": False,
        "labels": {},
        "taints": (),
        "allocatable": {},
        "free": {},
        "ports_used": frozenset(),
        "port_range": (31000, 32767),
        "devices_free": {},
    }
    return NodeView(**{**values, **more})


def changed(view: NodeView, **more: Any) -> NodeView:
    return replace(view, **more)
