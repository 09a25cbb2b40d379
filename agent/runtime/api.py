"""The port to containers: operations go in, observations come out, and nothing waits.

`submit` returns at once; what came of it is a later observation from `poll`, as is everything that happens to
containers by itself. Operations are idempotent: "already done" is an answer, not an error. A runtime that
does not answer makes its containers unknown, never dead.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from agent.labels import Journal, Target
from schemas.binding import Binding, GrantedPort
from schemas.probe import Hook
from schemas.secret import SealedCopy
from schemas.task import Container, PullPolicy


class Phase(StrEnum):
    """Where a container is in the runtime; one that could not be started is Exited and never ran."""

    CREATED = "Created"
    RUNNING = "Running"
    EXITED = "Exited"


class Reason(StrEnum):
    """Why an operation or a start failed: the words that reports show."""

    ERR_IMAGE_PULL = "ErrImagePull"
    ERR_IMAGE_NEVER_PULL = "ErrImageNeverPull"
    INVALID_IMAGE_NAME = "InvalidImageName"
    IMAGE_MISSING = "ImageMissing"
    CREATE_CONTAINER_ERROR = "CreateContainerError"
    CREATE_CONTAINER_CONFIG_ERROR = (
        "CreateContainerConfigError"  # a ConfigMap or Secret, or a key, is missing
    )
    CONTAINER_CANNOT_RUN = "ContainerCannotRun"
    HOST_PORT_TAKEN = "HostPortTaken"
    CONTAINER_GONE = "ContainerGone"
    SANDBOX_ENDED = "SandboxEnded"  # the network of the task's containers went with its sandbox
    POST_START_HOOK_FAILED = "PostStartHookFailed"
    LIVENESS_PROBE_FAILED = "LivenessProbeFailed"
    STARTUP_PROBE_FAILED = "StartupProbeFailed"
    HOOK_FAILED = "HookFailed"
    RUNTIME_ERROR = "RuntimeError"  # the runtime refused or did not answer: whether it happened is unknown


@dataclass(frozen=True, slots=True)
class ContainerInfo:
    """One of this node's containers, as last seen.

    Times are seconds since the epoch, 0 for never. `failure` and `error` say why it could not be started,
    `taken_port` which host port somebody else holds.
    """

    id: str
    name: str
    journal: Journal
    phase: Phase
    image: str = ""
    exit_code: int | None = None
    oom: bool = False
    failure: Reason | None = None
    error: str = ""
    taken_port: int | None = None
    created_at: float = 0.0
    started_at: float = 0.0
    finished_at: float = 0.0

    @property
    def ended_at(self) -> float:
        """When this attempt was over; for one that never ran, when it was created."""
        return self.finished_at or self.created_at


@dataclass(frozen=True, slots=True)
class PullSecrets:
    """Credentials for a pull, still sealed: the Secrets that a task names, and the copies in its binding by name."""

    namespace: str
    task_uid: str
    names: tuple[str, ...]
    copies: tuple[tuple[str, SealedCopy], ...]


@dataclass(frozen=True, slots=True)
class Pull:
    """Make `image` present as `policy` says."""

    target: Target
    image: str
    policy: PullPolicy
    secrets: PullSecrets | None = None


@dataclass(frozen=True, slots=True)
class Create:
    """Create, not start, the container that `journal` describes, by the binding's frozen spec.

    sandbox_id: of the container whose network it joins; empty for one with a network of its own.
    """

    target: Target
    binding: Binding
    journal: Journal
    sandbox_id: str = ""


@dataclass(frozen=True, slots=True)
class Start:
    target: Target
    id: str


@dataclass(frozen=True, slots=True)
class Why:
    """Why one container is stopped while its task goes on: it has failed, whatever its exit code."""

    reason: Reason
    message: str


@dataclass(frozen=True, slots=True)
class Stop:
    """Send the stop signal. Whoever asked waits `grace_s` seconds and then kills."""

    target: Target
    id: str
    signal: str
    grace_s: float
    why: Why | None = None


@dataclass(frozen=True, slots=True)
class Kill:
    target: Target
    id: str
    why: Why | None = None


@dataclass(frozen=True, slots=True)
class Refresh:
    """Make the files of ConfigMaps and Secrets those of the binding's copies; what can't be had stays as it is."""

    target: Target
    binding: Binding


class When(StrEnum):
    POST_START = "postStart"
    PRE_STOP = "preStop"


@dataclass(frozen=True, slots=True)
class RunHook:
    """Run a container's hook, for at most `timeout_s` seconds. `spec`: the container's, whose ports have names."""

    container: Target
    id: str
    when: When
    hook: Hook
    spec: Container
    timeout_s: float

    @property
    def target(self) -> Target:
        """A place of its own: while a hook runs its container may be killed."""
        return Target(self.container.binding_uid, f"{self.container.container}:{self.when}")


@dataclass(frozen=True, slots=True)
class Remove:
    """Remove a container that does not run; with a binding's last one its emptyDir folders go too."""

    target: Target
    id: str


Op = Pull | Create | Start | Stop | Kill | Remove | RunHook | Refresh


@dataclass(frozen=True, slots=True)
class Done:
    """The operation has happened, now or before; `info` is the container after Create and Start."""

    op: Op
    info: ContainerInfo | None = None


@dataclass(frozen=True, slots=True)
class Failed:
    op: Op
    reason: Reason
    message: str


@dataclass(frozen=True, slots=True)
class ContainerSeen:
    info: ContainerInfo


@dataclass(frozen=True, slots=True)
class ContainerGone:
    id: str


@dataclass(frozen=True, slots=True)
class OomSeen:
    """The kernel killed a process of this container, PID 1 or a child, for want of memory."""

    id: str


@dataclass(frozen=True, slots=True)
class RoomWanted:
    """The disk is filling up: of these containers, which are dead, those that nothing has need of are to go.

    It replaces what was said before; nobody is named when there is room again.
    """

    ids: frozenset[str]


@dataclass(frozen=True, slots=True)
class RuntimeUp:
    """The runtime answers; `containers` are all that carry this node's label, dead ones included.

    A container that is not among them may have been made meanwhile: only ContainerGone says that one is gone.
    """

    containers: tuple[ContainerInfo, ...]
    version: str = ""
    data_root: str = ""


SANDBOX_IMAGE = "berth/sandbox:1"  # made by the runtime itself, from a program of a few bytes; in no registry


@dataclass(frozen=True, slots=True)
class RuntimeDown:
    """The runtime does not answer; what its containers do is unknown."""

    error: str


Observation = Done | Failed | ContainerSeen | ContainerGone | OomSeen | RoomWanted | RuntimeUp | RuntimeDown


def publishes(op: Create, port: GrantedPort) -> bool:
    """Say whether the container that `op` creates is the one that publishes a granted port of its task."""
    if op.journal.is_sandbox:
        return True
    return not op.sandbox_id and port.container == op.journal.container


class Runtime(Protocol):
    """A container runtime on this node. One thread calls it; `notify` of its constructor wakes that thread."""

    def submit(self, op: Op) -> None:
        """Begin `op` and return at once; exactly one Done or Failed follows, unless the process ends."""

    def resync(self) -> None:
        """Ask for a full listing; a RuntimeUp or RuntimeDown follows."""

    def poll(self) -> tuple[Observation, ...]:
        """Return what happened since the last call, in an order in which it may have happened."""

    def next_due(self) -> float | None:
        """Return when poll will have news without a notify (virtual time only); None in real runtimes."""

    def close(self) -> None: ...
