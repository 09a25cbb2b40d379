"""Queue: whom resources are for (a Mesos role). `default` exists without being written."""

from typing import Annotated, Literal

from pydantic import Field

from schemas.meta import Model, ObjectMeta
from schemas.namespace import DEFAULT_QUEUE
from schemas.quantity import Resources


class QueueSpec(Model):
    weight: Annotated[float, Field(gt=0, le=1_000_000)] = 1.0
    guarantee: Resources = Field(default_factory=dict)
    limit: Resources = Field(default_factory=dict)


class Queue(Model):
    api_version: Literal["berth/v1"]
    kind: Literal["Queue"]
    metadata: ObjectMeta
    spec: QueueSpec = Field(default_factory=QueueSpec)


BUILTIN_QUEUE = Queue(api_version="berth/v1", kind="Queue", metadata=ObjectMeta(name=DEFAULT_QUEUE))
