"""What an apply would do with one document, and what became of it. Pure."""

from dataclasses import dataclass
from typing import Literal

from client.applied import NO_CLAIMS, Claims
from client.conflicts import Conflict, Kept, conflicts_of, kept_fields
from client.merge import changed_paths
from client.views import ObjectView
from schemas.keys import ObjectRef
from schemas.kinds import WrittenObject
from schemas.manifest import Document
from schemas.task import LIVE_FIELDS, template_hash
from schemas.workload import DaemonSet, Deployment
from store.codec import Json

Action = Literal["created", "configured", "unchanged"]


@dataclass(frozen=True, slots=True)
class ApplyResult:
    """What became of one document.

    `replaces`: changed fields for which the task is stopped and started anew. `kept`: fields that the manifest has no
    more and that stay, as another manager has them.
    """

    ref: ObjectRef
    action: Action
    replaces: tuple[str, ...] = ()
    generation: int = 0
    kept: tuple[Kept, ...] = ()


@dataclass(frozen=True, slots=True)
class Planned:
    """One document, what is stored under its name, and what would be. `live` None: there is nothing.

    `claims`: what others applied. `adopted`: managers whose records go, as this one stands in their place.
    """

    document: Document
    live: ObjectView | None
    last_applied: Json | None
    merged: Json
    claims: Claims = NO_CLAIMS
    adopted: tuple[str, ...] = ()

    @property
    def is_waiting_for_deletion(self) -> bool:
        return self.live is not None and self.live.is_terminating

    @property
    def replaced(self) -> Json | None:
        """The stored object that `merged` goes on from; None when the object is made anew."""
        return None if self.live is None or self.is_waiting_for_deletion else self.live.raw

    @property
    def action(self) -> Action:
        if self.replaced is None:
            return "created"
        return "unchanged" if self.merged == self.replaced else "configured"

    def parsed(self) -> WrittenObject:
        """Return the model of what would be stored. Raises pydantic.ValidationError."""
        document = self.document
        return (
            document.parsed if self.merged == document.raw else document.kind.model.parse_stored(self.merged)
        )

    @property
    def conflicts(self) -> tuple[Conflict, ...]:
        """The fields of others that this would change."""
        if self.replaced is None:
            return ()
        return conflicts_of(self.last_applied, self.replaced, self.merged, self.claims.forms)

    @property
    def kept(self) -> tuple[Kept, ...]:
        """What the manifest has no more, and what stays as others have it."""
        return kept_fields(self.last_applied, self.merged, self.document.raw, self.claims.forms)

    @property
    def rolls(self) -> tuple[str, ...]:
        """The changed fields for which an owner replaces its tasks."""
        return () if self.replaced is None else rolling_fields(self.replaced, self.merged, self.parsed())

    @property
    def replaces(self) -> tuple[str, ...]:
        return () if self.replaced is None else replacing_fields(self.replaced, self.merged)


def rolling_fields(old: Json, new: Json, parsed: WrittenObject) -> tuple[str, ...]:
    """Return the changed fields of a template for which an owner's tasks are replaced; a paused rollout waits."""
    match parsed:
        case Deployment() if not parsed.spec.paused:
            pass
        case DaemonSet() if parsed.spec.update_strategy.type == "RollingUpdate":
            pass
        case _:
            return ()
    before, after = ((raw.get("spec") or {}).get("template") for raw in (old, new))
    return tuple(changed_paths(before, after, "spec.template"))


def replacing_fields(old: Json, new: Json) -> tuple[str, ...]:
    """Return the changed fields for which a task is replaced; empty for live changes and other kinds."""
    if new.get("kind") != "Task":
        return ()
    old_spec, new_spec = old.get("spec") or {}, new.get("spec") or {}
    if template_hash(old_spec) == template_hash(new_spec):
        return ()
    frozen = [{k: v for k, v in spec.items() if k not in LIVE_FIELDS} for spec in (old_spec, new_spec)]
    return tuple(changed_paths(frozen[0], frozen[1], "spec"))
