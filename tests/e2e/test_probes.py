"""Probes on real containers: readiness by HTTP, a liveness probe that restarts, a startup probe that gates."""

import pytest

from schemas.meta import find_condition
from tests.support.cluster import Cluster, shell_task, web_task
from tests.support.wait import eventually

pytestmark = [pytest.mark.etcd, pytest.mark.docker]

EAGER = {"periodSeconds": 1, "timeoutSeconds": 10, "failureThreshold": 1}


def is_ready(cluster: Cluster, name: str) -> bool:
    found = find_condition(cluster.status(name).conditions, "Ready")
    return found is not None and found.status == "True"


def test_readiness_follows_the_page_that_it_asks_for(cluster: Cluster) -> None:
    web = web_task("probed")
    page = {"httpGet": {"path": "/ready.html", "port": 8080}}
    web["spec"]["containers"][0]["readinessProbe"] = {**page, **EAGER}
    cluster.apply(web)
    cluster.wait_running("probed")
    eventually(lambda: "status 404" in cluster.status("probed").containers[0].message)
    assert not is_ready(cluster, "probed")
    assert cluster.berth("exec", "probed", "--", "touch", "/www/ready.html").code == 0
    eventually(lambda: is_ready(cluster, "probed"))
    assert cluster.berth("exec", "probed", "--", "rm", "/www/ready.html").code == 0
    eventually(lambda: not is_ready(cluster, "probed"))
    assert "Unhealthy" in eventually(lambda: _events(cluster, "probed", "Unhealthy"))
    cluster.delete("probed")


def test_liveness_restarts_and_startup_gates(cluster: Cluster) -> None:
    started, alive = ["test", "-e", "/started"], ["test", "-e", "/alive"]
    task = shell_task("ailing", "touch /alive; sleep 600", grace="0s", restartBackoff={"initial": "0s"})
    task["spec"]["containers"][0] |= {
        "startupProbe": {"exec": {"command": started}, **EAGER, "failureThreshold": 600},
        "livenessProbe": {"exec": {"command": alive}, **EAGER},
    }
    cluster.apply(task)
    cluster.wait_running("ailing")
    container = cluster.status("ailing").containers[0]
    assert (container.started, container.attempt) == (False, 0)
    assert not is_ready(cluster, "ailing")
    assert cluster.berth("exec", "ailing", "--", "touch", "/started").code == 0
    eventually(lambda: is_ready(cluster, "ailing"))
    assert cluster.berth("exec", "ailing", "--", "rm", "/alive").code == 0
    eventually(lambda: cluster.status("ailing").containers[0].attempt == 1)
    last = cluster.status("ailing").containers[0].last_exit
    assert last is not None
    assert last.reason == "LivenessProbeFailed"
    assert "Killing" in eventually(lambda: _events(cluster, "ailing", "Killing"))
    cluster.delete("ailing")


def _events(cluster: Cluster, name: str, word: str) -> str:
    """Return what describe says, once it names the event."""
    shown = cluster.berth("describe", "task", name).out
    return shown if word in shown else ""
