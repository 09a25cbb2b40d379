"""why, shares, plan, drain --plan on the command line: here no leader answers, so that berth computes from etcd."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from cli.plan_markdown import code
from schemas.keys import task_ref
from schemas.task import template_hash
from tests.cli.helpers import Shell, write_yaml
from tests.client.helpers import KEYS, World, make_object, make_task

ALLOCATABLE = {"cpu": "4", "memory": "8Gi"}
CLUSTER = {"kind": "Cluster", "clusterUid": "c1", "incarnation": 1}


@pytest.fixture
def nodes(world: World) -> World:
    """A cluster of two nodes, of which one is cordoned."""
    world.put(KEYS.cluster, CLUSTER)
    world.add_node("n1", allocatable=ALLOCATABLE)
    world.add_node("n2", allocatable=ALLOCATABLE)
    world.client.cordon("n2")
    return world


def task(name: str, cpu: str, **spec: Any) -> dict[str, Any]:
    made = make_task(name, **spec)
    made["spec"]["containers"][0]["resources"] = {"requests": {"cpu": cpu}}
    return made


def deployment(name: str, replicas: int, cpu: str) -> dict[str, Any]:
    template = {"metadata": {"labels": {"app": name}}, "spec": task("x", cpu)["spec"]}
    return make_object("Deployment", name, replicas=replicas, template=template)


def bind(world: World, name: str, node: str, cpu: str = "1") -> None:
    """Write what the leader writes when it binds a task."""
    stored = world.json_at(KEYS.spec(task_ref("default", name)))
    uid = stored["metadata"]["uid"]
    placed: Any = {"node": node, "bindingUid": "b1", "epoch": 1}
    world.set_status(name, state="Running", observedGeneration=1, resources={"cpu": cpu}, **placed)
    binding = {
        "kind": "Binding", "namespace": "default", "name": name, "taskUid": uid, "generation": 1,
        "incarnation": 1, "desired": "Run", "grants": {"resources": {"cpu": cpu}},
        "templateHash": template_hash(stored["spec"]),
        "spec": {**stored["spec"], "queue": "default"}, **placed,
    }  # fmt: skip
    world.put(KEYS.binding(node, uid), binding)


def test_why_names_what_is_in_the_way_on_each_node_and_what_would_help(berth: Shell, nodes: World) -> None:
    nodes.apply(task("big", "6"))
    result = berth("why", "task/big")
    assert result.code == 0
    assert "number 1 of 1 that wait in queue default: 0 of 2 nodes fit" in result.out
    assert "n1     short of cpu by 2\n" in result.out
    assert "n2     cordoned (and 1 more)\n" in result.out
    assert "resources.requests.cpu: 6 -> 4   n1\n" in result.out
    assert "computed here from etcd" in result.err


def test_why_names_the_nodes_that_are_kept_for_a_task(berth: Shell, nodes: World) -> None:
    nodes.apply(task("there", "3", estimatedDuration="1h"))
    bind(nodes, "there", "n1")
    nodes.apply(task("big", "4"))
    answer = berth("why", "big", "-o", "json").json
    assert [each["node"] for each in answer["kept"]] == ["n1"]
    assert (
        f"Kept for it: n1; enough is free there at {answer['kept'][0]['at'][:4]}" in berth("why", "big").out
    )


def test_why_tells_all_of_one_node(berth: Shell, nodes: World) -> None:
    nodes.apply(task("big", "6"))
    result = berth("why", "big", "--node", "node/n2")
    assert "cordoned [NodeCordoned]" in result.out
    assert "short of cpu by 2 [Insufficient]" in result.out
    assert "cpu        6" in result.out


def test_why_as_data_has_stable_codes_and_counts_that_add_up(berth: Shell, nodes: World) -> None:
    nodes.apply(task("big", "6"))
    answer = berth("why", "big", "-o", "json").json
    assert {each["code"]: each["count"] for each in answer["reasons"]} == {
        "Insufficient": 1,
        "NodeCordoned": 1,
    }
    assert (answer["state"], answer["nodeCount"], answer["position"]) == ("Waiting", 2, 1)


def test_why_of_a_bound_task_ranks_the_nodes(berth: Shell, nodes: World) -> None:
    nodes.apply(task("web", "1"))
    bind(nodes, "web", "n1")
    result = berth("why", "web")
    assert result.out.startswith("task/web is on node n1 (queue default).\n")
    assert "node n1 is number 1 of 1" in result.out


def test_why_of_a_task_that_asks_for_no_node_says_how_it_is(berth: Shell, nodes: World) -> None:
    nodes.apply(task("done", "1", restartPolicy="Never"))
    placed: Any = {"node": "n1", "bindingUid": "b1", "epoch": 1, "observedGeneration": 1}
    nodes.set_status("done", state="Succeeded", reason="Completed", **placed)
    assert berth("why", "done").out.startswith("task/done is Succeeded (Completed)\n")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["deployment/web"], "berth why is about tasks"),
        (["nope"], 'task "nope" not found'),
        (["web", "-o", "wide"], "known: json, yaml"),
        (["web", "--node", "n9"], "node n9 has never reported"),
    ],
)
def test_why_refuses_what_makes_no_sense(berth: Shell, nodes: World, arguments: list[str], told: str) -> None:
    nodes.apply(task("web", "1"))
    result = berth("why", *arguments)
    assert result.code == 1
    assert told in result.err


def test_shares_show_each_queue_and_who_is_next(berth: Shell, nodes: World) -> None:
    nodes.apply(task("web", "1"), task("next", "1"))
    bind(nodes, "web", "n1")
    result = berth("shares")
    queue, cells = result.lines[1].split()[0], result.lines[1].split()
    assert (queue, cells[1], cells[2]) == ("default", "12.5%", "cpu")
    assert "default/next" in result.lines[-1]
    answer = berth("shares", "-o", "json").json
    assert answer["next"][0]["task"] == {"namespace": "default", "name": "next"}


def test_plan_shows_differences_places_and_what_would_wait(
    berth: Shell, nodes: World, tmp_path: Path
) -> None:
    path = write_yaml(tmp_path / "m.yaml", deployment("web", 3, "1500m"))
    result = berth("plan", "-f", path)
    assert result.code == 2
    assert "+kind: Deployment" in result.out
    assert (
        "default/deployment/web: 2 placed, 1 would wait\n  2 on node n1\n  1 would wait: 0 of 2" in result.out
    )
    assert "Plan: 1 created; 2 tasks placed, 1 would wait, 0 preempted" in result.out
    assert nodes.keys_under("/berth/spec/default/") == []


@pytest.mark.parametrize(
    ("objects", "code"),
    [
        ([task("there", "1")], 0),
        ([task("there", "1"), task("new", "1")], 1),
        ([task("there", "9")], 2),
        ([make_object("Queue", "batch", weight=2)], 1),
    ],
)
def test_plan_says_by_its_exit_code_what_there_is_to_do(
    berth: Shell, nodes: World, tmp_path: Path, objects: list[dict[str, Any]], code: int
) -> None:
    nodes.apply(task("there", "1"))
    assert berth("plan", "-f", write_yaml(tmp_path / "m.yaml", *objects)).code == code


@pytest.mark.parametrize("bad", ["/nonexistent.yaml", "-o"])
def test_plan_that_fails_ends_with_255(berth: Shell, nodes: World, bad: str) -> None:
    assert berth("plan", "-f", bad, "-o", "name").code == 255


def test_plan_of_a_rollout_counts_what_is_stopped(berth: Shell, nodes: World, tmp_path: Path) -> None:
    nodes.apply(task("big", "3"))
    bind(nodes, "big", "n1", "3")
    result = berth("plan", "-f", write_yaml(tmp_path / "m.yaml", task("big", "4")))
    assert result.code == 1
    assert "default/task/big: 1 placed, 0 would wait, 1 stopped\n  1 on node n1\n" in result.out
    assert "queue default: share 37.5% -> 50.0%" in result.out


def test_plan_puts_a_daemonset_on_each_node_that_it_is_for(
    berth: Shell, nodes: World, tmp_path: Path
) -> None:
    template = {"metadata": {"labels": {"app": "each"}}, "spec": task("x", "100m")["spec"]}
    path = write_yaml(tmp_path / "m.yaml", make_object("DaemonSet", "each", template=template))
    answer = berth("plan", "-f", path, "-o", "json").json
    assert "n1" in [each["node"] for each in answer["outcome"]["placed"]]


# Plan files


@pytest.fixture
def plan_file(berth: Shell, nodes: World, tmp_path: Path) -> str:
    """A plan of a new task."""
    path = str(tmp_path / "plan.json")
    manifest = write_yaml(tmp_path / "m.yaml", task("web", "3"))
    assert berth("plan", "-f", manifest, "--out", path).code == 1
    assert Path(path).stat().st_mode & 0o777 == 0o600
    return path


def test_plan_that_still_holds_is_applied(berth: Shell, plan_file: str) -> None:
    result = berth("apply", "--plan", plan_file)
    assert (result.code, result.out) == (0, "task/web created\n")


def test_what_changes_nothing_of_a_plan_does_not_stand_in_its_way(
    berth: Shell, nodes: World, plan_file: str
) -> None:
    nodes.apply(task("small", "100m"))
    assert berth("apply", "--plan", plan_file).code == 0


def test_plan_is_refused_when_its_tasks_would_fare_otherwise(
    berth: Shell, nodes: World, plan_file: str
) -> None:
    nodes.apply(task("taken", "2"))
    bind(nodes, "taken", "n1", "2")
    result = berth("apply", "--plan", plan_file)
    assert result.code == 1
    assert "web of default/task/web would not be placed, and was planned for node n1" in result.err
    assert nodes.json_at(KEYS.spec(task_ref("default", "web"))) is None


def test_plan_is_refused_when_somebody_changed_an_object(berth: Shell, nodes: World, plan_file: str) -> None:
    nodes.apply(task("web", "1"))
    result = berth("apply", "--plan", plan_file)
    assert result.code == 1
    assert "default/task/web would be configured, and was planned as created" in result.err


def test_plan_of_another_cluster_is_refused(berth: Shell, nodes: World, plan_file: str) -> None:
    nodes.put(KEYS.cluster, {**CLUSTER, "clusterUid": "c2"})
    result = berth("apply", "--plan", plan_file)
    assert result.code == 1
    assert "is the plan of another cluster (c1)" in result.err


@pytest.mark.parametrize("text", ["", "{}", "[]", json.dumps({"kind": "Plan"})])
def test_file_that_is_no_plan_is_refused(berth: Shell, nodes: World, tmp_path: Path, text: str) -> None:
    path = tmp_path / "plan.json"
    path.write_text(text)
    result = berth("apply", "--plan", str(path))
    assert result.code == 1
    assert "is no plan" in result.err


def test_apply_wants_files_or_a_plan_and_not_both(berth: Shell, nodes: World, plan_file: str) -> None:
    for arguments in ((), ("--plan", plan_file, "-f", "x.yaml")):
        result = berth("apply", *arguments)
        assert result.code == 1
        assert "give either -f FILE" in result.err


# Drains


def test_drain_plan_shows_where_tasks_would_go_and_writes_nothing(berth: Shell, nodes: World) -> None:
    nodes.client.uncordon("n2")
    nodes.apply(task("web", "1"))
    bind(nodes, "web", "n1")
    before = nodes.store.get("/nothing").revision
    result = berth("drain", "n1", "--plan")
    assert (result.code, result.lines[1].split()) == (0, ["default/web", "n2", "at", "once"])
    assert "1 of 1 tasks may go at once" in result.out
    assert nodes.store.get("/nothing").revision == before


def test_drain_plan_says_what_would_fit_nowhere(berth: Shell, nodes: World) -> None:
    nodes.apply(task("web", "1"))
    bind(nodes, "web", "n1")
    result = berth("drain", "n1", "--plan")
    assert result.code == 2
    assert "default/web would wait: 0 of 2 nodes fit: 2 cordoned" in result.out


def test_drain_plan_of_an_empty_node_says_so(berth: Shell, nodes: World) -> None:
    assert berth("drain", "n1", "--plan").out == "Nothing has to leave node n1.\n"


def test_plan_as_markdown_has_a_table_the_reasons_and_the_difference(
    berth: Shell, nodes: World, tmp_path: Path
) -> None:
    nodes.apply(task("there", "1"))
    path = write_yaml(tmp_path / "m.yaml", deployment("web", 3, "1500m"), task("there", "1"))
    result = berth("plan", "-f", path, "-o", "markdown")
    assert result.code == 2
    assert result.lines[0] == "### Berth plan: something can't be placed"
    assert "| `default/deployment/web` | created | 2 on `n1` |" in result.lines
    assert "**Would wait**" in result.lines
    assert "```diff\n--- live/default/deployment/web" in result.out
    assert "default/task/there" not in result.out  # what stays as it is makes no row


def test_markup_in_a_manifest_stays_text_in_the_markdown(berth: Shell, nodes: World, tmp_path: Path) -> None:
    hostile = task("web", "1", nodeSelector={"zone": "a"})
    hostile["metadata"]["annotations"] = {
        "note": "first\n```\n</details><script>x</script> @everybody | [a](b)\n"
    }
    result = berth("plan", "-f", write_yaml(tmp_path / "m.yaml", hostile), "-o", "markdown")
    opening = next(line for line in result.lines if line.endswith("`diff"))
    fences = [number for number, line in enumerate(result.lines) if line == opening.removesuffix("diff")]
    script = next(number for number, line in enumerate(result.lines) if "<script>" in line)
    assert len(opening.removesuffix("diff")) > 3
    assert result.lines.index(opening) < script < fences[0]


@pytest.mark.parametrize(
    ("text", "shown"), [("a|b", r"`a\|b`"), ("a`b``c", "``` a`b``c ```"), ("a\nb", "`a b`")]
)
def test_code_spans_hold_whatever_is_in_them(text: str, shown: str) -> None:
    assert code(text) == shown


def test_what_others_wrote_calls_nobody_in_reasons_and_conflicts(
    berth: Shell, nodes: World, tmp_path: Path
) -> None:
    first = {**make_object("ConfigMap", "c"), "data": {"a": "@ada"}}
    berth("apply", "-f", write_yaml(tmp_path / "c.yaml", first), "--set", "shop")
    second = {**make_object("ConfigMap", "c"), "data": {"a": "@eve #1"}}
    waiting = task("big", "9", nodeSelector={"zone": "eve"})
    result = berth("plan", "-f", write_yaml(tmp_path / "m.yaml", second, waiting), "-o", "markdown")
    rows = [line for line in result.lines if line.startswith("| ") and ("@" in line or "nodes fit" in line)]
    assert len(rows) == 2
    for row in rows:
        assert "@" not in re.sub(r"`[^`]*`", "", row)
        assert "nodes fit" not in re.sub(r"`[^`]*`", "", row)


def test_a_plan_of_very_much_is_still_short_enough_for_a_comment(
    berth: Shell, nodes: World, tmp_path: Path
) -> None:
    many = [{**make_object("ConfigMap", f"c{number}"), "data": {"a": "b" * 900}} for number in range(120)]
    result = berth("plan", "-f", write_yaml(tmp_path / "m.yaml", *many), "-o", "markdown")
    assert result.code == 1
    assert 50_000 < len(result.out) <= 65_536
    assert "| and 70 more | | |" in result.lines
    assert re.search(r"^\d+ parts of the plan are too long to show here; see all", result.out, re.MULTILINE)
    assert result.out.count("<details>") == result.out.count("</details>") > 10
