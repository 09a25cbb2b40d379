"""The cluster under many seeds: every invariant holds, and the same seed gives the same story."""

import pytest

from sim.world import Plan, run

SEEDS = 120
WITH_WORKLOADS = 40  # seeds
WITH_QUEUES = 20  # seeds
A_TEST = 20  # seeds
ONCE_BROKEN = (
    31,
    51,
    63,
    130,
    184,
    210,
    219,
    220,
)  # with workloads: each found a bug that is mended, and is kept
MORE_SEEDS = 2000


def check(seeds: range, plan: Plan) -> None:
    for seed in seeds:
        result = run(seed, plan)
        if result.violation:
            print(result.story.text(last=60))
        options = [name for name in ("workloads", "queues") if getattr(plan, name)]
        command = " ".join([f"python -m sim --seed {seed}", *(f"--{name}" for name in options)])
        assert not result.violation, f"see the whole story with: {command}"


@pytest.mark.parametrize("first", range(1, SEEDS + 1, A_TEST))
def test_invariants_hold_whatever_fails(first: int) -> None:
    check(range(first, first + A_TEST), Plan())


@pytest.mark.parametrize("first", range(1, WITH_WORKLOADS + 1, A_TEST))
def test_owners_keep_their_promises_whatever_fails(first: int) -> None:
    check(range(first, first + A_TEST), Plan(workloads=True))


@pytest.mark.parametrize("first", range(1, WITH_QUEUES + 1, A_TEST))
def test_queues_and_gangs_get_what_they_were_promised_whatever_fails(first: int) -> None:
    check(range(first, first + A_TEST), Plan(queues=True))


def test_seeds_that_once_found_a_bug_hold() -> None:
    for seed in ONCE_BROKEN:
        check(range(seed, seed + 1), Plan(workloads=True))


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_invariants_hold_over_many_seeds() -> None:
    check(range(10_000, 10_000 + MORE_SEEDS), Plan())
    check(range(10_000, 10_000 + MORE_SEEDS), Plan(workloads=True))
    check(range(10_000, 10_000 + MORE_SEEDS // 4), Plan(queues=True))


def test_the_same_seed_gives_the_same_story() -> None:
    assert run(3).story.text() == run(3).story.text()


def test_without_troubles_everything_runs() -> None:
    check(range(1, 11), Plan(troubles=False))
