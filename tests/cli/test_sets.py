"""Sets, conflicts, variables, kustomize and validation by the command line; most forms are in golden/sets.txt."""

import io
import os
import re
import shutil
import stat
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from schemas.keys import ObjectRef, task_ref
from schemas.yamltext import MAX_FILE_BYTES
from sealing.keys import new_key_pair
from tests.cli.helpers import Shell, write_yaml
from tests.client.helpers import KEYS, World, make_object, make_task
from tests.client.owned import keep, make_deployment, make_owned, make_template
from tests.gitops.repositories import Repository
from tools import CLONE

PRUNE = ("--set", "shop", "--prune")
OVERLAY = """\
resources: [{base}]
openapi: {{path: kustomize.schema.json}}
namePrefix: prod-
images:
  - {{name: nginx, newTag: "1.27"}}
replicas:
  - {{name: web, count: 3}}
patches:
  - patch: |-
      apiVersion: berth/v1
      kind: Deployment
      metadata: {{name: web}}
      spec: {{template: {{spec: {{containers: [{{name: main, envFrom: [{{configMapRef: {{name: settings}}}}]}}]}}}}}}
  - target: {{kind: ConfigMap}}
    patch: |-
      - {{op: replace, path: /data/a, value: "2"}}
"""


class Terminal(io.StringIO):
    """Somebody types."""

    def isatty(self) -> bool:
        return True


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "shop"
    made.mkdir()
    return made


def fill(folder: Path, *raws: dict[str, Any]) -> str:
    """Have just these objects in the folder, each in a file of its own."""
    for path in folder.iterdir():
        path.unlink()
    for raw in raws:
        write_yaml(folder / f"{raw['kind']}-{raw['metadata']['name']}.yaml", raw)
    return str(folder)


def there(world: World) -> set[str]:
    world.leader.step()
    return {key.rpartition("/")[2] for key in world.keys_under("/berth/spec/default/")}


def test_no_on_a_terminal_writes_nothing_and_yes_prunes(
    berth: Shell, world: World, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    berth("apply", "-f", fill(folder, make_task("a"), make_task("b")), "--set", "shop")
    path = fill(folder, make_task("b"), make_task("c"))
    monkeypatch.setattr(sys, "stdin", Terminal("n\n"))
    refused = berth("apply", "-f", path, *PRUNE)
    assert refused.code == 1
    assert "Delete 1 object? [y/N]" in refused.err
    assert "nothing was written, as you said no" in refused.err
    assert there(world) == {"a", "b"}
    monkeypatch.setattr(sys, "stdin", Terminal("y\n"))
    assert berth("apply", "-f", path, *PRUNE).lines == ["task/b unchanged", "task/c created", "task/a pruned"]
    assert there(world) == {"b", "c"}


def test_wait_waits_until_what_was_pruned_is_gone(berth: Shell, world: World, folder: Path) -> None:
    berth("apply", "-f", fill(folder, make_object("Queue", "a"), make_object("Queue", "b")), "--set", "shop")
    answer = berth("apply", "-f", fill(folder, make_object("Queue", "b")), *PRUNE, "--yes", "--wait")
    assert answer.lines == ["queue/b unchanged", "queue/a pruned"]
    assert world.keys_under("/berth/spec/_cluster/queues/") == ["/berth/spec/_cluster/queues/b"]


def test_documents_that_say_nothing_are_refused_like_an_empty_folder(
    berth: Shell, world: World, folder: Path
) -> None:
    berth("apply", "-f", fill(folder, make_task("a")), "--set", "shop")
    (folder / "Task-a.yaml").write_text("# nothing here any more\n")
    refused = berth("apply", "-f", str(folder), *PRUNE, "--yes")
    assert refused.code == 1
    assert "set shop would lose every object that it has" in refused.err
    assert there(world) == {"a"}
    assert berth("apply", "-f", str(folder), *PRUNE, "--yes", "--allow-empty").lines == ["task/a pruned"]


def test_failed_task_prunes_nothing_and_shows_why(berth: Shell, world: World, folder: Path) -> None:
    berth("apply", "-f", fill(folder, make_task("old")), "--set", "shop")
    path = fill(folder, make_task("new"))

    def fail() -> None:
        exited = {"name": "main", "state": "Exited", "reason": "Error", "message": "exit code 3"}
        world.set_status("new", state="Failed", observedGeneration=1, containers=[exited])

    world.while_waiting = [fail]
    failed = berth("apply", "-f", path, *PRUNE, "--yes", "--wait")
    assert (failed.code, failed.lines) == (1, ["task/new created"])
    assert "task/new does not run: Failed: exit code 3" in failed.err
    assert "nothing was pruned" in failed.err
    assert there(world) == {"new", "old"}


WAITS = {"name": "main", "state": "Waiting", "reason": "CrashLoopBackOff", "message": "restart in 40s"}
RUNS = {"name": "main", "state": "Running"}
UNREADY = {"type": "Ready", "status": "False", "reason": "ProbeFailed", "message": "GET / says 503"}


@pytest.mark.parametrize(
    ("status", "told"),
    [
        ({"containers": [WAITS]}, "Running: restart in 40s"),
        ({"containers": [RUNS], "conditions": [UNREADY]}, "not ready: ProbeFailed: GET / says 503"),
    ],
)
def test_failed_rollout_names_the_task_that_fails_and_why(
    berth: Shell, world: World, folder: Path, status: dict[str, Any], told: str
) -> None:
    path = fill(folder, make_deployment("web"))
    berth("apply", "-f", path, "--set", "shop")
    make_owned(world, keep(world, "web", 1, make_template()), 1, 0)
    ref = task_ref("default", "web-1-0")
    uid = world.json_at(KEYS.owned(ref))["metadata"]["uid"]
    world.put(KEYS.status(ref), {"kind": "TaskStatus", "uid": uid, "state": "Running", **status})
    answer = berth("apply", "-f", path, "--set", "shop", "--wait", "--timeout", "20s")
    assert answer.code == 1
    assert "timed out after" in answer.err
    assert re.search(rf"^  task/web-1-0: .*{re.escape(told)}$", answer.err, re.MULTILINE), answer.err


def test_changed_template_is_marked_in_the_diff(berth: Shell, folder: Path) -> None:
    berth("apply", "-f", fill(folder, make_deployment("web")))
    changed = berth("diff", "-f", fill(folder, make_deployment("web", image="berth/demo:2")))
    assert changed.code == 1
    assert changed.lines[0] == (
        "# rolls deployment/web (its tasks are replaced as its strategy says): "
        "spec.template.spec.containers[main].image"
    )
    assert "#" not in berth("diff", "-f", fill(folder, make_deployment("web", replicas=3))).out


def test_diff_is_coloured_on_a_terminal_only_and_never_with_no_color(
    berth: Shell, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = fill(folder, make_task("a"))
    assert "\033[" not in berth("diff", "-f", path).out
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert "\033[32m+kind: Task\033[0m\n" in berth("diff", "-f", path).out
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\033[" not in berth("diff", "-f", path).out


def test_plan_shows_what_would_be_pruned_and_counts_it(berth: Shell, world: World, folder: Path) -> None:
    world.put(KEYS.cluster, {"kind": "Cluster", "clusterUid": "c"})
    berth("apply", "-f", fill(folder, make_object("Queue", "a"), make_object("Queue", "b")), "--set", "shop")
    path = fill(folder, make_object("Queue", "b"))
    plan = berth("plan", "-f", path, *PRUNE)
    assert plan.code == 1, plan
    assert "# prunes queue/a: it left the set" in plan.out
    assert "Plan: 1 unchanged, 1 pruned; no task comes or goes." in plan.out
    assert berth("plan", "-f", path, *PRUNE, "-o", "json").json["objects"][-1] == {
        "object": "_cluster/queue/a",
        "action": "pruned",
    }
    assert berth("plan", "-f", path, "--set", "shop").code == 0
    assert "a plan in a file has no set" in berth("plan", "-f", path, *PRUNE, "--out", "x").err


def test_variables_go_into_apply_and_diff(berth: Shell, world: World, folder: Path, tmp_path: Path) -> None:
    path = fill(folder, make_task("a") | {"spec": {"containers": [{"name": "main", "image": "demo:${TAG}"}]}})
    given = tmp_path / "prod.yaml"
    given.write_text("TAG: 1.10\n")
    assert berth("apply", "-f", path, "--vars", str(given)).out == "task/a created\n"
    raw = world.json_at(KEYS.spec(task_ref("default", "a")))
    assert raw["spec"]["containers"][0]["image"] == "demo:1.10"
    assert berth("diff", "-f", path, "--vars", str(given)).code == 0
    given.write_text("OTHER: 1\n")
    unknown = berth("diff", "-f", path, "--vars", str(given))
    assert unknown.code == 2
    assert f"{folder}/Task-a.yaml:8: variable TAG is not given" in unknown.err


def test_file_of_variables_in_the_folder_is_no_manifest(berth: Shell, folder: Path) -> None:
    path = fill(folder, make_task("a"))
    (folder / "prod.yaml").write_text("TAG: 1\n")
    assert berth("apply", "-f", path, "--vars", str(folder / "prod.yaml")).out == "task/a created\n"


def test_hidden_folders_and_links_to_folders_are_passed_over(berth: Shell, folder: Path) -> None:
    path = fill(folder, make_task("a"))
    (folder / ".git").mkdir()
    write_yaml(folder / ".git" / "x.yaml", {"no": "manifest"})
    (folder / "loop").symlink_to(folder)
    assert berth("apply", "-f", path, "-R").lines == ["task/a created"]


def fake_kustomize(folder: Path, script: str, name: str = "kustomize") -> str:
    """Put a program of that name into a folder, and return the PATH with it."""
    folder.mkdir()
    program = folder / name
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    return f"{folder}{os.pathsep}{os.environ['PATH']}"


def test_folder_with_a_kustomization_is_built_by_the_program(
    berth: Shell, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "kustomization.yaml").write_text("resources: [task.yaml]\n")
    write_yaml(folder / "task.yaml", make_task("plain"))
    script = 'test "$1" = build || exit 9; sed s/plain/built-by-kustomize/ "$3/task.yaml"'
    monkeypatch.setenv("PATH", fake_kustomize(tmp_path / "bin", script))
    assert berth("apply", "-f", str(folder)).out == "task/built-by-kustomize created\n"
    assert berth("diff", "-f", str(folder.parent), "-R").code == 0


def test_kubectl_builds_where_kustomize_is_not_there(
    berth: Shell, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "kustomization.yaml").write_text("resources: [task.yaml]\n")
    write_yaml(folder / "task.yaml", make_task("plain"))
    fake_kustomize(
        tmp_path / "bin", 'test "$1" = kustomize || exit 9; exec /bin/cat "$3/task.yaml"', "kubectl"
    )
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    assert berth("apply", "-f", str(folder)).out == "task/plain created\n"


@pytest.mark.skipif(
    not (shutil.which("kustomize") or shutil.which("kubectl")),
    reason="needs kustomize, or kubectl, which has it",
)
def test_the_real_program_makes_an_overlay_of_kinds_that_it_does_not_know(
    berth: Shell, folder: Path, tmp_path: Path
) -> None:
    (folder / "kustomization.yaml").write_text("resources: [all.yaml]\n")
    web = make_deployment("web", "nginx:1.26", replicas=1)
    write_yaml(folder / "all.yaml", web, make_object("ConfigMap", "settings") | {"data": {"a": "1"}})
    overlay = tmp_path / "prod"
    overlay.mkdir()
    shutil.copy(CLONE / "manifests/schema/kustomize.schema.json", overlay)
    (overlay / "kustomization.yaml").write_text(OVERLAY.format(base=os.path.relpath(folder, overlay)))
    made = {raw["kind"]: raw for raw in yaml.safe_load_all(berth("render", "-f", str(overlay)).out)}
    deployment, settings = made["Deployment"], made["ConfigMap"]
    assert (deployment["metadata"]["name"], deployment["spec"]["replicas"]) == ("prod-web", 3)
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    assert container["image"] == "nginx:1.27"
    assert container["envFrom"] == [{"configMapRef": {"name": "prod-settings"}}]
    assert settings["data"] == {"a": "2"}


def test_kustomize_that_fails_or_is_not_there_is_told(
    berth: Shell, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "kustomization.yaml").write_text("resources: []\n")
    monkeypatch.setenv("PATH", str(tmp_path / "nothing"))
    missing = berth("render", "-f", str(folder))
    assert missing.code == 1
    assert (
        f"{folder} has a kustomization, and the program kustomize that builds it is not installed"
        in missing.err
    )
    monkeypatch.setenv("PATH", fake_kustomize(tmp_path / "bin", "echo 'no such base' >&2; exit 3"))
    failed = berth("render", "-f", str(folder))
    assert "kustomize build failed with exit code 3: no such base" in failed.err


def test_rendered_manifests_can_be_applied(berth: Shell, folder: Path, tmp_path: Path) -> None:
    rendered = berth("render", "-f", fill(folder, make_task("a"), make_deployment("b")))
    (tmp_path / "all.yaml").write_text(rendered.out)
    assert berth("apply", "-f", str(tmp_path / "all.yaml")).lines == [
        "deployment/b created",
        "task/a created",
    ]


def test_secret_is_sealed_for_a_repository_and_applied_from_it(
    berth: Shell, world: World, folder: Path, tmp_path: Path
) -> None:
    pair = new_key_pair()
    world.put(KEYS.cluster, {"kind": "Cluster", "clusterUid": "c", "publicKey": pair.public})
    secret = make_object("Secret", "login") | {"stringData": {"password": "hunter2hunter2"}}
    clear = write_yaml(tmp_path / "clear.yaml", secret, make_task("a"))
    allowed, refused = berth("validate", "-f", clear), berth("validate", "-f", clear, "--sealed")
    assert (allowed.code, refused.code) == (0, 1)
    assert "Warning: " in allowed.out
    assert "holds values in clear" in allowed.out
    assert refused.out == allowed.out.replace("Warning: ", "Error: ")
    sealed = berth("secret", "seal", "-f", clear)
    assert sealed.code == 0, sealed
    assert "hunter2" not in sealed.out
    kinds = [each["kind"] for each in yaml.safe_load_all(sealed.out)]
    assert kinds == ["Secret", "Task"]
    (folder / "sealed.yaml").write_text(sealed.out)
    assert berth("validate", "-f", str(folder)).out == ""
    assert berth("apply", "-f", str(folder), "--set", "shop").lines == [
        "secret/login created",
        "task/a created",
    ]
    assert berth("apply", "-f", str(folder), "--set", "shop").lines == [
        "secret/login unchanged",
        "task/a unchanged",
    ]
    assert "hunter2" not in str(
        world.json_at(KEYS.applied(ObjectRef("secrets", "default", "login"), "set.default.shop"))
    )
    assert (
        "there is no Secret in"
        in berth("secret", "seal", "-f", write_yaml(tmp_path / "t.yaml", make_task())).err
    )


def test_plan_reads_a_repository_without_checking_it_out(berth: Shell, world: World, tmp_path: Path) -> None:
    world.put(KEYS.cluster, {"kind": "Cluster", "clusterUid": "c"})
    repository = Repository(tmp_path / "git")
    first = repository.commit(
        {"deploy/q.yaml": yaml.safe_dump(make_object("Queue", "one")), "x.yaml": "no: manifest"}
    )
    repository.commit({"deploy/q.yaml": yaml.safe_dump(make_object("Queue", "two"))}, "another queue")
    of = ("plan", "--repo", str(repository.bare), "--path", "deploy")
    newest = berth(*of, "--set", "shop")
    assert newest.code == 1, newest
    assert "+  name: two" in newest.out
    assert "by Ada: another queue" in newest.err
    assert "+  name: one" in berth(*of, "--rev", first).out
    assert "+  name: two" in berth(*of, "--rev", "main").out
    empty = ("plan", "--repo", repository.url, "--path", "empty", "--set", "shop", "--prune")
    repository.commit({"empty/README.md": "nothing"})
    assert (berth(*empty).code, berth(*empty, "--allow-empty").code) == (255, 0)
    everything = berth("plan", "--repo", repository.url)
    assert (everything.code, "x.yaml:1" in everything.err) == (255, True)
    assert world.keys_under("/berth/spec/") == []


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (("--repo", "REPO", "--rev", "nope"), "it has no branch or tag 'nope'; a commit is named by all"),
        (("--repo", "REPO", "--rev", "0" * 40), f"it has no commit {'0' * 40}"),
        (("--repo", "REPO", "--path", "notes"), "folder notes has no manifest in commit"),
        (("--repo", "REPO", "--path", "clear"), "clear/s.yaml:1: secret/s: holds values in clear"),
        (("--repo", "REPO", "--path", "over"), "over/kustomization.yaml is for kustomize"),
        (("--repo", "REPO", "--rev", "--upload-pack=x"), "--rev: "),
        (("--repo", "REPO", "--path", "../x"), "--path: "),
        (("--repo", "REPO", "--path", "nope"), "'nope' is not there"),
        (("--repo", "/nonexistent/folder"), "it is no folder here"),
        (("--repo", "ext::sh -c id"), "it is no folder here"),
        (("--repo", "REPO", "-f", "x.yaml"), "give either -f FILE"),
        (("--rev", "main", "-f", "x.yaml"), "go with --repo URL"),
    ],
)
def test_repository_that_can_not_be_read_is_told(
    berth: Shell, tmp_path: Path, options: tuple[str, ...], told: str
) -> None:
    repository = Repository(tmp_path / "git")
    secret = make_object("Secret", "s") | {"stringData": {"password": "hunter2"}}
    repository.commit(
        {
            "q.yaml": yaml.safe_dump(make_object("Queue", "one")),
            "notes/README.md": "nothing to apply",
            "clear/s.yaml": yaml.safe_dump(secret),
            "over/kustomization.yaml": "resources: []",
        }
    )
    answer = berth("plan", *(str(repository.bare) if each == "REPO" else each for each in options))
    assert (answer.code, answer.out) == (255, "")
    assert told in answer.err


def test_masked_secret_is_shown_when_it_is_pruned(berth: Shell, world: World, folder: Path) -> None:
    world.put(KEYS.cluster, {"kind": "Cluster", "clusterUid": "c", "publicKey": new_key_pair().public})
    secret = make_object("Secret", "login") | {"stringData": {"password": "hunter2hunter2"}}
    berth("apply", "-f", fill(folder, secret, make_task("a")), "--set", "shop")
    box = world.json_at(KEYS.spec(ObjectRef("secrets", "default", "login")))["sealed"]["box"]
    shown = berth("diff", "-f", fill(folder, make_task("a")), *PRUNE)
    assert "# prunes secret/login" in shown.out
    assert "***" in shown.out
    assert box not in shown.out


def test_file_that_is_huge_keeps_all_from_being_written(berth: Shell, world: World, folder: Path) -> None:
    path = fill(folder, make_task("a"))
    (folder / "huge.yaml").write_bytes(b"#" * (MAX_FILE_BYTES + 1))
    refused = berth("apply", "-f", path, "--set", "shop")
    assert (
        f"huge.yaml: is {MAX_FILE_BYTES + 1} bytes; a manifest file may have {MAX_FILE_BYTES}" in refused.err
    )
    assert there(world) == set()
