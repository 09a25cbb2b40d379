"""A folder as a set on a real cluster: made, changed, a rollout that fails half-way, pruned, and gone."""

from pathlib import Path

import pytest

from schemas.keys import Family
from tests.support.cluster import SLEEP, Cluster, Json, manifest, shell_task, sleeper
from tests.support.wait import eventually

pytestmark = [pytest.mark.etcd, pytest.mark.docker]

SET = ("-R", "--set", "shop", "--prune", "--yes", "--wait")
LONG = {"initial": "60s"}  # what has failed stays so for as long as the test looks
BROKEN = "echo looking for the database; echo no database here; exit 3"


def deployment(name: str, script: str) -> Json:
    spec = shell_task(name, script, grace="0s", restartBackoff=LONG)["spec"]
    template = {"metadata": {"labels": {"app": name}}, "spec": spec}
    return {
        "apiVersion": "berth/v1",
        "kind": "Deployment",
        "metadata": {"name": name},
        "spec": {"template": template},
    }


def fill(folder: Path, **objects: Json) -> None:
    """Have just these files below the folder, each with one object."""
    for path in folder.rglob("*.yaml"):
        path.unlink()
    for name, raw in objects.items():
        (folder / "below").mkdir(parents=True, exist_ok=True)
        (folder / "below" / f"{name}.yaml").write_text(manifest(raw))


def test_folder_is_applied_changed_mended_and_pruned_as_a_set(cluster: Cluster, tmp_path: Path) -> None:
    config = {
        "apiVersion": "berth/v1",
        "kind": "ConfigMap",
        "metadata": {"name": "set-config"},
        "data": {"a": "b"},
    }
    web, side, other = (
        deployment("set-web", SLEEP),
        sleeper("set-side", grace="0s"),
        sleeper("set-not", grace="0s"),
    )
    cluster.apply(other)
    fill(tmp_path, config=config, web=web, side=side)
    made = cluster.berth("apply", "-f", str(tmp_path), *SET)
    assert made.code == 0, made.err
    assert made.out.splitlines() == [
        "configmap/set-config created",
        "deployment/set-web created",
        "task/set-side created",
    ]
    running = cluster.sign_of_life("set-not")

    fill(tmp_path, config=config, web=deployment("set-web", BROKEN))
    broken = cluster.berth("apply", "-f", str(tmp_path), "-R", "--set", "shop")
    assert broken.out.splitlines() == ["configmap/set-config unchanged", "deployment/set-web configured"]
    eventually(lambda: cluster.status("set-web-2-0").containers[0].exit_code == 3)  # however long that takes
    failed = cluster.berth("apply", "-f", str(tmp_path), *SET, "--timeout", "4s")
    assert failed.code == 1
    assert failed.out.splitlines() == ["configmap/set-config unchanged", "deployment/set-web unchanged"]
    assert "timed out after" in failed.err
    assert "  task/set-web-2-0: " in failed.err
    assert "  looking for the database\n  no database here\n" in failed.err
    assert "nothing was pruned" in failed.err
    cluster.wait_running("set-side")

    fill(tmp_path, config=config, web=web)
    mended = cluster.berth("apply", "-f", str(tmp_path), *SET)
    assert mended.code == 0, mended.err
    assert mended.out.splitlines()[1:] == ["deployment/set-web configured", "task/set-side pruned"]
    eventually(lambda: cluster.containers("set-side") == [])

    fill(tmp_path)
    refused = cluster.berth("apply", "-f", str(tmp_path), *SET)
    assert (refused.code, refused.out) == (1, "")
    gone = cluster.berth("apply", "-f", str(tmp_path), *SET, "--allow-empty")
    assert gone.out.splitlines() == ["deployment/set-web pruned", "configmap/set-config pruned"], gone.err
    eventually(
        lambda: not [key for key in cluster.list_keys() if "/set-web" in key and "-events/" not in key]
    )
    applied = cluster.list_keys(cluster.keys.family_range(Family.APPLIED))
    assert [key for key in applied if "/set-" in key] == ["/berth/applied/default/tasks/set-not/berth"]
    assert cluster.sign_of_life("set-not") == running
    cluster.delete("set-not")
