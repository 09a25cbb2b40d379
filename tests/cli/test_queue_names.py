"""Queues, whose names may have slashes, in each form in which objects are named."""

from pathlib import Path

import pytest

from cli.refs import parse_targets
from client.errors import BadOption
from tests.cli.helpers import Shell, write_yaml
from tests.client.helpers import KEYS, World

BACKEND = {
    "apiVersion": "berth/v1",
    "kind": "Queue",
    "metadata": {"name": "eng/backend"},
    "spec": {"weight": 2, "guarantee": {"cpu": 1}, "limit": {"cpu": 4}},
}


@pytest.fixture
def applied(world: World, berth: Shell, tmp_path: Path) -> World:
    result = berth("apply", "-f", write_yaml(tmp_path / "queue.yaml", BACKEND))
    assert (result.code, result.out) == (0, "queue/eng/backend created\n")
    return world


@pytest.mark.parametrize("words", [("queue", "eng/backend"), ("queues", "eng/backend"), ("q/eng/backend",)])
def test_a_queue_is_found_in_either_form(applied: World, berth: Shell, words: tuple[str, ...]) -> None:
    assert berth("get", *words, "-o", "name").out == "queue/eng/backend\n"
    assert "eng/backend" in berth("describe", *words).out


def test_its_key_has_a_part_for_its_name(applied: World, berth: Shell) -> None:
    listed = applied.store.list("/berth/spec/_cluster/queues/", 0).kvs
    assert [each.key.rpartition("/")[2] for each in listed] == ["eng:backend"]
    assert berth("get", "queues", "--no-headers").lines[-1].split()[0] == "eng/backend"
    assert berth("get", "queues", "-o", "jsonpath={.items[*].metadata.name}").out.split()[-1] == "eng/backend"


def test_it_is_changed_and_deleted_by_its_name(applied: World, berth: Shell, tmp_path: Path) -> None:
    assert berth("label", "queue", "eng/backend", "team=web").code == 0
    assert berth("patch", "queue/eng/backend", "-p", '{"spec": {"weight": 3}}').code == 0
    assert berth("get", "queue", "eng/backend", "-o", "jsonpath={.spec.weight}").out == "3"
    wrong = berth("patch", "queue/eng/backend", "-p", '{"spec": {"limit": {"cpu": "500m"}}}')
    assert wrong.code == 1
    assert "limit cpu=500m is below the guarantee cpu=1" in wrong.err
    assert berth("delete", "queue/eng/backend", "--wait=false").code == 0


def test_amounts_have_a_unit_for_people_and_stay_exact_for_programs(applied: World, berth: Shell) -> None:
    berth("patch", "queue/eng/backend", "-p", '{"spec": {"guarantee": {"memory": 7364512153}}}')
    assert "cpu=1,memory=7023Mi" in berth("get", "queues", "-o", "wide").out
    assert "  memory:  7023Mi" in berth("describe", "queue", "eng/backend").lines
    assert "7364512153" in berth("get", "queue", "eng/backend", "-o", "yaml").out


def test_describe_tells_of_a_guarantee_that_is_not_there(applied: World, berth: Shell) -> None:
    view = applied.client.get("queue", "eng/backend")
    lacking = {
        "type": "Guaranteed",
        "status": "False",
        "reason": "GuaranteesExceedCluster",
        "message": "too much",
    }
    applied.put(KEYS.status(view.ref), {"kind": "ObjectStatus", "uid": view.uid, "conditions": [lacking]})
    told = berth("describe", "queue", "eng/backend").out
    assert "Conditions:" in told
    assert "too much" in told


def test_tasks_of_a_namespace_may_name_it_if_both_allow_that(
    applied: World, berth: Shell, tmp_path: Path
) -> None:
    spec = {"containers": [{"name": "main", "image": "x:1"}], "queue": "eng/backend"}
    task = {"apiVersion": "berth/v1", "kind": "Task", "metadata": {"name": "web"}, "spec": spec}
    denied = berth("apply", "-f", write_yaml(tmp_path / "task.yaml", task))
    assert "namespace default may not use queue eng/backend; allowed: default" in denied.err
    allows = {"apiVersion": "berth/v1", "kind": "Namespace", "metadata": {"name": "default"}}
    namespace = {**allows, "spec": {"queues": ["eng/backend"], "defaultQueue": "eng/backend"}}
    assert berth("apply", "-f", write_yaml(tmp_path / "both.yaml", namespace, task)).code == 0
    closed = {**BACKEND, "spec": {"namespaces": ["team"]}}
    denied = berth(
        "apply", "-f", write_yaml(tmp_path / "all.yaml", closed, {**task, "metadata": {"name": "t"}})
    )
    assert "queue eng/backend is not for namespace default, its namespaces: team" in denied.err


def test_no_other_kind_has_names_with_slashes(berth: Shell) -> None:
    for words in (("task/a/b",), ("tasks", "a/b"), ("node/n1/x", "queue/eng/web")):
        with pytest.raises(BadOption, match="KIND/NAME"):
            parse_targets(words)
    assert "eng//web" in berth("new", "queue", "eng//web").err
    assert "  name: eng/web\n" in berth("new", "queue", "eng/web").out
    assert berth("new", "task", "eng/web").code == 1


def test_what_owners_make_is_checked_as_if_it_were_there(berth: Shell, tmp_path: Path) -> None:
    """A template without labels is not without kin: its tasks know their owner."""
    container = {"name": "main", "image": "x:1"}
    spec = {"containers": [container], "maxPerNode": 1, "topologySpread": [{"topologyKey": "zone"}]}
    owner = {"apiVersion": "berth/v1", "kind": "Deployment", "metadata": {"name": "web"}}
    assert (
        berth(
            "apply", "-f", write_yaml(tmp_path / "a.yaml", {**owner, "spec": {"template": {"spec": spec}}})
        ).code
        == 0
    )
    wrong = {**spec, "affinity": {"taskAffinity": {"required": [{}]}, "taskAntiAffinity": {"required": [{}]}}}
    denied = berth(
        "apply", "-f", write_yaml(tmp_path / "b.yaml", {**owner, "spec": {"template": {"spec": wrong}}})
    )
    assert "spec.template.spec.affinity.taskAntiAffinity.required[0]: keeps away" in denied.err
    bare = {"apiVersion": "berth/v1", "kind": "Task", "metadata": {"name": "t"}, "spec": spec}
    denied = berth("apply", "-f", write_yaml(tmp_path / "c.yaml", bare))
    assert "spec.maxPerNode: counts the tasks that have its labels, and this task has none" in denied.err
