"""What owners made, as the objects that people see: parsed once a kept template, and shared by all that name it.

`schemas.owned` says what the JSON of such an object is; here the same comes out as models, at a small cost each.
"""

from collections.abc import ItemsView, Iterator, Mapping
from typing import Any, TypeVar

from pydantic import ValidationError

from schemas.job import Job, JobSpec
from schemas.meta import API_VERSION, ObjectMeta
from schemas.owned import (
    INDEX_VARIABLE,
    UNSCHEDULABLE,
    Owned,
    Revision,
    compose_job,
    compose_task,
    composed_metadata,
)
from schemas.task import EnvVar, Task, TaskSpec, Toleration, template_hash
from schemas.versioned import Versioned
from schemas.workload import TemplateMeta
from store.codec import Unreadable

T = TypeVar("T")

TOLERATES_CORDON = Toleration(key=UNSCHEDULABLE, operator="Exists")


class ComposedJson(Mapping[str, Any]):
    """The JSON of something composed, made when it is asked for, which is seldom."""

    __slots__ = ("_owned", "_revision")

    def __init__(self, owned: Owned, revision: Revision) -> None:
        self._owned = owned
        self._revision = revision

    def parse(self) -> dict[str, Any]:
        """Return a dict of the caller's own; what is deeper is shared with the kept template."""
        compose = compose_job if self._owned.kind == "Job" else compose_task
        return compose(self._owned, self._revision)

    def __getitem__(self, key: str) -> Any:
        return self.parse()[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self.parse())

    def __len__(self) -> int:
        return len(self.parse())

    def items(self) -> ItemsView[str, Any]:
        return self.parse().items()


class Kept:
    """A kept template, parsed when it is first needed. `slot` is what is stored."""

    def __init__(self, slot: Versioned[Revision] | Unreadable) -> None:
        self.slot = slot
        self._specs: dict[str, TaskSpec | JobSpec | str] = {}  # kind -> parsed, or why it can't be
        self._hash = ""

    @property
    def hash(self) -> str:
        """The hash of the template, by which two are told apart; empty while it can't be read."""
        return self.slot.value.hash if isinstance(self.slot, Versioned) else ""

    def task(self, owned: Versioned[Owned], key: str) -> Versioned[Task] | Unreadable:
        """Return the task that `owned`, stored at `key`, stands for."""
        spec = self._spec("Task")
        if not isinstance(spec, TaskSpec) or not isinstance(self.slot, Versioned):
            return _cant_compose(owned, key, spec)
        task = Task.model_construct(
            api_version=API_VERSION,
            kind="Task",
            metadata=_metadata(owned.value, self.slot.value),
            spec=_with_own(spec, owned.value),
        )
        return _versioned(task, owned, self.slot.value)

    def job(self, owned: Versioned[Owned], key: str) -> Versioned[Job] | Unreadable:
        """Return the job that `owned`, stored at `key`, stands for."""
        spec = self._spec("Job")
        if not isinstance(spec, JobSpec) or not isinstance(self.slot, Versioned):
            return _cant_compose(owned, key, spec)
        metadata = _metadata(owned.value, self.slot.value)
        job = Job.model_construct(api_version=API_VERSION, kind="Job", metadata=metadata, spec=spec)
        return _versioned(job, owned, self.slot.value)

    def task_template_hash(self, owned: Versioned[Owned]) -> str:
        """Return the hash of what a change of would replace the task; the same for all without fields of their own."""
        assert isinstance(self.slot, Versioned)
        if owned.value.node_name is not None or owned.value.index is not None:
            return template_hash(compose_task(owned.value, self.slot.value)["spec"])
        self._hash = self._hash or template_hash(compose_task(owned.value, self.slot.value)["spec"])
        return self._hash

    def _spec(self, kind: str) -> TaskSpec | JobSpec | str:
        if kind not in self._specs:
            self._specs[kind] = self._parse(kind)
        return self._specs[kind]

    def _parse(self, kind: str) -> TaskSpec | JobSpec | str:
        if isinstance(self.slot, Unreadable):
            return f"its kept template can't be read: {self.slot.error}"
        template = self.slot.value.template
        model: type[TaskSpec] | type[JobSpec] = JobSpec if kind == "Job" else TaskSpec
        try:
            TemplateMeta.parse_stored(template.get("metadata") or {})
            return model.parse_stored(template.get("spec"))
        except ValidationError as error:
            return f"its kept template can't be read: {error.errors(include_url=False)[0]['msg']}"


def missing(owned: Versioned[Owned], key: str) -> Unreadable:
    """Return what stands for something whose kept template is not there: it is not absent, but frozen."""
    number = owned.value.revision
    return Unreadable(
        key, owned.value.metadata.uid, f"its kept template, revision {number}, is missing", owned.mod_revision
    )


def _cant_compose(owned: Versioned[Owned], key: str, why: object) -> Unreadable:
    return Unreadable(key, owned.value.metadata.uid, str(why), owned.mod_revision)


def _metadata(owned: Owned, revision: Revision) -> ObjectMeta:
    found = composed_metadata(owned, revision.template.get("metadata"))
    return ObjectMeta.model_construct(
        name=found["name"],
        namespace=found["namespace"],
        labels=found["labels"],
        annotations=found["annotations"],
        uid=found["uid"],
        creation_timestamp=found["creationTimestamp"],
    )


def _with_own(spec: TaskSpec, owned: Owned) -> TaskSpec:
    update: dict[str, object] = {}
    if owned.owner.kind == "DaemonSet":
        update["tolerations"] = (*spec.tolerations, TOLERATES_CORDON)
    if owned.node_name is not None:
        update["node_name"] = owned.node_name
    if owned.index is not None:
        variable = EnvVar(name=INDEX_VARIABLE, value=str(owned.index))
        update["containers"] = tuple(
            each.model_copy(update={"env": (*each.env, variable)}) for each in spec.containers
        )
    return spec.model_copy(update=update) if update else spec


def _versioned(value: T, owned: Versioned[Owned], revision: Revision) -> Versioned[T]:
    raw = ComposedJson(owned.value, revision)
    return Versioned(value, raw, owned.create_revision, owned.mod_revision, owned.generation)
