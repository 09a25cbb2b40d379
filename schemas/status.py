"""Status: what the leader says about an object. For a task it holds the placement, so that a transaction on
this one key admits one current binding per task."""

from typing import Literal

from pydantic import Field

from schemas.binding import GrantedPort, Grants
from schemas.meta import Condition, Model
from schemas.owned import OwnerReference
from schemas.quantity import Amounts
from schemas.report import ContainerStatus
from schemas.state import TaskState

TOP_NODES = 5  # of a decision's record: as many as a person compares; a status stays small


class ScoredNode(Model):
    """A node that fitted. terms: name of a part of the score -> its value."""

    node: str
    score: float
    terms: dict[str, float] = Field(default_factory=dict)


class Decision(Model):
    """Why a task is where it is: the best of the nodes that fitted, and why the others were out.

    top: at most TOP_NODES, the best first. rejected: stable code of a reason -> number of nodes; with those that
    fitted they add up to `considered`. at: the leader's clock.
    """

    node: str
    score: float = 0.0
    top: tuple[ScoredNode, ...] = ()
    rejected: dict[str, int] = Field(default_factory=dict)
    considered: int = 0
    at: str = ""


class TaskStatus(Model):
    """`node`, `epoch`, `bindingUid` are the placement; an empty node means none. `epoch` never goes back.

    `nominated`: the node on which room is being made for it. `waitingSince`: when the leader first found no place
    for it, by its clock; empty for a task that does not wait.
    """

    kind: Literal["TaskStatus"] = "TaskStatus"
    uid: str
    observed_generation: int = 0
    node: str = ""
    previous_node: str = ""
    epoch: int = 0
    binding_uid: str = ""
    state: TaskState = TaskState.PENDING
    reason: str = ""
    message: str = ""
    conditions: tuple[Condition, ...] = ()
    containers: tuple[ContainerStatus, ...] = ()
    ports: tuple[GrantedPort, ...] = ()
    devices: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    resources: Amounts = Field(default_factory=dict)  # with ports and devices: what is granted
    host_ip: str = Field(default="", alias="hostIP")
    api_address: str = ""
    nominated: str = ""
    waiting_since: str = ""
    decision: Decision | None = None
    owner: OwnerReference | None = None  # who made the task: known here when its own key is gone already
    started_at: str = ""
    finished_at: str = ""

    @property
    def grants(self) -> Grants:
        """What its binding grants; kept here too, in case somebody removes the binding's key."""
        return Grants(resources=self.resources, ports=self.ports, devices=self.devices)


class DrainLeft(Model):
    """A task that a drain has still to wait for: `task` is namespace/name, `reason` why it is there."""

    task: str
    reason: str = ""


class DrainStatus(Model):
    """How far a drain has come; `requestedAt` is that of the wish. `total`: tasks at its start.

    `left` names no more than some hundreds of the `count` that are left. The leader's clock wrote `startedAt`.
    """

    requested_at: str = ""
    started_at: str = ""
    total: int = 0
    count: int = 0
    left: tuple[DrainLeft, ...] = ()


class NodeStatus(Model):
    kind: Literal["NodeStatus"] = "NodeStatus"
    node_uid: str
    first_seen_at: str = ""
    conditions: tuple[Condition, ...] = ()
    drain: DrainStatus | None = None


class ObjectStatus(Model):
    """Status of kinds that only have conditions."""

    kind: Literal["ObjectStatus"] = "ObjectStatus"
    uid: str
    observed_generation: int = 0
    conditions: tuple[Condition, ...] = ()
