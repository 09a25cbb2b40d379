"""Owners of many tasks rest between plans; those of few never do."""

import pytest

from controller.reconcilers.owner_inputs import MAX_OWNED_A_PLAN
from controller.reconcilers.plan import CreateOwned, Plan, Reads
from controller.resting import MANY, MAX_REST_S, REST_S, Resting
from schemas.keys import ObjectRef, task_ref
from schemas.owned import OwnerReference

WEB = ObjectRef("deployments", "default", "web")
NOW = 1000.0


def plan_of(creates: int) -> Plan:
    owner = OwnerReference(kind="Deployment", name="web", uid="uid-web")
    intents = tuple(CreateOwned(task_ref("default", f"web-1-{n}"), owner, 1) for n in range(creates))
    return Plan(WEB, "uid-web", Reads(), intents)


@pytest.mark.parametrize("made", [MANY, 5000, 1_000_000])
def test_an_owner_of_many_rests_in_proportion_to_what_it_made(made: int) -> None:
    resting = Resting()
    resting.planned(plan_of(0), made, NOW)
    until = resting.until(WEB, NOW)
    assert until == NOW + min(REST_S * made, MAX_REST_S)
    assert resting.until(WEB, until) is None


@pytest.mark.parametrize(
    ("made", "creates"), [(MANY - 1, 0), (5000, MAX_OWNED_A_PLAN)], ids=["few tasks", "more to make"]
)
def test_an_owner_goes_on_at_once(made: int, creates: int) -> None:
    resting = Resting()
    resting.planned(plan_of(0), 5000, NOW)
    resting.planned(plan_of(creates), made, NOW)
    assert resting.until(WEB, NOW) is None


def test_an_owner_that_comes_back_does_not_rest() -> None:
    resting = Resting()
    resting.planned(plan_of(0), 5000, NOW)
    resting.forget(WEB)
    assert resting.until(WEB, NOW) is None
