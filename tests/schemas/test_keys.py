import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.keys import (
    AccessKey,
    AppliedKey,
    BindingKey,
    ClusterKey,
    Family,
    HeartbeatKey,
    Keys,
    NodeReportKey,
    ObjectRef,
    OtherKey,
    OwnedKey,
    RequestKey,
    SpecKey,
    StatusKey,
    TaskReportKey,
    cluster_ref,
)

labels = st.from_regex(r"[a-z0-9]([-a-z0-9]{0,8}[a-z0-9])?", fullmatch=True)
plurals = st.sampled_from(["tasks", "nodes", "queues"])
refs = st.one_of(
    st.builds(ObjectRef, plurals, labels | st.just("_cluster"), labels),
    st.builds(cluster_ref, st.just("queues"), st.lists(labels, min_size=1, max_size=3).map("/".join)),
)
layouts = st.sampled_from([Keys(), Keys("/a/b"), Keys("/berth-test")])


@given(keys=layouts, ref=refs, word=labels, node=labels)
def test_every_key_is_parsed_to_what_it_was_built_from(
    keys: Keys, ref: ObjectRef, word: str, node: str
) -> None:
    built = {
        keys.spec(ref): SpecKey(ref),
        keys.owned(ref): OwnedKey(ref),
        keys.status(ref): StatusKey(ref),
        keys.applied(ref, word): AppliedKey(ref, word),
        keys.request(ref, word): RequestKey(ref, word),
        keys.binding(node, word): BindingKey(node, word),
        keys.task_report(node, word): TaskReportKey(node, word),
        keys.node_report(node): NodeReportKey(node),
        keys.heartbeat(node): HeartbeatKey(node),
        keys.access(word): AccessKey(word),
        keys.cluster: ClusterKey(),
    }
    for key, expected in built.items():
        assert keys.parse(key) == expected


@given(keys=layouts, text=st.text(max_size=40))
def test_any_key_is_parsed_to_something(keys: Keys, text: str) -> None:
    keys.parse(text)
    keys.parse(keys.root + text)


@pytest.mark.parametrize(
    "key",
    ["/berth", "/berth/", "/berth/spec", "/berth/spec/a/tasks/", "/berth/spec//tasks/x", "/berth/spec/a/b/c/d",
     "/other/spec/a/tasks/x", "/berth/unknown/x", "/berth/bindings/n", "/berth/cluster/x", "/berthspec/a/b/c"],
)  # fmt: skip
def test_keys_of_strangers_are_no_object(key: str) -> None:
    assert Keys().parse(key) == OtherKey(key)


@given(ref=refs)
def test_objects_lie_in_the_range_of_their_kind(ref: ObjectRef) -> None:
    keys = Keys()
    assert keys.spec(ref).startswith(keys.objects_range(Family.SPEC, ref.namespace, ref.plural))
    assert keys.spec(ref).startswith(keys.objects_range(Family.SPEC, None, ref.plural))
    assert keys.applied(ref, "m").startswith(keys.applied_range(ref))


def test_range_of_a_node_does_not_cover_one_whose_name_is_longer() -> None:
    assert not Keys().binding("ab", "x").startswith(Keys().bindings_range("a"))
    assert not Keys().node_report("ab").startswith(Keys().reports_range("a"))


def test_events_lie_outside_the_watched_root() -> None:
    assert not Keys().event("default", "u", "s", "d").startswith(Keys().root)
    assert Keys().event("default", "u", "s", "d").startswith(Keys().events_range("default", "u"))


def test_reference_reads_as_people_write_it() -> None:
    assert [
        str(cluster_ref(plural, "x")) for plural in ("tasks", "queues", "priorityclasses", "namespaces")
    ] == [
        "task/x",
        "queue/x",
        "priorityclass/x",
        "namespace/x",
    ]
