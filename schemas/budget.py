"""DisruptionBudget: how many of some tasks must stay available while people or Berth move them on purpose."""

from typing import Literal, Self

from pydantic import ConfigDict, model_validator

from schemas.meta import Model, ObjectMeta
from schemas.selector import IntOrPercent, LabelSelector


class DisruptionBudgetSpec(Model):
    """Exactly one of both. `selector` picks tasks of the same namespace by their labels; an empty one all."""

    model_config = ConfigDict(
        json_schema_extra={"oneOf": [{"required": ["minAvailable"]}, {"required": ["maxUnavailable"]}]}
    )

    selector: LabelSelector
    min_available: IntOrPercent | None = None
    max_unavailable: IntOrPercent | None = None

    @model_validator(mode="after")
    def _one_bound(self) -> Self:
        if (self.min_available is None) == (self.max_unavailable is None):
            raise ValueError("a budget needs exactly one of minAvailable and maxUnavailable")
        return self


class DisruptionBudget(Model):
    api_version: Literal["berth/v1"]
    kind: Literal["DisruptionBudget"]
    metadata: ObjectMeta
    spec: DisruptionBudgetSpec
