"""History that is rewound, wiped or at rest: containers go on, nothing is guessed, and nothing is written idly.

The leader takes 20 s to recover from a restored backup. Other tests of this module run meanwhile.
"""

import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from schemas.keys import task_ref
from schemas.status import TaskStatus
from tests.support.cluster import Cluster, Json, shell_task, sleeper
from tests.support.fixtures import require_etcd
from tests.support.wait import eventually

pytestmark = [pytest.mark.etcd, pytest.mark.docker]

REST_S = 10.0


def with_args(name: str, text: str) -> Json:
    return shell_task(name, f"echo {text}; trap 'exit 0' TERM; sleep 3600 & wait")


@dataclass(frozen=True)
class Restored:
    """A cluster whose backup was restored a moment ago; `kept`: how its wanted task was before that."""

    cluster: Cluster
    kept: TaskStatus
    kept_sign: tuple[str, str]
    late_sign: tuple[str, str]


@pytest.fixture(scope="module")
def restored(
    docker_host: str, demo_image: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Restored]:
    """After the backup a task was deleted, one was edited, one was made; then the backup came back."""
    require_etcd()
    folder = tmp_path_factory.mktemp("restored")
    with Cluster(folder, docker_host) as cluster:
        cluster.start_controller()
        cluster.start_agent()
        cluster.wait_ready()
        cluster.apply(*map(sleeper, ("kept", "deleted-after")), with_args("edited-after", "old"))
        kept, *_ = cluster.wait_running("kept", "deleted-after", "edited-after")
        sign = cluster.sign_of_life("kept")
        cluster.etcd.snapshot(folder / "backup")
        cluster.delete("deleted-after")
        cluster.apply(sleeper("made-after"), with_args("edited-after", "new"))
        cluster.wait_running("made-after")
        cluster.wait_state("edited-after", "Running", epoch=2)
        late = cluster.sign_of_life("made-after")
        cluster.etcd.restore(folder / "backup")
        yield Restored(cluster, kept, sign, late)


def test_restored_backup_raises_the_incarnation_and_stops_nothing_yet(restored: Restored) -> None:
    cluster = restored.cluster
    eventually(lambda: cluster.record().incarnation == 2)
    assert cluster.record().recovering
    assert cluster.sign_of_life("made-after") == restored.late_sign
    assert cluster.sign_of_life("kept") == restored.kept_sign


def test_wiped_etcd_stops_no_container_and_the_agent_says_what_to_do(own_cluster: Cluster) -> None:
    cluster = own_cluster
    cluster.start_controller()
    agent = cluster.start_agent()
    cluster.wait_ready()
    cluster.apply(sleeper("orphan"))
    cluster.wait_running("orphan")
    sign, old = cluster.sign_of_life("orphan"), cluster.record().cluster_uid
    cluster.etcd.kill()
    shutil.rmtree(cluster.etcd.folder / "data")
    cluster.etcd.start()
    eventually(lambda: cluster.record().cluster_uid != old)
    eventually(lambda: "start it with --join-new-cluster" in agent.text)
    assert cluster.berth("get", "nodes").out == ""
    assert cluster.sign_of_life("orphan") == sign
    assert agent.terminate() == 0
    agent.start()  # it remembers
    eventually(lambda: agent.text.count("start it with --join-new-cluster") >= 2)
    assert cluster.sign_of_life("orphan") == sign
    assert agent.terminate() == 0
    agent.start("--join-new-cluster")
    cluster.wait_ready()
    cluster.apply(sleeper("orphan"))  # the old one is another cluster's: it is not touched
    cluster.wait_running("orphan")
    running = {each["Id"] for each in cluster.containers("orphan", running_only=True)}
    assert len(running) == 2
    assert sign[0] in running
    eventually(lambda: f"docker ps --filter label=berth.cluster={old}" in agent.text)


def test_cluster_at_rest_writes_nothing(cluster: Cluster) -> None:
    cluster.apply(sleeper("resting"), sleeper("waiting", nodeSelector={"no": "such"}))
    cluster.wait_running("resting")
    cluster.wait_reason("waiting", "Unschedulable")
    before = settled_revision(cluster)
    until = time.monotonic() + REST_S
    while time.monotonic() < until:  # a look twice a second, so that a write is told when it happens
        written = written_since(cluster, before)
        # Every five minutes the leader notes how far history may be compacted, of what was written before.
        assert written in ([], [cluster.keys.compaction]), written
        assert cluster.revision() == before + len(written), "something was deleted"
        time.sleep(0.5)
    cluster.delete("resting", "waiting")


def settled_revision(cluster: Cluster) -> int:
    """Wait until nothing was written for a second and a half; events are written a moment late."""
    seen, since = cluster.revision(), time.monotonic()

    def is_settled() -> bool:
        nonlocal seen, since
        now = cluster.revision()
        if now != seen:
            seen, since = now, time.monotonic()
        return time.monotonic() - since > 1.5

    eventually(is_settled, every_s=0.1)
    return seen


def written_since(cluster: Cluster, revision: int) -> list[str]:
    return [kv.key for kv in cluster.reading(lambda store: store.list("/")).kvs if kv.mod_revision > revision]


def test_recovered_cluster_keeps_what_is_wanted_and_ends_what_is_not(restored: Restored) -> None:
    cluster = restored.cluster
    eventually(lambda: not cluster.record().recovering)  # after 20 s, for heartbeats of agents that live
    # what was made after the backup is unknown to history: its container is stopped and removed
    eventually(lambda: cluster.containers("made-after") == [])
    assert cluster.list_keys(cluster.keys.status(task_ref("default", "made-after"))) == []
    # what was deleted after the backup is wanted again
    cluster.wait_state("deleted-after", "Running")
    # what was edited after the backup is again as it was
    eventually(lambda: cluster.container("edited-after")["Args"][-1].startswith("echo old"))
    cluster.wait_running("edited-after")
    # and what is wanted as it runs has not been disturbed
    after = cluster.wait_state("kept", "Running", epoch=restored.kept.epoch)
    assert after.binding_uid == restored.kept.binding_uid
    assert cluster.sign_of_life("kept") == restored.kept_sign
    names = ("kept", "deleted-after", "edited-after")
    assert all(len(cluster.containers(name, running_only=True)) == 1 for name in names)
    assert {each.incarnation for each in cluster.bindings(cluster.nodes[0])} == {2}
    cluster.apply(sleeper("new"))
    cluster.wait_running("new")
    assert "Traceback" not in "".join(each.text for each in cluster.components.values())
