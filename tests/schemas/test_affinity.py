"""Where tasks run, as people write it: what is taken, what is refused, and with which words."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.errors import InvalidManifest
from schemas.manifest import load
from schemas.task import TaskSpec, template_hash


def written(**fields: Any) -> dict[str, Any]:
    return {"containers": [{"name": "main", "image": "berth/demo:1"}], **fields}


def problem_of(kind: str, spec: dict[str, Any], name: str = "web") -> str:
    """Return what `apply` says of an object, less what else it says."""
    raw = {"apiVersion": "berth/v1", "kind": kind, "metadata": {"name": name}, "spec": spec}
    with pytest.raises(InvalidManifest) as caught:
        load([("x.yaml", json.dumps(raw).encode())], default_namespace="default")
    return str(caught.value)


def node_affinity(*expressions: dict[str, Any]) -> dict[str, Any]:
    return {"nodeAffinity": {"required": [{"matchExpressions": list(expressions)}]}}


def test_what_is_left_out_means_the_node_itself_and_the_own_kind() -> None:
    spec = TaskSpec.parse_written(
        written(
            affinity={"taskAntiAffinity": {"required": [{}]}},
            topologySpread=[{}],
            distinct=[{"label": "rack"}],
            gang={"minMember": 2},
        )
    )
    assert spec.affinity is not None
    assert spec.affinity.task_anti_affinity is not None
    term = spec.affinity.task_anti_affinity.required[0]
    assert (term.topology_key, term.label_selector) == ("berth/node", None)
    spread = spec.topology_spread[0]
    assert (spread.topology_key, spread.max_skew, spread.when_unsatisfiable) == (
        "berth/node",
        1,
        "DoNotSchedule",
    )
    assert spec.distinct[0].most == 1
    assert spec.gang is not None
    assert spec.gang.timeout == 300.0


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"affinity": node_affinity({"key": "zone", "operator": "In"})}, "In and NotIn need values"),
        ({"affinity": node_affinity({"key": "zone", "operator": "Exists", "values": ["a"]})}, "take none"),
        ({"affinity": node_affinity({"key": "cores", "operator": "Gt", "values": ["many"]})}, 'such as values: ["8"]'),
        ({"affinity": node_affinity({"key": "cores", "operator": "Lt", "values": ["1", "2"]})}, "one whole number"),
        ({"affinity": node_affinity({"key": "cores", "operator": "Gt", "values": [8]})}, "put it in quotes"),
        ({"affinity": node_affinity({"key": "a b", "operator": "Exists"})}, "label key 'a b'"),
        ({"affinity": node_affinity()}, "at least 1 item"),
        ({"affinity": {"nodeAffinity": {"preferred": [{"weight": 0, "matchExpressions": []}]}}}, "weight"),
        ({"affinity": {"podAffinity": {}}}, "did you mean taskAffinity?"),
        (
            {"affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": []}}},
            "did you mean required?",
        ),
        ({"topologySpreadConstraints": []}, "did you mean topologySpread?"),
        ({"topologySpread": [{"maxSkew": 0}]}, "spec.topologySpread[0].maxSkew"),
        ({"maxPerNode": 0}, "spec.maxPerNode"),
        ({"gang": {"name": "ring"}}, "spec.gang.minMember: is required"),
        ({"gang": {"name": "ring", "minMember": 2, "timeout": "-5m"}}, "duration '-5m'"),
        ({"placement": "tight"}, "'binpack', 'spread', 'balanced' or 'optimal'"),
        ({"estimatedDuration": "-1s"}, "duration '-1s'"),
        ({"estimatedDuration": -1}, "must not be negative"),
    ],
)  # fmt: skip
def test_bad_input_is_refused_with_what_to_write(fields: dict[str, Any], told: str) -> None:
    assert told in problem_of("Task", written(**fields))


def job(gang: Any = None, member: int | None = None, **spec: Any) -> dict[str, Any]:
    template = written(restartPolicy="Never", **({"gang": {"minMember": member}} if member else {}))
    return {"template": {"spec": template}, **({"gang": gang} if gang is not None else {}), **spec}


@pytest.mark.parametrize(
    ("spec", "told"),
    [
        (
            job(member=3, parallelism=2, completions=9),
            "3 tasks are to start together, but at most 2 run at a time",
        ),
        (job(member=3, parallelism=9, completions=2), "but at most 2 run at a time"),
        (job(gang=True, member=2, parallelism=2, completions=2), "write either gang: true"),
        (job(gang=True, parallelism=0), "write suspend: true"),
        (job(estimatedDuration="4000d"), "96000h is more than 10 years"),
    ],
)
def test_a_job_can_not_wait_for_more_tasks_than_it_starts(spec: dict[str, Any], told: str) -> None:
    assert told in problem_of("Job", spec)
    assert told in problem_of("CronJob", {"schedule": "@daily", "jobTemplate": {"spec": spec}})


@pytest.mark.parametrize(
    ("kind", "spec", "told"),
    [
        ("Deployment", {}, "write strategy.type: Recreate"),
        ("Deployment", {"strategy": {"type": "Recreate"}, "replicas": 2}, "there are 2 replicas"),
        ("DaemonSet", {}, "each task of a DaemonSet starts as soon as"),
    ],
)
def test_a_gang_that_could_never_start_is_refused(kind: str, spec: dict[str, Any], told: str) -> None:
    template = {"spec": written(gang={"minMember": 3})}
    assert told in problem_of(kind, {"template": template, **spec})


def test_how_a_task_is_placed_is_live_and_where_it_may_go_is_not() -> None:
    base = written()
    live = {
        "placement": "spread",
        "preemptionPolicy": "Never",
        "rebalance": "never",
        "estimatedDuration": "5m",
    }
    assert template_hash({**base, **live}) == template_hash(base)
    for field in (
        {"affinity": {}},
        {"topologySpread": []},
        {"maxPerNode": 1},
        {"distinct": []},
        {"gang": {}},
    ):
        assert template_hash({**base, **field}) != template_hash(base)


keys = st.sampled_from(["zone", "disk"])
selectors = st.none() | st.fixed_dictionaries({"matchLabels": st.dictionaries(keys, st.sampled_from("ab"))})
task_terms = st.lists(
    st.fixed_dictionaries({"labelSelector": selectors}, optional={"topologyKey": keys}), max_size=2
)
expressions = st.one_of(
    st.fixed_dictionaries({"key": keys, "operator": st.just("Exists")}),
    st.fixed_dictionaries(
        {"key": keys, "operator": st.sampled_from(["In", "NotIn"]), "values": st.just(["a", "b"])}
    ),
    st.fixed_dictionaries(
        {"key": keys, "operator": st.sampled_from(["Gt", "Lt"]), "values": st.just(["-3"])}
    ),
)
node_terms = st.lists(
    st.fixed_dictionaries({"matchExpressions": st.lists(expressions, min_size=1, max_size=2)}), max_size=2
)


@given(node=node_terms, near=task_terms, apart=task_terms)
def test_affinities_are_read_back_as_they_were(node: Any, near: Any, apart: Any) -> None:
    affinity = {
        "nodeAffinity": {"required": node},
        "taskAffinity": {"required": near},
        "taskAntiAffinity": {"required": apart},
    }
    spec = TaskSpec.parse_written(written(affinity=affinity))
    assert TaskSpec.parse_stored(spec.to_json()) == spec
