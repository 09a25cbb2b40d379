import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.binding import Desired, StopReason
from schemas.state import (
    FINISHED,
    TRANSITIONS,
    ContainerState,
    ContainerView,
    Placement,
    TaskState,
    task_state,
    will_restart,
)

RUN = Placement(Desired.RUN, None, final=False)
containers = st.builds(
    ContainerView, st.sampled_from(list(ContainerState)), st.integers(0, 2), st.integers(0, 2)
)
placements = st.none() | st.builds(
    Placement, st.sampled_from(list(Desired)), st.none() | st.sampled_from(list(StopReason)), st.booleans()
)
policies = st.sampled_from(["Always", "OnFailure", "Never"])


def test_transitions_only_move_forward() -> None:
    assert all(before.rank < after.rank for before, after in TRANSITIONS)


def test_every_state_is_reached_and_only_exited_is_the_end() -> None:
    assert {after for _, after in TRANSITIONS} == set(ContainerState) - {ContainerState.WAITING}
    assert set(ContainerState) - {before for before, _ in TRANSITIONS} == {ContainerState.EXITED}


@given(placement=placements, views=st.lists(containers, max_size=3), policy=policies)
def test_every_combination_has_a_state(
    placement: Placement | None, views: list[ContainerView], policy: str
) -> None:
    state = task_state(placement, views, policy)  # type: ignore[arg-type]
    assert isinstance(state, TaskState)
    assert state is not TaskState.LOST  # that is said by the transaction that gives a binding up


@given(views=st.lists(containers, min_size=1, max_size=3))
def test_task_that_is_restarted_for_ever_never_finishes_by_itself(views: list[ContainerView]) -> None:
    assert task_state(RUN, views, "Always") not in FINISHED


@given(views=st.lists(containers, max_size=3), policy=policies, reason=st.sampled_from(list(StopReason)))
def test_task_that_was_asked_to_stop_never_counts_as_failed(
    views: list[ContainerView], policy: str, reason: StopReason
) -> None:
    if reason is StopReason.COMPLETED:
        return
    for final in (False, True):
        state = task_state(Placement(Desired.STOP, reason, final), views, policy)  # type: ignore[arg-type]
        assert state is (TaskState.STOPPED if final else TaskState.STOPPING)


@pytest.mark.parametrize(
    ("policy", "code", "expected"),
    [("Always", 0, True), ("Always", 1, True), ("OnFailure", 0, False), ("OnFailure", 1, True),
     ("OnFailure", None, True), ("Never", 1, False)],
)  # fmt: skip
def test_restart_policy(policy: str, code: int | None, expected: bool) -> None:
    assert will_restart(policy, code) is expected  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("views", "policy", "expected"),
    [
        ([], "Always", TaskState.BOUND),
        ([("Waiting", 0, None)], "Always", TaskState.BOUND),
        ([("Preparing", 0, None)], "Always", TaskState.PREPARING),
        ([("Running", 0, None)], "Always", TaskState.RUNNING),
        ([("Exited", 0, 1)], "Always", TaskState.RUNNING),
        ([("Waiting", 1, None)], "Always", TaskState.RUNNING),
        ([("Exited", 0, 0)], "Never", TaskState.SUCCEEDED),
        ([("Exited", 0, 3)], "Never", TaskState.FAILED),
        ([("Exited", 0, 0), ("Exited", 0, 1)], "Never", TaskState.FAILED),
        ([("Exited", 0, 0), ("Running", 0, None)], "Never", TaskState.RUNNING),
        ([("Preparing", 0, None), ("Running", 0, None)], "Never", TaskState.PREPARING),
    ],
)
def test_state_of_a_bound_task(
    views: list[tuple[str, int, int | None]], policy: str, expected: TaskState
) -> None:
    seen = [ContainerView(ContainerState(state), attempt, code) for state, attempt, code in views]
    assert task_state(RUN, seen, policy) is expected  # type: ignore[arg-type]


def test_task_without_placement_is_pending() -> None:
    for view, policy in itertools.product(ContainerState, ("Always", "Never")):
        assert task_state(None, [ContainerView(view, 0, 0)], policy) is TaskState.PENDING  # type: ignore[arg-type]
