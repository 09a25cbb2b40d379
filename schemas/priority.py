"""PriorityClass: a name for a priority."""

from typing import Literal

from schemas.meta import Model, ObjectMeta
from schemas.task import PreemptionPolicy, Priority


class PriorityClassSpec(Model):
    value: Priority
    preemption_policy: PreemptionPolicy = "PreemptLowerPriority"
    description: str = ""


class PriorityClass(Model):
    api_version: Literal["berth/v1"]
    kind: Literal["PriorityClass"]
    metadata: ObjectMeta
    spec: PriorityClassSpec
