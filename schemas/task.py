"""Task: the smallest thing that is scheduled, one or more containers that run together on one node.

A field that is None here is filled by `schemas.defaults` because its default depends on other fields.
"""

from typing import Annotated, Any, Literal, Self

from pydantic import ConfigDict, Field, WithJsonSchema, field_validator, model_validator

from schemas.affinity import MAX_TERMS, Affinity, Distinct, Gang, Most, TopologySpread
from schemas.canonical import canonical_hash
from schemas.configmap import KeyRef, KeyToPath, SourceRef
from schemas.meta import DnsLabel, DnsSubdomain, Labels, Model, ObjectMeta
from schemas.probe import Lifecycle, Probe
from schemas.quantity import Bytes, Duration, DurationOrNever, Resources
from schemas.secret import MAX_PULL_SECRETS, SecretRef

Port = Annotated[int, Field(ge=1, le=65535)]
RestartPolicy = Literal["Always", "OnFailure", "Never"]
PullPolicy = Literal["Always", "IfNotPresent", "Never"]
Placement = Literal["binpack", "spread", "balanced", "optimal"]
PreemptionPolicy = Literal["PreemptLowerPriority", "Never"]
Priority = Annotated[int, Field(ge=-1_000_000_000, le=1_000_000_000)]  # Kubernetes' range for users

LIVE_FIELDS = frozenset(
    {
        "priority",
        "priorityClassName",
        "preemptionPolicy",
        "queue",
        "tolerations",
        "grace",
        "drainDelay",
        "estimatedDuration",
        "placement",
        "rebalance",
    }
)
"""Fields of a task's spec that change in place; any other change replaces the task."""


class EnvSource(Model):
    """Where the value of a variable comes from."""

    model_config = ConfigDict(
        json_schema_extra={"oneOf": [{"required": [name]} for name in ("configMapKeyRef", "secretKeyRef")]}
    )

    config_map_key_ref: KeyRef | None = None
    secret_key_ref: KeyRef | None = None

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if (self.config_map_key_ref is None) == (self.secret_key_ref is None):
            raise ValueError("valueFrom needs exactly one of configMapKeyRef and secretKeyRef")
        return self


class EnvVar(Model):
    name: Annotated[str, Field(min_length=1, pattern=r"^[^=\x00]+$")]
    value: Annotated[str, Field(pattern=r"^[^\x00]*$")] = ""
    value_from: EnvSource | None = None

    @model_validator(mode="after")
    def _one_value(self) -> Self:
        if self.value and self.value_from is not None:
            raise ValueError("write either value or valueFrom")
        return self


class EnvFrom(Model):
    """All keys of a ConfigMap or a Secret as variables; keys that can't be names of variables are left out."""

    model_config = ConfigDict(
        json_schema_extra={"oneOf": [{"required": [name]} for name in ("configMapRef", "secretRef")]}
    )

    prefix: Annotated[str, Field(pattern=r"^[^=\x00]*$")] = ""
    config_map_ref: SourceRef | None = None
    secret_ref: SourceRef | None = None

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if (self.config_map_ref is None) == (self.secret_ref is None):
            raise ValueError("envFrom needs exactly one of configMapRef and secretRef")
        return self


class ContainerPort(Model):
    """A port of the container that is published on the node, at `hostPort` or at one that is allotted."""

    container_port: Port
    host_port: Port | None = None
    name: DnsLabel | None = None
    protocol: Literal["TCP", "UDP"] = "TCP"


class ResourceRequirements(Model):
    """requests are what the scheduler counts; limits are what the node enforces."""

    requests: Resources = Field(default_factory=dict)
    limits: Resources = Field(default_factory=dict)


class VolumeMount(Model):
    name: DnsLabel
    mount_path: Annotated[str, Field(pattern=r"^/")]
    read_only: bool = False


class EmptyDir(Model):
    """A folder that lives as long as the task is on its node."""

    medium: Literal["", "Memory"] = ""
    size_limit: Bytes | None = None


class HostPath(Model):
    path: Annotated[str, Field(pattern=r"^/")]
    type: Literal["", "Directory", "DirectoryOrCreate", "File"] = ""


class ConfigMapVolume(Model):
    """The keys of a ConfigMap as files, read-only; `items`: only these, under these paths."""

    name: DnsSubdomain
    items: tuple[KeyToPath, ...] = ()
    default_mode: Annotated[int, Field(ge=0, le=0o777)] = 0o644
    optional: bool = False


class SecretVolume(Model):
    """The keys of a Secret as files in memory, read-only; `items`: only these, under these paths."""

    secret_name: DnsSubdomain
    items: tuple[KeyToPath, ...] = ()
    default_mode: Annotated[int, Field(ge=0, le=0o777)] = 0o644
    optional: bool = False


class EndpointsVolume(Model):
    """Where the ready tasks of a deployment of the same namespace are, as files that follow every change.

    `addresses` has one `ip:hostPort` a line, of the port that `port` names or else of the first; `endpoints.json`
    has all that is known.
    """

    deployment: DnsSubdomain
    port: DnsLabel | None = None


_SOURCES = ("emptyDir", "hostPath", "configMap", "secret", "endpoints")
_ONE_SOURCE: dict[str, Any] = {
    "oneOf": [{"required": [source], "properties": {source: {"type": "object"}}} for source in _SOURCES]
}


class Volume(Model):
    model_config = ConfigDict(json_schema_extra=_ONE_SOURCE)

    name: DnsLabel
    empty_dir: EmptyDir | None = None
    host_path: HostPath | None = None
    config_map: ConfigMapVolume | None = None
    secret: SecretVolume | None = None
    endpoints: EndpointsVolume | None = None

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        sources = (self.empty_dir, self.host_path, self.config_map, self.secret, self.endpoints)
        if sum(source is not None for source in sources) != 1:
            raise ValueError(
                "a volume needs exactly one of emptyDir, hostPath, configMap, secret and endpoints"
            )
        return self


class Container(Model):
    name: DnsLabel
    image: Annotated[str, Field(min_length=1, pattern=r"^\S+$")]
    command: tuple[str, ...] = ()
    args: tuple[str, ...] = ()
    env: tuple[EnvVar, ...] = ()
    env_from: tuple[EnvFrom, ...] = ()
    working_dir: str = ""
    user: Annotated[str, WithJsonSchema({"type": ["string", "integer"]})] = ""
    ports: tuple[ContainerPort, ...] = ()
    resources: ResourceRequirements = Field(default_factory=ResourceRequirements)
    volume_mounts: tuple[VolumeMount, ...] = ()
    image_pull_policy: PullPolicy | None = None
    stop_signal: Annotated[str, Field(pattern=r"^(SIG)?[A-Z0-9+-]+$")] | None = None
    privileged: bool = False
    stdin: Annotated[bool, Field(description="Keep its input open, for attach -i.")] = False
    tty: Annotated[bool, Field(description="Give it a terminal; stdout and stderr become one.")] = False
    startup_probe: Probe | None = None
    liveness_probe: Probe | None = None
    readiness_probe: Probe | None = None
    lifecycle: Lifecycle | None = None
    restart_policy: Literal["Always"] | None = None  # of an init container only: it is a sidecar
    pids_limit: Annotated[int, Field(ge=1)] = 4096  # a fork bomb must not take the node's 32768 ids

    @field_validator("user", mode="before")
    @classmethod
    def _number_is_a_user(cls, value: object) -> object:
        return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


class Toleration(Model):
    """As in Kubernetes: an empty key with Exists tolerates everything, an empty effect all effects."""

    key: str = ""
    operator: Literal["Equal", "Exists"] = "Equal"
    value: str = ""
    effect: Literal["", "NoSchedule", "PreferNoSchedule"] = ""


class RestartBackoff(Model):
    """Wait `initial`, times `factor` per failure in a row, at most `max`; afresh after `resetAfter` clean."""

    initial: Duration = 10.0
    factor: Annotated[float, Field(ge=1, le=100)] = 2.0
    max: Duration = 300.0
    reset_after: Duration = 600.0


class Unreachable(Model):
    """What happens when the node can't be reached; None fields depend on `exactlyOne`."""

    reschedule_after: DurationOrNever | None = None
    stop_after: DurationOrNever | None = None


class TaskSpec(Model):
    containers: Annotated[tuple[Container, ...], Field(min_length=1)]
    init_containers: tuple[Container, ...] = ()
    volumes: tuple[Volume, ...] = ()
    restart_policy: RestartPolicy = "Always"
    restart_backoff: RestartBackoff = Field(default_factory=RestartBackoff)
    grace: Duration = 30.0
    drain_delay: Duration = 0.0
    estimated_duration: Duration | None = None
    node_name: DnsSubdomain | None = None
    node_selector: Labels = Field(default_factory=dict)
    tolerations: tuple[Toleration, ...] = ()
    affinity: Affinity | None = None
    topology_spread: Annotated[tuple[TopologySpread, ...], Field(max_length=MAX_TERMS)] = ()
    max_per_node: Most | None = None
    distinct: Annotated[tuple[Distinct, ...], Field(max_length=MAX_TERMS)] = ()
    gang: Gang | None = None
    placement: Placement | None = None
    rebalance: Literal["allowed", "never"] = "allowed"
    priority: Priority | None = None
    priority_class_name: DnsSubdomain | None = None
    preemption_policy: PreemptionPolicy | None = None
    queue: str | None = None
    unreachable: Unreachable = Field(default_factory=Unreachable)
    exactly_one: bool = False
    image_pull_secrets: Annotated[tuple[SecretRef, ...], Field(max_length=MAX_PULL_SECRETS)] = Field(
        default=(), description="Secrets with credentials for the registries of its images."
    )


class Task(Model):
    api_version: Literal["berth/v1"]
    kind: Literal["Task"]
    metadata: ObjectMeta
    spec: TaskSpec


def template_hash(raw_spec: dict[str, Any]) -> str:
    """Return the hash of what a change of would replace the task: the stored JSON less the live fields.

    It is taken of the stored JSON and not of the model, so that a new default replaces nothing.
    """
    return canonical_hash({key: value for key, value in raw_spec.items() if key not in LIVE_FIELDS})
