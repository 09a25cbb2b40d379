"""Moves of running tasks: fewer nodes or more evenly, not too many, each with room when its turn comes."""

from dataclasses import replace
from itertools import product

import pytest
from hypothesis import HealthCheck, event, example, given, settings
from hypothesis import strategies as st

from controller.scheduler.fleet import Fleet
from controller.scheduler.node_view import NodeView, Standing
from controller.scheduler.program import Limits
from controller.scheduler.rebalance import Aim, Movable, Rebalancing, Request, rebalance
from controller.scheduler.shape import Cap, Company, Expression, Labels, Shape, TaskTerm
from controller.scheduler.snapshot import Snapshot, TaskView
from controller.scheduler.waves import WAVE, Move, in_waves, state_of
from controller.scheduler.whatif import freed
from schemas.keys import task_ref

LIMITS = Limits(1e9, 2000)
WEB = Labels("default", (("app", "web"),))
slow = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])


class World:
    """Nodes of some cpus, and tasks on them: (node, cpus)."""

    def __init__(self, cpus: list[int], tasks: list[tuple[int, int]], **more: object) -> None:
        views = [_node(f"n{number}", cpu * 1000) for number, cpu in enumerate(cpus)]
        self.standing: list[Standing] = []
        for number, (node, cpu) in enumerate(tasks):
            ref, requests = task_ref("default", f"t{number}"), (("cpu", cpu * 1000),)
            task = Standing(f"u{number}", ref, f"n{node}", "default", 0, requests, WEB)
            self.standing.append(task)
            views[node] = _taken(views[node], task)
        self.company = more.get("company", Company())
        self.views = views

    @property
    def snapshot(self) -> Snapshot:
        return Snapshot(Fleet(self.views, self.standing), ())

    def movable(self, *numbers: int, lost: dict[int, float] | None = None) -> list[Movable]:
        chosen = numbers or range(len(self.standing))
        return [self._movable(self.standing[number], (lost or {}).get(number, 0.0)) for number in chosen]

    def _movable(self, task: Standing, lost_s: float) -> Movable:
        shape = Shape(task.requests, company=self.company, labels=WEB)  # type: ignore[arg-type]
        return Movable(TaskView(task.ref, task.uid, shape, 0, int(task.uid[1:])), task, lost_s)


def _node(name: str, cpu: int) -> NodeView:
    whole = {"cpu": cpu}
    return NodeView(name, True, False, {}, (), whole, whole, frozenset(), (31000, 31005), {})


def _taken(node: NodeView, task: Standing) -> NodeView:
    return replace(node, free={"cpu": node.free["cpu"] - task.requests[0][1]})


def ask(
    world: World, movables: list[Movable], aim: Aim = "nodes", moves: int | None = 10, gain: float = 0.0
) -> Rebalancing:
    return rebalance(world.snapshot, movables, Request(aim, moves, gain), LIMITS)


def told(found: Rebalancing) -> list[tuple[str, str, str]]:
    return [(each.task.uid, each.source, each.target) for each in found.moves]


def test_half_empty_nodes_are_joined() -> None:
    world = World([4, 4, 4], [(0, 2), (1, 1), (2, 1)])
    found = ask(world, world.movable())
    assert (len(found.before.used), len(found.after.used), found.bound) == (3, 1, 1)
    assert len(found.moves) == 2


def test_no_more_moves_than_allowed() -> None:
    world = World([4, 4, 4], [(0, 2), (1, 1), (2, 1)])
    found = ask(world, world.movable(), moves=1)
    assert (len(found.moves), len(found.after.used)) == (1, 2)


def test_what_gains_too_little_is_not_done() -> None:
    world = World([4, 4, 4], [(0, 2), (1, 1), (2, 3)])
    assert len(ask(world, world.movable()).moves) == 1
    found = ask(world, world.movable(), gain=2)
    assert (found.moves, found.gain, found.after) == ((), 1, found.before)


def test_what_must_stay_stays() -> None:
    world = World([4, 4, 4], [(0, 2), (1, 1), (2, 1)])
    found = ask(world, world.movable(1))
    assert told(found) == [("u1", "n1", "n0")] or told(found) == [("u1", "n1", "n2")]
    assert ask(world, []).verdict == "Nothing"


def test_the_least_work_is_lost() -> None:
    world = World([4, 4], [(0, 2), (1, 2)])
    found = ask(world, world.movable(lost={0: 7200.0, 1: 60.0}))
    assert told(found) == [("u1", "n1", "n0")]


def test_fewest_moves_are_taken() -> None:
    world = World([4, 4], [(0, 1), (0, 1), (0, 1), (1, 1)])
    assert told(ask(world, world.movable())) == [("u3", "n1", "n0")]


def test_load_is_spread_to_a_node_that_is_empty() -> None:
    world = World([4, 4], [(0, 1), (0, 1), (0, 1), (0, 1)])
    found = ask(world, world.movable(), "balance")
    assert len(found.moves) == 2
    assert (found.before.imbalance, found.after.imbalance) == (0.5, 0.0)


def test_rules_about_the_tasks_around_are_kept() -> None:
    term = TaskTerm("default", (Expression("app", "In", ("web",)),))
    world = World([4, 4, 4], [(0, 1), (1, 1), (2, 1)], company=Company(caps=(Cap(term, 2),)))
    found = ask(world, world.movable())
    assert len(found.after.used) == 2


def test_tasks_that_would_have_to_change_places_stay() -> None:
    """Full nodes: nobody can be moved first."""
    world = World([4, 4], [(0, 4), (1, 4)])
    assert ask(world, world.movable(), "balance").moves == ()


def test_one_wave_takes_few_and_none_waits_for_another_of_its_own() -> None:
    world = World([20, 20], [(0, 1)] * 10 + [(1, 1)] * 10)
    found = ask(world, world.movable(), moves=None)
    waves = [each.wave for each in found.moves]
    assert max(waves.count(number) for number in waves) <= WAVE
    assert len(found.moves) == 10


@st.composite
def worlds(draw: st.DrawFn) -> World:
    cpus = draw(st.lists(st.integers(3, 6), min_size=2, max_size=3))
    left, tasks = list(cpus), list[tuple[int, int]]()
    for _ in range(draw(st.integers(1, 5))):
        node, cpu = draw(st.integers(0, len(cpus) - 1)), draw(st.integers(1, 3))
        if cpu <= left[node]:
            left[node] -= cpu
            tasks.append((node, cpu))
    return World(cpus, tasks or [(0, 1)])


def best(world: World, moves: int) -> int:
    """Return the fewest nodes that can be used after so many moves, by trying all."""
    found = len({task.node for task in world.standing})
    for choice in product(range(len(world.views)), repeat=len(world.standing)):
        free = {n: view.allocatable["cpu"] for n, view in enumerate(world.views)}
        for task, node in zip(world.standing, choice, strict=True):
            free[node] -= task.requests[0][1]
        changed = sum(task.node != f"n{node}" for task, node in zip(world.standing, choice, strict=True))
        if changed <= moves and min(free.values()) >= 0:
            found = min(found, len(set(choice)))
    return found


@slow
@example(World([3, 4, 5], [(0, 2), (1, 3)]), 3)  # both onto the node that is empty, and larger
@example(World([5, 6, 5, 6], [(0, 3), (2, 3)]), 2)
@given(worlds(), st.integers(0, 4))
def test_reaches_what_trying_all_reaches_with_so_many_moves(world: World, moves: int) -> None:
    found = ask(world, world.movable(), moves=moves)
    event(f"moves {len(found.moves)}")
    assert len(found.moves) <= moves
    assert found.bound <= len(found.after.used)
    least = best(world, moves)
    if found.verdict in ("Optimal", "Nothing"):
        assert len(found.after.used) == least
    else:  # some would have to change places
        assert len(found.after.used) > least >= found.bound


@slow
@given(worlds(), st.sampled_from(("nodes", "balance")), st.data())
def test_each_move_finds_its_room_in_its_wave(world: World, aim: Aim, data: st.DataObject) -> None:
    stays = data.draw(st.sets(st.integers(0, len(world.standing) - 1)))
    movables = [each for each in world.movable() if int(each.task.uid[1:]) not in stays]
    found = ask(world, movables, aim)
    assert {each.task.uid for each in found.moves}.isdisjoint({f"u{number}" for number in stays})
    nodes = {view.name: view for view in world.views}
    standing = {task.uid: task for task in world.standing}
    for wave in sorted({each.wave for each in found.moves}):
        moves = [each for each in found.moves if each.wave == wave]
        for each in moves:
            nodes[each.target] = _taken(nodes[each.target], standing[each.task.uid])
            assert nodes[each.target].free["cpu"] >= 0
        for each in moves:
            nodes[each.source] = freed(nodes[each.source], [standing[each.task.uid]])
    there = {each.task.uid: each.target for each in found.moves}
    after = [
        Standing(t.uid, t.ref, there.get(t.uid, t.node), "default", 0, t.requests, WEB)
        for t in world.standing
    ]
    assert state_of(Fleet(nodes.values(), after)) == found.after
    assert found.after.imbalance <= found.before.imbalance or aim == "nodes"


def test_what_is_too_large_is_left_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("controller.scheduler.rebalance.MAX_COLUMNS", 3)
    world = World([4, 4, 4], [(0, 2), (1, 1), (2, 1)])
    found = ask(world, world.movable())
    assert (found.verdict, found.moves, found.after) == ("TooLarge", (), found.before)


def test_of_empty_nodes_as_many_are_looked_at_as_could_be_filled() -> None:
    """Each has a name as a label, as agents give it; those that take nothing are not among them."""
    world = World([3, 3, *[6] * 40], [(0, 2), (1, 2)])
    for number, view in enumerate(world.views):
        world.views[number] = replace(
            view, labels={"berth/hostname": view.name}, cordoned=2 <= number < 10, ready=number != 10
        )
    found = ask(world, world.movable())
    assert {each.target for each in found.moves} == {"n11"}
    assert found.after.used == {"n11"}
    assert found.columns < 20


def moves_of(world: World, *wanted: tuple[int, str]) -> list[Move]:
    return [
        Move(movable.task, movable.standing.node, target, 0, 0.0)
        for number, target in wanted
        for movable in world.movable(number)
    ]


def test_who_needs_anothers_room_goes_in_the_wave_after_it() -> None:
    world = World([4, 4, 4], [(0, 4), (1, 4)])
    moves, after, stuck = in_waves(world.snapshot, moves_of(world, (0, "n1"), (1, "n2")))
    assert [(each.task.uid, each.wave) for each in moves] == [("u1", 1), ("u0", 2)]
    assert (after.used, stuck) == ({"n1", "n2"}, frozenset())


def test_who_would_have_to_change_places_is_stuck() -> None:
    world = World([4, 4], [(0, 4), (1, 4)])
    moves, _, stuck = in_waves(world.snapshot, moves_of(world, (0, "n1"), (1, "n0")))
    assert (moves, stuck) == ((), {"u0", "u1"})
