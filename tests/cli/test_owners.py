"""Owners on the command line: what they made is seen as tasks and changed through them; rollouts, scale, set image."""

from pathlib import Path

import pytest

from schemas.keys import ObjectRef
from tests.cli.helpers import Shell, write_yaml
from tests.client.helpers import KEYS, World, make_object, make_task
from tests.client.owned import keep, make_deployment, make_owned, make_template, set_owner_status

WEB = ObjectRef("deployments", "default", "web")
SETTLED = {
    "replicas": 2,
    "updatedReplicas": 2,
    "readyReplicas": 2,
    "availableReplicas": 2,
    "revision": 2,
}


@pytest.fixture
def web(world: World) -> World:
    """A deployment at its second template, with two tasks, beside a task of its own."""
    world.apply(make_deployment(image="berth/demo:2", replicas=2), make_task("solo"))
    keep(world, "web", 1, make_template("berth/demo:1"), cause="first")
    owner = keep(world, "web", 2, make_template("berth/demo:2"))
    for slot in range(2):
        make_owned(world, owner, 2, slot)
    set_owner_status(world, "deployments", "web", observedGeneration=1, **SETTLED)
    return world


def image_of(world: World) -> str:
    return str(world.json_at(KEYS.spec(WEB))["spec"]["template"]["spec"]["containers"][0]["image"])


def test_owned_tasks_stand_among_tasks(berth: Shell, web: World) -> None:
    assert berth("get", "tasks", "-o", "name").lines == ["task/solo", "task/web-2-0", "task/web-2-1"]
    assert berth("get", "tasks", "-l", "berth/owner=deployment.web", "-o", "name").lines == [
        "task/web-2-0",
        "task/web-2-1",
    ]
    shown = berth("get", "task", "web-2-0", "-o", "json").json
    assert shown["spec"]["containers"][0]["image"] == "berth/demo:2"
    assert shown["metadata"]["ownerReferences"][0]["name"] == "web"
    assert "Controlled By:" in berth("describe", "task/web-2-0").out


def test_pages_keep_the_order_of_both_families(berth: Shell, world: World) -> None:
    world.apply(make_deployment(), *(make_task(f"t{number:03}x") for number in range(150)))
    owner = keep(world, "web", 1, make_template())
    for slot in range(150):
        make_owned(world, owner, 1, slot)
    listed = berth("get", "tasks", "-o", "name").lines
    assert len(listed) == 300
    assert listed == sorted(listed)


def test_task_without_its_template_is_shown_as_unreadable(berth: Shell, web: World) -> None:
    owner = keep(web, "web", 3, make_template())
    make_owned(web, {**owner, "uid": "another"}, 3, 0)
    shown = berth("get", "task", "web-3-0", "-o", "wide")
    assert "Unreadable" in shown.out
    assert "its template, revision 3 of deployment/web, is not there" in shown.out


@pytest.mark.parametrize(
    "words",
    [
        ("label", "task/web-2-0", "a=b"),
        ("patch", "task/web-2-0", "-p", "{spec: {grace: 1s}}"),
        ("set", "image", "task/web-2-0", "main=x"),
    ],
)
def test_owned_task_is_changed_through_its_owner(berth: Shell, web: World, words: tuple[str, ...]) -> None:
    answer = berth(*words)
    assert answer.code == 1
    assert "was made by deployment/web and is as that says" in answer.err
    assert "berth edit deployment/web" in answer.err


def test_manifest_with_the_name_of_an_owned_task_is_refused(berth: Shell, web: World, tmp_path: Path) -> None:
    answer = berth("apply", "-f", write_yaml(tmp_path / "x.yaml", make_task("web-2-0")))
    assert answer.code == 1
    assert "change deployment/web instead" in answer.err


def test_template_is_admitted_like_a_task(berth: Shell, world: World, tmp_path: Path) -> None:
    template = make_template()
    template["spec"]["queue"] = "missing"
    answer = berth(
        "apply", "-f", write_yaml(tmp_path / "x.yaml", make_object("Deployment", "w", template=template))
    )
    assert answer.code == 1
    assert "spec.template.spec.queue: queue 'missing' does not exist" in answer.err


def test_template_of_a_job_can_not_be_changed(berth: Shell, world: World, tmp_path: Path) -> None:
    template = make_template()
    template["spec"]["restartPolicy"] = "Never"
    world.apply(make_object("Job", "sum", template=template))
    answer = berth("set", "image", "job/sum", "main=other")
    assert answer.code == 1
    assert "spec.template: can't be changed" in answer.err
    world.apply(make_object("Job", "sum", template=template, parallelism=2))


def test_undo_writes_the_template_before(berth: Shell, web: World) -> None:
    assert berth("rollout", "undo", "deployment/web").out == "deployment/web rolled back\n"
    assert image_of(web) == "berth/demo:1"
    assert berth("rollout", "undo", "deployment/web", "--to-revision", "2").code == 0
    assert image_of(web) == "berth/demo:2"
    missing = berth("rollout", "undo", "deployment/web", "--to-revision", "9")
    assert (missing.code, "has no revision 9" in missing.err) == (1, True)


def test_history_lists_kept_templates(berth: Shell, web: World) -> None:
    listed = berth("rollout", "history", "deployment/web").lines
    assert [line.split() for line in listed[1:]] == [
        ["REVISION", "CHANGE-CAUSE"],
        ["1", "first"],
        ["2", "<none>"],
    ]
    assert "berth/demo:1" in berth("rollout", "history", "deployment/web", "--revision", "1").out


def test_pause_resume_and_restart(berth: Shell, web: World) -> None:
    assert berth("rollout", "pause", "deployment/web").out == "deployment/web paused\n"
    assert "is already paused" in berth("rollout", "pause", "deployment/web").err
    assert "first run: berth rollout resume" in berth("rollout", "restart", "deployment/web").err
    assert berth("rollout", "resume", "deployment/web").out == "deployment/web resumed\n"
    assert berth("rollout", "restart", "deployment/web").out == "deployment/web restarted\n"
    template = web.json_at(KEYS.spec(WEB))["spec"]["template"]
    assert template["metadata"]["annotations"]["berth/restartedAt"].startswith("2027-")


@pytest.mark.parametrize(
    ("status", "code", "said"),
    [
        ({}, 0, 'deployment "web" successfully rolled out'),
        ({"updatedReplicas": 1}, 0, "1 out of 2 new replicas have been updated..."),
        ({"replicas": 3}, 0, "1 old replicas are pending termination..."),
        ({"availableReplicas": 1}, 0, "1 of 2 updated replicas are available..."),
        ({"rolledBack": 2, "revision": 1}, 1, "with revision 2 and went back to revision 1"),
        (
            {
                "conditions": [
                    {
                        "type": "Progressing",
                        "status": "False",
                        "reason": "ProgressDeadlineExceeded",
                        "message": "revision 2 did not come forward for 60s; task/web-2-0 is ImagePullBackOff",
                    }
                ]
            },
            1,
            'deployment "web" exceeded its progress deadline: revision 2 did not come forward for 60s; '
            "task/web-2-0 is ImagePullBackOff",
        ),
    ],
)
def test_status_of_a_rollout(
    berth: Shell, web: World, status: dict[str, object], code: int, said: str
) -> None:
    set_owner_status(web, "deployments", "web", **{"observedGeneration": 1, **SETTLED, **status})
    answer = berth("rollout", "status", "deployment/web", "--watch=false")
    assert answer.code == code
    assert said in answer.out + answer.err


def test_status_waits_until_the_rollout_is_done(berth: Shell, web: World) -> None:
    set_owner_status(web, "deployments", "web", observedGeneration=1, **{**SETTLED, "updatedReplicas": 1})
    web.while_waiting.append(
        lambda: set_owner_status(web, "deployments", "web", observedGeneration=1, **SETTLED)
    )
    assert len(berth("rollout", "status", "deployment/web").lines) == 2
    set_owner_status(web, "deployments", "web", observedGeneration=1, **{**SETTLED, "updatedReplicas": 1})
    late = berth("rollout", "status", "deployment/web", "--timeout", "10s")
    assert (late.code, "1 out of 2 new replicas" in late.err) == (1, True)


def test_scale_and_its_condition(berth: Shell, web: World) -> None:
    assert berth("scale", "deployment/web", "--replicas", "5").out == "deployment/web scaled\n"
    assert web.json_at(KEYS.spec(WEB))["spec"]["replicas"] == 5
    refused = berth("scale", "deployment/web", "--replicas", "1", "--current-replicas", "3")
    assert (refused.code, "has 5 replicas and not 3" in refused.err) == (1, True)


def test_set_image(berth: Shell, web: World) -> None:
    assert (
        berth("set", "image", "deployment/web", "main=berth/demo:3").out == "deployment/web image updated\n"
    )
    assert image_of(web) == "berth/demo:3"
    assert berth("set", "image", "deployment/web", "*=berth/demo:3").out == "deployment/web unchanged\n"
    assert 'has no container "x"; it has: main' in berth("set", "image", "deployment/web", "x=y").err


def test_tables_tell_of_a_deployment_that_went_back(berth: Shell, web: World) -> None:
    assert berth("get", "deployment").lines[1].split()[:4] == ["web", "2/2", "2", "2"]
    set_owner_status(
        web, "deployments", "web", observedGeneration=1, **{**SETTLED, "rolledBack": 2, "revision": 1}
    )
    assert "2 (rolled back)" in berth("get", "deployment").out
    assert "1 (went back from 2)" in berth("get", "deployment", "-o", "wide").out
    told = berth("describe", "deployment/web").out
    assert "2 desired | 2 updated | 2 total | 2 available | 0 unavailable" in told
    assert "went back from 2 at its progress deadline" in told


def test_cascade_is_in_the_request(berth: Shell, web: World) -> None:
    assert berth("delete", "deployment/web", "--cascade", "orphan", "--wait=false").code == 0
    assert web.json_at(KEYS.request(WEB, "delete"))["cascade"] == "orphan"
    assert berth("delete", "deployment/web", "--cascade", "x").code == 1


def test_endpoints_are_listed_and_one_that_is_missing_is_told(berth: Shell, web: World) -> None:
    owner = {"kind": "Deployment", "name": "web", "uid": "u"}
    port = {"container": "main", "containerPort": 80, "hostPort": 31000, "protocol": "TCP"}
    address = {"task": "web-2-0", "uid": "t", "node": "n1", "ip": "10.0.0.5", "ports": [port]}
    web.put(KEYS.endpoints("default", "web"), {"kind": "Endpoints", "owner": owner, "addresses": [address]})
    assert berth("get", "endpoints").lines == ["NAME   ENDPOINTS", "web    10.0.0.5:31000"]
    assert berth("get", "ep", "web", "-o", "json").json["addresses"][0]["task"] == "web-2-0"
    assert 'endpoints "x" not found' in berth("get", "endpoints/x").err


def test_budgets_and_configmaps_have_tables_and_descriptions(berth: Shell, world: World) -> None:
    config = {
        "apiVersion": "berth/v1",
        "kind": "ConfigMap",
        "metadata": {"name": "app"},
        "data": {"MODE": "on"},
    }
    world.apply(config, make_object("DisruptionBudget", "keep", selector={}, minAvailable="50%"))
    assert berth("get", "cm").lines[1].split()[:2] == ["app", "1"]
    assert berth("get", "pdb").lines[1].split()[:3] == ["keep", "50%", "N/A"]
    assert "MODE" in berth("describe", "cm/app").out
    assert "Min available:" in berth("describe", "budget/keep").out


def test_frozen_owner_says_why(berth: Shell, web: World) -> None:
    frozen = {"type": "Frozen", "status": "True", "reason": "Unreadable", "message": "revision 2 is missing"}
    set_owner_status(web, "deployments", "web", conditions=[frozen], **SETTLED)
    assert "Warning: deployment/web is frozen: revision 2 is missing" in berth("get", "deployments").err
    assert "Frozen" in berth("get", "deployments", "-o", "wide").out
    assert "revision 2 is missing" in berth("describe", "deployment/web").out
    status = berth("rollout", "status", "deployment/web")
    assert (status.code, "is frozen: revision 2 is missing" in status.err) == (1, True)


def test_owner_whose_status_cannot_be_read_says_so(berth: Shell, web: World) -> None:
    web.put(KEYS.status(WEB), b"garbage")
    assert "Unreadable" in berth("get", "deployments").out
    assert "Status:                 Unreadable" in berth("describe", "deployment/web").out
    refused = berth("delete", "deployment/web")
    assert (refused.code, "berth delete deployment/web --force" in refused.err) == (1, True)
