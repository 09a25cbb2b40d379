"""A day with a deployment: each verb as a person types it, on real containers.

Most command lines run in this process, which spares them a start of Python each.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from cli import main
from schemas.owned import Endpoints
from tests.support.cluster import SLEEP, Cluster, manifest, shell_task
from tests.support.wait import eventually

pytestmark = [pytest.mark.etcd, pytest.mark.docker]

WEB = "deployment/stroller"
MISSING = "berth/no-such-image:1"


def deployment(name: str, **container: Any) -> dict[str, Any]:
    """Two tasks that say hello, never fewer. container: further fields of theirs."""
    described = {"ports": [{"containerPort": 8080}], **container}
    spec = shell_task(name, f"echo hello; {SLEEP}", container=described, grace="1s")["spec"]
    return {
        "apiVersion": "berth/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "annotations": {"berth/change-cause": "the first"}},
        "spec": {
            "replicas": 2,
            "strategy": {"rollingUpdate": {"maxUnavailable": 0, "maxSurge": 2}},
            "template": {"metadata": {"labels": {"app": name}}, "spec": spec},
        },
    }


Shell = Callable[..., str]


@pytest.fixture
def berth(cluster: Cluster, capsysbinary: pytest.CaptureFixture[bytes]) -> Shell:
    """Run a command line in this process, which must end with `code`; return what it says."""

    def run(*words: str, code: int = 0) -> str:
        capsysbinary.readouterr()
        ended = main.run(words, environment=cluster.environment)
        out, err = (text.decode() for text in capsysbinary.readouterr())
        assert ended == code, f"berth {' '.join(words)}: {out}{err}"
        return out

    return run


def listed(cluster: Cluster, name: str = "stroller") -> list[str]:
    """Names of the tasks at the ready addresses."""
    found = cluster.get(f"/berth/endpoints/default/{name}", Endpoints)
    return [each.task for each in found.addresses] if found else []


def is_gone(cluster: Cluster, name: str) -> bool:
    """The events of what is gone stay, and nothing else."""
    return not [key for key in cluster.list_keys() if f"/{name}" in key and "-events/" not in key]


def is_settled(cluster: Cluster, revision: int, replicas: int = 2) -> bool:
    """All tasks are of one revision and have an address; what they took the place of has ended."""
    names = listed(cluster)
    return (
        len(names) == replicas
        and all(name.startswith(f"stroller-{revision}-") for name in names)
        and len(cluster.list_keys("/berth/status/default/tasks/stroller-")) == replicas
    )


@pytest.fixture(scope="module")
def web(cluster: Cluster) -> Iterator[str]:
    """A deployment of two, rolled out when `apply` comes back. Each test leaves it so, of whatever revision."""
    applied = cluster.berth("apply", "-f", "-", "--wait", "--timeout", "100s", stdin=deployment("stroller"))
    assert (applied.code, applied.out.splitlines()[:1]) == (0, [f"{WEB} created"]), applied.err
    yield WEB
    deleted = cluster.berth("delete", WEB, "--timeout", "100s")
    assert deleted.code == 0, deleted.err
    eventually(lambda: is_gone(cluster, "stroller"))


def newest(berth: Shell) -> int:
    """The number of the newest revision."""
    rows = berth("rollout", "history", WEB).splitlines()[2:]
    return int(rows[-1].split()[0])


def test_deployment_is_looked_at_by_its_own_name(cluster: Cluster, web: str, berth: Shell) -> None:
    eventually(lambda: len(listed(cluster)) == 2)
    eventually(lambda: berth("get", web, "--no-headers").split()[:4] == ["stroller", "2/2", "2", "2"])
    name, addresses, tasks = berth("get", "endpoints", "stroller", "-o", "wide", "--no-headers").split()
    assert (name, addresses.count("127.0.0.1:")) == ("stroller", 2)
    assert set(tasks.split(",")) == set(listed(cluster))
    eventually(lambda: "hello" in berth("logs", web))
    assert cluster.berth("exec", web, "--", "echo", "here").out == "here\n"
    assert "met" in berth("wait", web, "--for=condition=Available", "--timeout", "100s")


def test_broken_image_takes_nothing_away_and_undo_repairs_it(
    cluster: Cluster, web: str, berth: Shell
) -> None:
    eventually(lambda: len(listed(cluster)) == 2)
    before = newest(berth)
    good = set(listed(cluster))
    assert berth("set", "image", web, f"main={MISSING}") == f"{web} image updated\n"
    eventually(lambda: "ErrImage" in (text := berth("get", "tasks")) or "ImagePull" in text)
    assert set(listed(cluster)) == good
    eventually(lambda: "rollout to finish: " in berth("rollout", "status", web, "-W"))
    assert berth("rollout", "undo", web) == f"{web} rolled back\n"
    assert berth("rollout", "status", web, "--timeout", "100s").splitlines()[-1] == (
        'deployment "stroller" successfully rolled out'
    )
    assert newest(berth) > before
    assert set(listed(cluster)) == good


def test_restart_replaces_every_task_and_scale_none(cluster: Cluster, web: str, berth: Shell) -> None:
    eventually(lambda: len(listed(cluster)) == 2)
    before = set(listed(cluster))
    assert berth("rollout", "restart", web) == f"{web} restarted\n"
    berth("rollout", "status", web, "--timeout", "100s")
    eventually(lambda: is_settled(cluster, newest(berth)))
    after = set(listed(cluster))
    assert not before & after
    assert berth("scale", web, "--replicas", "1") == f"{web} scaled\n"
    eventually(lambda: len(listed(cluster)) == 1)
    assert set(listed(cluster)) < after
    berth("scale", web, "--replicas", "5", "--current-replicas", "2", code=1)
    berth("scale", web, "--replicas", "2", "--current-replicas", "1")
    eventually(lambda: len(listed(cluster)) == 2)


def test_orphans_go_on_and_are_deleted_as_tasks(cluster: Cluster, berth: Shell, tmp_path: Path) -> None:
    path = tmp_path / "leaver.yaml"
    path.write_text(manifest(deployment("leaver")))
    berth("apply", "-f", str(path), "--wait", "--timeout", "100s")
    eventually(lambda: len(listed(cluster, "leaver")) == 2)
    names = listed(cluster, "leaver")
    signs = {name: cluster.sign_of_life(name) for name in names}
    berth("delete", "deployment/leaver", "--cascade=orphan")
    assert berth("get", "deployment/leaver", code=1) == ""
    assert {name: cluster.sign_of_life(name) for name in names} == signs
    berth("delete", "task", *names)
    eventually(lambda: is_gone(cluster, "leaver"))
