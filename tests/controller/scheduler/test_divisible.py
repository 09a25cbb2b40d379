"""Dominant resource fairness on divisible tasks: the paper's examples, and the four properties that it proves."""

from fractions import Fraction

from hypothesis import given, settings
from hypothesis import strategies as st

from controller.scheduler.divisible import User, fill

RESOURCES = ("cpu", "memory", "gpu")

amounts = st.integers(0, 8).map(Fraction)
tasks = st.fixed_dictionaries(dict.fromkeys(RESOURCES, amounts)).filter(lambda task: any(task.values()))
capacities = st.fixed_dictionaries({name: st.integers(1, 40).map(Fraction) for name in RESOURCES})
users = st.builds(User, task=tasks, weight=st.integers(1, 5).map(Fraction))


def utility(user: User, bundle: dict[str, Fraction]) -> Fraction:
    """How many tasks a user can run with a bundle."""
    return min(bundle[name] / amount for name, amount in user.task.items() if amount)


def bundle_of(user: User, count: Fraction) -> dict[str, Fraction]:
    return {name: amount * count for name, amount in user.task.items()}


def test_example_of_section_4_1_of_the_paper() -> None:
    capacity = {"cpu": Fraction(9), "memory": Fraction(18)}
    a, b = (
        User({"cpu": Fraction(1), "memory": Fraction(4)}),
        User({"cpu": Fraction(3), "memory": Fraction(1)}),
    )
    assert fill(capacity, [a, b]) == (3, 2)


def test_a_weight_of_two_gives_twice_the_dominant_share() -> None:
    capacity = {"cpu": Fraction(12)}
    a, b = User({"cpu": Fraction(1)}, weight=Fraction(2)), User({"cpu": Fraction(1)})
    assert fill(capacity, [a, b]) == (8, 4)


def test_what_one_does_not_want_goes_to_the_others() -> None:
    capacity = {"cpu": Fraction(12)}
    a, b = User({"cpu": Fraction(1)}, demand=Fraction(2)), User({"cpu": Fraction(1)})
    assert fill(capacity, [a, b]) == (2, 10)


def test_who_asks_for_what_nobody_has_gets_nothing() -> None:
    assert fill(
        {"cpu": Fraction(4)}, [User({"cpu": Fraction(1), "fpga": Fraction(1)}), User({"cpu": Fraction(1)})]
    ) == (0, 4)


@settings(deadline=None)
@given(capacities, st.lists(users, min_size=1, max_size=5))
def test_nothing_is_given_twice(capacity: dict[str, Fraction], them: list[User]) -> None:
    counts = fill(capacity, them)
    for name in RESOURCES:
        used = sum(user.task[name] * count for user, count in zip(them, counts, strict=True))
        assert used <= capacity[name]


@settings(deadline=None)
@given(capacities, st.lists(users, min_size=1, max_size=5))
def test_sharing_incentive(capacity: dict[str, Fraction], them: list[User]) -> None:
    """Nobody gets less than with his own part of the cluster."""
    counts = fill(capacity, them)
    weights = sum((user.weight for user in them), Fraction(0))
    for user, count in zip(them, counts, strict=True):
        part = {name: amount * user.weight / weights for name, amount in capacity.items()}
        assert count >= utility(user, part)


@settings(deadline=None)
@given(capacities, st.lists(users, min_size=2, max_size=5))
def test_envy_freeness(capacity: dict[str, Fraction], them: list[User]) -> None:
    """Nobody would rather have another's bundle, scaled by their weights."""
    counts = fill(capacity, them)
    for user, count in zip(them, counts, strict=True):
        for other, others in zip(them, counts, strict=True):
            scaled = bundle_of(other, others * user.weight / other.weight)
            assert utility(user, scaled) <= count


@settings(deadline=None)
@given(capacities, st.lists(users, min_size=1, max_size=5))
def test_pareto_efficiency(capacity: dict[str, Fraction], them: list[User]) -> None:
    """Nobody can get more without another's getting less: each needs something that is used up."""
    counts = fill(capacity, them)
    left = {
        name: capacity[name] - sum(u.task[name] * c for u, c in zip(them, counts, strict=True))
        for name in RESOURCES
    }
    for user in them:
        assert any(left[name] == 0 for name, amount in user.task.items() if amount)


@settings(deadline=None)
@given(capacities, st.lists(users, min_size=2, max_size=4), tasks)
def test_strategy_proofness(
    capacity: dict[str, Fraction], them: list[User], lie: dict[str, Fraction]
) -> None:
    """Nobody can run more of his real tasks by asking for something else."""
    honest = fill(capacity, them)[0]
    liar = User(lie, weight=them[0].weight)
    got = bundle_of(liar, fill(capacity, [liar, *them[1:]])[0])
    assert utility(them[0], got) <= honest
