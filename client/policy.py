"""What admission asks of the cluster, read live, with what the same manifests are about to write on top."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from client.reading import Reading, read_objects
from client.views import ObjectView
from schemas.admission import Denied, Policy, admit
from schemas.defaults import effective_spec
from schemas.keys import Keys
from schemas.kinds import BY_NAME, WrittenObject
from schemas.namespace import BUILTIN_NAMESPACE, Namespace
from schemas.priority import PriorityClass
from schemas.queue import Queue
from schemas.task import Task, TaskSpec

_KINDS = (BY_NAME["Namespace"], BY_NAME["Queue"], BY_NAME["PriorityClass"])


@dataclass(slots=True)
class LivePolicy:
    """The namespaces, queues and priority classes that exist, or will exist after this apply."""

    namespaces: dict[str, Namespace] = field(default_factory=dict)
    queues: dict[str, Queue] = field(default_factory=dict)
    priority_classes: dict[str, PriorityClass] = field(default_factory=dict)
    terminating: set[str] = field(default_factory=set)  # names of namespaces
    unreadable: list[str] = field(default_factory=list)  # sentences

    def add(self, written: WrittenObject) -> None:
        """Count an object as existing; kinds that admission doesn't ask about are passed over."""
        match written:
            case Namespace():
                self.namespaces[written.metadata.name] = written
                self.terminating.discard(written.metadata.name)
            case Queue():
                self.queues[written.metadata.name] = written
            case PriorityClass():
                self.priority_classes[written.metadata.name] = written
            case _:
                pass

    def effective_spec(self, task: Task) -> TaskSpec:
        """Return the spec with its defaults; those of the built-in namespace where its own is gone."""
        namespace = self.namespaces.get(task.metadata.namespace or "", BUILTIN_NAMESPACE)
        return effective_spec(task.spec, namespace.spec, self.priority_classes)

    def reasons_against(self, task: Task) -> tuple[str, ...]:
        """Return why `task` may not run, as sentences; empty when it may."""
        namespace = task.metadata.namespace or ""
        if namespace in self.terminating:
            return (
                f"namespace {namespace!r} is being deleted; "
                f"wait until it is gone, then apply with --create-namespace",
            )
        verdict = admit(task, Policy(self.namespaces, self.queues, self.priority_classes))
        return (*verdict.reasons, *self.unreadable) if isinstance(verdict, Denied) else ()


def read_policy(reading: Reading, keys: Keys) -> LivePolicy:
    """Return what exists now, built-in objects included."""
    policy = LivePolicy()
    for kind in _KINDS:
        _add_views(policy, read_objects(reading, kind, keys, None))
    return policy


def _add_views(policy: LivePolicy, views: Iterable[ObjectView]) -> None:
    for view in views:
        if view.is_unreadable:
            policy.unreadable.append(f"{view.ref} can't be read and counts for nothing: {view.error}")
            continue
        policy.add(view.kind.model.parse_stored(view.raw))
        if view.is_terminating and view.kind.name == "Namespace":
            policy.terminating.add(view.name)
