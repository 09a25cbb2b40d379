"""Binding: the controller's decision that a task runs on a node, and what it is granted there.

Written by the leader, read by that node's agent. It freezes the effective spec, so that a change of
defaults never changes a running task. A binding ends in three steps only: desired Stop, the agent's final
report for its bindingUid, removal by the leader.
"""

from enum import StrEnum
from typing import Literal

from pydantic import Field

from schemas.configmap import ConfigCopy
from schemas.gang import GangPlace
from schemas.meta import Labels, Model
from schemas.quantity import Amounts
from schemas.secret import SealedCopy
from schemas.task import TaskSpec


class Desired(StrEnum):
    HOLD = "Hold"
    RUN = "Run"
    STOP = "Stop"


class StopReason(StrEnum):
    """Why a binding is to stop. Completed: the task ended by itself, and its record may be released."""

    DELETED = "Deleted"
    SUPERSEDED = "Superseded"
    PREEMPTED = "Preempted"
    DRAINED = "Drained"
    NODE_PRESSURE = "NodePressure"
    UNREACHABLE = "Unreachable"
    PORT_TAKEN = "PortTaken"
    ORPHANED = "Orphaned"
    COMPLETED = "Completed"
    GANG_RELEASED = "GangReleased"


class GrantedPort(Model):
    container: str
    container_port: int
    host_port: int
    protocol: Literal["TCP", "UDP"] = "TCP"
    name: str | None = None


class Grants(Model):
    """Amounts counted against the node until the final report, and the concrete ids within them.

    `devices`: resource name -> ids, as in {"gpu": ("0", "1")}.
    """

    resources: Amounts = Field(default_factory=dict)
    ports: tuple[GrantedPort, ...] = ()
    devices: dict[str, tuple[str, ...]] = Field(default_factory=dict)


class Binding(Model):
    kind: Literal["Binding"] = "Binding"
    task_uid: str
    namespace: str
    name: str
    node: str
    epoch: int
    binding_uid: str
    incarnation: int
    desired: Desired
    reason: StopReason | None = None
    message: str = ""
    generation: int
    template_hash: str
    labels: Labels = Field(default_factory=dict)
    grants: Grants = Field(default_factory=Grants)
    access_hash: str = ""  # SHA-256 of the namespace's log and exec token
    discovery: dict[str, str] = Field(default_factory=dict)  # variables that say where other tasks are
    sealed: dict[str, SealedCopy] = Field(default_factory=dict)  # name of a Secret -> it, for this node
    config: dict[str, ConfigCopy] = Field(default_factory=dict)  # name of a ConfigMap -> what the task takes
    gang: GangPlace | None = None  # with whom it starts; None: it waits for nobody
    spec: TaskSpec
