"""Whose a field is, and which changes of it are conflicts."""

from typing import Any

import pytest
from hypothesis import given

from client.conflicts import Conflict, Kept, conflicts_of, kept_fields, manager_label, manager_text
from client.errors import Conflicted
from client.merge import three_way
from schemas.keys import task_ref
from tests.client.helpers import KEYS, World, docs, make_task
from tests.client.owned import make_deployment
from tests.client.test_merge import objects, typed

WEB = KEYS.spec(task_ref("default", "web"))


def found(last: Any, live: Any, desired: Any, **others: Any) -> list[tuple[str, str]]:
    merged = three_way(last, live, desired, tuple(others.values()))
    return [(each.field, each.manager) for each in conflicts_of(last, live, merged, others)]


def test_field_that_another_manager_set_is_a_conflict_with_both_values() -> None:
    live = {"a": {"b": 2}}
    (conflict,) = conflicts_of({"a": {"b": 1}}, live, {"a": {"b": 3}}, {"git": {"a": {"b": 2}}})
    assert conflict == Conflict("a.b", "git", "2", "3")
    assert str(conflict) == "a.b: manager git has set it to 2; this apply wants 3"


def test_field_that_this_manager_set_last_is_its_own() -> None:
    assert found({"a": 1}, {"a": 1}, {"a": 2}, git={"a": 1}) == []


def test_field_that_was_changed_by_hand_belongs_to_nobody() -> None:
    assert found({"a": 1}, {"a": 5}, {"a": 2}, git={"a": 1}) == []
    assert found(None, {"a": 5}, {"a": 2}, git={"a": 1}) == []


def test_field_that_others_want_the_same_is_no_conflict() -> None:
    assert found(None, {"a": 2}, {"a": 2}, git={"a": 2}) == []


def test_null_takes_a_field_of_another_and_is_a_conflict() -> None:
    assert found(None, {"a": 2}, {"a": None}, git={"a": 2}) == [("a", "git")]


def test_fields_of_named_items_are_compared_one_by_one() -> None:
    live = {"env": [{"name": "A", "value": "1"}, {"name": "B", "value": "1"}]}
    desired = {"env": [{"name": "B", "value": "2"}, {"name": "C", "value": "2"}]}
    assert found(None, live, desired, git={"env": [{"name": "A", "value": "1"}]}) == []
    assert found(None, live, desired, git=live) == [("env[B].value", "git")]


def test_list_without_names_is_one_field() -> None:
    assert found(None, {"args": ["a"]}, {"args": ["b"]}, git={"args": ["a"]}) == [("args", "git")]


def test_object_in_place_of_which_something_else_comes_conflicts_by_its_fields() -> None:
    assert found(None, {"a": {"b": 1}}, {"a": 2}, git={"a": {"b": 1}}) == [("a.b", "git")]


def test_field_left_out_stays_when_another_manager_has_it() -> None:
    mine, theirs = {"a": 1, "b": {"c": 1, "d": 2}}, {"b": {"d": 2}}
    assert three_way(mine, mine, {}, [theirs]) == {"b": {"d": 2}}
    assert kept_fields(mine, {"b": {"d": 2}}, {}, {"git": theirs}) == (Kept("b", "git"),)
    assert kept_fields(mine, {"b": {"d": 2}}, {"b": {}}, {"git": theirs}) == (Kept("b.d", "git"),)


def test_item_left_out_keeps_what_another_manager_has_of_it() -> None:
    mine = {"env": [{"name": "A", "value": "1", "mine": 1}, {"name": "B", "value": "1"}]}
    theirs = {"env": [{"name": "A", "value": "1"}]}
    assert three_way(mine, mine, {"env": []}, [theirs]) == {"env": [{"name": "A", "value": "1"}]}
    assert three_way(mine, mine, {"env": [{"name": "C"}]}, [theirs]) == {
        "env": [{"name": "C"}, {"name": "A", "value": "1"}]
    }
    assert three_way(mine, mine, {}, [theirs]) == {"env": [{"name": "A", "value": "1"}]}


@given(last=objects, live=objects, desired=objects, other=objects)
def test_merging_again_changes_nothing_whatever_others_have(
    last: Any, live: Any, desired: Any, other: Any
) -> None:
    merged = three_way(last, live, desired, [other])
    assert three_way(desired, merged, desired, [other]) == merged
    assert conflicts_of(desired, merged, three_way(desired, merged, desired, [other]), {"git": other}) == ()


@given(last=objects, live=objects, desired=objects, other=objects)
def test_each_conflict_is_a_change_of_what_the_other_applied_and_stored(
    last: Any, live: Any, desired: Any, other: Any
) -> None:
    merged = three_way(last, live, desired, [other])
    for conflict in conflicts_of(last, live, merged, {"git": other}):
        assert conflict.stored != conflict.wanted
    assert conflicts_of(last, live, live, {"git": other}) == ()
    assert conflicts_of(last, live, merged, {}) == ()
    assert conflicts_of(live, live, merged, {"git": other}) == ()  # all was set by this manager
    assert conflicts_of(last, live, merged, {"git": last}) == ()  # nothing is the other's alone


@given(live=objects, desired=objects)
def test_where_all_belongs_to_another_every_changed_field_of_it_is_a_conflict(
    live: Any, desired: Any
) -> None:
    merged = three_way(None, live, desired, [live])
    named = {each.field for each in conflicts_of(None, live, merged, {"git": live})}
    for key, value in live.items():
        if not isinstance(value, dict | list):
            assert (key in named) == (typed(merged.get(key, "gone")) != typed(value))


@given(last=objects, live=objects, other=objects)
def test_leaving_everything_out_takes_nothing_from_others(last: Any, live: Any, other: Any) -> None:
    merged = three_way(last, live, {}, [other])
    assert conflicts_of(last, live, merged, {"git": other}) == ()
    for key in live.keys() & other.keys():
        assert key in merged


def test_managers_have_names_for_people() -> None:
    assert manager_text("set.default.web") == "set web of namespace default"
    assert manager_text("berth") == "berth apply without --set"
    names = ("set.default.web", "git.shop", "berth", "ci", "set.odd", "by hand")
    shown = ["set default/web", "gitsource/shop", "berth", "ci", "set.odd", "by hand"]
    assert list(map(manager_label, names)) == shown


# With a store


def test_a_conflict_writes_nothing_and_names_field_manager_and_values(world: World) -> None:
    world.new_client(manager="git").apply(docs(make_task(priority=3)))
    before = world.json_at(WEB)
    with pytest.raises(Conflicted) as refusal:
        world.apply(make_task("other"), make_task(priority=4))
    assert "task/web spec.priority: manager git has set it to 3; this apply wants 4" in str(refusal.value)
    assert "--force-conflicts" in str(refusal.value)
    assert world.json_at(WEB) == before
    assert world.keys_under("/berth/spec/") == [WEB]


def test_taken_over_it_is_the_new_managers_and_the_old_one_is_told(world: World) -> None:
    from client.conflicts import OnConflict

    git = world.new_client(manager="git")
    git.apply(docs(make_task(priority=3)))
    planned = world.client.plan(docs(make_task(priority=4)), on_conflict=OnConflict.TAKE_OVER)
    list(world.client.apply_planned(planned, on_conflict=OnConflict.TAKE_OVER))
    assert world.json_at(WEB)["spec"]["priority"] == 4
    assert world.apply(make_task(priority=5)) == [("task/web", "configured")]
    with pytest.raises(Conflicted, match="berth apply without --set has set it to 5; this apply wants 3"):
        git.apply(docs(make_task(priority=3)))


def test_scaling_by_hand_is_left_alone_by_a_manifest_without_replicas(world: World) -> None:
    world.apply(make_deployment("web"))
    world.client.scale(world.client.get("deployments", "web").ref, 5)
    world.apply(make_deployment("web", paused=True))
    assert world.client.get("deployments", "web").raw["spec"]["replicas"] == 5
    world.apply(make_deployment("web", replicas=2))
    assert world.client.get("deployments", "web").raw["spec"]["replicas"] == 2


def test_field_left_out_stays_for_another_manager_and_the_result_says_so(world: World) -> None:
    world.apply(make_task(priority=3, grace="5s"))
    world.new_client(manager="git").apply(docs(make_task(priority=3)))
    (result,) = world.client.apply(docs(make_task()))
    assert world.json_at(WEB)["spec"]["priority"] == 3
    assert "grace" not in world.json_at(WEB)["spec"]
    assert result.kept == (Kept("spec.priority", "git"),)


def test_claim_that_comes_between_reading_and_writing_is_seen(world: World) -> None:
    """The other only writes its record, as the object is already as it wants it: the spec does not move."""
    raw = make_task(priority=3)
    raw["metadata"] |= {"uid": "u", "namespace": "default"}
    world.put(WEB, raw)
    planned = world.client.plan(docs(make_task(priority=4)))
    world.new_client(manager="git").apply(docs(make_task(priority=3)))
    with pytest.raises(Conflicted, match="manager git has set it to 3"):
        list(world.client.apply_planned(planned))
    assert world.json_at(WEB)["spec"]["priority"] == 3
