"""What can be said of manifests without a cluster: errors that no cluster takes, warnings of what may not be there.

Pure.

Rules of a namespace or queue that is not among the documents can't be checked here; the rest of admission can.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from client.crossrefs import missing, warnings
from client.ownership import below, template_tasks
from schemas.admission import Denied, Policy, admit
from schemas.errors import Problem
from schemas.manifest import Document
from schemas.meta import ObjectMeta
from schemas.namespace import Namespace, NamespaceSpec
from schemas.priority import PriorityClass
from schemas.queue import Queue
from schemas.task import Task
from schemas.tree import clear_secrets

MAX_PRIORITY = 1_000_000_000  # the most that a task can ask for


@dataclass(frozen=True, slots=True)
class Verdict:
    """`errors` keep the manifests from being applied anywhere; `warnings` may be right in some cluster.

    `in_clear`: Secrets that are right on a laptop, and refused in a repository.
    """

    errors: tuple[Problem, ...]
    warnings: tuple[Problem, ...]
    in_clear: tuple[Problem, ...] = ()


def validate(documents: Sequence[Document]) -> Verdict:
    """Judge documents that are well-formed each by itself."""
    errors = tuple(_denials(documents))
    told = warnings(missing(documents), "among these files")
    return Verdict(errors, told, tuple(clear_secrets(documents)))


def _denials(documents: Sequence[Document]) -> Iterator[Problem]:
    known = _known(documents)
    for document in documents:
        for task, path in template_tasks(document.parsed, document.ref.namespace):
            verdict = admit(task, _assuming(known, task))
            for reason in verdict.reasons if isinstance(verdict, Denied) else ():
                yield Problem(document.source, str(document.ref), "", below(reason, path))


def _known(documents: Sequence[Document]) -> Policy:
    """Return what the documents make."""
    namespaces: dict[str, Namespace] = {}
    queues: dict[str, Queue] = {}
    classes: dict[str, PriorityClass] = {}
    for document in documents:
        match document.parsed:
            case Namespace() as namespace:
                namespaces[namespace.metadata.name] = namespace
            case Queue() as queue:
                queues[queue.metadata.name] = queue
            case PriorityClass() as priority:
                classes[priority.metadata.name] = priority
            case _:
                pass
    return Policy(namespaces, queues, classes)


def _assuming(known: Policy, task: Task) -> Policy:
    """Return the policy with what the task names and nobody knows assumed to be there, and to allow it."""
    namespace, name = task.metadata.namespace or "", task.spec.priority_class_name
    home = known.namespaces.get(namespace) or _permissive(namespace)
    queue = task.spec.queue or home.spec.default_queue
    queues = dict(known.queues)
    if queue and queue not in queues:
        queues[queue] = Queue.parse_stored(_raw("Queue", queue))
    classes = dict(known.priority_classes)
    if name and name not in classes:
        classes[name] = PriorityClass.parse_stored(_raw("PriorityClass", name, value=0))
    return Policy({**known.namespaces, namespace: home}, queues, classes)


def _permissive(name: str) -> Namespace:
    spec = NamespaceSpec(queues=("*",), max_priority=MAX_PRIORITY, host_paths=("/",), privileged=True)
    return Namespace(api_version="berth/v1", kind="Namespace", metadata=ObjectMeta(name=name), spec=spec)


def _raw(kind: str, name: str, **spec: object) -> dict[str, object]:
    return {"apiVersion": "berth/v1", "kind": kind, "metadata": {"name": name}, "spec": spec}
