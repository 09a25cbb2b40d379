"""Figures, goals, and the order in which sides are measured."""

import pytest

from bench.harness import Comparison, Goal, Pair, interleaved, rounds
from bench.stats import median, percentile


def test_median_of_an_even_number_is_between_the_middle_two() -> None:
    assert median([4.0, 1.0, 3.0, 2.0]) == 2.5


def test_median_is_not_moved_by_one_wild_value() -> None:
    assert median([1.0, 1.1, 500.0]) == 1.1


def test_percentile_is_a_value_that_occurred() -> None:
    values = [float(each) for each in range(1, 101)]
    assert [percentile(values, each) for each in (0, 50, 99, 100)] == [1.0, 50.0, 99.0, 100.0]


@pytest.mark.parametrize("figure", [median, lambda values: percentile(values, 50)])
def test_no_values_have_no_figure(figure) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(ValueError, match="no values"):
        figure([])


def test_ratio_is_taken_pair_by_pair() -> None:
    pairs = (Pair(1.0, 2.0), Pair(30.0, 10.0))
    longer = Comparison("x", "we", "they", "s", pairs)
    faster = Comparison("x", "we", "they", "s", pairs, ratio="theirs/ours")
    assert longer.ratios == (0.5, 3.0)
    assert faster.ratios == (2.0, 1 / 3)


def test_goal_holds_at_its_bound() -> None:
    assert Goal("at most", 1.25).is_met(1.25)
    assert not Goal("at most", 1.25).is_met(1.26)
    assert Goal("at least", 1.5).is_met(1.5)
    assert not Goal("at least", 1.5).is_met(1.49)


@pytest.mark.parametrize("goal", [Goal("at most", 2.0), Goal("at least", 2.0)])
def test_share_of_a_goal_exceeds_one_just_when_it_is_missed(goal: Goal) -> None:
    for value in (0.5, 1.9, 2.1, 8.0):
        assert (goal.share(value) < 1) == goal.is_met(value)


def test_sides_take_turns_after_a_round_that_is_not_measured() -> None:
    calls: list[str] = []

    def side(name: str) -> float:
        calls.append(name)
        return float(len(calls))

    found = rounds((lambda: side("a"), lambda: side("b"), lambda: side("c")), 3, lambda text: None)
    assert "".join(calls) == "abc" + "abc" + "bca" + "cab"
    assert found == ((4.0, 5.0, 6.0), (9.0, 7.0, 8.0), (11.0, 12.0, 10.0))


def test_pairs_keep_ours_and_theirs_apart_whoever_begins() -> None:
    assert interleaved(lambda: 1.0, lambda: 2.0, 2, lambda text: None) == (Pair(1.0, 2.0), Pair(1.0, 2.0))
