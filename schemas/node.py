"""Node: what people say about a host (labels, taints, cordon); its own words are in `schemas.report`."""

from typing import Literal

from pydantic import Field

from schemas.meta import Model, ObjectMeta
from schemas.quantity import Duration, Resources

HOST_PORTS = (31000, 32767)  # allotted to tasks, below Linux' ephemeral range that starts at 32768


class Taint(Model):
    key: str
    value: str = ""
    effect: Literal["NoSchedule", "PreferNoSchedule"]


class Drain(Model):
    """The wish that a node be emptied; the leader moves its tasks away, one by one as budgets allow.

    `force`: past `timeout`, tasks go without regard to budgets. `ignoreDaemonsets`: tasks of DaemonSets stay.
    """

    requested_at: str = ""
    timeout: Duration | None = None
    force: bool = False
    ignore_daemonsets: bool = True


class NodeSpec(Model):
    """`unschedulable` is cordon: what runs stays, nothing new comes."""

    taints: tuple[Taint, ...] = ()
    unschedulable: bool = False
    reserved: Resources = Field(default_factory=dict)
    drain: Drain | None = None


class Node(Model):
    api_version: Literal["berth/v1"]
    kind: Literal["Node"]
    metadata: ObjectMeta
    spec: NodeSpec = Field(default_factory=NodeSpec)
