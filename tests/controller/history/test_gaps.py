"""Which gaps an answer names, and which it need not."""

from pathlib import Path

import pytest

from controller.history.answers import CantTell, history, moment_of
from controller.history.changes import ClusterMark, Mark
from controller.history.lookup import AtRevision, AtTime, by_object, gaps_of
from tests.controller.history.helpers import WEB, Witness, ref_of


@pytest.fixture
def world(tmp_path: Path) -> Witness:
    made = Witness(tmp_path / "history.db")
    made.look()
    return made


def touched(world: Witness, name: str = "web") -> int:
    kept = world.kept()
    return len(gaps_of(by_object(kept.rows).get(ref_of(name), []), kept.gaps))


def miss(world: Witness, *changes: int) -> None:
    """Let so many changes of `web` be unseen, among others."""
    world.end()
    for number in changes:
        world.put(n=number)
    world.noise()
    world.begin()
    world.look()


def test_gap_in_which_the_object_stood_still_is_not_named(world: Witness) -> None:
    world.put(n=1)
    world.look()
    miss(world)
    assert touched(world) == 0
    assert world.at_revision(world.kept().mark.revision - 1).is_sure


def test_gap_with_one_change_hides_none_and_is_not_named(world: Witness) -> None:
    world.put(n=1)
    world.look()
    miss(world, 2)
    assert touched(world) == 0
    assert [row.is_exact for row in world.kept().rows] == [True, True]


def test_gap_with_two_changes_is_named(world: Witness) -> None:
    world.put(n=1)
    world.look()
    miss(world, 2, 3)
    assert touched(world) == 1


def test_gap_after_a_deletion_is_named_as_it_may_have_come_and_gone(world: Witness) -> None:
    world.put(n=1)
    world.delete()
    world.look()
    world.end()
    world.put(n=2)
    world.delete()
    world.begin()
    world.look()
    assert touched(world) == 1


def test_gaps_before_the_first_row_are_not_named(world: Witness) -> None:
    miss(world)
    world.put(n=1)
    world.look()
    assert touched(world) == 0
    assert touched(world, "nope") == 2


def test_object_that_was_made_anew_in_a_gap_is_another(world: Witness) -> None:
    world.put(n=1)
    world.look()
    world.end()
    world.delete()
    world.put(n=1)
    world.begin()
    world.look()
    rows = world.kept().rows
    assert [row.uid for row in rows] == ["uid-1", "uid-2"]
    assert not rows[-1].is_exact
    assert not world.at_revision(rows[-1].revision - 1).is_sure


def test_answer_is_bounded_and_says_how_much_it_leaves_out(world: Witness) -> None:
    for number in range(520):
        world.put(n=number)
    world.look()
    answer = history(world.kept(), WEB, world.archive.values)
    assert (len(answer["revisions"]), answer["omitted"]) == (500, 20)
    assert answer["revisions"][0]["object"]["spec"] == {"n": 519}


MARK = Mark(3, 100, 5000.0, ClusterMark())


def test_moments_are_read_from_questions() -> None:
    assert moment_of({"revision": "7"}, MARK, 6000.0) == AtRevision(3, 7)
    assert moment_of({"time": "4000.5"}, MARK, 6000.0) == AtTime(4000.5)
    assert moment_of({"ago": "60"}, MARK, 6000.0) == AtTime(5940.0)


@pytest.mark.parametrize(
    "asked",
    [
        {},
        {"revision": "x"},
        {"revision": "1", "ago": "1"},
        {"time": "7000"},
        {"ago": "7000"},
        {"time": "nan"},
    ],
)
def test_questions_that_name_no_moment_are_refused(asked: dict[str, str]) -> None:
    with pytest.raises(CantTell):
        moment_of(asked, MARK, 6000.0)
