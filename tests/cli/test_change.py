"""apply, diff, delete, cordon, node fence, version, logs: what they print and how they end."""

from pathlib import Path

import pytest

from schemas.keys import cluster_ref, task_ref
from tests.cli.helpers import Shell, write_yaml
from tests.client.helpers import KEYS, World, make_object, make_task
from tests.client.test_apply import meddled


def changed_image(tag: str) -> dict[str, object]:
    task = make_task()
    task["spec"]["containers"][0]["image"] = f"berth/demo:{tag}"
    return task


def test_apply_says_what_became_of_each(world: World, berth: Shell, tmp_path: Path) -> None:
    file = write_yaml(tmp_path / "a.yaml", make_task(), make_object("Queue", "q"))
    assert berth("apply", "-f", file).lines == ["queue/q created", "task/web created"]
    assert berth("apply", "-f", file).lines == ["queue/q unchanged", "task/web unchanged"]
    result = berth("apply", "-f", write_yaml(tmp_path / "b.yaml", changed_image("2")))
    assert result.lines == ["task/web configured"]
    assert "task/web is replaced (stopped and started anew)" in result.err
    assert "spec.containers[main].image" in result.err


def test_folders_are_read_in_order_and_below_only_when_told(berth: Shell, tmp_path: Path) -> None:
    (tmp_path / "below").mkdir()
    write_yaml(tmp_path / "b.yaml", make_task("b"))
    write_yaml(tmp_path / "a.yml", make_task("a"))
    (tmp_path / "notes.txt").write_text("not a manifest")
    write_yaml(tmp_path / "below" / "c.json", make_task("c"))
    assert berth("apply", "-f", str(tmp_path)).lines == ["task/a created", "task/b created"]
    assert berth("apply", "-R", "-f", str(tmp_path)).lines[-1] == "task/c created"


def test_stdin_is_read(berth: Shell, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with Path(write_yaml(tmp_path / "a.yaml", make_task())).open() as stdin:
        monkeypatch.setattr("sys.stdin", stdin)
        assert berth("apply", "-f", "-").lines == ["task/web created"]


def test_dry_run_writes_nothing(world: World, berth: Shell, tmp_path: Path) -> None:
    file = write_yaml(tmp_path / "a.yaml", make_task(namespace="team"))
    result = berth("apply", "-f", file, "--dry-run", "--create-namespace")
    assert result.lines == ["namespace/team created (dry run)", "task/web created (dry run)"]
    assert world.keys_under("/berth/") == []


def test_option_and_environment_name_the_namespace(world: World, berth: Shell, tmp_path: Path) -> None:
    world.apply(make_object("Namespace", "team"))
    file = write_yaml(tmp_path / "a.yaml", make_task())
    assert berth("-n", "team", "apply", "-f", file).code == 0
    assert world.client.find("task", "web", "team") is not None
    assert berth("get", "task/web", environment={"BERTH_NAMESPACE": "team"}).code == 0
    assert berth("get", "task/web").code == 1


def test_apply_waits_until_the_task_runs_or_fails(world: World, berth: Shell, tmp_path: Path) -> None:
    file = write_yaml(tmp_path / "a.yaml", make_task())
    world.while_waiting = [lambda: world.set_status("web", state="Running", observedGeneration=1)]
    assert berth("apply", "-f", file, "--wait").code == 0
    failed = {"name": "main", "state": "Exited", "exitCode": 3, "reason": "Error", "message": "exit code 3"}
    world.set_status("web", state="Failed", observedGeneration=1, containers=[failed])
    result = berth("apply", "-f", file, "--wait")
    assert (result.code, result.out) == (1, "task/web unchanged\n")
    assert "Error: task/web does not run: Failed: exit code 3; see: berth describe task/web" in result.err


def test_apply_onto_a_terminating_object_says_that_it_waits(
    world: World, berth: Shell, tmp_path: Path
) -> None:
    world.apply(make_task())
    world.client.delete(world.client.get("task", "web"), wait=False)
    result = berth("apply", "-f", write_yaml(tmp_path / "a.yaml", make_task()))
    assert (result.code, result.lines) == (0, ["task/web created"])
    assert "task/web is being deleted; waiting" in result.err


def test_race_that_is_lost_for_ever_is_an_error_without_traceback(
    capsysbinary: pytest.CaptureFixture[bytes], tmp_path: Path
) -> None:
    world, _ = meddled(times=9)
    result = Shell(world, capsysbinary)("apply", "-f", write_yaml(tmp_path / "a.yaml", make_task(grace="1s")))
    assert (result.code, result.err) == (
        1,
        "Error: task/web was changed by others 4 times during the apply; apply again\n",
    )


def test_diff_ends_with_0_1_or_2(world: World, berth: Shell, tmp_path: Path) -> None:
    world.apply(make_task())
    same = berth("diff", "-f", write_yaml(tmp_path / "a.yaml", make_task()))
    assert (same.code, same.out) == (0, "")
    different = berth("diff", "-f", write_yaml(tmp_path / "b.yaml", changed_image("2")))
    assert different.code == 1
    assert different.lines[:3] == [
        "# replaces task/web (it is stopped and started anew): spec.containers[main].image",
        "--- live/default/task/web",
        "+++ merged/default/task/web",
    ]
    assert "-  - image: berth/demo:1" in different.lines
    assert "+  - image: berth/demo:2" in different.lines
    wrong = berth("diff", "-f", write_yaml(tmp_path / "c.yaml", make_task(queue="none")))
    assert (wrong.code, wrong.out) == (2, "")
    assert berth("diff", "-f", "/no/such/file").code == 2
    assert berth("diff").code == 2


def test_diff_of_a_new_object_shows_all_of_it(world: World, berth: Shell, tmp_path: Path) -> None:
    result = berth("diff", "-f", write_yaml(tmp_path / "a.yaml", make_task()))
    assert result.code == 1
    assert result.lines[:3] == ["--- live/default/task/web", "+++ merged/default/task/web", "@@ -0,0 +1,9 @@"]
    assert world.keys_under("/berth/") == []


def test_live_change_is_not_marked_as_a_replacement(world: World, berth: Shell, tmp_path: Path) -> None:
    world.apply(make_task())
    result = berth("diff", "-f", write_yaml(tmp_path / "a.yaml", make_task(grace="5s")))
    assert result.code == 1
    assert "# replaces" not in result.out


def test_delete_waits_and_says_so(world: World, berth: Shell) -> None:
    world.apply(make_task("a"), make_task("b"))
    result = berth("delete", "task", "a", "b")
    assert (result.code, result.lines) == (0, ['task "a" deleted', 'task "b" deleted'])
    assert world.keys_under("/berth/") == []


def test_delete_by_file_selector_and_all(world: World, berth: Shell, tmp_path: Path) -> None:
    labelled = make_task("b")
    labelled["metadata"]["labels"] = {"app": "x"}
    file = write_yaml(tmp_path / "a.yaml", make_object("Queue", "q"), make_task("a"))
    world.apply(make_object("Queue", "q"), make_task("a"), labelled, make_task("c"))
    assert berth("delete", "-f", file).lines == ['task "a" deleted', 'queue "q" deleted']
    assert berth("delete", "tasks", "-l", "app=x").lines == ['task "b" deleted']
    assert berth("delete", "tasks", "--all").lines == ['task "c" deleted']
    assert berth("delete", "queues", "--all").lines == []


@pytest.mark.parametrize(
    ("options", "grace_s"),
    [
        ((), None),
        (("--now",), 1.0),
        (("--force",), 0.0),
        (("--grace-period", "7"), 7.0),
        (("--grace-period=0",), 0.0),
    ],
)
def test_grace_of_a_delete(
    world: World, berth: Shell, options: tuple[str, ...], grace_s: float | None
) -> None:
    world.apply(make_task())
    assert berth("delete", "task/web", "--no-wait", *options).code == 0
    assert world.json_at(KEYS.request(task_ref("default", "web"), "delete")).get("graceS") == grace_s


def test_delete_without_waiting_as_kubectl_writes_it(world: World, berth: Shell) -> None:
    world.apply(make_task())
    assert berth("delete", "task/web", "--wait=false").out == 'task "web" deleted\n'
    assert world.client.get("task", "web").is_terminating


def test_delete_that_takes_too_long_is_an_error(world: World, berth: Shell) -> None:
    world.apply(make_task())
    world.leader.is_away = True
    result = berth("delete", "task/web", "--timeout", "20s")
    assert (result.code, result.out) == (1, "")
    assert "timed out after 20 s waiting for the deletion of task/web" in result.err


def test_delete_of_what_is_not_there(berth: Shell) -> None:
    result = berth("delete", "task", "x")
    assert (result.code, result.out) == (1, "")
    assert result.err == 'Error: task "x" not found in namespace default; see: berth get tasks\n'
    assert berth("delete", "task", "x", "--ignore-not-found").code == 0


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ((), "say what to delete"),
        (("tasks",), "name what to delete, or say -l SELECTOR or --all"),
        (("tasks", "x", "--all"), "can't be combined"),
        (("task/x", "--now", "--force"), "give one of"),
        (("task/x", "--timeout", "soon"), "--timeout: duration 'soon'"),
        (("ns", "default"), 'namespace "default" is built in'),
    ],
)
def test_delete_that_makes_no_sense_is_told(berth: Shell, arguments: tuple[str, ...], told: str) -> None:
    result = berth("delete", *arguments)
    assert result.code == 1
    assert told in result.err


def test_unreadable_object_is_shown_and_removed_by_force(world: World, berth: Shell, tmp_path: Path) -> None:
    key = KEYS.spec(task_ref("default", "web"))
    world.put(key, b"garbage")
    refused = berth("apply", "-f", write_yaml(tmp_path / "a.yaml", make_task()))
    assert refused.code == 1
    assert f"etcdctl get {key}" in refused.err
    assert "berth delete task/web --force" in berth("delete", "task/web").err
    assert berth("delete", "task/web", "--force").out == 'task "web" force deleted\n'
    assert berth("apply", "-f", str(tmp_path / "a.yaml")).out == "task/web created\n"


def test_cordon_and_uncordon(world: World, berth: Shell) -> None:
    world.add_node("n1")
    outputs = [
        berth(*line.split()).out for line in ("cordon n1", "cordon node/n1", "uncordon n1", "uncordon n1")
    ]
    assert outputs == ["node/n1 cordoned\n", "node/n1 already cordoned\n", "node/n1 uncordoned\n",
                       "node/n1 already uncordoned\n"]  # fmt: skip
    assert berth("cordon", "typo").err == 'Error: node "typo" not found; see: berth get nodes\n'


def test_fence(world: World, berth: Shell) -> None:
    world.add_node("n1")
    assert "node n1 is alive" in berth("node", "fence", "n1").err
    assert berth("node", "fence", "n1", "--force").out == "node/n1 fenced\n"
    assert world.json_at(KEYS.request(cluster_ref("nodes", "n1"), "fence"))["nodeUid"] == "uid-of-n1"


def test_version_names_etcd_and_the_leader(world: World, berth: Shell) -> None:
    assert berth("version").lines == [
        "Client: 0.1.0",
        "etcd: memory",
        "Cluster: none: no controller has begun one, or etcd was wiped",
        "Leader: none; start one with: berth controller",
    ]
    world.put("/berth/election/controller/1", {"identity": "host-1", "version": "0.1.0"})
    world.put("/berth/cluster", {"kind": "Cluster", "clusterUid": "c-1"})
    assert berth("version", "-o", "json").json == {
        "client": "0.1.0",
        "etcd": "memory",
        "cluster": "c-1",
        "leader": "host-1",
        "leaderVersion": "0.1.0",
    }
    assert berth("version", "--client").lines == ["Client: 0.1.0"]


def test_logs_of_a_task_that_never_ran(world: World, berth: Shell) -> None:
    world.apply(make_task())
    world.set_status("web", state="Pending", message="no node is ready")
    result = berth("logs", "task/web")
    assert (result.code, result.out) == (1, "")
    assert 'task "web" is Pending (no node is ready), so there is no log' in result.err
    assert "only tasks and their owners have logs" in berth("logs", "node/n1").err
    assert 'task "x" not found' in berth("logs", "x").err
