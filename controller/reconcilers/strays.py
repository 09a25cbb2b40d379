"""What was made by an owner that is gone goes, too: another object bears its name now, or nothing does. Pure."""

from dataclasses import dataclass

from controller.reconcilers.owner_inputs import MAX_OWNED_A_PLAN, OwnedJob, OwnedTask
from controller.reconcilers.owner_plan import removal_of
from controller.reconcilers.plan import (
    EventNote,
    Intent,
    Plan,
    Reads,
    RemoveEndpoints,
    RemoveOwned,
    RemoveRevision,
)
from controller.reconcilers.plan_size import removals_that_fit
from schemas.binding import StopReason
from schemas.keys import ObjectRef
from schemas.owned import Endpoints
from schemas.versioned import Versioned

MAX_REVISIONS_A_PLAN = 40


@dataclass(frozen=True, slots=True)
class Strays:
    """Things whose owner's uid is not that of the object of its name. revisions: (owner's uid, number).

    uid: of the object that bears the name now. The revisions are those of its keys, 0 where there is none.
    """

    ref: ObjectRef
    uid: str
    spec_revision: int
    owned_revision: int
    status_revision: int
    tasks: tuple[OwnedTask, ...]
    jobs: tuple[OwnedJob, ...]
    revisions: tuple[tuple[str, int], ...]
    endpoints: Versioned[Endpoints] | None = None  # the list of an older object's tasks


def plan_strays(strays: Strays) -> Plan:
    """Remove them in groups; a kept template goes once nothing names it."""
    reads = Reads(strays.spec_revision, strays.status_revision, strays.owned_revision)
    removals = [
        removal_of(task, StopReason.DELETED, "its owner is gone") for task in strays.tasks[:MAX_OWNED_A_PLAN]
    ]
    intents: list[Intent] = [*removals[: removals_that_fit(removals)]]
    left = MAX_OWNED_A_PLAN - len(intents)
    intents += [RemoveOwned(job.ref, job.owned) for job in strays.jobs[:left] if job.owned is not None]
    note = EventNote("Normal", "RemovedStrays", f"removed {len(intents)} that an older {strays.ref} had made")
    events = (note,) if intents else ()
    intents += [RemoveRevision(uid, number) for uid, number in strays.revisions[:MAX_REVISIONS_A_PLAN]]
    if strays.endpoints is not None:
        intents.append(RemoveEndpoints(strays.ref, strays.endpoints))
    return Plan(strays.ref, strays.uid, reads, tuple(intents), events)
