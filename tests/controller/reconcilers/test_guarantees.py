"""What queues are told about their guarantees."""

from controller.reconcilers.guarantees import shortfalls, told_guarantee
from controller.scheduler.fairness import QueueRule
from controller.scheduler.gang import lack_of
from controller.scheduler.snapshot import Gang

RULES = (QueueRule("a", guarantee={"cpu": 3000}), QueueRule("b", guarantee={"cpu": 2000, "memory": 1024}))


def test_guarantees_that_add_up_to_more_than_the_cluster_are_short() -> None:
    assert shortfalls(RULES, {"cpu": 5000, "memory": 1024}) == {}
    assert shortfalls(RULES, {"cpu": 4500, "memory": 4096}) == {
        "cpu": "queues are guaranteed cpu 5 in all, and the nodes have 4500m"
    }
    assert set(shortfalls(RULES, {})) == {"cpu", "memory"}


def test_a_queue_without_a_guarantee_is_told_nothing() -> None:
    assert told_guarantee(None, "uid", 1, None, 0.0) is None


def test_a_guarantee_that_is_lifted_takes_its_condition_along() -> None:
    told = told_guarantee(None, "uid", 1, "too much", 0.0)
    assert told is not None
    assert [(each.type, each.status) for each in told.conditions] == [("Guaranteed", "False")]
    lifted = told_guarantee(told, "uid", 2, None, 0.0)
    assert lifted is not None
    assert (lifted.conditions, lifted.observed_generation) == ((), 2)


def test_a_gang_says_what_it_lacks_for_ever() -> None:
    each = (("cpu", 2000),)
    assert lack_of(Gang("ring", 3), [each] * 3, {"cpu": 6000}) == ""
    assert (
        lack_of(Gang("ring", 3), [each] * 2, {"cpu": 6000})
        == "2 of at least 3 members of gang ring are there"
    )
    expected = "gang ring asks for cpu 6 at least, and all nodes together have 5"
    assert lack_of(Gang("ring", 3), [each] * 4, {"cpu": 5000}) == expected
