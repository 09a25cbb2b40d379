"""The waiting tasks as the packing model has them: in groups, with the rows to which they may go.

Of empty rows that nothing tells apart only as many are kept as can be of use, so that models stay small.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from controller.scheduler.columns import Bools, Ints
from controller.scheduler.fairness import Account, QueueRule, accounts_of
from controller.scheduler.packing_company import add_company
from controller.scheduler.packing_model import (
    Item,
    Model,
    add_gangs,
    add_limits,
    equal_rows,
    model_of,
    open_rows,
    rooms,
)
from controller.scheduler.proposal import Tiers, kept_nodes, used_rows, work_with_promises
from controller.scheduler.schedule import Decisions, Placed
from controller.scheduler.snapshot import Snapshot, TaskView

Counts = Mapping[tuple[int, int], int]
"""(item, row) -> how many tasks."""


class Placeable:
    """The waiting tasks in groups, and placements of them to begin with, in the words of the model."""

    def __init__(
        self,
        snapshot: Snapshot,
        groups: Sequence[Sequence[TaskView]],
        decisions: Decisions,
        placed: Sequence[Placed],
        tiers: Tiers,
    ) -> None:
        self._snapshot = snapshot
        self.work = work_with_promises(snapshot, {})
        self._own = {each.task.uid: each.taken.row for each in placed}
        self._all_placed = len(placed) == len(snapshot.pending)
        used = used_rows(snapshot.fleet) | {
            row
            for name in snapshot.nominated.values()
            if (row := snapshot.fleet.row_of.get(name)) is not None
        }
        self.used = len(used)
        self.empty = snapshot.fleet.exists.copy()
        self.empty[list(used)] = False
        self.kept = kept_nodes(decisions)
        self._most = self._matrix(groups)
        self._shapes = [group[0].shape for group in groups]
        self._equals = self._equal_empties()
        left = np.flatnonzero(self._kept_rows(self._equals))
        self.items = [
            Item(tuple(group), rows, self._most[number][rows], tiers.of[group[0].uid])
            for number, group in enumerate(groups)
            if len(rows := left[self._most[number][left] > 0])
        ]
        self.columns = sum(len(item.rows) for item in self.items)
        self.counts = self._counted()

    def model(self) -> Model:
        model = model_of(self.work, self.items, self.empty, self._equals)
        add_company(model)
        add_gangs(model)
        accounts = accounts_of(self._snapshot.queues, self._snapshot.used)
        for item in self.items:
            accounts.setdefault(item.queue, Account(QueueRule(item.queue)))
        add_limits(model, accounts)
        return model

    def nodes_of(self, counts: Counts) -> dict[str, str]:
        """Return task uid -> node; who is where the search began stays there."""
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

    def groups(self) -> list[list[int]]:
        """Return the rows to which something may go, in groups that nothing tells apart."""
        rows = sorted({int(row) for item in self.items for row in item.rows})
        used = equal_rows(self.work, self._shapes, self._most, (row for row in rows if not self.empty[row]))
        empties = ([row for row in group if row in set(rows)] for group in self._equals)
        return [*used, *(group for group in empties if group)]

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

    def _equal_empties(self) -> list[list[int]]:
        """Return the empty rows in groups of equal ones, first those that the scheduler opens."""
        opened = set(self._own.values())
        rows = sorted(map(int, np.flatnonzero(self.empty)), key=lambda row: (row not in opened, row))
        return equal_rows(self.work, self._shapes, self._most, rows)

    def _kept_rows(self, equals: list[list[int]]) -> Bools:
        """Of equal empty rows no more are of use than the scheduler opens in all, if it has placed everybody."""
        of_use = self._snapshot.fleet.exists.copy()
        opened = len({row for row in self._own.values() if self.empty[row]})
        for rows in equals if self._all_placed else ():
            of_use[rows[opened:]] = False
        return of_use


def groups_of(snapshot: Snapshot, tiers: Tiers) -> list[list[TaskView]]:
    """Return those that no promise holds, equal ones together, older ones first."""
    found: dict[object, list[TaskView]] = {}
    for task in sorted(snapshot.pending, key=lambda each: (each.age, each.ref)):
        if task.uid not in snapshot.nominated:
            gang = None if task.gang is None else (task.ref.namespace, task.gang)
            away = task.ending_on, task.failed_on
            found.setdefault((task.shape, task.queue, tiers.of[task.uid], gang, away), []).append(task)
    return list(found.values())
