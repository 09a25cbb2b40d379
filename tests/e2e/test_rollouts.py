"""Rollouts on real containers: a broken image stops at the bound, and the good revision comes back by itself."""

from collections.abc import Iterator
from typing import Any

import pytest

from schemas.keys import ObjectRef
from schemas.meta import find_condition
from schemas.owned import Endpoints
from schemas.workload_status import DaemonSetStatus, DeploymentStatus
from tests.support.cluster import Cluster, sleeper
from tests.support.wait import eventually

pytestmark = [pytest.mark.etcd, pytest.mark.docker]

DEADLINE_S = 4  # of the rollout that is to fail; no other is under time


def deployment(name: str, *, deadline_s: int = 600, **container: Any) -> dict[str, Any]:
    """Two tasks, one at a time; container: further fields of theirs."""
    spec = sleeper(name, grace="0s")["spec"]
    spec["containers"][0] |= {"ports": [{"containerPort": 8080}], **container}
    return {
        "apiVersion": "berth/v1",
        "kind": "Deployment",
        "metadata": {"name": name},
        "spec": {
            "replicas": 2,
            "progressDeadlineSeconds": deadline_s,
            "autoRollback": True,
            "strategy": {"rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}},
            "template": {"metadata": {"labels": {"app": name}}, "spec": spec},
        },
    }


def status_of(cluster: Cluster, name: str) -> DeploymentStatus:
    found = cluster.get(cluster.keys.status(ObjectRef("deployments", "default", name)), DeploymentStatus)
    assert found is not None
    return found


def listed(cluster: Cluster, name: str) -> set[tuple[str, str]]:
    """Return name and uid of the tasks at its ready addresses."""
    found = cluster.get(cluster.keys.endpoints("default", name), Endpoints)
    return {(each.task, each.uid) for each in found.addresses} if found else set()


def is_rolled_out(cluster: Cluster, name: str, revision: int) -> bool:
    status = status_of(cluster, name)
    return (status.good_revision, status.replicas, status.available_replicas) == (revision, 2, 2)


def is_gone(cluster: Cluster, name: str) -> bool:
    """The events of what is gone stay, and nothing else."""
    return not [key for key in cluster.list_keys() if f"/{name}" in key and "-events/" not in key]


@pytest.fixture
def web(cluster: Cluster) -> Iterator[str]:
    """A deployment of two that is rolled out."""
    cluster.apply(deployment("roller"))
    eventually(lambda: is_rolled_out(cluster, "roller", 1))
    yield "roller"
    result = cluster.berth("delete", "deployment", "roller")
    assert result.code == 0, result.err
    eventually(lambda: is_gone(cluster, "roller"))


def test_broken_image_stops_at_the_bound_and_the_good_revision_comes_back(cluster: Cluster, web: str) -> None:
    eventually(lambda: len(listed(cluster, web)) == 2)
    good = listed(cluster, web)
    cluster.apply(deployment(web, deadline_s=DEADLINE_S, image="berth/no-such-image:1"))
    eventually(lambda: status_of(cluster, web).rolled_back == 2)

    def is_as_before() -> bool:
        status = status_of(cluster, web)
        found = find_condition(status.conditions, "Progressing")
        assert found is not None
        assert (found.reason, status.revision) == ("RolledBack", 1)
        return (status.replicas, status.available_replicas) == (2, 2)

    eventually(is_as_before)
    assert listed(cluster, web) == good, "a task that was good was stopped"
    cluster.apply(deployment(web, env=[{"name": "COLOUR", "value": "green"}]))
    eventually(lambda: is_rolled_out(cluster, web, 3))
    eventually(lambda: len(listed(cluster, web)) == 2)
    assert not listed(cluster, web) & good


def test_daemonset_has_a_task_on_the_node_until_it_is_deleted(cluster: Cluster) -> None:
    template = deployment("watcher")["spec"]["template"]
    cluster.apply({**deployment("watcher"), "kind": "DaemonSet", "spec": {"template": template}})
    key = cluster.keys.status(ObjectRef("daemonsets", "default", "watcher"))

    def is_available() -> bool:
        found = cluster.get(key, DaemonSetStatus)
        return found is not None and found.desired == found.available >= 1

    eventually(is_available)
    result = cluster.berth("delete", "daemonset", "watcher")
    assert result.code == 0, result.err
    eventually(lambda: is_gone(cluster, "watcher"))
