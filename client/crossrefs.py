"""What documents name besides themselves, and what of that is nowhere to be found. Pure."""

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass

from client.ownership import template_tasks
from client.views import BUILTINS
from schemas.errors import Problem
from schemas.keys import ObjectRef, cluster_ref
from schemas.manifest import Document
from schemas.namespace import Namespace
from schemas.needs import needs_of
from schemas.task import Task


@dataclass(frozen=True, slots=True)
class Reference:
    """A document names `ref` at a field."""

    document: Document
    field: str
    ref: ObjectRef


def references(documents: Iterable[Document]) -> Iterator[Reference]:
    """Yield what documents need to be there: namespaces, queues, priority classes, ConfigMaps and Secrets."""
    for document in documents:
        if document.kind.namespaced:
            yield Reference(document, "metadata.namespace", cluster_ref("namespaces", document.ref.namespace))
        match document.parsed:
            case Namespace() as namespace:
                for queue in namespace.spec.queues:
                    if queue != "*":
                        yield Reference(document, "spec.queues", cluster_ref("queues", queue))
            case parsed:
                for task, path in template_tasks(parsed, document.ref.namespace):
                    yield from _of_task(document, task, path)


def _of_task(document: Document, task: Task, path: str) -> Iterator[Reference]:
    spec, namespace = task.spec, document.ref.namespace
    if spec.queue:
        yield Reference(document, f"{path}.queue", cluster_ref("queues", spec.queue))
    if spec.priority_class_name:
        named = cluster_ref("priorityclasses", spec.priority_class_name)
        yield Reference(document, f"{path}.priorityClassName", named)
    needs = needs_of(spec)
    for plural, found in (("configmaps", needs.config_maps), ("secrets", needs.secrets)):
        for name, need in sorted(found.items()):
            if need.is_required:
                yield Reference(document, path, ObjectRef(plural, namespace, name))


def missing(documents: Collection[Document], *, present: Collection[ObjectRef] = ()) -> tuple[Reference, ...]:
    """Return what is named, and is neither built in, nor among the documents, nor among `present`."""
    known = {*BUILTINS, *present, *(document.ref for document in documents)}
    return tuple(each for each in references(documents) if each.ref not in known)


def warnings(found: Iterable[Reference], where: str) -> tuple[Problem, ...]:
    """Return missing references as sentences. where: in which place they were looked for."""
    return tuple(
        Problem(
            each.document.source,
            str(each.document.ref),
            each.field,
            f"names {each.ref}, which is not {where}",
        )
        for each in found
    )
