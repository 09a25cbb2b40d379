from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.admission import Admitted, Denied, Policy, admit
from schemas.defaults import effective_spec, pull_policy, task_requests
from schemas.namespace import BUILTIN_NAMESPACE, Namespace
from schemas.priority import PriorityClass
from schemas.queue import BUILTIN_QUEUE
from schemas.task import Task, TaskSpec, template_hash


def make_spec(**fields: Any) -> dict[str, Any]:
    container = {"name": "main", "image": "berth/demo:1", **fields.pop("container", {})}
    return {"containers": [container], **fields}


def make_task(namespace: str = "default", **fields: Any) -> Task:
    metadata = {"name": "web", "namespace": namespace}
    raw = {"apiVersion": "berth/v1", "kind": "Task", "metadata": metadata, "spec": make_spec(**fields)}
    return Task.parse_written(raw)


def make_namespace(name: str = "team", **spec: Any) -> Namespace:
    return Namespace.parse_written(
        {"apiVersion": "berth/v1", "kind": "Namespace", "metadata": {"name": name}, "spec": spec}
    )


HIGH = PriorityClass.parse_written(
    {"apiVersion": "berth/v1", "kind": "PriorityClass", "metadata": {"name": "high"}, "spec": {"value": 50}}
)


def policy(*namespaces: Namespace) -> Policy:
    named = {each.metadata.name: each for each in (BUILTIN_NAMESPACE, *namespaces)}
    return Policy(named, {"default": BUILTIN_QUEUE}, {"high": HIGH})


def reasons(task: Task, *namespaces: Namespace) -> str:
    verdict = admit(task, policy(*namespaces))
    assert isinstance(verdict, Denied), verdict
    return "\n".join(verdict.reasons)


specs = st.fixed_dictionaries(
    {},
    optional={
        "restartPolicy": st.sampled_from(["Always", "OnFailure", "Never"]),
        "priority": st.integers(-5, 5),
        "priorityClassName": st.sampled_from(["high", "unknown"]),
        "queue": st.sampled_from(["default", "q"]),
        "exactlyOne": st.booleans(),
        "unreachable": st.fixed_dictionaries(
            {}, optional={"stopAfter": st.sampled_from(["never", "5s"]), "rescheduleAfter": st.just("90s")}
        ),
        "container": st.fixed_dictionaries(
            {},
            optional={
                "image": st.sampled_from(["a", "a:latest", "a:1", "r:5000/a", "a@sha256:0"]),
                "resources": st.fixed_dictionaries(
                    {},
                    optional={
                        "limits": st.dictionaries(
                            st.sampled_from(["cpu", "memory", "gpu"]), st.integers(0, 3)
                        ),
                        "requests": st.dictionaries(st.sampled_from(["cpu", "disk"]), st.integers(0, 3)),
                    },
                ),
            },
        ),
    },
)


@given(fields=specs)
def test_defaults_applied_twice_change_nothing(fields: dict[str, Any]) -> None:
    namespace = make_namespace(taskDefaults={"limits": {"memory": "1Gi"}, "requests": {"cpu": "1m"}})
    once = effective_spec(TaskSpec.parse_written(make_spec(**fields)), namespace.spec, {"high": HIGH})
    assert effective_spec(once, namespace.spec, {"high": HIGH}) == once


@given(fields=specs)
def test_effective_spec_is_read_back_as_it_was(fields: dict[str, Any]) -> None:
    once = effective_spec(TaskSpec.parse_written(make_spec(**fields)), BUILTIN_NAMESPACE.spec, {"high": HIGH})
    assert TaskSpec.parse_stored(once.to_json()) == once


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        ("a", "Always"),
        ("a:latest", "Always"),
        ("a:1", "IfNotPresent"),
        ("r:5000/a", "Always"),
        ("r:5000/a:2", "IfNotPresent"),
        ("a@sha256:00", "IfNotPresent"),
        ("a:latest@sha256:00", "IfNotPresent"),
    ],
)
def test_pull_policy_follows_the_tag(image: str, expected: str) -> None:
    assert pull_policy(image) == expected


def test_limits_alone_are_requests_too_and_the_namespace_fills_the_rest() -> None:
    spec = make_task(container={"resources": {"limits": {"cpu": 2}}}).spec
    effective = effective_spec(spec, BUILTIN_NAMESPACE.spec, {})
    assert task_requests(effective) == {"cpu": 2000, "memory": 64 * 2**20}


def test_priority_comes_from_the_class_unless_written() -> None:
    def priority(**fields: Any) -> int | None:
        return effective_spec(make_task(**fields).spec, BUILTIN_NAMESPACE.spec, {"high": HIGH}).priority

    assert priority() == 0
    assert priority(priorityClassName="high") == 50
    assert priority(priorityClassName="high", priority=7) == 7


def test_plain_task_is_admitted_with_its_defaults() -> None:
    verdict = admit(make_task(), policy())
    assert isinstance(verdict, Admitted)
    assert verdict.spec.queue == "default"


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"queue": "none"}, "queue 'none' does not exist; see: berth get queues"),
        ({"priorityClassName": "none"}, "'none' does not exist; see: berth get priorityclasses"),
        ({"container": {"privileged": True}}, "namespace default does not allow it"),
        ({"volumes": [{"name": "v", "hostPath": {"path": "/etc"}}]}, "does not allow /etc; an admin adds it"),
        ({"volumes": [{"name": "v", "hostPath": {"path": "/a/../b"}}]}, "must not contain '..'"),
        (
            {"container": {"resources": {"requests": {"cpu": 2}, "limits": {"cpu": 1}}}},
            "request cpu=2 is above its limit 1",
        ),
        (
            {"container": {"ports": [{"containerPort": 80}, {"containerPort": 80}]}},
            "container port 80/TCP appears twice",
        ),
        (
            {"container": {"ports": [{"containerPort": 1, "hostPort": 9}, {"containerPort": 2, "hostPort": 9}]}},
            "host port 9/TCP appears twice",
        ),
        ({"container": {"volumeMounts": [{"name": "x", "mountPath": "/x"}]}}, "there is no volume named x"),
        ({"volumes": [{"name": "v", "emptyDir": {}}] * 2}, "name v appears twice"),
        ({"exactlyOne": True, "grace": "60s"}, "needs stopAfter + grace + 10s <= rescheduleAfter; here 1m30s > 1m"),
        ({"exactlyOne": True, "unreachable": {"stopAfter": "never"}}, "here never > 1m"),
        ({"initContainers": [{"name": "main", "image": "x"}]}, "container name main appears twice"),
        ({"container": {"restartPolicy": "Always"}}, "only an init container may have one"),
        (
            {"initContainers": [{"name": "i", "image": "x", "lifecycle": {"preStop": {"sleep": {"seconds": 1}}}}]},
            "spec.initContainers[0].lifecycle: an init container that runs to its end can't have it",
        ),
        ({"initContainers": [{"name": "i", "image": "x", "privileged": True}]}, "spec.initContainers[0].privileged"),
    ],
)  # fmt: skip
def test_denial_says_what_to_do(fields: dict[str, Any], told: str) -> None:
    assert told in reasons(make_task(**fields))


def test_same_port_in_two_protocols_is_admitted() -> None:
    ports = [{"containerPort": 53}, {"containerPort": 53, "protocol": "UDP"}]
    assert isinstance(admit(make_task(container={"ports": ports}), policy()), Admitted)


def test_exactly_one_is_admitted_by_default() -> None:
    assert isinstance(admit(make_task(exactlyOne=True), policy()), Admitted)


def test_unknown_namespace_is_denied() -> None:
    assert "create it or apply with --create-namespace" in reasons(make_task("nowhere"))


def test_namespace_limits_queues_and_priority() -> None:
    team = make_namespace(queues=[], maxPriority=10)
    assert "may not use queue default; allowed: none" in reasons(make_task("team"), team)
    team = make_namespace(maxPriority=10)
    assert "50 is above 10" in reasons(make_task("team", priorityClassName="high"), team)


def test_host_path_is_allowed_below_a_folder_and_not_beside_it() -> None:
    team = make_namespace(hostPaths=["/srv/team"])

    def mounts(path: str) -> Task:
        return make_task("team", volumes=[{"name": "v", "hostPath": {"path": path}}])

    assert isinstance(admit(mounts("/srv/team/data"), policy(team)), Admitted)
    assert isinstance(admit(mounts("/srv/team/"), policy(team)), Admitted)
    assert "does not allow /srv/teams" in reasons(mounts("/srv/teams"), team)


def test_live_fields_do_not_change_the_template() -> None:
    base = make_spec()
    assert template_hash({**base, "priority": 3, "queue": "q", "grace": "1s"}) == template_hash(base)
    assert template_hash({**base, "restartPolicy": "Never"}) != template_hash(base)


def test_a_task_needs_its_lasting_containers_or_its_largest_step_before() -> None:
    def box(name: str, cpu: int, **fields: Any) -> dict[str, Any]:
        return {"name": name, "image": "x", "resources": {"requests": {"cpu": cpu}}, **fields}

    def cpu(*init: dict[str, Any]) -> int:
        spec = {"containers": [box("a", 1), box("b", 2)], "initContainers": list(init)}
        return task_requests(TaskSpec.parse_written(spec))["cpu"]

    assert cpu() == 3000
    assert cpu(box("i", 2)) == 3000
    assert cpu(box("i", 9), box("j", 4)) == 9000
    assert cpu(box("s", 1, restartPolicy="Always"), box("i", 9)) == 10_000
    assert cpu(box("i", 3), box("s", 1, restartPolicy="Always")) == 4000
