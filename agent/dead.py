"""Which dead containers of a bound task go. Pure.

Of each container its newest attempt stays and the one before it, for `berth logs --previous`; what is older goes when
the next attempt comes (`agent.starting`). Of these two the following may go, by age or because the disk fills up:

    the attempt before the newest   always: how it ended is in the report
    the newest one                  only of a task whose end the store has accepted

A running container is never touched here, nor one whose end is still to be told.
"""

from collections.abc import Iterator

from agent.actions import Action, Wait
from agent.observation import Leave, TaskObservation
from agent.runtime.api import ContainerInfo, Phase, Remove
from agent.stopping import hindrance
from schemas.binding import Binding, Desired


def collect_dead(binding: Binding, observed: TaskObservation, now: float, leave: Leave) -> Iterator[Action]:
    """Remove what is older than `leave.keep_dead_s` or `observed.unwanted`, the sandbox last."""
    spare = [each for each in observed.of(binding.binding_uid) if is_spare(each, binding, observed)]
    if len(spare) > 1:
        spare.sort(key=lambda each: each.journal.is_sandbox)
    for each in spare:
        due = each.ended_at + leave.keep_dead_s
        if now >= due or each.id in observed.unwanted:
            yield hindrance(observed, each.journal.target, now) or Remove(each.journal.target, each.id)
        elif due != float("inf"):
            yield Wait(due)


def is_spare(info: ContainerInfo, binding: Binding, observed: TaskObservation) -> bool:
    """Say whether a container of this binding is kept for its logs only."""
    if info.phase is not Phase.EXITED:
        return False
    if is_accepted(binding, observed):
        return True
    newest = observed.newest(info.journal.target)
    return newest is not None and newest.id != info.id


def is_accepted(binding: Binding, observed: TaskObservation) -> bool:
    """Say whether the store holds the final report of this binding; one that is only on its way does not count."""
    stored = observed.stored
    told = stored is not None and stored.final and stored.binding_uid == binding.binding_uid
    return told and binding.desired is Desired.STOP and not observed.running
