"""States that can be waited for. A goal judges one view: reached, or a sentence on what is there instead. Pure."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from client.document import document_of
from client.views import ObjectView
from schemas.kinds import OWNERS


@dataclass(frozen=True, slots=True)
class Created:
    """The object exists."""

    waits_for_missing = True

    def __str__(self) -> str:
        return "the creation"

    def lacks(self, view: ObjectView | None) -> str:
        """Return "" when the goal is reached, else what was seen."""
        return "" if view is not None else "there is no such object"


@dataclass(frozen=True, slots=True)
class Deleted:
    """The object does not exist."""

    waits_for_missing = True

    def __str__(self) -> str:
        return "the deletion"

    def lacks(self, view: ObjectView | None) -> str:
        if view is None:
            return ""
        return (
            "it is being deleted" if view.is_terminating else "it exists, and nobody has asked to delete it"
        )


@dataclass(frozen=True, slots=True)
class Condition:
    """A condition of the status has a certain status: True, False or Unknown. Case does not count."""

    type: str
    status: str = "True"

    waits_for_missing = False

    def __str__(self) -> str:
        return f"condition {self.type}={self.status}"

    def lacks(self, view: ObjectView | None) -> str:
        if view is not None and _is_behind(view):
            return "the controller has not looked at its newest form yet"
        conditions = document_of(view).get("status", {}).get("conditions", []) if view else []
        for each in conditions:
            if str(each.get("type")).lower() == self.type.lower():
                if str(each.get("status")).lower() == self.status.lower():
                    return ""
                why = each.get("message") or each.get("reason")
                return f"{each.get('type')} is {each.get('status')}" + (f" ({why})" if why else "")
        known = ", ".join(str(each.get("type")) for each in conditions)
        return f"it has no condition {self.type}" + (f", only {known}" if known else " yet")


@dataclass(frozen=True, slots=True)
class Field:
    """A field has a certain value, or any (None). `find` returns what the path leads to."""

    path: str
    find: Callable[[Any], list[Any]]
    value: str | None = None

    waits_for_missing = False

    def __str__(self) -> str:
        return self.path if self.value is None else f"{self.path}={self.value}"

    def lacks(self, view: ObjectView | None) -> str:
        found = [_text(value) for value in self.find(document_of(view))] if view else []
        if self.value in found or (self.value is None and any(found)):
            return ""
        return f"{self.path} is {', '.join(found)}" if found else f"{self.path} is not there"


def _is_behind(view: ObjectView) -> bool:
    """What is said of an owner's status may be of the template before."""
    observed = (view.status or {}).get("observedGeneration")
    return view.kind.plural in OWNERS and isinstance(observed, int) and observed < view.generation


Goal = Created | Deleted | Condition | Field


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    return "" if value is None else json.dumps(value, ensure_ascii=False)
