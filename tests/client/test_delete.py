import pytest

from client.errors import NotFound, ObjectUnreadable, Refused, TimedOut
from schemas.keys import cluster_ref, task_ref
from tests.client.helpers import KEYS, World, make_object, make_task

WEB = task_ref("default", "web")


def test_delete_puts_a_request_and_waits_until_the_object_is_gone(world: World) -> None:
    world.apply(make_task())
    world.client.delete(world.client.get("task", "web"))
    assert world.keys_under("/berth/") == []


def test_request_names_the_object_and_the_grace(world: World) -> None:
    world.apply(make_task())
    view = world.client.get("task", "web")
    world.client.delete(view, grace_s=1.0, wait=False)
    request = world.json_at(KEYS.request(WEB, "delete"))
    assert (request["uid"], request["graceS"]) == (view.uid, 1.0)
    assert request["requestedAt"] == "2027-01-15T08:00:00.000Z"
    assert world.client.get("task", "web").is_terminating


def test_second_delete_may_shorten_the_grace(world: World) -> None:
    world.apply(make_task())
    world.client.delete(world.client.get("task", "web"), wait=False)
    world.client.delete(world.client.get("task", "web"), grace_s=0.0, wait=False)
    assert world.json_at(KEYS.request(WEB, "delete"))["graceS"] == 0.0


def test_edit_in_between_does_not_stop_a_delete(world: World) -> None:
    world.apply(make_task())
    view = world.client.get("task", "web")
    world.apply(make_task(grace="1s"))
    world.client.delete(view)
    assert world.client.find("task", "web") is None


def test_object_made_anew_under_the_name_is_not_waited_for(world: World) -> None:
    world.apply(make_task())
    view = world.client.get("task", "web")

    def remade() -> None:
        world.leader.remove(WEB)
        world.apply(make_task())

    world.while_waiting = [remade]
    world.client.delete(view)
    assert world.client.find("task", "web") is not None


def test_wait_ends_in_time_and_the_request_stays(world: World) -> None:
    world.apply(make_task())
    world.leader.is_away = True
    with pytest.raises(TimedOut, match="timed out after 60 s"):
        world.client.delete(world.client.get("task", "web"), timeout_s=60)
    assert world.client.get("task", "web").is_terminating


def test_waiting_survives_compaction_and_lost_watches(world: World) -> None:
    world.apply(make_task())
    world.leader.is_away = True

    def trouble() -> None:
        world.apply(make_task("other"))
        world.store.compact(world.store.get("x").revision)
        world.store.end_watches()  # type: ignore[attr-defined]

    def return_of_the_leader() -> None:
        world.leader.is_away = False

    world.while_waiting = [trouble, return_of_the_leader]
    world.client.delete(world.client.get("task", "web"), timeout_s=600)


def test_object_that_is_gone_already_is_not_found(world: World) -> None:
    world.apply(make_task())
    view = world.client.get("task", "web")
    world.leader.remove(WEB)
    with pytest.raises(NotFound):
        world.client.delete(view)


def test_unreadable_object_is_removed_only_by_force(world: World) -> None:
    world.put(KEYS.spec(WEB), b"garbage")
    view = world.client.get("task", "web")
    with pytest.raises(ObjectUnreadable, match="--force"):
        world.client.delete(view)
    world.client.delete(view, force=True)
    assert world.client.find("task", "web") is None


def test_object_whose_status_cannot_be_read_is_removed_only_by_force(world: World) -> None:
    world.apply(make_task("web"))
    world.put(KEYS.status(WEB), b"garbage")
    view = world.client.get("task", "web")
    with pytest.raises(ObjectUnreadable, match="--force"):
        world.client.delete(view)
    world.client.delete(view, force=True)
    assert world.client.find("task", "web") is None
    assert world.store.get(KEYS.status(WEB)).kv is None


def test_what_is_not_stored_cannot_be_deleted(world: World) -> None:
    world.add_node("n1")
    with pytest.raises(Refused, match="built in"):
        world.client.delete(world.client.get("ns", "default"))
    with pytest.raises(Refused, match="stop the agent"):
        world.client.delete(world.client.get("node", "n1"))


def test_other_kinds_are_deleted_by_request_too(world: World) -> None:
    world.apply(make_object("Queue", "q"))
    world.client.delete(world.client.get("queue", "q"), wait=False)
    assert world.keys_under("/berth/requests/") == ["/berth/requests/_cluster/queues/q/delete"]


def test_node_whose_agent_is_gone_is_deleted_with_its_reports(world: World) -> None:
    world.add_node("n1", ready="Unknown", beating=False)
    world.client.delete(world.client.get("node", "n1"), wait=False)
    request = KEYS.request(cluster_ref("nodes", "n1"), "delete")
    assert world.json_at(request)["uid"] == ""
    assert world.client.get("node", "n1").is_terminating
    world.client.wait_deleted(world.client.get("node", "n1"))
    assert world.json_at(request) is None
