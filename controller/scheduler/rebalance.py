"""Which of the tasks that run would move where, so that fewer nodes are used, or all are used more evenly.

    rebalance(snapshot, movables, request, limits) -> Rebalancing

The program is that of packing, over the movable tasks; what stays is fixed. First the aim as far as so many moves
reach, then the cheapest moves that reach it. Moves come in waves: each finds its room as it is when its wave begins, so
that nobody is stopped for a place that is not there. Those that would have to change places with each other stay.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import inf
from typing import Literal

import numpy as np

from controller.scheduler.columns import Floats
from controller.scheduler.node_view import Standing
from controller.scheduler.packing_company import add_company
from controller.scheduler.packing_model import (
    MAX_CELLS,
    MAX_COLUMNS,
    Item,
    Model,
    equal_rows,
    model_of,
    open_rows,
    rooms,
)
from controller.scheduler.program import Limits, Solved, Terms, minimise, shared, total
from controller.scheduler.proposal import occupies, used_rows
from controller.scheduler.snapshot import Snapshot, TaskView
from controller.scheduler.waves import Move, State, balanced_rows, in_waves, shares_of, state_of
from controller.scheduler.whatif import Change, changed_by
from controller.scheduler.work import SCORED, Work

Aim = Literal["nodes", "balance"]
"""nodes: use as few as possible. balance: shares of cpu and memory are the same everywhere."""

Verdict = Literal["Optimal", "Feasible", "TooLarge", "Unsolved", "Nothing", "NotWorthIt"]
"""As of a packing; NotWorthIt: what is better gains less than was asked for."""

REPAIRS = 3  # times that those which find no room in any wave are made to stay, and all is tried anew
CLOSE = 1e-6  # two aims that differ by less are the same
COST_S = 60.0  # a move costs as much as so many seconds of lost work


@dataclass(frozen=True, slots=True)
class Movable:
    """A task that may move. task: what it asks for, under the same uid. lost_s: seconds of work that are lost."""

    task: TaskView
    standing: Standing
    lost_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Request:
    """max_moves None: as many as it takes. min_gain: nodes, or points of imbalance; less is not worth a move."""

    aim: Aim = "nodes"
    max_moves: int | None = 10
    min_gain: float = 0.0


@dataclass(frozen=True, slots=True)
class Rebalancing:
    """moves: in the order in which they go; none if nothing is gained. bound: of the aim, with so many moves."""

    verdict: Verdict
    moves: tuple[Move, ...]
    before: State
    after: State
    objective: float
    bound: float
    seconds: float = 0.0
    searched: int = 0
    columns: int = 0
    rows: int = 0
    gain: float = 0.0


def rebalance(
    snapshot: Snapshot, movables: Sequence[Movable], request: Request, limits: Limits
) -> Rebalancing:
    """Return the moves, in waves."""
    before = state_of(snapshot.fleet)
    left, spent, known = list(movables), list[Solved](), -inf
    for tries in range(REPAIRS):
        if not left:
            break
        task = _Task(snapshot, left, request)
        if task.columns > MAX_COLUMNS:
            return _unchanged("TooLarge", before, request, task.columns)
        model = task.model()
        wanted, first = task.search(model, shared(limits, spent), spent)
        if not tries:
            known = first.bound + task.constant
        moves, after, stuck = in_waves(snapshot, wanted)
        if not stuck:
            return _told(request, before, after, moves, known, spent, model)
        left = [each for each in left if each.task.uid not in stuck]
    return _unchanged("Nothing" if not left else "Unsolved", before, request, 0)


def _told(
    request: Request,
    before: State,
    after: State,
    moves: tuple[Move, ...],
    bound: float,
    spent: Sequence[Solved],
    model: Model,
) -> Rebalancing:
    gain = _objective(request.aim, before) - _objective(request.aim, after)
    is_worth_it = gain > CLOSE and gain >= request.min_gain - CLOSE
    found = after if is_worth_it else before
    objective = _objective(request.aim, found)
    is_proved = all(each.status == "Optimal" for each in spent) and objective - bound < CLOSE
    verdict: Verdict = "Optimal" if is_proved else "Feasible"
    return Rebalancing(
        "NotWorthIt" if gain > CLOSE and not is_worth_it else verdict,
        moves if is_worth_it else (),
        before,
        found,
        objective,
        min(objective, bound),
        sum(each.seconds for each in spent),
        sum(each.searched for each in spent),
        len(model.program.low),
        len(model.program.rows),
        gain,
    )


def _unchanged(verdict: Verdict, before: State, request: Request, columns: int) -> Rebalancing:
    objective = _objective(request.aim, before)
    bound = objective if verdict == "Nothing" else -inf
    return Rebalancing(verdict, (), before, before, objective, bound, columns=columns)


def _objective(aim: Aim, state: State) -> float:
    return float(len(state.used)) if aim == "nodes" else state.imbalance


# What may move


class _Task:
    """The movable tasks in groups, in the words of the model."""

    def __init__(self, snapshot: Snapshot, movables: Sequence[Movable], request: Request) -> None:
        self._request = request
        self._movables = {each.task.uid: each for each in movables}
        self._fleet = snapshot.fleet
        without = changed_by(replace(snapshot, pending=()), Change(leaving=frozenset(self._movables))).fleet
        self._row_of = without.row_of
        self.work = Work.of(without)
        for task in snapshot.pending:
            row = without.row_of.get(snapshot.nominated.get(task.uid, ""))
            if row is not None:
                self.work.take_equal(row, task.shape, 1)
        self._fixed = used_rows(without)
        used = {without.row_of[each.standing.node] for each in movables if occupies(each.standing)}
        groups = self._groups()
        self.columns = len(groups) * without.size
        if self.columns > MAX_CELLS:
            return
        # Shares of nodes that differ in size are not alike, so that for a balance no order of them is given.
        self._vacant = self._vacant_rows(used) if request.aim == "nodes" else []
        vacant = {row for rows in self._vacant for row in rows}
        self._empty = np.zeros(without.size, np.bool_)
        self._empty[sorted((used - self._fixed) | vacant)] = True
        self._targets = np.zeros(without.size, np.bool_)
        self._targets[sorted(used | self._fixed | vacant)] = True
        if request.aim == "balance":
            self._targets[:] = True
        self.columns = len(groups) * int(self._targets.sum())
        self.items = tuple(self._items(groups)) if self.columns <= MAX_COLUMNS else ()

    def _vacant_rows(self, used: set[int]) -> list[list[int]]:
        """Return empty rows in groups that nothing tells apart, of each as many as can be of use: one for each emptied.

        used: the rows from which something may move.
        """
        shapes = list({each.task.shape for each in self._movables.values()})
        rows = np.flatnonzero(self.work.fleet.exists)
        rows = rows[~np.isin(rows, list(used | self._fixed))]
        most = np.zeros((len(shapes), self.work.fleet.size), np.int64)
        for number, shape in enumerate(shapes):
            most[number] = open_rows(shape, self.work)
        found = equal_rows(self.work, shapes, most, map(int, rows[most[:, rows].any(axis=0)]))
        return [group[: len(used - self._fixed)] for group in found]

    def _groups(self) -> list[list[Movable]]:
        groups: dict[object, list[Movable]] = {}
        for each in sorted(self._movables.values(), key=lambda one: (one.lost_s, one.task.uid)):
            key = (each.task.shape, each.task.queue, each.standing.node, round(each.lost_s / COST_S))
            groups.setdefault(key, []).append(each)
        return list(groups.values())

    def _items(self, groups: Iterable[list[Movable]]) -> Iterable[Item]:
        for group in groups:
            tasks, home = tuple(each.task for each in group), self._row_of[group[0].standing.node]
            open_ = open_rows(tasks[0].shape, self.work) & self._targets
            open_[home] = False
            rows = np.flatnonzero(open_)
            most = rooms(tasks[0].shape, self.work, rows, len(tasks))
            yield Item(tasks, np.append(rows, home), np.append(most, len(tasks)), home=home)

    @property
    def constant(self) -> int:
        """How much of the aim is there whatever moves: the nodes that stay used."""
        return len(self._fixed) if self._request.aim == "nodes" else 0

    def model(self) -> Model:
        model = model_of(self.work, self.items, self._empty, self._vacant)
        add_company(model)
        return model

    def search(self, model: Model, limits: Limits, spent: list[Solved]) -> tuple[list[Move], Solved]:
        """Return the moves that reach the aim at the least cost, and how the aim was reached."""
        program = model.program
        homes = {
            number: model.cells[number, item.home]
            for number, item in enumerate(self.items)
            if item.home is not None
        }
        if self._request.max_moves is not None:
            everybody = sum(len(item.tasks) for item in self.items)
            program.add_row(
                dict.fromkeys(homes.values(), 1.0), low=float(everybody - self._request.max_moves)
            )
        aim = self._aim(model)
        at_home = {
            (n, item.home): len(item.tasks) for n, item in enumerate(self.items) if item.home is not None
        }
        start = model.start(at_home)
        program.admit(start)
        first = _step(model, aim, start, limits, spent)
        program.add_row(aim, high=total(aim, first.values) + 1e-7)
        costs = {column: -self._cost(self.items[number]) for number, column in homes.items()}
        second = _step(model, costs, first.values, shared(limits, spent[-1:]), spent)
        return self._moves(model.counts_in(second.values)), first

    def _cost(self, item: Item) -> float:
        return 1.0 + round(self._movables[item.tasks[0].uid].lost_s / COST_S)

    def _aim(self, model: Model) -> Terms:
        if self._request.aim == "nodes":
            return dict.fromkeys(model.opened.values(), 1.0)
        return self._imbalance(model)

    def _imbalance(self, model: Model) -> Terms:
        """Add by how much each share differs from the cluster's, which is the same wherever tasks are."""
        rows, objective = balanced_rows(self._fleet), dict[int, float]()
        on_rows = model.on_rows()
        for name in SCORED:
            index = self._fleet.resources.get(name)
            if index is None:
                continue
            whole = self._fleet.allocatable[index]
            some = [int(row) for row in rows if whole[row] > 0]
            _, mean = shares_of(self._fleet, name, rows)
            for row in some:
                fixed = 1.0 - float(self.work.free[index, self._row_there(row)]) / float(whole[row]) - mean
                asked = {
                    column: dict(self.items[item].shape.requests).get(name, 0) / float(whole[row])
                    for item, column in on_rows.get(self._row_there(row), ())
                }
                share = {column: each for column, each in asked.items() if each}
                away = model.program.add_derived(
                    inf,
                    lambda values, fixed=fixed, share=share: abs(fixed + total(share, values)),  # type: ignore[misc]
                    is_integer=False,
                )
                model.program.add_row({**share, away: -1.0}, high=-fixed)
                model.program.add_row({**share, away: 1.0}, low=-fixed)
                objective[away] = 1.0 / (len(some) * len(SCORED))
        return objective

    def _row_there(self, row: int) -> int:
        """Rows of the fleet without the movable tasks are others."""
        return self._row_of[self._fleet.view(row).name]

    def _moves(self, counts: Mapping[tuple[int, int], int]) -> list[Move]:
        found = []
        names = {row: name for name, row in self._row_of.items()}
        for number, item in enumerate(self.items):
            rows = [int(row) for row in item.rows if row != item.home]
            targets = [row for row in rows for _ in range(counts.get((number, row), 0))]
            for task, row in zip(item.tasks, targets, strict=False):
                own = self._movables[task.uid]
                found.append(Move(task, own.standing.node, names[row], 0, own.lost_s))
        return found


def _step(model: Model, terms: Terms, values: Floats, limits: Limits, spent: list[Solved]) -> Solved:
    """Go on from an answer; what is found is at least as good as that."""
    kept = Solved("Feasible", values, total(terms, values), -inf, 0, 0.0)
    if not terms:
        kept = replace(kept, status="Optimal", bound=0.0)
    solved = minimise(model.program, terms, values, limits) if limits.seconds > 0 and terms else kept
    spent.append(solved)
    if len(solved.values) and solved.objective <= kept.objective + 1e-9:
        return solved
    return replace(solved, values=values, objective=kept.objective, bound=min(solved.bound, kept.objective))
