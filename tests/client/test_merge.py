from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from client.merge import changed_paths, three_way, without_nulls

names = st.sampled_from(["a", "b", "c", "name"])
scalars = st.none() | st.booleans() | st.integers(0, 3) | st.sampled_from(["x", "y"])
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3),
    max_leaves=8,
)
objects = st.dictionaries(names, values, max_size=4)


def test_field_removed_from_the_manifest_is_removed() -> None:
    last, live = {"a": 1, "b": 2}, {"a": 1, "b": 2}
    assert three_way(last, live, {"a": 1}) == {"a": 1}


def test_field_set_by_others_stays() -> None:
    assert three_way({"a": 1}, {"a": 1, "theirs": 9}, {"a": 2}) == {"a": 2, "theirs": 9}


def test_field_changed_by_others_is_taken_back() -> None:
    assert three_way({"a": 1}, {"a": 5}, {"a": 1}) == {"a": 1}


def test_without_a_last_form_nothing_is_removed() -> None:
    assert three_way(None, {"a": 1, "b": 2}, {"a": 3}) == {"a": 3, "b": 2}


def test_null_removes_a_field() -> None:
    assert three_way(None, {"a": 1, "b": 2}, {"a": None}) == {"b": 2}


def test_named_items_are_merged_by_name_and_foreign_ones_follow() -> None:
    last = {"env": [{"name": "A", "value": "1"}, {"name": "GONE"}]}
    live = {"env": [{"name": "A", "value": "1", "new": True}, {"name": "GONE"}, {"name": "THEIRS"}]}
    desired = {"env": [{"name": "B"}, {"name": "A", "value": "2"}]}
    merged = three_way(last, live, desired)["env"]
    assert merged == [{"name": "B"}, {"name": "A", "value": "2", "new": True}, {"name": "THEIRS"}]


def test_lists_without_names_are_replaced_as_a_whole() -> None:
    assert three_way({"args": ["a"]}, {"args": ["a", "b"]}, {"args": ["c"]}) == {"args": ["c"]}


def test_items_with_one_name_twice_are_replaced_as_a_whole() -> None:
    mounts = [{"name": "v", "mountPath": "/a"}, {"name": "v", "mountPath": "/b"}]
    assert three_way(None, {"m": mounts}, {"m": mounts[:1]}) == {"m": mounts[:1]}


def test_source_of_a_volume_can_be_exchanged() -> None:
    before = {"volumes": [{"name": "v", "emptyDir": {}}]}
    after = {"volumes": [{"name": "v", "hostPath": {"path": "/x"}}]}
    assert three_way(before, before, after) == after


@given(live=objects, last=objects, desired=objects)
def test_merging_again_changes_nothing(live: Any, last: Any, desired: Any) -> None:
    merged = three_way(last, live, desired)
    assert three_way(desired, merged, desired) == merged


@given(last=objects, desired=objects)
def test_where_nobody_else_wrote_the_manifest_is_what_results(last: Any, desired: Any) -> None:
    assert three_way(last, without_nulls(last), desired) == without_nulls(desired)


@given(live=objects, last=objects, desired=objects)
def test_top_level_fields_of_others_survive(live: Any, last: Any, desired: Any) -> None:
    merged = three_way(last, live, desired)
    for key in live.keys() - last.keys() - desired.keys():
        assert merged[key] == live[key]


@given(old=objects, new=objects)
def test_paths_are_changed_exactly_when_values_differ(old: Any, new: Any) -> None:
    assert bool(list(changed_paths(old, new))) == (typed(old) != typed(new))


def typed(value: Any) -> Any:
    """1 and True are equal in Python and different in JSON."""
    if isinstance(value, dict):
        return {key: typed(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [typed(inner) for inner in value]
    return (type(value).__name__, value)


def test_path_names_the_item_of_a_list() -> None:
    old = {"containers": [{"name": "main", "image": "a"}]}
    new = {"containers": [{"name": "main", "image": "b"}]}
    assert list(changed_paths(old, new, "spec")) == ["spec.containers[main].image"]
