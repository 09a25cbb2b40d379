"""plan --optimal, rebalance, consolidate on the command line; no leader answers, so that berth computes from etcd."""

from pathlib import Path
from typing import Any

import pytest

from schemas.keys import task_ref
from store.api import Delete, Txn
from tests.cli.helpers import Shell, write_yaml
from tests.cli.test_answers import CLUSTER, bind, deployment, task
from tests.client.helpers import KEYS, World, make_object

NODE = {"cpu": "4", "memory": "8Gi"}


@pytest.fixture
def nodes(world: World) -> World:
    world.put(KEYS.cluster, CLUSTER)
    for name in ("n1", "n2", "n3"):
        world.add_node(name, allocatable=NODE)
    return world


def stand(world: World, name: str, node: str, cpu: str = "1", **spec: Any) -> None:
    world.apply(task(name, cpu, **spec))
    bind(world, name, node, cpu)


def wish(world: World, name: str) -> Any:
    return world.json_at(KEYS.request(task_ref("default", name), "evict"))


# plan --optimal


def test_plan_compares_the_optimum_with_the_scheduler(berth: Shell, nodes: World, tmp_path: Path) -> None:
    those = [task(f"t{n}", cpu) for n, cpu in enumerate(("2", "1333m", "2", "1333m", "1333m"))]
    path = write_yaml(tmp_path / "m.yaml", *those)
    result = berth("plan", "-f", path, "--optimal", "--budget", "20s")
    assert result.code == 1
    rows = {cells[0]: cells[1:4] for line in result.lines if (cells := line.split())[4:] and "%" in cells[-1]}
    assert rows["scheduler"] == ["3", "5", "0"]
    assert rows["optimum"] == ["2", "5", "0"]
    assert "objective 2 nodes, bound 2, gap 0.0%: proved: nothing is better (" in result.out
    assert "optimum of default/task/t0: 1 on node" in result.out
    assert nodes.keys_under("/berth/spec/default/") == []


def test_plan_as_data_has_the_certificate(berth: Shell, nodes: World, tmp_path: Path) -> None:
    path = write_yaml(tmp_path / "m.yaml", deployment("big", 2, "2"))
    packing = berth("plan", "-f", path, "--optimal", "-o", "json").json["outcome"]["packing"]
    assert (packing["verdict"], packing["objective"], packing["bound"], packing["gap"]) == (
        "Optimal",
        1,
        1,
        0,
    )
    assert packing["isBetter"] is False
    assert {"seconds", "searched", "columns", "rows", "workBound"} <= packing.keys()


@pytest.mark.parametrize("budget", ["0s", "2m", "soon"])
def test_budget_that_makes_no_sense_is_refused(berth: Shell, nodes: World, budget: str) -> None:
    result = berth("rebalance", "--budget", budget)
    assert result.code == 255
    assert "--budget" in result.err


# rebalance


def test_rebalance_shows_moves_and_writes_nothing(berth: Shell, nodes: World) -> None:
    stand(nodes, "a", "n1", "2")
    stand(nodes, "b", "n2", "1")
    before = nodes.store.get("/nothing").revision
    result = berth("rebalance", "--plan")
    assert result.code == 1
    assert result.lines[0].split() == ["WAVE", "TASK", "FROM", "TO", "WORK", "LOST"]
    assert "nodes used: 2 -> 1" in result.out
    assert "objective 1 nodes, bound 1, gap 0.0%: proved" in result.out
    assert nodes.store.get("/nothing").revision == before


def test_rebalance_with_nothing_to_gain_says_what_stays_and_why(berth: Shell, nodes: World) -> None:
    stand(nodes, "a", "n1", "3")
    stand(nodes, "b", "n2", "3", rebalance="never")
    result = berth("rebalance")
    assert result.code == 0
    assert "Nothing is to be moved." in result.out
    assert "default/b stays: rebalance: never" in result.out


@pytest.mark.parametrize(
    ("spec", "reason"),
    [
        ({"rebalance": "never"}, "rebalance: never"),
        (
            {
                "exactlyOne": True,
                "unreachable": {"rescheduleAfter": "60s", "stopAfter": "20s"},
                "grace": "5s",
            },
            "exactlyOne: there would be none meanwhile",
        ),
        ({"restartPolicy": "Never"}, "it runs once"),
        ({"nodeName": "n2"}, "it is for this very node"),
        ({"gang": {"name": "g", "minMember": 1}}, "it is one of a gang"),
        ({"volumes": [{"name": "d", "hostPath": {"path": "/srv"}}]}, "it uses a folder of its node"),
    ],
)
def test_what_would_lose_by_a_move_stays(
    berth: Shell, nodes: World, spec: dict[str, Any], reason: str
) -> None:
    nodes.apply(make_object("Namespace", "default", hostPaths=["/srv"], queues=["*"]))
    stand(nodes, "b", "n2", "1", **spec)
    answer = berth("rebalance", "-o", "json").json
    assert [(each["task"]["name"], each["reason"]) for each in answer["stays"]] == [("b", reason)]
    assert answer["moves"] == []


def test_apply_asks_where_there_is_a_terminal_and_wants_yes_elsewhere(berth: Shell, nodes: World) -> None:
    stand(nodes, "a", "n1", "2")
    stand(nodes, "b", "n2", "1")
    result = berth("rebalance", "--apply")
    assert result.code == 255
    assert "where there is no terminal say --yes" in result.err
    assert wish(nodes, "a") is None
    assert wish(nodes, "b") is None


def test_apply_wishes_each_move_with_its_target_and_tells_how_it_ends(berth: Shell, nodes: World) -> None:
    stand(nodes, "a", "n1", "2", rebalance="never")
    stand(nodes, "b", "n2", "1")
    seen: list[Any] = []

    def arrive() -> None:
        key = KEYS.request(task_ref("default", "b"), "evict")
        seen.append(nodes.json_at(key))
        nodes.store.txn(Txn((), (Delete(key),)))
        placed: Any = {"node": "n1", "bindingUid": "b2", "epoch": 2}
        nodes.set_status("b", state="Running", observedGeneration=1, **placed)

    nodes.while_waiting.append(arrive)
    result = berth("rebalance", "--apply", "--yes")
    assert (result.code, result.err.count("Error")) == (0, 0)
    assert "default/b moved: n2 -> n1" in result.out
    assert (seen[0]["to"], seen[0]["bindingUid"]) == ("n1", "b1")


def test_moves_that_do_not_begin_in_time_are_taken_back(berth: Shell, nodes: World) -> None:
    stand(nodes, "a", "n1", "2", rebalance="never")
    stand(nodes, "b", "n2", "1")
    result = berth("rebalance", "--apply", "--yes", "--timeout", "20s")
    assert result.code == 255
    assert "not moved and ready within 20 s: default/b" in result.err
    assert wish(nodes, "b") is None


# consolidate


def test_consolidate_names_what_can_be_emptied_and_what_keeps_the_others(berth: Shell, nodes: World) -> None:
    stand(nodes, "a", "n1", "2", rebalance="never")
    stand(nodes, "b", "n2", "1")
    result = berth("consolidate", "--plan")
    assert result.code == 0
    cells = {line.split()[0]: line.split(maxsplit=4) for line in result.lines if line.startswith("n")}
    assert cells["n1"][1] == "Blocked"
    assert cells["n1"][4] == "default/a (rebalance: never)"
    assert cells["n2"][1:3] == ["Emptied", "1"]
    assert cells["n3"][1] == "Empty"
    assert "1 nodes could be emptied by 1 moves" in result.out
