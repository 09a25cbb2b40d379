"""The kinds that people write: names, short names, model, whether they live in a namespace."""

from dataclasses import dataclass

from pydantic import BaseModel

from schemas.budget import DisruptionBudget
from schemas.configmap import ConfigMap
from schemas.job import CronJob, Job
from schemas.meta import Model
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
)


@dataclass(frozen=True, slots=True)
class Kind:
    """`aliases` are what people may type for it, as in kubectl."""

    name: str
    plural: str
    namespaced: bool
    model: type[WrittenObject]
    aliases: tuple[str, ...] = ()

    @property
    def singular(self) -> str:
        return self.name.lower()


KINDS: tuple[Kind, ...] = (
    Kind("Namespace", "namespaces", False, Namespace, ("ns",)),
    Kind("Queue", "queues", False, Queue, ("q",)),
    Kind("PriorityClass", "priorityclasses", False, PriorityClass, ("pc",)),
    Kind("Node", "nodes", False, Node, ("no",)),
    Kind("Secret", "secrets", True, Secret),
    Kind("ConfigMap", "configmaps", True, ConfigMap, ("cm",)),
    Kind("DisruptionBudget", "disruptionbudgets", True, DisruptionBudget, ("budget", "budgets", "pdb")),
    Kind("Task", "tasks", True, Task, ("t", "po", "pod", "pods")),
    Kind("Deployment", "deployments", True, Deployment, ("deploy",)),
    Kind("DaemonSet", "daemonsets", True, DaemonSet, ("ds",)),
    Kind("Job", "jobs", True, Job),
    Kind("CronJob", "cronjobs", True, CronJob, ("cj",)),
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
