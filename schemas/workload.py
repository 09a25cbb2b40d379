"""Owners: Deployment and DaemonSet, which keep tasks running, and what all owners share.

The fields and defaults are those of Kubernetes; times in fields named `...Seconds` are whole seconds.
"""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from schemas.meta import Labels, Model, ObjectMeta
from schemas.selector import IntOrPercent, LabelSelector
from schemas.task import TaskSpec

Count = Annotated[int, Field(ge=0, le=100_000)]
Seconds = Annotated[int, Field(ge=0, le=10 * 365 * 86_400)]


class TemplateMeta(Model):
    labels: Labels = Field(default_factory=dict)
    annotations: dict[str, str] = Field(default_factory=dict)


class TaskTemplate(Model):
    """What the tasks of an owner are made from."""

    metadata: TemplateMeta = Field(default_factory=TemplateMeta)
    spec: TaskSpec


class RollingUpdate(Model):
    """How far a rollout may go below and above the wanted number; both 0 would never move."""

    max_unavailable: IntOrPercent = "25%"
    max_surge: IntOrPercent = "25%"

    @model_validator(mode="after")
    def _can_move(self) -> Self:
        if self.max_unavailable in (0, "0%") and self.max_surge in (0, "0%"):
            raise ValueError("maxUnavailable and maxSurge can't both be 0: no rollout would ever move")
        return self


class DeploymentStrategy(Model):
    type: Literal["RollingUpdate", "Recreate"] = "RollingUpdate"
    rolling_update: RollingUpdate | None = None

    @model_validator(mode="after")
    def _fits_the_type(self) -> Self:
        if self.type == "Recreate" and self.rolling_update is not None:
            raise ValueError("rollingUpdate does not go with type Recreate")
        return self


class DeploymentSpec(Model):
    replicas: Count = 1
    selector: LabelSelector | None = None
    template: TaskTemplate
    strategy: DeploymentStrategy = Field(default_factory=DeploymentStrategy)
    min_ready_seconds: Seconds = 0
    progress_deadline_seconds: Annotated[int, Field(ge=1)] = 600
    revision_history_limit: Count = 10
    paused: bool = False
    auto_rollback: bool = False

    @model_validator(mode="after")
    def _is_sound(self) -> Self:
        check_selector(self.selector, self.template)
        check_always(self.template, "Deployment")
        self._check_gang()
        if self.min_ready_seconds >= self.progress_deadline_seconds:
            raise ValueError("minReadySeconds must be below progressDeadlineSeconds")
        return self

    def _check_gang(self) -> None:
        """A rolling update replaces tasks some at a time, and would wait for ever for the others."""
        gang = self.template.spec.gang
        if gang is not None and self.strategy.type != "Recreate":
            raise ValueError("template.spec.gang: its tasks start together; write strategy.type: Recreate")
        if gang is not None and 0 < self.replicas < gang.min_member:
            raise ValueError(
                f"template.spec.gang.minMember: {gang.min_member} tasks are to start together, but there are "
                f"{self.replicas} replicas; raise replicas or lower minMember"
            )


class Deployment(Model):
    api_version: Literal["berth/v1"]
    kind: Literal["Deployment"]
    metadata: ObjectMeta
    spec: DeploymentSpec


class DaemonSetRollingUpdate(Model):
    max_unavailable: IntOrPercent = 1

    @model_validator(mode="after")
    def _can_move(self) -> Self:
        if self.max_unavailable in (0, "0%"):
            raise ValueError("maxUnavailable can't be 0: no rollout would ever move")
        return self


class DaemonSetStrategy(Model):
    type: Literal["RollingUpdate", "OnDelete"] = "RollingUpdate"
    rolling_update: DaemonSetRollingUpdate | None = None


class DaemonSetSpec(Model):
    selector: LabelSelector | None = None
    template: TaskTemplate
    update_strategy: DaemonSetStrategy = Field(default_factory=DaemonSetStrategy)
    min_ready_seconds: Seconds = 0
    revision_history_limit: Count = 10

    @model_validator(mode="after")
    def _is_sound(self) -> Self:
        check_selector(self.selector, self.template)
        check_always(self.template, "DaemonSet")
        if self.template.spec.node_name is not None:
            raise ValueError("template.spec.nodeName: a DaemonSet chooses the node of each of its tasks")
        if self.template.spec.gang is not None:
            raise ValueError(
                "template.spec.gang: each task of a DaemonSet starts as soon as its node is ready"
            )
        return self


class DaemonSet(Model):
    api_version: Literal["berth/v1"]
    kind: Literal["DaemonSet"]
    metadata: ObjectMeta
    spec: DaemonSetSpec


def check_selector(selector: LabelSelector | None, template: TaskTemplate) -> None:
    """A selector is only a promise about the template, as tasks know their owner. Raises ValueError."""
    if selector is not None and not selector.matches(template.metadata.labels):
        raise ValueError(
            "selector does not match template.metadata.labels; give the template the labels of the selector, "
            "or leave the selector out"
        )


def check_always(template: TaskTemplate, kind: str) -> None:
    if template.spec.restart_policy != "Always":
        raise ValueError(f"template.spec.restartPolicy: tasks of a {kind} need Always; a Job's may end")
