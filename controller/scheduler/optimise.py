"""Optimal packing: the most work placed, then the fewest nodes used, with a bound that says how good that is.

    pack(snapshot, policy, now, seed, limits) -> Packing

    what the scheduler does by itself      schedule; also where the search begins
    one program a tier, then the nodes     packing_model, packing_company, program
    what comes of it is put to the filters proposal.follow
    and kept only if it is better          proposal.Worth

The objectives are one after the other, not weighed against each other: no number of unimportant tasks outweighs an
urgent one, and no saved node a task. Within a tier work counts, not the number of tasks, else one large task would
always give way to two tiny ones. No queue gets less of any tier than the scheduler gives it: so fairness stays.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import inf
from typing import Literal

import numpy as np

from controller.scheduler.columns import Floats, Ints
from controller.scheduler.fairness import Account, QueueRule, accounts_of
from controller.scheduler.packing_company import add_company
from controller.scheduler.packing_model import (
    MAX_COLUMNS,
    Item,
    Model,
    add_gangs,
    add_limits,
    equal_rows,
    model_of,
    open_rows,
    rooms,
)
from controller.scheduler.program import Limits, Solved, gap, minimise, shared, total
from controller.scheduler.proposal import (
    Tiers,
    Worth,
    follow,
    kept_nodes,
    tiers_of,
    used_rows,
    work_of,
    work_with_promises,
    worth_of,
)
from controller.scheduler.schedule import Decisions, Placed, Policy, schedule
from controller.scheduler.snapshot import Snapshot, TaskView
from controller.scheduler.work import Work

Verdict = Literal["Optimal", "Feasible", "TooLarge", "Unsolved", "Refused", "Nothing"]
"""Optimal: proved. Feasible: the best that was found. TooLarge: not tried. Refused: the filters said no."""

Counts = Mapping[tuple[int, int], int]
"""(item, row) -> how many tasks."""


@dataclass(frozen=True, slots=True)
class Packing:
    """An answer that was checked. placed: the best that is known, in an order that works; else the scheduler's own.

    objective, bound: nodes used, and how few can do with that work at best. gap: their distance as a share.
    work, work_bound: work placed in millionths of the cluster, and the most that can be.
    searched: nodes of the search trees. columns, rows: how large the program is.
    """

    verdict: Verdict
    placed: tuple[Placed, ...]
    is_better: bool
    heuristic: Worth
    worth: Worth
    bound: float = 0.0
    work_bound: float = inf
    seconds: float = 0.0
    searched: int = 0
    columns: int = 0
    rows: int = 0

    @property
    def objective(self) -> int:
        return self.worth.nodes_used

    @property
    def gap(self) -> float:
        return gap(self.objective, self.bound)

    @property
    def nodes(self) -> dict[str, str]:
        """Return task uid -> node."""
        return {each.task.uid: each.node for each in self.placed}


def pack(snapshot: Snapshot, policy: Policy, now: float, seed: int, limits: Limits) -> Packing:
    """Return the best placements of the waiting tasks that are found within the limits."""
    decisions, tiers = schedule(snapshot, policy, now, seed), tiers_of(snapshot, now)
    own = worth_of(snapshot, decisions.placed, tiers)
    task = _Task(snapshot, decisions, tiers)
    if not task.items:
        return Packing("Nothing", decisions.placed, False, own, own, bound=own.nodes_used, work_bound=0.0)
    if task.columns > MAX_COLUMNS:
        bound = counted_bound(snapshot, decisions.placed)
        return Packing("TooLarge", decisions.placed, False, own, own, bound=bound, columns=task.columns)
    model = task.model()
    search = _search(model, tiers, task.counts, limits)
    found = follow(snapshot, task.nodes_of(model.counts_in(search.values)), task.kept)
    worth = worth_of(snapshot, found.placed, tiers)
    is_better = worth.is_better_than(own)
    verdict: Verdict = search.verdict
    if found.refused and not is_better:
        verdict = "Refused"
    return Packing(
        verdict,
        found.placed if is_better else decisions.placed,
        is_better,
        own,
        worth if is_better else own,
        bound=min(task.used + search.bound, (worth if is_better else own).nodes_used),
        work_bound=search.work_bound,
        seconds=search.seconds,
        searched=search.searched,
        columns=len(model.program.low),
        rows=len(model.program.rows),
    )


# What there is to place


class _Task:
    """The waiting tasks in groups, and what the scheduler does with them, in the words of the model."""

    def __init__(self, snapshot: Snapshot, decisions: Decisions, tiers: Tiers) -> None:
        self._snapshot = snapshot
        self.work = work_with_promises(snapshot, {})
        self._own = {each.task.uid: each.taken.row for each in decisions.placed}
        self._all_placed = len(decisions.placed) == len(snapshot.pending)
        used = used_rows(snapshot.fleet) | {
            row
            for name in snapshot.nominated.values()
            if (row := snapshot.fleet.row_of.get(name)) is not None
        }
        self.used = len(used)
        self._empty = snapshot.fleet.exists.copy()
        self._empty[list(used)] = False
        self.kept = kept_nodes(decisions)
        groups = _groups(snapshot, tiers)
        self._most = self._matrix(groups)
        self._equals = self._equal_empties([group[0] for group in groups])
        left = np.flatnonzero(self._kept_rows(self._equals))
        self.items = [
            Item(tuple(group), rows, self._most[number][rows], tiers.of[group[0].uid])
            for number, group in enumerate(groups)
            if len(rows := left[self._most[number][left] > 0])
        ]
        self.columns = sum(len(item.rows) for item in self.items)
        self.counts = self._counted()

    def model(self) -> Model:
        model = model_of(self.work, self.items, self._empty, self._equals)
        add_company(model)
        add_gangs(model)
        accounts = accounts_of(self._snapshot.queues, self._snapshot.used)
        for item in self.items:
            accounts.setdefault(item.queue, Account(QueueRule(item.queue)))
        add_limits(model, accounts)
        return model

    def nodes_of(self, counts: Counts) -> dict[str, str]:
        """Return task uid -> node; who is where the scheduler would put it stays there."""
        left = dict(counts)
        found: dict[str, str] = {}
        name = self._snapshot.fleet.view
        for number, item in enumerate(self.items):
            for task in item.tasks:
                row = self._own.get(task.uid, -1)
                if left.get((number, row), 0):
                    left[number, row] -= 1
                    found[task.uid] = name(row).name
            rows = [row for row in map(int, item.rows) for _ in range(left.get((number, row), 0))]
            waiting = (task for task in item.tasks if task.uid not in found)
            found |= {task.uid: name(row).name for task, row in zip(waiting, rows, strict=False)}
        return found

    def _counted(self) -> dict[tuple[int, int], int]:
        counts: dict[tuple[int, int], int] = {}
        for number, item in enumerate(self.items):
            for task in item.tasks:
                if task.uid in self._own:
                    cell = number, self._own[task.uid]
                    counts[cell] = counts.get(cell, 0) + 1
        return counts

    def _matrix(self, groups: Sequence[Sequence[TaskView]]) -> Ints:
        """Return int64[group, row]: how many may go there at most."""
        most: Ints = np.zeros((len(groups), self._snapshot.fleet.size), np.int64)
        row_of = self._snapshot.fleet.row_of
        for number, group in enumerate(groups):
            first, count = group[0], len(group)
            fits = open_rows(first.shape, self.work)
            fits[[row_of[name] for name in first.ending_on if name in row_of]] = False
            others = fits.copy()
            others[[row_of[name] for name in first.failed_on if name in row_of]] = False
            rows = np.flatnonzero(others if others.any() else fits)
            most[number, rows] = rooms(first.shape, self.work, rows, count)
            for name, uids in self.kept.items():
                most[number, row_of[name]] = sum(task.uid in uids for task in group)
        return most

    def _equal_empties(self, firsts: Sequence[TaskView]) -> list[list[int]]:
        """Return the empty rows in groups of equal ones, first those that the scheduler opens."""
        opened = set(self._own.values())
        rows = sorted(map(int, np.flatnonzero(self._empty)), key=lambda row: (row not in opened, row))
        return equal_rows(self.work, (task.shape for task in firsts), self._most, rows)

    def _kept_rows(self, equals: list[list[int]]) -> "np.ndarray[tuple[int, ...], np.dtype[np.bool_]]":
        """Of equal empty rows no more are of use than the scheduler opens in all, if it has placed everybody."""
        of_use = self._snapshot.fleet.exists.copy()
        opened = len({row for row in self._own.values() if self._empty[row]})
        for rows in equals if self._all_placed else ():
            of_use[rows[opened:]] = False
        return of_use


def _groups(snapshot: Snapshot, tiers: Tiers) -> list[list[TaskView]]:
    """Return those that no promise holds, equal ones together, older ones first."""
    found: dict[object, list[TaskView]] = {}
    for task in sorted(snapshot.pending, key=lambda each: (each.age, each.ref)):
        if task.uid not in snapshot.nominated:
            gang = None if task.gang is None else (task.ref.namespace, task.gang)
            away = task.ending_on, task.failed_on
            found.setdefault((task.shape, task.queue, tiers.of[task.uid], gang, away), []).append(task)
    return list(found.values())


# The search


@dataclass(frozen=True, slots=True)
class _Found:
    verdict: Verdict
    values: Floats
    bound: float
    work_bound: float
    searched: int
    seconds: float


def _search(model: Model, tiers: Tiers, counts: Counts, limits: Limits) -> _Found:
    """Place the most work, tier after tier; then use the fewest nodes."""
    program, values = model.program, model.start(counts)
    program.admit(values)
    capacity = model.work.fleet.capacity()
    works = [work_of(item.tasks[0], capacity) for item in model.items]
    _keep_queues(model, works, values)
    steps: list[Solved] = []
    work_bound = 0.0
    for tier in range(tiers.count):
        items = [number for number, item in enumerate(model.items) if item.tier == tier]
        terms = {column: -float(works[n]) for n in items for column in model.of_item(n).values()}
        everything = sum(works[n] * len(model.items[n].tasks) for n in items)
        if -total(terms, values) < everything:
            values, bound = _step(model, terms, values, shared(limits, steps), steps)
            work_bound += min(-bound, everything)
        else:
            work_bound += everything
        program.add_row(terms, high=total(terms, values) + 0.5)
    fewest = dict.fromkeys(model.opened.values(), 1.0)
    values, bound = _step(model, fewest, values, shared(limits, steps), steps)
    verdict: Verdict = "Optimal" if all(each.status == "Optimal" for each in steps) else "Feasible"
    if all(each.status in ("Unsolved", "Infeasible") for each in steps) and steps:
        verdict = "Unsolved"
    searched, seconds = sum(each.searched for each in steps), sum(each.seconds for each in steps)
    return _Found(verdict, values, max(0.0, bound), work_bound, searched, seconds)


def _step(
    model: Model, terms: Mapping[int, float], values: Floats, limits: Limits, steps: list[Solved]
) -> tuple[Floats, float]:
    """Go on from an answer; return the best one, and the bound."""
    if not terms:
        return values, 0.0
    if limits.seconds <= 0:
        steps.append(Solved("Feasible", values, total(terms, values), -inf, 0, 0.0))
        return values, -inf
    solved = minimise(model.program, terms, values, limits)
    steps.append(solved)
    is_better = len(solved.values) and solved.objective <= total(terms, values)
    return (solved.values if is_better else values), solved.bound


def _keep_queues(model: Model, works: Sequence[int], values: Floats) -> None:
    """Each queue gets as much of each tier as it has in an answer."""
    terms: dict[tuple[str, int], dict[int, float]] = {}
    for number, item in enumerate(model.items):
        own = terms.setdefault((item.queue, item.tier), {})
        own |= {column: float(works[number]) for column in model.of_item(number).values()}
    for sum_ in terms.values():
        model.program.add_row(sum_, low=total(sum_, values) - 0.5)


def counted_bound(snapshot: Snapshot, placed: Sequence[Placed]) -> int:
    """Return how many nodes are used at least by those that stand and these, counting amounts only."""
    work, used = Work.of(snapshot.fleet), used_rows(snapshot.fleet)
    rows, least = np.array(sorted(used), np.int64), 0
    empty = snapshot.fleet.exists.copy()
    empty[rows] = False
    for name, index in snapshot.fleet.resources.items():
        asked = sum(dict(each.task.shape.requests).get(name, 0) for each in placed)
        left = asked - int(np.maximum(work.free[index][rows], 0).sum())
        sums = np.cumsum(np.sort(np.maximum(work.free[index][empty], 0))[::-1])
        if left > 0:
            least = max(least, int(np.searchsorted(sums, left)) + 1)
    return len(used) + min(least, int(empty.sum()))
