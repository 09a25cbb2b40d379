"""Node: what people say about a host (labels, taints, cordon); its own words are in `schemas.report`."""

from typing import Literal

from pydantic import Field

from schemas.meta import Model, ObjectMeta
from schemas.quantity import Resources

HOST_PORTS = (31000, 32767)  # allotted to tasks, below Linux' ephemeral range that starts at 32768


class Taint(Model):
    key: str
    value: str = ""
    effect: Literal["NoSchedule", "PreferNoSchedule"]


class NodeSpec(Model):
    """`unschedulable` is cordon: what runs stays, nothing new comes."""

    taints: tuple[Taint, ...] = ()
    unschedulable: bool = False
    reserved: Resources = Field(default_factory=dict)


class Node(Model):
    api_version: Literal["berth/v1"]
    kind: Literal["Node"]
    metadata: ObjectMeta
    spec: NodeSpec = Field(default_factory=NodeSpec)
