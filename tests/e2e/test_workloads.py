"""Owners with real containers: a deployment comes up, replaces what is lost, and takes all with it when it goes."""

from typing import Any

import pytest

from schemas.owned import Endpoints
from tests.support.cluster import Cluster, web_task
from tests.support.wait import eventually

pytestmark = [pytest.mark.etcd, pytest.mark.docker]


def deployment(name: str, replicas: int) -> dict[str, Any]:
    spec = {**web_task(name)["spec"], "grace": "1s"}
    metadata = {"labels": {"app": name}}
    return {
        "apiVersion": "berth/v1",
        "kind": "Deployment",
        "metadata": {"name": name},
        "spec": {"replicas": replicas, "template": {"metadata": metadata, "spec": spec}},
    }


def listed(cluster: Cluster, owner: str) -> list[str]:
    """Names of the ready tasks of a deployment, as its list of addresses has them."""
    found = cluster.get(f"/berth/endpoints/default/{owner}", Endpoints)
    return [each.task for each in found.addresses] if found else []


def test_deployment_keeps_three_running_and_takes_them_with_it(cluster: Cluster) -> None:
    cluster.apply(deployment("trio", 3))
    eventually(lambda: len(listed(cluster, "trio")) == 3)
    victim = listed(cluster, "trio")[0]
    cluster.berth("delete", "task", victim)

    def is_replaced() -> bool:
        names = listed(cluster, "trio")
        return len(names) == 3 and victim not in names

    eventually(is_replaced)
    cluster.berth("delete", "deployment", "trio")
    eventually(lambda: not cluster.containers_of("trio"))
    eventually(lambda: not [key for key in cluster.list_keys() if "/trio" in key and "-events" not in key])
