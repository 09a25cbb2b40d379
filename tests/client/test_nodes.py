import pytest

from client.errors import NotFound, Refused
from schemas.keys import cluster_ref
from tests.client.helpers import KEYS, World, make_object

N1 = cluster_ref("nodes", "n1")


def test_cordon_makes_the_object_of_a_node_that_only_reports(world: World) -> None:
    world.add_node("n1")
    assert world.client.cordon("n1") is True
    assert world.client.cordon("n1") is False
    stored = world.json_at(KEYS.spec(N1))
    assert stored["spec"] == {"unschedulable": True}
    assert stored["metadata"]["uid"]


def test_uncordon_keeps_everything_else(world: World) -> None:
    world.apply(make_object("Node", "n1", unschedulable=True, taints=[{"key": "a", "effect": "NoSchedule"}]))
    assert world.client.uncordon("n1") is True
    assert world.json_at(KEYS.spec(N1))["spec"] == {"taints": [{"key": "a", "effect": "NoSchedule"}]}


def test_unknown_node_is_not_made(world: World) -> None:
    with pytest.raises(NotFound, match="berth get nodes"):
        world.client.cordon("typo")
    assert world.keys_under("/berth/") == []


def test_fence_is_refused_while_the_node_beats(world: World) -> None:
    world.add_node("n1")
    with pytest.raises(Refused, match="is alive"):
        world.client.fence("n1")
    world.client.fence("n1", force=True)
    assert world.json_at(KEYS.request(N1, "fence"))["nodeUid"] == "uid-of-n1"


def test_fence_of_a_silent_node_is_written(world: World) -> None:
    world.add_node("n1", beating=False)
    world.client.fence("n1")
    assert world.json_at(KEYS.request(N1, "fence"))["kind"] == "FenceRequest"
