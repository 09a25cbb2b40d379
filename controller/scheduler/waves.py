"""Moves in waves: each finds its room as things are when its wave begins, while those who leave still hold theirs."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from controller.scheduler.columns import Floats, Ints
from controller.scheduler.filters import allowed
from controller.scheduler.fleet import Fleet
from controller.scheduler.node_view import NodeView, Standing
from controller.scheduler.place import fitting
from controller.scheduler.proposal import used_rows
from controller.scheduler.shape import ANYWHERE
from controller.scheduler.snapshot import Snapshot, TaskView
from controller.scheduler.whatif import Change, changed_by, freed
from controller.scheduler.work import SCORED, Taken, Work

WAVE = 5  # moves that are under way at once: a few, so that a bad idea is seen early


@dataclass(frozen=True, slots=True)
class Move:
    """wave: 1 goes first; the next one begins when it is done."""

    task: TaskView
    source: str
    target: str
    wave: int
    lost_s: float


@dataclass(frozen=True, slots=True)
class State:
    """used: names of nodes that are not empty. imbalance: by how much shares differ from the cluster's, 0 to 1."""

    used: frozenset[str]
    imbalance: float


def in_waves(snapshot: Snapshot, moves: Sequence[Move]) -> tuple[tuple[Move, ...], State, frozenset[str]]:
    """Return the moves that find their room, in waves, how nodes are used then, and the uids of those that don't."""
    trial = _Trial(snapshot)
    left, done, wave = list(moves), list[Move](), 0
    while left:
        wave += 1
        went: list[Move] = []
        for move in left:
            if len(went) < WAVE and trial.move(move):
                went.append(replace(move, wave=wave))
        if not went:
            break
        trial.end_wave()
        done += went
        gone = {each.task.uid for each in went}
        left = [move for move in left if move.task.uid not in gone]
    return tuple(done), state_of(trial.fleet), frozenset(each.task.uid for each in left)


class _Trial:
    """A fleet of its own in which tasks move. Whom a wave moves holds both places until it ends."""

    def __init__(self, snapshot: Snapshot) -> None:
        self.fleet = changed_by(replace(snapshot, pending=()), Change()).fleet
        self._leaving: list[Standing] = []

    def move(self, move: Move) -> bool:
        """Let a task arrive if it fits once it has left its own node; say whether it does."""
        own = self.fleet.standing.get(move.task.uid)
        row = self.fleet.row_of.get(move.target)
        if own is None or row is None or self._is_short(move.task, row):
            return False
        before = self.fleet.view(self.fleet.row_of[own.node])
        self._leave(own)
        work = Work.of(self.fleet)
        fits = bool(fitting(move.task.shape, work, slice(row, row + 1))[0])
        if fits:
            self._arrive(own, move, work.take(row, move.task.shape))
        self.fleet.put(before)
        self.fleet.put_task(replace(own, uid=f"leaving/{own.uid}") if fits else own)
        if fits:
            self._leaving.append(replace(own, uid=f"leaving/{own.uid}"))
        return fits

    def _is_short(self, task: TaskView, row: int) -> bool:
        """Most that find no room lack an amount: that is quicker to see than by all filters."""
        free = self.fleet.view(row).free
        return any(free.get(name, 0) < amount for name, amount in task.shape.requests if amount)

    def end_wave(self) -> None:
        for task in self._leaving:
            self._leave(task)
        self._leaving.clear()

    def _leave(self, task: Standing) -> None:
        self.fleet.remove_task(task.uid)
        self.fleet.put(freed(self.fleet.view(self.fleet.row_of[task.node]), [task]))

    def _arrive(self, own: Standing, move: Move, taken: Taken) -> None:
        ports = tuple((ask.protocol, port) for ask, port in taken.ports)
        self.fleet.put(_occupied(self.fleet.view(taken.row), move.task, ports))
        self.fleet.put_task(replace(own, uid=f"moved/{own.uid}", node=move.target, ports=ports))


def _occupied(node: NodeView, task: TaskView, ports: tuple[tuple[str, int], ...]) -> NodeView:
    asked = dict(task.shape.requests)
    return replace(
        node,
        free={name: amount - asked.get(name, 0) for name, amount in node.free.items()},
        ports_used=node.ports_used | set(ports),
        devices_free={name: ids[asked.get(name, 0) :] for name, ids in node.devices_free.items()},
    )


# How nodes are used


def state_of(fleet: Fleet) -> State:
    names = frozenset(fleet.view(row).name for row in used_rows(fleet))
    rows = balanced_rows(fleet)
    shares = [shares_of(fleet, name, rows) for name in SCORED if name in fleet.resources]
    found = [np.abs(own - mean).mean() for own, mean in shares if len(own)]
    return State(names, float(np.mean(found)) if found else 0.0)


def balanced_rows(fleet: Fleet) -> Ints:
    """Return the rows among which load can be balanced: where new tasks may go."""
    rows: Ints = np.flatnonzero(allowed(ANYWHERE, fleet)).astype(np.int64)
    return rows


def shares_of(fleet: Fleet, name: str, rows: Ints) -> tuple[Floats, float]:
    """Return of a resource which share of each row is used, and which of all of them together."""
    whole = fleet.allocatable[fleet.resources[name]][rows]
    used = whole - fleet.free[fleet.resources[name]][rows]
    some = whole > 0
    own: Floats = used[some] / whole[some]
    return own, float(used[some].sum() / max(1, whole[some].sum()))
