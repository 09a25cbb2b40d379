"""The kinds that people write: names, short names, model, whether they live in a namespace."""

from dataclasses import dataclass
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING

from pydantic import BaseModel

from schemas.meta import Model

if TYPE_CHECKING:
    from schemas.budget import DisruptionBudget
    from schemas.configmap import ConfigMap
    from schemas.gitsource import GitSource
    from schemas.job import CronJob, Job
    from schemas.namespace import Namespace
    from schemas.node import Node
    from schemas.priority import PriorityClass
    from schemas.queue import Queue
    from schemas.secret import Secret
    from schemas.task import Task
    from schemas.workload import DaemonSet, Deployment

    WrittenObject = (
        Task
        | Deployment
        | DaemonSet
        | Job
        | CronJob
        | ConfigMap
        | DisruptionBudget
        | Node
        | Namespace
        | Queue
        | PriorityClass
        | Secret
        | GitSource
    )
else:
    WrittenObject = Model  # at run time a name for annotations: no model is imported before it is used


@dataclass(frozen=True, slots=True)
class Kind:
    """`module` of schemas has the model. `aliases` are what people may type for it, as in kubectl."""

    name: str
    plural: str
    namespaced: bool
    module: str
    aliases: tuple[str, ...] = ()

    @property
    def singular(self) -> str:
        return self.name.lower()

    @property
    def model(self) -> "type[WrittenObject]":
        """Its model, imported when it is first asked for: most commands need one kind or two."""
        return _model(self.module, self.name)


@cache
def _model(module: str, name: str) -> "type[WrittenObject]":
    found: type[WrittenObject] = getattr(import_module(f"schemas.{module}"), name)
    return found


KINDS: tuple[Kind, ...] = (
    Kind("Namespace", "namespaces", False, "namespace", ("ns",)),
    Kind("Queue", "queues", False, "queue", ("q",)),
    Kind("PriorityClass", "priorityclasses", False, "priority", ("pc",)),
    Kind("Node", "nodes", False, "node", ("no",)),
    Kind("Secret", "secrets", True, "secret"),
    Kind("ConfigMap", "configmaps", True, "configmap", ("cm",)),
    Kind("DisruptionBudget", "disruptionbudgets", True, "budget", ("budget", "budgets", "pdb")),
    Kind("Task", "tasks", True, "task", ("t", "po", "pod", "pods")),
    Kind("Deployment", "deployments", True, "workload", ("deploy",)),
    Kind("DaemonSet", "daemonsets", True, "workload", ("ds",)),
    Kind("Job", "jobs", True, "job"),
    Kind("CronJob", "cronjobs", True, "job", ("cj",)),
    Kind("GitSource", "gitsources", False, "gitsource", ("gs",)),
)
"""In the order in which they are applied: what others name comes first."""

OWNERS = frozenset({"deployments", "daemonsets", "jobs", "cronjobs"})
"""Plurals of the kinds that make and keep tasks or jobs."""

BY_NAME = {kind.name: kind for kind in KINDS}
BY_PLURAL = {kind.plural: kind for kind in KINDS}
BY_ALIAS = {alias: kind for kind in KINDS for alias in (kind.plural, kind.singular, kind.name, *kind.aliases)}


def nested_model(annotation: object) -> type[Model] | None:
    """Return the model inside an annotation such as `tuple[Container, ...]` or `EmptyDir | None`."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation if issubclass(annotation, Model) else None
    for part in getattr(annotation, "__args__", ()):
        found = nested_model(part)
        if found is not None:
            return found
    return None
