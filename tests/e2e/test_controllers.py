"""Two controllers: one leads, the other takes over; what a deposed leader still has in hand is fenced off."""

from collections.abc import Iterator

import pytest

from schemas.cluster import LeaderInfo
from tests.e2e.conftest import Breakable
from tests.support.cluster import LEASE_TTL_S, Cluster, Component, sleeper
from tests.support.wait import eventually

pytestmark = [pytest.mark.etcd, pytest.mark.docker]


@pytest.fixture
def pair(breakable: Breakable) -> Iterator[tuple[Cluster, Component, Component]]:
    """The cluster, its leader, and a second controller that stands by."""
    cluster = breakable.cluster
    leader = cluster.components["controller"]
    follower = cluster.components.get("controller-2")
    if follower is None:
        follower = cluster.start_controller("controller-2")
    if follower.process is None:
        follower.start()
    eventually(lambda: len(cluster.list_keys(cluster.keys.election)) == 2)
    if leads(cluster) != "controller":
        leader, follower = follower, leader
    yield cluster, leader, follower
    for each in (leader, follower):
        if each.process is None:
            each.start()
    eventually(lambda: len(cluster.list_keys(cluster.keys.election)) == 2)


def leads(cluster: Cluster) -> str:
    """Return the identity of the leader: the oldest key of the election."""
    kvs = cluster.reading(lambda store: store.list(cluster.keys.election)).kvs
    oldest = min(kvs, key=lambda kv: kv.create_revision, default=None)
    return LeaderInfo.model_validate_json(oldest.value).identity if oldest else ""


def test_other_controller_takes_over_when_the_leader_dies(
    pair: tuple[Cluster, Component, Component],
) -> None:
    cluster, leader, follower = pair
    cluster.apply(sleeper("before"))
    cluster.wait_running("before")
    sign = cluster.sign_of_life("before")
    leader.kill()
    cluster.apply(sleeper("after"))
    cluster.wait_running("after")
    assert leads(cluster) == follower.name
    assert follower.name in cluster.berth("version").out
    assert cluster.sign_of_life("before") == sign
    cluster.delete("before", "after")


def test_leader_that_stops_in_good_order_hands_over_at_once(
    pair: tuple[Cluster, Component, Component],
) -> None:
    cluster, leader, follower = pair
    assert leader.terminate() == 0
    eventually(lambda: leads(cluster) == follower.name, LEASE_TTL_S)
    cluster.apply(sleeper("handed-over"))
    cluster.wait_running("handed-over")
    cluster.delete("handed-over")


def test_leader_that_slept_past_its_lease_is_fenced_off(pair: tuple[Cluster, Component, Component]) -> None:
    cluster, leader, follower = pair
    cluster.apply(sleeper("one"), sleeper("two"))
    cluster.wait_running("one", "two")
    sign = cluster.sign_of_life("one")
    leader.pause()
    try:
        eventually(lambda: leads(cluster) == follower.name)
        cluster.apply(*(sleeper(f"new-{number}") for number in range(5)))
        assert cluster.berth("delete", "task/two", "--timeout", "100s").code == 0
    finally:
        leader.resume()
    names = [f"new-{number}" for number in range(5)]
    statuses = cluster.wait_running(*names)
    eventually(lambda: "term is over" in leader.text or f"leading identity={leader.name}" in leader.text)
    eventually(lambda: len(cluster.list_keys(cluster.keys.election)) == 2)
    assert leads(cluster) == follower.name
    assert [status.epoch for status in statuses] == [1] * 5
    assert all(len(cluster.containers(name)) == 1 for name in names)
    bound = [binding.name for node in cluster.nodes for binding in cluster.bindings(node)]
    assert sorted(bound) == sorted(["one", *names])
    assert cluster.sign_of_life("one") == sign
    cluster.delete("one", *names)
