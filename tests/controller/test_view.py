"""The view: decoded, indexed, kept up to date change by change; unreadable is never absent."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from controller.view import View
from controller.writes import is_whole, merged
from schemas.binding import Desired
from schemas.keys import Keys, ObjectRef, cluster_ref, task_ref
from schemas.meta import Model
from schemas.state import TaskState
from schemas.status import TaskStatus
from schemas.versioned import Versioned
from store.api import KeyValue
from store.codec import Unreadable, encode
from store.reflector import Change
from tests.controller.builders import (
    UID,
    granted_port,
    make_binding,
    make_delete,
    make_heartbeat,
    make_node_report,
    make_report,
    make_status,
    make_task,
    raw_task,
)

KEYS = Keys()
T = task_ref("default", "t")


class Feed:
    """A store in miniature: `put` and `delete` change a key and feed the view."""

    def __init__(self) -> None:
        self.view = View(KEYS)
        self.kvs: dict[str, KeyValue] = {}
        self._revision = 0

    def put(self, key: str, value: bytes | dict[str, Any] | Versioned[Any]) -> tuple[ObjectRef, ...]:
        if isinstance(value, Versioned):
            value = value.raw
        raw = value if isinstance(value, bytes) else encode(value)
        self._revision += 1
        old = self.kvs.get(key)
        created, version = (old.create_revision, old.version + 1) if old else (self._revision, 1)
        self.kvs[key] = KeyValue(key, raw, created, self._revision, version)
        return self.view.apply(Change(key, old, self.kvs[key]))

    def delete(self, key: str) -> tuple[ObjectRef, ...]:
        old = self.kvs.pop(key, None)
        return self.view.apply(Change(key, old, None)) if old else ()


def feed_with(**values: Any) -> Feed:
    feed = Feed()
    for key, value in values.items():
        feed.put(
            {"spec": KEYS.spec(T), "status": KEYS.status(T), "binding": KEYS.binding("n1", UID)}[key], value
        )
    return feed


def shown(view: View) -> dict[str, Any]:
    """Everything that planners and scheduler can see, without what is empty."""
    nodes = {}
    for name, node in view.nodes.items():
        slots = (node.spec, node.report, node.heartbeat, node.status, node.delete, node.fence)
        used = {key: amount for key, amount in node.usage.used.items() if amount}
        devices = {key: ids for key, ids in node.usage.devices.items() if ids}
        sums = (used, node.usage.ports, devices, node.usage.sites, node.reported, node.unreadable)
        if any((*slots, *sums)):
            nodes[name] = (slots, sums, view.sites.tasks_on(name))
    return {
        "cluster": view.cluster,
        "tasks": view.tasks,
        "frozen": {ref for ref, record in view.tasks.items() if view.is_frozen(record)},
        "nodes": nodes,
        "policies": view.policies,
        "access": {name: slot for name, slot in view.access.items() if slot},
        "unreadable": view.unreadable,
    }


def test_a_task_is_found_under_its_name_with_all_that_is_stored_about_it() -> None:
    feed, binding = Feed(), make_binding()
    assert feed.put(KEYS.spec(T), make_task()) == (T,)
    feed.put(KEYS.status(T), make_status())
    feed.put(KEYS.request(T, "delete"), make_delete())
    assert T in feed.put(KEYS.binding("n1", UID), binding)
    assert feed.put(KEYS.task_report("n1", UID), make_report(binding)) == (T,)
    record = feed.view.tasks[T]
    assert isinstance(record.spec, Versioned)
    assert isinstance(record.delete, Versioned)
    assert set(record.bindings) == set(record.reports) == {("n1", UID)}
    assert feed.view.sites.tasks_on("n1") == [T]


def test_a_task_of_which_nothing_is_stored_any_more_is_gone() -> None:
    feed = feed_with(spec=make_task(), binding=make_binding())
    feed.delete(KEYS.spec(T))
    assert T in feed.view.tasks
    assert T in feed.delete(KEYS.binding("n1", UID))
    assert feed.view.tasks == {}
    assert feed.view.sites.tasks_on("n1") == []


@pytest.mark.parametrize("garbage", [b"", b"{", b"[]", b'"text"', b"{}", b"\xff\xfe", b'{"metadata": 3}'])
@pytest.mark.parametrize("what", ["spec", "status", "binding"])
def test_what_cant_be_read_is_kept_and_shown_and_freezes_its_task(what: str, garbage: bytes) -> None:
    feed = feed_with(spec=make_task(), status=make_status(), binding=make_binding())
    key = {"spec": KEYS.spec(T), "status": KEYS.status(T), "binding": KEYS.binding("n1", UID)}[what]
    assert T in feed.put(key, garbage)
    assert feed.view.unreadable[key].error
    assert feed.view.is_frozen(feed.view.tasks[T])


def test_an_unreadable_report_freezes_its_task() -> None:
    feed = feed_with(spec=make_task(), status=make_status(), binding=make_binding())
    assert T in feed.put(KEYS.task_report("n1", UID), b"?")
    assert feed.view.is_frozen(feed.view.tasks[T])


@pytest.mark.parametrize("repair", ["mended", "removed"])
def test_a_repair_thaws_and_says_which_task_to_look_at(repair: str) -> None:
    feed, key = Feed(), KEYS.binding("n1", UID)
    feed.put(key, b"garbage")
    feed.put(KEYS.spec(T), make_task())
    assert feed.view.is_frozen(feed.view.tasks[T])
    dirty = feed.put(key, make_binding()) if repair == "mended" else feed.delete(key)
    assert T in dirty
    assert not feed.view.is_frozen(feed.view.tasks[T])
    assert feed.view.unreadable == {}


WRONG = [
    (KEYS.spec(T), raw_task("other")),
    (KEYS.spec(T), raw_task("t", namespace="other")),
    (KEYS.binding("n2", UID), make_binding("n1").raw),
    (KEYS.binding("n1", "uid-other"), make_binding("n1").raw),
    (KEYS.task_report("n1", "uid-other"), make_report(make_binding()).raw),
    (KEYS.node_report("n2"), make_node_report("n1").raw),
    (
        KEYS.spec(cluster_ref("nodes", "n2")),
        {"apiVersion": "berth/v1", "kind": "Node", "metadata": {"name": "n1", "uid": "x"}, "spec": {}},
    ),
    (
        KEYS.spec(cluster_ref("queues", "a")),
        {"apiVersion": "berth/v1", "kind": "Queue", "metadata": {"name": "b", "uid": "x"}, "spec": {}},
    ),
]


@pytest.mark.parametrize(("key", "value"), WRONG)
def test_a_value_that_names_another_object_than_its_key_is_unreadable(
    key: str, value: dict[str, Any]
) -> None:
    feed = Feed()
    feed.put(key, value)
    assert list(feed.view.unreadable) == [key]


def test_a_spec_without_uid_is_unreadable() -> None:
    feed, raw = Feed(), raw_task()
    del raw["metadata"]["uid"]
    feed.put(KEYS.spec(T), raw)
    assert isinstance(feed.view.tasks[T].spec, Unreadable)


def test_only_over_what_this_leader_wrote_whole_nobody_looks_for_unknown_fields() -> None:
    feed, key, model = Feed(), KEYS.status(T), TaskStatus(uid=UID)

    def stored(value: bytes, *, own: bool) -> Versioned[TaskStatus]:
        over = feed.view.task(T).status
        assert not isinstance(over, Unreadable)
        if own:
            feed.view.expect(key, value, model, is_whole=is_whole(over))
        feed.put(key, value)
        found = feed.view.task(T).status
        assert isinstance(found, Versioned)
        return found

    assert is_whole(stored(merged(None, model), own=True))
    newer = stored(encode({**model.to_json(), "newer": 1}), own=False)
    assert not is_whole(newer)
    after = stored(merged(newer, model), own=True)
    assert not is_whole(after)
    assert after.raw["newer"] == 1


def test_unknown_fields_of_newer_versions_are_kept() -> None:
    feed, raw = Feed(), make_binding().raw
    feed.put(KEYS.binding("n1", UID), {**raw, "newField": [1]})
    assert feed.view.tasks[T].bindings[("n1", UID)].raw["newField"] == [1]


# What is used on a node


def used(feed: Feed, node: str = "n1") -> int:
    return feed.view.nodes[node].usage.used.get("cpu", 0)


def test_a_binding_uses_its_grants_until_its_own_final_report() -> None:
    feed, binding = feed_with(binding=make_binding()), make_binding()
    assert used(feed) == 100
    feed.put(KEYS.task_report("n1", UID), make_report(binding, binding_uid="b-older", final=True))
    assert used(feed) == 100, "the final report of an older binding"
    feed.put(KEYS.task_report("n1", UID), make_report(binding, final=True))
    assert used(feed) == 0
    assert feed.view.nodes["n1"].usage.sites == {UID}


def test_stop_alone_frees_nothing() -> None:
    feed = feed_with(binding=make_binding(desired=Desired.STOP))
    assert used(feed) == 100


def test_a_container_without_binding_uses_what_it_reports() -> None:
    feed = Feed()
    report = make_report(
        make_binding(), unbound=True, grants_resources={"cpu": 70}, ports=(granted_port(31000),)
    )
    feed.put(KEYS.task_report("n1", UID), report)
    assert used(feed) == 70
    assert feed.view.nodes["n1"].usage.ports == {("TCP", 31000): 1}
    assert feed.view.sites.tasks_on("n1") == [T], "who must hear of it when the node comes back"


@pytest.mark.parametrize("how", ["removed", "unreadable"])
def test_a_placement_whose_binding_is_missing_still_uses_its_room(how: str) -> None:
    status = make_status(state=TaskState.RUNNING, resources={"cpu": 100})
    feed, key = feed_with(spec=make_task(), status=status, binding=make_binding()), KEYS.binding("n1", UID)
    feed.delete(key) if how == "removed" else feed.put(key, b"garbage")
    assert used(feed) == 100


def test_a_status_that_turned_unreadable_goes_on_to_hold_the_room_that_it_held() -> None:
    """The one thing that a view remembers and a fresh one can't know."""
    feed = feed_with(status=make_status(state=TaskState.RUNNING, resources={"cpu": 100}))
    feed.put(KEYS.status(T), b"garbage")
    assert used(feed) == 100
    feed.delete(KEYS.status(T))
    assert used(feed) == 0


def test_the_last_binding_of_a_node_going_makes_the_node_be_looked_at() -> None:
    feed = feed_with(binding=make_binding())
    assert cluster_ref("nodes", "n1") in feed.delete(KEYS.binding("n1", UID))


# Change by change is the same as afresh

NODE_REF = cluster_ref("nodes", "n1")
OBJECTS: list[tuple[str, Model | dict[str, Any]]] = [
    *((KEYS.spec(task_ref("default", name)), raw_task(name, uid=f"uid-{name}")) for name in ("t", "s")),
    (KEYS.spec(T), raw_task("t", uid="uid-t2")),
    (KEYS.spec(T), raw_task("other")),
    *((KEYS.status(T), make_status(node, resources={"cpu": 50}).raw) for node in ("n1", "n2", "")),
    (KEYS.status(T), make_status("n1", uid="uid-t2", state=TaskState.SUCCEEDED).raw),
    (KEYS.request(T, "delete"), make_delete().raw),
    *((KEYS.binding(node, UID), make_binding(node).raw) for node in ("n1", "n2")),
    (KEYS.binding("n1", UID), make_binding("n1", binding_uid="b-2", desired=Desired.STOP).raw),
    (KEYS.binding("n1", "uid-s"), make_binding("n1", task_uid="uid-s", name="s").raw),
    (KEYS.binding("n1", "uid-s"), make_binding("n1", task_uid="uid-s", name="elsewhere").raw),
    *(
        (KEYS.task_report(node, UID), make_report(make_binding(node), final=True).raw)
        for node in ("n1", "n2")
    ),
    (KEYS.task_report("n1", UID), make_report(make_binding(), unbound=True, grants_resources={"cpu": 7}).raw),
    (KEYS.task_report("n1", "uid-s"), make_report(make_binding(task_uid="uid-s", name="s")).raw),
    *((KEYS.node_report(node), make_node_report(node).raw) for node in ("n1", "n2")),
    (KEYS.heartbeat("n1"), make_heartbeat().raw),
    (KEYS.spec(cluster_ref("namespaces", "a")), {"apiVersion": "berth/v1", "kind": "Namespace"}),
    (
        KEYS.spec(cluster_ref("queues", "q")),
        {"apiVersion": "berth/v1", "kind": "Queue", "metadata": {"name": "q", "uid": "q"}, "spec": {}},
    ),
    (KEYS.request(cluster_ref("queues", "q"), "delete"), make_delete("q").raw),
    (KEYS.request(NODE_REF, "fence"), {"kind": "FenceRequest"}),
    (KEYS.access("default"), {"kind": "AccessToken", "token": "x"}),
    (KEYS.cluster, {"kind": "Cluster", "clusterUid": "c"}),
    ("/berth/unknown/key", {}),
]
STEPS = st.lists(
    st.one_of(
        st.sampled_from(OBJECTS),
        st.sampled_from([(key, None) for key, _ in OBJECTS]),
        st.tuples(
            st.sampled_from([key for key, _ in OBJECTS if key != KEYS.status(T)]),  # see the exception above
            st.sampled_from([b"", b"{}", b"[1]", b"\xff"]),
        ),
    ),
    min_size=5,
    max_size=40,
)


@settings(max_examples=250, deadline=None)
@given(STEPS)
def test_the_view_fed_change_by_change_equals_one_fed_afresh(steps: list[tuple[str, Any]]) -> None:
    feed = Feed()
    for key, value in steps:
        feed.delete(key) if value is None else feed.put(key, value)
    fresh = View(KEYS)
    for key in sorted(feed.kvs):
        fresh.apply(Change(key, None, feed.kvs[key]))
    assert shown(feed.view) == shown(fresh)


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


@settings(max_examples=250, deadline=None)
@given(st.sampled_from(OBJECTS), st.randoms(use_true_random=False), JSON)
def test_no_json_whatsoever_breaks_the_view(stored: tuple[str, Any], rng: Any, garbage: Any) -> None:
    """Any value may stand in any field of any object: it is read, or it is Unreadable."""
    key, value = stored

    def spoil(node: Any) -> Any:
        if isinstance(node, dict) and node and rng.random() < 0.8:
            chosen = rng.choice(sorted(node))
            return {**node, chosen: spoil(node[chosen])}
        if isinstance(node, list) and node and rng.random() < 0.8:
            return [spoil(node[0]), *node[1:]]
        return garbage

    feed = Feed()
    feed.put(key, encode(spoil(value)))
    feed.delete(key)
    assert feed.view.tasks == {}
    assert feed.view.unreadable == {}
