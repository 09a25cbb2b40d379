"""Report: what an agent observed, of its node and of each bound task. Written by that agent alone."""

from typing import Literal

from pydantic import Field

from schemas.binding import GrantedPort
from schemas.meta import Condition, Model
from schemas.node import HOST_PORTS
from schemas.quantity import Amounts
from schemas.roles import role_of
from schemas.state import ContainerState, ContainerView
from schemas.task import TaskSpec

UNHEALTHY = "Unhealthy"  # reason of a container that runs, but is not started or not ready, as its probe says
INITIALIZING = "Initializing"  # reason of a container that waits for init containers


class LastExit(Model):
    """How the attempt before this one ended."""

    exit_code: int
    reason: str = ""
    oom: bool = False
    started_at: str = ""
    finished_at: str = ""


class ContainerStatus(Model):
    """One container's newest attempt.

    `reason` is a stable CamelCase word (ImagePullBackOff, CrashLoopBackOff, OOMKilled, Error, Completed,
    ContainerCannotRun, HostPortTaken, InvalidImageName, ...), `message` a sentence.
    """

    name: str
    state: ContainerState
    attempt: int = 0
    container_id: str = ""
    image: str = ""
    exit_code: int | None = None
    signal: int | None = None
    oom: bool = False
    reason: str = ""
    message: str = ""
    started_at: str = ""
    finished_at: str = ""
    last_exit: LastExit | None = None
    init: bool = False  # an init container; with `restartPolicy: Always` in the spec a sidecar
    started: bool | None = None  # its startup probe has passed; None without one
    ready: bool | None = None  # what its readiness probe says; None without one
    failed_hooks: dict[str, str] = Field(
        default_factory=dict
    )  # preStop or postStart of this attempt -> why it failed


def container_views(spec: TaskSpec, statuses: tuple[ContainerStatus, ...]) -> list[ContainerView]:
    """Return the containers of a task of `spec` as the state function needs them."""
    return [
        ContainerView(each.state, each.attempt, each.exit_code, role_of(spec, each.name), each.started)
        for each in statuses
    ]


class TaskReport(Model):
    """State of one binding on its node; (bindingUid, instance, sequence) orders reports, the last wins.

    `final`: nothing of this bindingUid runs or will run again. `unbound`: a container of Berth's that no
    binding names; it goes on, and the leader answers.
    """

    kind: Literal["TaskReport"] = "TaskReport"
    task_uid: str
    namespace: str
    name: str
    epoch: int
    binding_uid: str
    instance: str
    sequence: int
    final: bool = False
    unbound: bool = False
    unknown: bool = False  # the runtime does not answer: what is below is what was last known
    containers: tuple[ContainerStatus, ...] = ()
    ports: tuple[GrantedPort, ...] = ()
    grants_resources: Amounts = Field(default_factory=dict)  # of unbound containers, from their labels
    template_hash: str = ""  # of the template that the containers were made from


class NodeReport(Model):
    """What a node is. `incarnation` is the one that the agent lives in; `rewound` says that it saw the store
    go back from that revision, and that it starts and stops nothing until the incarnation is raised.
    `public_key`: what the leader seals secrets of this node's tasks to."""

    kind: Literal["NodeReport"] = "NodeReport"
    node: str
    node_uid: str
    instance: str
    incarnation: int
    rewound_from: int = 0
    stopping: bool = False
    capacity: Amounts
    allocatable: Amounts
    devices: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    host_ports: tuple[int, int] = HOST_PORTS
    ports_taken: tuple[int, ...] = ()
    labels: dict[str, str] = Field(default_factory=dict)
    address: str = ""
    api_address: str = ""
    public_key: str | None = None
    conditions: tuple[Condition, ...] = ()
    agent_version: str = ""
    runtime_version: str = ""
    os_image: str = ""
    kernel_version: str = ""


class Heartbeat(Model):
    """Value of the heartbeat key, which lives under the agent's lease: who holds the node's name."""

    node_uid: str
    instance: str
