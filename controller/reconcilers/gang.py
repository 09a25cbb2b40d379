"""The planner of gangs: all members start, or none does, wherever the leader or a node fails. Pure.

every member is bound as Hold        counts as used, starts nothing
all are held, as the store says      one record says that they run
the record is there                  each becomes Run; then the record goes
some are missing, and none will come all are released: Stop, and they wait for their turn again

A new leader finds the same in the store and goes on: a gang with a record is rolled forward, any other that is
not whole is released.
"""

from dataclasses import dataclass, replace
from enum import Enum

from controller.reconcilers.plan import Plan, PutGangCommit, Reads, RemoveGangCommit
from schemas.gang import GangCommit
from schemas.keys import ObjectRef
from schemas.versioned import Versioned


class Verdict(Enum):
    """What the members of an attempt are to do. COMMIT: wait, until the record is there."""

    WAIT = "wait"
    COMMIT = "commit"
    RUN = "run"
    RELEASE = "release"


@dataclass(frozen=True, slots=True)
class Held:
    """A member that has a place. gives_up_at: when its node has been silent for too long, None while it answers."""

    ref: ObjectRef
    task_uid: str
    binding_uid: str
    gives_up_at: float | None


@dataclass(frozen=True, slots=True)
class GangInputs:
    """One attempt. size: how many it takes. coming: members about which writes are under way.

    is_unreadable: its record is there, but can't be read: nothing is known of it, so nothing is done.
    is_released: it was decided in this term that they give their places back.
    """

    ref: ObjectRef
    commit: Versioned[GangCommit] | None
    held: tuple[Held, ...]
    size: int
    coming: tuple[ObjectRef, ...] = ()
    is_unreadable: bool = False
    is_released: bool = False

    @property
    def gives_up_at(self) -> float | None:
        return min((each.gives_up_at for each in self.held if each.gives_up_at is not None), default=None)


def verdict_of(inputs: GangInputs, now: float) -> Verdict:
    """Return what the members are to do."""
    if inputs.commit is not None:
        return Verdict.RUN
    if inputs.is_unreadable or inputs.coming or not inputs.held:
        return Verdict.WAIT
    if inputs.is_released or len(inputs.held) != inputs.size:
        return Verdict.RELEASE
    if inputs.gives_up_at is None:
        return Verdict.COMMIT
    return Verdict.RELEASE if now >= inputs.gives_up_at else Verdict.WAIT


def plan_gang(inputs: GangInputs, now: float) -> Plan:
    """Write the record when all are held, and remove it when none is any more.

    Only the leader writes bindings, and nothing is under way about a member: so the fence makes sure that all are
    still held when the record comes.
    """
    plan = Plan(inputs.ref, "", Reads(), beside=inputs.coming)
    match verdict_of(inputs, now):
        case Verdict.COMMIT:
            held = {each.task_uid: each.binding_uid for each in inputs.held}
            commit = PutGangCommit(GangCommit(uid=inputs.ref.name, members=held))
            return replace(plan, intents=(commit,), beside=tuple(each.ref for each in inputs.held))
        case Verdict.RUN if inputs.commit is not None and not inputs.held:
            return replace(plan, intents=(RemoveGangCommit(inputs.commit),))
        case Verdict.WAIT:
            return replace(plan, requeue_at=inputs.gives_up_at)
        case _:
            return plan  # the members' own planners go on
