"""Namespace: who may do what. Denies privileged containers and host paths until an admin allows them."""

from typing import Annotated, Literal

from pydantic import Field

from schemas.meta import DEFAULT_NAMESPACE, Model, ObjectMeta
from schemas.quantity import Resources
from schemas.task import Priority

DEFAULT_QUEUE = "default"


class TaskDefaults(Model):
    """Used where a container says nothing (Nomad's habit), so that no task counts as free of charge."""

    requests: Resources = Field(default_factory=lambda: {"cpu": 100, "memory": 64 * 2**20})
    limits: Resources = Field(default_factory=dict)


class NamespaceSpec(Model):
    """`queues` may hold "*"; `hostPaths` are folders below which tasks may mount."""

    queues: tuple[str, ...] = (DEFAULT_QUEUE,)
    default_queue: str = DEFAULT_QUEUE
    max_priority: Priority = 0
    host_paths: tuple[Annotated[str, Field(pattern=r"^/")], ...] = ()
    privileged: bool = False
    task_defaults: TaskDefaults = Field(default_factory=TaskDefaults)


class Namespace(Model):
    api_version: Literal["berth/v1"]
    kind: Literal["Namespace"]
    metadata: ObjectMeta
    spec: NamespaceSpec = Field(default_factory=NamespaceSpec)


BUILTIN_NAMESPACE = Namespace(
    api_version="berth/v1",
    kind="Namespace",
    metadata=ObjectMeta(name=DEFAULT_NAMESPACE),
    spec=NamespaceSpec(max_priority=1_000_000_000),
)
"""`default` exists without being written; writing one of that name replaces it."""
