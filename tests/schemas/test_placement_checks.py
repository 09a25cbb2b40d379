"""Admission of where a task runs: what contradicts itself is denied, with words; what can be met is not."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.scheduler.shape import Expression
from schemas.admission import Admitted, Denied, Policy, admit
from schemas.namespace import BUILTIN_NAMESPACE, Namespace
from schemas.owned import OWNER_LABEL
from schemas.placement_checks import contradiction
from schemas.queue import BUILTIN_QUEUE, Queue
from schemas.task import Task

APP = {"matchLabels": {"app": "web"}}


def verdict(
    labels: dict[str, str] | None = None, queues: tuple[Queue, ...] = (), **fields: Any
) -> Admitted | Denied:
    spec = {"containers": [{"name": "main", "image": "berth/demo:1"}], **fields}
    metadata = {"name": "web", "namespace": "default", "labels": {"app": "web"} if labels is None else labels}
    raw = {"apiVersion": "berth/v1", "kind": "Task", "metadata": metadata, "spec": spec}
    named = {each.metadata.name: each for each in (BUILTIN_QUEUE, *queues)}
    anything: Namespace = BUILTIN_NAMESPACE.model_copy(
        update={"spec": BUILTIN_NAMESPACE.spec.model_copy(update={"queues": ("*",)})}
    )
    return admit(Task.parse_written(raw), Policy({"default": anything}, named, {}))


def reasons(**fields: Any) -> str:
    found = verdict(**fields)
    assert isinstance(found, Denied), found
    return "\n".join(found.reasons)


def demand(key: str, operator: str, *values: str) -> dict[str, Any]:
    return {"key": key, "operator": operator, "values": list(values)}


def nodes(*terms: list[dict[str, Any]]) -> dict[str, Any]:
    return {"nodeAffinity": {"required": [{"matchExpressions": term} for term in terms]}}


def tasks(near: list[dict[str, Any]], apart: list[dict[str, Any]]) -> dict[str, Any]:
    return {"taskAffinity": {"required": near}, "taskAntiAffinity": {"required": apart}}


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        (
            {"affinity": nodes([demand("zone", "In", "a")]), "nodeSelector": {"zone": "b"}},
            "spec.affinity.nodeAffinity.required[0]: no node can have zone In b and zone In a, where spec.nodeSelector",
        ),
        ({"affinity": nodes([demand("zone", "In", "a"), demand("zone", "NotIn", "a")])}, "zone In a and zone NotIn a"),
        (
            {"affinity": nodes([demand("zone", "Exists"), demand("zone", "DoesNotExist")])},
            "zone Exists and zone DoesNotExist",
        ),
        ({"affinity": nodes([demand("cores", "Gt", "7"), demand("cores", "Lt", "8")])}, "cores Gt 7 and cores Lt 8"),
        (
            {"affinity": nodes([demand("berth/node", "In", "n2")]), "nodeName": "n1"},
            "berth/node In n1 and berth/node In n2, where spec.nodeName counts too",
        ),
        (
            {"affinity": tasks([{"labelSelector": APP}], [{"labelSelector": APP}])},
            "spec.affinity.taskAntiAffinity.required[0]: keeps away, by berth/node, from the very tasks that",
        ),
        (
            {"affinity": tasks([{"labelSelector": APP}], [{"labelSelector": APP, "topologyKey": "zone"}])},
            "keeps away, by zone, from the very tasks that taskAffinity.required[0] wants near, by berth/node",
        ),
        (
            {"affinity": tasks([{"labelSelector": {**APP, "matchExpressions": [demand("app", "NotIn", "web")]}}], [])},
            "taskAffinity.required[0].labelSelector: no task can have app In web and app NotIn web",
        ),
        (
            {"topologySpread": [{"labelSelector": {"matchLabels": {"berth/job-index": "0"}}}]},
            "spec.topologySpread[0].labelSelector: berth/job-index is not seen here",
        ),
        ({"estimatedDuration": "4000d"}, "spec.estimatedDuration: 96000h is more than 10 years"),
        ({"gang": {"minMember": 2}}, "spec.gang.name: is required, as this task has no owner"),
        ({"maxPerNode": 1, "labels": {}}, "spec.maxPerNode: counts the tasks that have its labels"),
        ({"distinct": [{"label": "rack"}], "labels": {}}, "spec.distinct[0]: counts"),
        ({"topologySpread": [{}], "labels": {}}, "spec.topologySpread[0].labelSelector: is left out"),
    ],
)  # fmt: skip
def test_what_can_not_be_meant_is_denied(fields: dict[str, Any], told: str) -> None:
    assert told in reasons(**fields)


@pytest.mark.parametrize(
    "fields",
    [
        {"affinity": nodes([demand("zone", "In", "a")], [demand("zone", "In", "b")]), "nodeSelector": {"zone": "b"}},
        {"affinity": nodes([demand("zone", "NotIn", "a"), demand("zone", "DoesNotExist")])},
        {"affinity": nodes([demand("cores", "Gt", "7"), demand("cores", "Lt", "9")])},
        {"affinity": tasks([{"labelSelector": APP, "topologyKey": "zone"}], [{"labelSelector": APP}])},
        {"affinity": tasks([{"labelSelector": APP}], [{"labelSelector": {"matchLabels": {"app": "db"}}}])},
        {"maxPerNode": 1, "topologySpread": [{}], "distinct": [{"label": "rack"}]},
        {"gang": {"name": "ring", "minMember": 2}},
        {"gang": {"minMember": 2}, "labels": {OWNER_LABEL: "job.ring"}},
        {"estimatedDuration": "3650d"},
        {"topologySpread": [{"labelSelector": APP}], "labels": {}},
    ],
)  # fmt: skip
def test_what_can_be_met_is_admitted(fields: dict[str, Any]) -> None:
    assert isinstance(verdict(**fields), Admitted)


values = st.lists(st.sampled_from(["a", "b", "1", "2", "3"]), min_size=1, max_size=3, unique=True).map(tuple)
numbers = st.sampled_from(["-1", "0", "1", "2", "4"]).map(lambda text: (text,))
demands = st.lists(
    st.one_of(
        st.tuples(st.just("k"), st.sampled_from(["In", "NotIn"]), values),
        st.tuples(st.just("k"), st.sampled_from(["Exists", "DoesNotExist"]), st.just(())),
        st.tuples(st.just("k"), st.sampled_from(["Gt", "Lt"]), numbers),
    ),
    max_size=5,
)


@given(demands=demands)
def test_demands_contradict_each_other_exactly_if_no_label_meets_them(demands: Any) -> None:
    """Checked against the scheduler's own reading of them, over all labels that could make a difference."""
    written = [Expression(*each) for each in demands]
    candidates: list[dict[str, str]] = [{}, {"k": "other"}, *({"k": text} for text in "ab")]
    candidates += [{"k": str(number)} for number in range(-9, 15)]
    can_hold = any(all(each.matches(labels) for each in written) for labels in candidates)
    assert (contradiction(demands) is None) == can_hold


def test_a_queue_says_whose_it_is() -> None:
    raw = {"apiVersion": "berth/v1", "kind": "Queue", "metadata": {"name": "eng/web"}}
    closed = Queue.parse_written({**raw, "spec": {"namespaces": ["eng", "ops"]}})
    told = reasons(queue="eng/web", queues=(closed,))
    assert "queue eng/web is not for namespace default, its namespaces: eng, ops" in told
    opened = Queue.parse_written({**raw, "spec": {"namespaces": ["eng", "default"]}})
    assert isinstance(verdict(queue="eng/web", queues=(opened,)), Admitted)
    assert "queue 'eng/api' does not exist" in reasons(queue="eng/api")
