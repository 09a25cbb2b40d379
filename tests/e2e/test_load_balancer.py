"""The load balancer of the examples: a rollout and a way back under a stream of requests, and not one is lost.

HAProxy is told neither to try again nor to take another server (`retries 0`, no redispatch), and clients don't
try again either, so nothing hides a loss. Each request has a connection of its own.
"""

import os
import re
import threading
import urllib.request
from collections import Counter
from typing import Any

import pytest
import yaml

from schemas.keys import ObjectRef
from schemas.workload_status import DeploymentStatus
from tests.support.cluster import ROOT, Cluster
from tests.support.ports import free_port
from tests.support.wait import PATIENCE_S, eventually
from tools.errors import SetupError
from tools.haproxy_image import ensure_haproxy_image, require_haproxy

pytestmark = [pytest.mark.etcd, pytest.mark.docker]

FOLDER = ROOT / "manifests/load-balancer"
CLIENTS = 4


class Stream:
    """Clients that ask for the page one request after the other."""

    def __init__(self, url: str) -> None:
        self.counts: Counter[str] = Counter()
        self.failures: list[str] = []
        self._url = url
        self._is_over = threading.Event()
        self._clients = [threading.Thread(target=self._ask) for _ in range(CLIENTS)]

    def __enter__(self) -> "Stream":
        for each in self._clients:
            each.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._is_over.set()
        for each in self._clients:
            each.join()

    def _ask(self) -> None:
        while not self._is_over.wait(0.02):
            try:
                with urllib.request.urlopen(self._url, timeout=PATIENCE_S) as answer:
                    self.counts[answer.read().decode().strip()] += 1
            except OSError as error:
                self.failures.append(str(error))


def example(name: str) -> list[dict[str, Any]]:
    return list(yaml.safe_load_all((FOLDER / name).read_text()))


def web(version: str) -> dict[str, Any]:
    """The deployment, with more time for the balancer to see that an address is gone, as the machine may be busy."""
    (made,) = example("web.yaml")
    made["spec"]["template"]["spec"]["drainDelay"] = "8s"
    made["spec"]["template"]["spec"]["containers"][0]["env"][0]["value"] = version
    return made


def is_rolled_out(cluster: Cluster, revision: int) -> bool:
    found = cluster.get(cluster.keys.status(ObjectRef("deployments", "default", "web")), DeploymentStatus)
    return found is not None and (found.good_revision, found.replicas) == (revision, 2)


@pytest.fixture
def reachable(own_cluster: Cluster) -> Cluster:
    """A cluster whose node has an address that containers reach; those of the other tests have 127.0.0.1."""
    (network,) = own_cluster.docker.inspect_network("bridge")["IPAM"]["Config"]
    own_cluster.start_controller()
    own_cluster.start_agent("agent", "--address", network["Gateway"])
    own_cluster.wait_ready()
    return own_cluster


@pytest.fixture
def url(reachable: Cluster) -> str:
    """Where the balancer of the example answers."""
    cluster = reachable
    try:
        require_haproxy()
    except SetupError as error:
        (pytest.fail if os.environ.get("CI") else pytest.skip)(str(error))
    ensure_haproxy_image(cluster.docker_host)
    port = free_port()
    config, balancer = example("balancer.yaml")
    patient, count = re.subn(r"(timeout \w+) \d+s", r"\1 60s", config["data"]["haproxy.cfg"])
    assert count == 3
    config["data"]["haproxy.cfg"] = patient
    balancer["spec"]["template"]["spec"]["containers"][0]["ports"][0]["hostPort"] = port
    cluster.apply(web("1"), config, balancer)
    return f"http://127.0.0.1:{port}/"


def servers(cluster: Cluster) -> list[str]:
    names = [each["Config"]["Labels"]["berth.name"] for each in cluster.containers(running_only=True)]
    return [name for name in names if name.startswith("web-")]


def page(url: str) -> str:
    try:
        with urllib.request.urlopen(url, timeout=20) as answer:
            return str(answer.read().decode().strip())
    except OSError as error:
        raise AssertionError(f"{url}: {error}") from None


def test_rollout_and_way_back_lose_no_request(reachable: Cluster, url: str) -> None:
    cluster = reachable
    eventually(lambda: page(url) == "version 1")
    eventually(lambda: is_rolled_out(cluster, 1))
    with Stream(url) as stream:
        cluster.apply(web("2"))
        eventually(lambda: is_rolled_out(cluster, 2))
        eventually(lambda: stream.counts["version 2"] > CLIENTS)
        cluster.apply(web("1"))
        eventually(lambda: is_rolled_out(cluster, 3))
        eventually(lambda: len(servers(cluster)) == 2)  # the others have ended, not only left the list
        before = stream.counts["version 1"]
        eventually(lambda: stream.counts["version 1"] > before)
    print(f"requests {stream.counts.total()}, failures {len(stream.failures)}, {dict(stream.counts)}")
    assert not stream.failures, stream.failures[:5]
    assert set(stream.counts) == {"version 1", "version 2"}
