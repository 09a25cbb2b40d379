"""Owners of many tasks rest between plans, so that a stream of reports does not make one plan each.

A plan looks at all that an owner made. It comes again at once while there is more to make or remove than fits into
it, and else after a time in proportion to what it looks at: so planning takes a bounded share of the leader's time,
whatever comes in, and what came in meanwhile is answered in one go.
"""

from controller.reconcilers.owner_inputs import MAX_OWNED_A_PLAN
from controller.reconcilers.plan import CreateOwned, Plan, RemoveOwned
from schemas.keys import ObjectRef

MANY = 100  # things made; with fewer a plan costs about as much as that of a task
REST_S = 100e-6  # a thing made; a plan looks at each, which takes some 10 microseconds
MAX_REST_S = 1.0  # what people wait at most until a change of theirs is taken up


class Resting:
    """Until when each owner rests."""

    def __init__(self) -> None:
        self._until: dict[ObjectRef, float] = {}

    def until(self, owner: ObjectRef, now: float) -> float | None:
        """Return until when an owner is not to be planned for, None if it may be."""
        due = self._until.get(owner, now)
        return due if now < due else None

    def planned(self, plan: Plan, made: int, now: float) -> None:
        """Note that an owner was planned for. made: how many things of its own the plan looked at."""
        moved = sum(isinstance(each, CreateOwned | RemoveOwned) for each in plan.intents)
        if made < MANY or moved >= MAX_OWNED_A_PLAN:
            self._until.pop(plan.ref, None)
        else:
            self._until[plan.ref] = now + min(REST_S * made, MAX_REST_S)

    def forget(self, owner: ObjectRef) -> None:
        """There is nothing of this owner any more."""
        self._until.pop(owner, None)
