"""`top`: its cells, and what it says where there is nothing to measure."""

import pytest

from cli.top import SortBy, _order, cores, mebibytes, percent
from client.usage import TaskUsage, Used
from tests.cli.helpers import Shell
from tests.client.helpers import World, make_task


def test_cells_are_as_kubectl_prints_them() -> None:
    assert (cores(0), cores(1500), cores(None)) == ("0m", "1500m", "<unknown>")
    assert (mebibytes(0), mebibytes(5 * 2**20 + 1), mebibytes(None)) == ("0Mi", "5Mi", "<unknown>")
    assert (percent(250, 2000), percent(None, 2000), percent(1, 0)) == ("12%", "<unknown>", "<unknown>")


def test_highest_comes_first_and_unknown_last() -> None:
    used = [Used(1, 9), Used(None, 5), Used(7, None)]
    assert sorted(used, key=lambda each: _order(each, SortBy.CPU)) == [used[2], used[0], used[1]]
    assert sorted(used, key=lambda each: _order(each, SortBy.MEMORY)) == used
    assert sorted(used, key=lambda each: _order(each, SortBy.NAME)) == used


def test_task_uses_what_its_containers_use_and_nobody_guesses(world: World) -> None:
    world.apply(make_task())
    view = world.client.get("tasks", "web")
    assert TaskUsage(view, {"a": Used(5, 1), "b": Used(7, 2)}).used == Used(12, 3)
    assert TaskUsage(view, {"a": Used(5, 1), "b": Used(None, 2)}).used == Used(None, 3)


def test_hollow_nodes_use_nothing_and_a_node_without_address_is_told(world: World, berth: Shell) -> None:
    world.add_node("hollow", runtimeVersion="hollow")
    world.add_node("mute")
    answer = berth("top", "nodes")
    assert answer.code == 0
    assert answer.lines == [
        "NAME     CPU(cores)   CPU(%)      MEMORY(bytes)   MEMORY(%)",
        "hollow   0m           0%          0Mi             0%",
        "mute     <unknown>    <unknown>   <unknown>       <unknown>",
    ]
    assert "node mute has not told the address of its agent" in answer.err


def test_task_that_is_on_no_node_is_left_out(world: World, berth: Shell) -> None:
    world.apply(make_task())
    assert berth("top", "tasks").err == "No resources found in default namespace.\n"


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("queues",), "berth top nodes"),
        (("tasks", "nobody"), 'task "nobody" not found'),
        (("node/nobody",), 'node "nobody" not found'),
        (("node/a", "task/b"), "berth top nodes"),
        (("unicorns",), 'there is no kind "unicorns"'),
    ],
)
def test_what_can_not_be_measured_is_refused_in_words(
    berth: Shell, arguments: tuple[str, ...], told: str
) -> None:
    answer = berth("top", *arguments)
    assert (answer.code, answer.out) == (1, "")
    assert told in answer.err
