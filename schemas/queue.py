"""Queue: whom resources are for (a Mesos role). `default` exists without being written.

Names may be hierarchical, as `eng/backend`: names joined by slashes. So far the slashes are part of the name only.
"""

from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema, model_validator

from schemas.errors import InvalidName
from schemas.meta import Model, ObjectMeta, check_dns_label, check_dns_subdomain
from schemas.namespace import DEFAULT_QUEUE
from schemas.quantity import Duration, Resources, format_quantity
from schemas.task import Placement

MAX_QUEUE_NAME = 253  # characters, as for other names
EVERY_NAMESPACE = "*"
MAX_WAIT_S = 3600.0

_PART = r"[a-z0-9]([-a-z0-9.]*[a-z0-9])?"
QUEUE_NAME_SCHEMA: dict[str, Any] = {
    "type": "string",
    "maxLength": MAX_QUEUE_NAME,
    "pattern": rf"^(?!.*\.\.){_PART}(/{_PART})*$",
}


def check_queue_name(name: str) -> str:
    """Return `name` if it is a name, or names joined by slashes. Raises InvalidName."""
    if len(name) > MAX_QUEUE_NAME:
        raise InvalidName(f"the name of a queue may have {MAX_QUEUE_NAME} characters, not {len(name)}")
    parts = name.split("/")
    if len(parts) > 1 and not all(parts):
        raise InvalidName(f"name {name!r} must not begin or end with '/', nor have '//'; write eng/backend")
    for part in parts:
        check_dns_subdomain(part)
    return name


def _check_namespace(name: str) -> str:
    return name if name == EVERY_NAMESPACE else check_dns_label(name)


QueueName = Annotated[str, AfterValidator(check_queue_name), WithJsonSchema(QUEUE_NAME_SCHEMA)]


class QueueMeta(ObjectMeta):
    """As of other objects, but the name may have slashes."""

    name: QueueName


def _with_any_name(meta: object) -> object:
    """Take the metadata of other kinds, too, as programs write them: their names are stricter."""
    if isinstance(meta, ObjectMeta) and not isinstance(meta, QueueMeta):
        return QueueMeta.model_construct(**dict(meta))
    return meta


class QueueSpec(Model):
    weight: Annotated[float, Field(gt=0, le=1_000_000)] = 1.0
    guarantee: Resources = Field(default_factory=dict)
    limit: Resources = Field(default_factory=dict)
    ordering: Literal["fcfs", "sjf"] = "fcfs"
    backfill: Literal["none", "easy", "conservative"] = "easy"
    max_wait: Duration = MAX_WAIT_S
    placement: Placement | None = None
    namespaces: tuple[Annotated[str, AfterValidator(_check_namespace)], ...] = (EVERY_NAMESPACE,)

    @model_validator(mode="after")
    def _limits_hold_guarantees(self) -> Self:
        for name, promised in sorted(self.guarantee.items()):
            most = self.limit.get(name)
            if most is not None and most < promised:
                raise ValueError(
                    f"limit {name}={format_quantity(name, most)} is below the guarantee "
                    f"{name}={format_quantity(name, promised)}; raise the limit or lower the guarantee"
                )
        return self

    def admits(self, namespace: str) -> bool:
        """Say whether tasks of a namespace may be in the queue, as far as the queue is asked."""
        return EVERY_NAMESPACE in self.namespaces or namespace in self.namespaces


class Queue(Model):
    api_version: Literal["berth/v1"]
    kind: Literal["Queue"]
    metadata: Annotated[QueueMeta, BeforeValidator(_with_any_name)]
    spec: QueueSpec = Field(default_factory=QueueSpec)


BUILTIN_QUEUE = Queue(api_version="berth/v1", kind="Queue", metadata=QueueMeta(name=DEFAULT_QUEUE))
