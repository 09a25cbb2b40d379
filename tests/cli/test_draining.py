"""Drains and evictions on the command line, without a leader: the wishes that they write."""

import pytest

from schemas.keys import cluster_ref, task_ref
from tests.cli.helpers import Shell
from tests.client.helpers import KEYS, World, make_task
from tests.client.owned import make_owned, make_template, uid_of

N1 = cluster_ref("nodes", "n1")
EVICT = KEYS.request(task_ref("default", "web"), "evict")


@pytest.fixture
def placed(world: World) -> World:
    """A task on a node."""
    world.add_node("n1")
    world.apply(make_task())
    world.set_status("web", state="Running", node="n1", bindingUid="b1", epoch=1)
    return world


def test_eviction_names_the_binding_that_is_to_end(berth: Shell, placed: World) -> None:
    assert berth("evict", "web").out == "task/web eviction requested\n"
    wish = placed.json_at(EVICT)
    assert (wish["uid"], wish["bindingUid"]) == (uid_of(placed, "tasks", "web"), "b1")


@pytest.mark.parametrize(
    ("name", "told"),
    [("nothing", 'task "nothing" not found'), ("waiting", "is Pending, so there is nothing to move")],
)
def test_eviction_of_what_is_on_no_node_says_so_and_the_others_go(
    berth: Shell, placed: World, name: str, told: str
) -> None:
    placed.apply(make_task("waiting"))
    result = berth("evict", name, "task/web")
    assert (result.code, result.out) == (1, "task/web eviction requested\n")
    assert told in result.err


def drain_of(world: World) -> dict[str, object]:
    found: dict[str, object] = world.json_at(KEYS.spec(N1))["spec"]["drain"]
    return found


def test_drain_that_goes_on_is_joined_by_the_same_one_and_replaced_by_another(
    berth: Shell, placed: World
) -> None:
    told = berth("drain", "n1", "--no-wait", "--timeout", "5m")
    assert told.lines == ["node/n1 cordoned", "node/n1 draining"]
    assert "berth uncordon n1" in told.err
    first = drain_of(placed)
    placed.clock.seconds += 60
    berth("drain", "node/n1", "--no-wait", "--timeout", "5m")
    assert drain_of(placed) == first
    berth("drain", "n1", "--no-wait", "--timeout", "5m", "--force")
    assert drain_of(placed)["requestedAt"] != first["requestedAt"]
    berth("uncordon", "n1")
    assert "drain" not in placed.json_at(KEYS.spec(N1))["spec"]


def test_drain_refuses_a_node_with_tasks_of_daemonsets(berth: Shell, placed: World) -> None:
    placed.apply(
        {
            "apiVersion": "berth/v1",
            "kind": "DaemonSet",
            "metadata": {"name": "each"},
            "spec": {"template": make_template()},
        }
    )
    owner = {"kind": "DaemonSet", "name": "each", "uid": uid_of(placed, "daemonsets", "each")}
    revision = {"kind": "Revision", "owner": owner, "number": 1, "hash": "h", "template": make_template()}
    placed.put(KEYS.revision("default", owner["uid"], 1), revision)
    made = make_owned(placed, owner, 1, 0)
    placed.put(
        KEYS.status(made), {"kind": "TaskStatus", "uid": f"uid-{made.name}", "state": "Running", "node": "n1"}
    )
    result = berth("drain", "n1")
    assert result.code == 1
    assert "default/each-1-0; to leave them there say: berth drain n1 --ignore-daemonsets" in result.err
    assert berth("drain", "n1", "--ignore-daemonsets", "--no-wait").code == 0


def test_force_without_a_timeout_is_refused(berth: Shell, placed: World) -> None:
    assert "--timeout 5m" in berth("drain", "n1", "--force").err
