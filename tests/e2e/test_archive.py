"""History with real processes: two controllers, each with its own archive, a change of leader, and a gap."""

import json
import urllib.error
import urllib.request
from typing import Any

import pytest

from client import Client
from schemas.cluster import AccessToken, LeaderInfo
from schemas.keys import ObjectRef
from tests.support.cluster import Cluster, Component
from tests.support.wait import eventually

pytestmark = [pytest.mark.etcd, pytest.mark.docker]


def web(image: str, **spec: Any) -> dict[str, Any]:
    labels = {"app": "web"}
    template = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "main", "image": image}]}}
    spec = {"selector": {"matchLabels": labels}, "template": template, **spec}
    return {"apiVersion": "berth/v1", "kind": "Deployment", "metadata": {"name": "web"}, "spec": spec}


def start(cluster: Cluster, name: str) -> Component:
    return cluster.start_controller(name, "--history-file", str(cluster.folder / name / "history.db"))


def leader(cluster: Cluster) -> LeaderInfo:
    kvs = cluster.reading(lambda store: store.list(cluster.keys.election)).kvs
    assert kvs, "nobody leads"
    return LeaderInfo.model_validate_json(min(kvs, key=lambda kv: kv.create_revision).value)


def wait_leads(cluster: Cluster, name: str) -> None:
    """Wait until a controller leads and answers."""
    eventually(lambda: leader(cluster).identity == name)
    eventually(lambda: "berth_controller_leading 1\n" in _metrics(cluster))


def _metrics(cluster: Cluster) -> str:
    try:
        with urllib.request.urlopen(leader(cluster).api_address + "/metrics", timeout=20) as reply:
            return str(reply.read().decode())
    except OSError as error:
        raise AssertionError(f"it does not answer: {error}") from error


def revisions(cluster: Cluster) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = cluster.berth("history", "deployment/web", "-o", "json").json["revisions"]
    return found


def scale(cluster: Cluster, replicas: int) -> None:
    with Client(cluster.etcd.store()) as client:
        client.scale(ObjectRef("deployments", "default", "web"), replicas)


def status_of(cluster: Cluster, path: str, token: str) -> int:
    request = urllib.request.Request(leader(cluster).api_address + path)
    request.add_header("Authorization", f"Bearer {token}")
    try:
        with urllib.request.urlopen(request, timeout=20) as reply:
            return int(reply.status)
    except urllib.error.HTTPError as error:
        return error.code


def test_history_outlives_a_leader_and_names_what_it_did_not_see(own_cluster: Cluster) -> None:
    cluster = own_cluster
    berth = cluster.berth
    first = start(cluster, "first")
    wait_leads(cluster, "first")
    second = start(cluster, "second")
    eventually(lambda: len(cluster.list_keys(cluster.keys.election)) == 2)

    cluster.apply(web("web:1", replicas=2))
    cluster.apply(web("web:2", replicas=2))
    scale(cluster, 5)
    told = revisions(cluster)
    assert [(each["action"], each["who"], each["changed"]) for each in told] == [
        ("created", ["berth"], []),
        ("changed", ["berth"], ["spec.template.spec.containers[main].image"]),
        ("changed", [], ["spec.replicas"]),
    ]
    v1, v2, v3 = (each["revision"] for each in told)

    # another leader tells the same, from a file of its own
    first.kill()
    wait_leads(cluster, "second")
    assert [each["revision"] for each in revisions(cluster)] == [v1, v2, v3]
    old = berth("get", "deployment/web", "--at-rev", str(v1), "-o", "json").json
    assert old["spec"]["template"]["spec"]["containers"][0]["image"] == "web:1"
    changed = berth("diff", "--at-rev", f"{v1}..{v3}", "deployment/web")
    assert (changed.code, changed.out.count("\n-"), changed.out.count("\n+")) == (1, 2, 3)

    # what happens while a controller is down it does not see, and says so
    for replicas in (6, 7):
        scale(cluster, replicas)
    v4, v5 = (each["revision"] for each in revisions(cluster)[-2:])
    assert second.terminate() == 0
    first.start()
    wait_leads(cluster, "first")
    gappy = berth("history", "deployment/web")
    assert [line.split()[0] for line in gappy.out.splitlines()[1:]] == [str(v) for v in (v1, v2, v3, v5)]
    assert "nothing was seen: the controller was down" in gappy.err
    unseen = berth("get", "deployment/web", "--at-rev", str(v4))
    assert unseen.code == 1
    assert "nothing was seen" in unseen.err
    assert berth("diff", "--at-rev", f"{v3}..{v4}", "deployment/web").code == 2

    # back to what it was, and who set what
    asked = berth("restore", "deployment/web", "--at-rev", str(v1))
    assert (asked.code, "say --yes" in asked.err) == (1, True)
    uid = told[0]["uid"]
    assert berth("restore", "deployment/web", "--at-rev", str(v1), "--yes").code == 0
    now = berth("get", "deployment/web", "-o", "json").json
    assert (now["spec"]["replicas"], now["metadata"]["uid"]) == (2, uid)
    fields = {each["field"]: each for each in berth("blame", "deployment/web", "-o", "json").json["fields"]}
    image = fields["spec.template.spec.containers[main].image"]
    assert (image["value"], image["who"]) == ("web:1", ["by hand"])
    assert image["since"]["revision"] == int(now["metadata"]["resourceVersion"])
    assert fields["spec.selector.matchLabels.app"]["who"] == ["berth"]
    assert fields["spec.selector.matchLabels.app"]["since"]["revision"] == v1

    # also after it was deleted; but not for whoever has no token of the namespace
    assert berth("delete", "deployment/web").code == 0
    assert revisions(cluster)[-1]["action"] == "deleted"
    assert berth("restore", "deployment/web", "--at-rev", str(v2), "--yes").out.endswith("created\n")
    token = cluster.get(cluster.keys.access("default"), AccessToken)
    assert token is not None
    path = "/v1/history/default/deployments/web"
    assert [status_of(cluster, path, each) for each in (token.token, "other")] == [200, 403]
    other = "/v1/at?ago=0&namespace=team"
    assert status_of(cluster, other, token.token) == 403
    assert json.loads(berth("get", "deployments", "--at", "0s", "-o", "json").out)["items"]
