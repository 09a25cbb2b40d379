"""A push to a repository becomes running containers, and nothing else has to be done: real git, etcd and Docker."""

import hashlib
import hmac
import json
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from schemas.cluster import LeaderInfo
from schemas.gitsource_status import GitSourceStatus
from schemas.keys import cluster_ref
from sealing.keys import create_key_pair
from tests.gitops.repositories import Repository
from tests.gitops.server import smart
from tests.support.cluster import Cluster, Json, web_task
from tests.support.ports import free_port
from tests.support.wait import PATIENCE_S, eventually

pytestmark = [pytest.mark.etcd, pytest.mark.docker]

TOKEN, WEBHOOK = "hunter2", "from the server of the repository"


def deployment(name: str, version: str, replicas: int = 1) -> str:
    spec = {**web_task(name)["spec"], "grace": "0s"}
    spec["containers"][0]["env"] = [{"name": "VERSION", "value": version}]
    template = {"metadata": {"labels": {"app": name}}, "spec": spec}
    raw = {
        "apiVersion": "berth/v1",
        "kind": "Deployment",
        "metadata": {"name": name},
        "spec": {"replicas": replicas, "template": template},
    }
    return yaml.safe_dump(raw)


def source(name: str, **spec: Any) -> Json:
    return {"apiVersion": "berth/v1", "kind": "GitSource", "metadata": {"name": name}, "spec": spec}


class Site:
    """A cluster of two controllers and a node, and a repository."""

    def __init__(self, cluster: Cluster, folder: Path) -> None:
        self.cluster = cluster
        self.repository = Repository(folder / "git")
        self.key = folder / "secrets.key"
        create_key_pair(self.key)
        self.hooks = {name: f"127.0.0.1:{free_port()}" for name in ("one", "two")}
        for name, address in self.hooks.items():
            options = ("--secret-key", str(self.key), "--state-dir", str(folder / name))
            cluster.start_controller(name, *options, "--webhook-listen", address)
        cluster.start_agent()
        cluster.wait_ready()

    def versions(self, app: str) -> list[str]:
        """What the running containers of a deployment say of themselves."""
        found = self.cluster.containers(running_only=True)
        mine = [each for each in found if each["Config"]["Labels"]["berth.name"].startswith(f"{app}-")]
        variables = [dict(pair.split("=", 1) for pair in each["Config"]["Env"]) for each in mine]
        return [each["VERSION"] for each in variables]

    def status(self, name: str) -> GitSourceStatus:
        found = self.cluster.get(self.cluster.keys.status(cluster_ref("gitsources", name)), GitSourceStatus)
        assert found is not None, f"gitsource/{name} has no status"
        return found

    def wait(self, is_so: Callable[[], bool], timeout_s: float = PATIENCE_S) -> None:
        def checked() -> bool:
            self.cluster.check_alive()
            return is_so()

        eventually(checked, timeout_s)

    def leader(self) -> LeaderInfo:
        kvs = self.cluster.reading(lambda store: store.list(self.cluster.keys.election)).kvs
        return LeaderInfo.parse_stored(json.loads(min(kvs, key=lambda kv: kv.create_revision).value))

    def call(self, name: str, secret: str) -> int:
        """Call as the server of a repository does, at a controller that does not lead; return the HTTP status."""
        body = b'{"ref": "refs/heads/main"}'
        signature = "sha256=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
        (standby,) = self.hooks.keys() - {self.leader().identity}
        address = f"http://{self.hooks[standby]}/v1/webhook/{name}"
        request = urllib.request.Request(address, body, {"X-Hub-Signature-256": signature}, method="POST")
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return int(answer.status)
        except urllib.error.HTTPError as error:
            with error:
                return error.code


@pytest.fixture
def site(own_cluster: Cluster, tmp_path: Path) -> Site:
    return Site(own_cluster, tmp_path)


def test_a_push_becomes_containers_is_updated_rolled_back_and_pruned_whoever_leads(site: Site) -> None:
    repository, berth = site.repository, site.cluster.berth
    berth(
        "apply", "-f", "-", stdin=source("app", url=repository.url, branch="main", interval="5s", prune=True)
    )
    site.wait(lambda: site.status("app").failure is not None)  # the repository is empty yet
    assert "has no branch 'main'" in berth("sync", "status", "app").out

    repository.commit(
        {"web.yaml": deployment("web", "1", 2), "job.yaml": deployment("job", "1")}, "the first"
    )
    site.wait(lambda: site.versions("web") == ["1", "1"] and site.versions("job") == ["1"])
    site.wait(lambda: {each.health for each in site.status("app").objects} == {"Healthy"})
    assert "the first" in berth("get", "gitsources", "-o", "wide").out

    repository.commit({"web.yaml": deployment("web", "2", 2)}, "the second")
    site.wait(lambda: site.versions("web") == ["2", "2"])
    broken = repository.commit(
        {"job.yaml": deployment("job", "3"), "web.yaml": "kind: Task\n  x: [\n"}, "broken"
    )
    site.wait(lambda: site.status("app").failure is not None)
    failed = berth("sync", "now", "app")
    assert (failed.code, "web.yaml:2" in failed.err) == (1, True), failed.err
    assert site.status("app").failure.commit == broken  # type: ignore[union-attr]
    assert (site.versions("web"), site.versions("job")) == (["2", "2"], ["1"])

    site.cluster.components[site.leader().identity].kill()
    repository.commit({"web.yaml": deployment("web", "4"), "job.yaml": None}, "mended, and smaller")
    site.wait(lambda: site.versions("web") == ["4"] and site.versions("job") == [])
    site.wait(lambda: site.status("app").failure is None)

    assert berth("sync", "rollback", "app").code == 0
    site.wait(lambda: site.versions("web") == ["2", "2"] and site.versions("job") == ["1"])
    assert "until: berth sync resume app" in berth("sync", "rollback", "app", "--no-wait").out
    assert berth("sync", "resume", "app").out == "gitsource/app resumed\n"
    site.wait(lambda: site.versions("web") == ["4"])

    revision = site.cluster.revision()
    site.cluster.berth("delete", "gitsource", "app")
    assert site.versions("web") == ["4"]
    assert site.cluster.revision() > revision


def test_a_private_repository_is_read_over_http_and_its_server_says_that_there_is_news(site: Site) -> None:
    repository, berth = site.repository, site.cluster.berth
    repository.commit({"web.yaml": deployment("web", "1")})
    values = ("--from-literal", f"token={TOKEN}", "--from-literal", f"webhook={WEBHOOK}")
    assert berth("create", "secret", "generic", "git", *values).code == 0
    seen: list[str] = []
    with smart(repository.bare.parent, ("git", TOKEN), seen) as url:
        secret = {"name": "git"}
        spec = {
            "url": f"{url}/deploy.git",
            "interval": "1h",
            "credentials": secret,
            "webhook": {"secret": secret},
        }
        berth("apply", "-f", "-", stdin=source("app", **spec))
        site.wait(lambda: site.versions("web") == ["1"])
        repository.commit({"web.yaml": deployment("web", "2")})
        assert site.call("app", "something else") == 403
        assert site.call("app", WEBHOOK) == 202
        site.wait(lambda: site.versions("web") == ["2"])
    logs = "".join(each.text for each in site.cluster.components.values())
    assert TOKEN not in logs + "".join(seen)
