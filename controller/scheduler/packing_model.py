"""The packing model: which of equal tasks go to which node, as an integer program over a snapshot.

    x[item, row]   how many tasks of an item stand on a row; an item is a group of tasks that nothing tells apart
    opened[row]    1 if anything stands on a row that is empty now

What can't be said in sums without an order of placing (`packing_company`) is said more strictly here than the filters
demand. The program proposes only: `proposal.follow` puts each task through the filters again.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np

from controller.scheduler.columns import EVERY_ROW, Bools, Floats, Ints
from controller.scheduler.fairness import Account
from controller.scheduler.filters import allowed, fits_resources, has_ports, keeps_apart
from controller.scheduler.fleet import PROTOCOLS
from controller.scheduler.program import Program
from controller.scheduler.shape import NODE, Shape
from controller.scheduler.snapshot import TaskView
from controller.scheduler.work import Work

MAX_COLUMNS = 100_000  # HiGHS needs seconds for the relaxation alone of more
MAX_CELLS = 2_000_000  # (item, row) before equal rows are left out: 16 MB


@dataclass(frozen=True, slots=True)
class Item:
    """Tasks that nothing tells apart, in the order of their line. tier: 0 is served first.

    rows, most: where they may go, and how many at most. home: the row on which they all stand now.
    """

    tasks: tuple[TaskView, ...]
    rows: Ints
    most: Ints
    tier: int = 0
    home: int | None = None

    @property
    def shape(self) -> Shape:
        return self.tasks[0].shape

    @property
    def queue(self) -> str:
        return self.tasks[0].queue


@dataclass(slots=True)
class Model:
    """cells: (item, row) -> column. opened: row that is empty now -> column."""

    work: Work
    items: tuple[Item, ...]
    program: Program = field(default_factory=Program)
    cells: dict[tuple[int, int], int] = field(default_factory=dict)
    opened: dict[int, int] = field(default_factory=dict)

    def of_item(self, item: int) -> dict[int, int]:
        """Return row -> column."""
        return {int(row): self.cells[item, int(row)] for row in self.items[item].rows}

    def on_rows(self) -> dict[int, list[tuple[int, int]]]:
        """Return row -> its (item, column)s."""
        found: dict[int, list[tuple[int, int]]] = {}
        for (item, row), column in self.cells.items():
            found.setdefault(row, []).append((item, column))
        return found

    def count(self, items: Iterable[int]) -> dict[int, float]:
        """Return the sum of all tasks of some items."""
        return {column: 1.0 for item in items for column in self.of_item(item).values()}

    def counts_in(self, values: Floats) -> dict[tuple[int, int], int]:
        """Return (item, row) -> how many, of an answer."""
        return {cell: round(values[column]) for cell, column in self.cells.items() if values[column] > 0.5}

    def start(self, counts: Mapping[tuple[int, int], int]) -> Floats:
        """Return an answer in which so many tasks stand where they may; what is left over is ignored."""
        given = {self.cells[cell]: float(count) for cell, count in counts.items() if cell in self.cells}
        return self.program.complete(given)


def open_rows(shape: Shape, work: Work) -> Bools:
    """Return the rows that admit one more whatever else is placed: all but what wants company."""
    fits = allowed(shape.place, work.fleet).copy()
    for each in (fits_resources, has_ports, keeps_apart):
        for check in each(shape, work, EVERY_ROW):
            fits &= ~check.fails
    return fits


def rooms(shape: Shape, work: Work, rows: Ints, count: int) -> Ints:
    """Return how many fit on each of the rows by their amounts, at most `count`; one fits on each."""
    most: Ints = np.full(len(rows), count, np.int64)
    for name, asked in shape.requests:
        if asked and len(rows):
            np.minimum(most, work.free[work.fleet.resources[name]][rows] // asked, out=most)
    if any(ask.host_port is not None for ask in shape.ports):
        np.minimum(most, 1, out=most)
    return most


def model_of(work: Work, items: Sequence[Item], empty: Bools, equals: Iterable[Sequence[int]] = ()) -> Model:
    """Return the program of what fits on each row; `packing_company`, limits and gangs are added to it.

    empty: rows that count as used only when something is placed there. equals: empty rows that nothing tells apart; the
    first of them are opened first, so that their order is nothing to search for.
    """
    model = Model(work, tuple(items))
    for number, item in enumerate(items):
        for row, most in zip(item.rows, item.most, strict=True):
            model.cells[number, int(row)] = model.program.add_column(float(most))
        high = float(len(item.tasks))
        model.program.add_row(model.count([number]), low=high if item.home is not None else 0.0, high=high)
    on_rows = model.on_rows()
    for row in sorted(on_rows):
        if empty[row]:
            _add_opened(model, row, [column for _, column in on_rows[row]])
        _add_amounts(model, row, on_rows[row])
        _add_ports(model, row, on_rows[row])
    for rows in equals:
        for one, next_ in pairwise(row for row in rows if row in model.opened):
            model.program.add_row({model.opened[one]: 1.0, model.opened[next_]: -1.0}, low=0.0)
    return model


def _add_opened(model: Model, row: int, columns: list[int]) -> None:
    opened = model.program.add_derived(1.0, lambda values: float(values[columns].any()))
    model.opened[row] = opened
    most = float(sum(model.program.high[column] for column in columns))
    model.program.add_row({**dict.fromkeys(columns, 1.0), opened: -most}, high=0.0)


def _add_amounts(model: Model, row: int, cells: list[tuple[int, int]]) -> None:
    asked: dict[str, dict[int, int]] = {}
    at_home: dict[str, int] = {}
    for item, column in cells:
        one = model.items[item]
        for name, amount in one.shape.requests:
            if amount:
                asked.setdefault(name, {})[column] = amount
                if one.home == row:
                    at_home[name] = at_home.get(name, 0) + amount * len(one.tasks)
    for name, amounts in asked.items():
        free = int(model.work.free[model.work.fleet.resources[name], row])
        most = max(free, at_home.get(name, 0))  # a node that shrank keeps what it has
        model.program.add_amounts(amounts, most, model.opened.get(row))


def _add_ports(model: Model, row: int, cells: list[tuple[int, int]]) -> None:
    fixed: dict[tuple[str, int], dict[int, float]] = {}
    of_range: dict[str, dict[int, float]] = {}
    view = model.work.fleet.view(row)
    low, high = view.port_range
    for item, column in cells:
        for ask in model.items[item].shape.ports:
            if ask.host_port is not None:
                fixed.setdefault((ask.protocol, ask.host_port), {})[column] = 1.0
            if ask.host_port is None or low <= ask.host_port <= high:
                terms = of_range.setdefault(ask.protocol, {})
                terms[column] = terms.get(column, 0.0) + 1.0
    for terms in fixed.values():
        model.program.add_row(terms, high=1.0)
    for protocol, terms in of_range.items():
        free = int(model.work.ports_free[PROTOCOLS.index(protocol), row])
        model.program.add_row(terms, high=float(free))


def equal_rows(work: Work, shapes: Iterable[Shape], most: Ints, rows: Iterable[int]) -> list[list[int]]:
    """Return some rows in groups that a program can't tell apart. most: int64[item, row], how many may go there."""
    topologies = sorted({topology for shape in shapes for topology in topologies_of(shape)})
    found: dict[tuple[object, ...], list[int]] = {}
    for row in rows:
        places = tuple(int(work.fleet.label(topology)[1][row]) for topology in topologies)
        free = work.free[:, row].tobytes(), work.ports_free[:, row].tobytes()
        key = (free, work.fleet.view(row).port_range, places, most[:, row].tobytes())
        found.setdefault(key, []).append(row)
    return list(found.values())


def topologies_of(shape: Shape) -> Iterator[str]:
    """Yield the labels of nodes, all but their names, by which a shape counts the tasks around."""
    company = shape.company
    counted = (*(cap.term for cap in company.caps), *(spread.term for spread in company.spreads))
    terms = (*company.near, *company.repels, *counted)
    return (term.topology for term in terms if term.topology != NODE)


# Queues and gangs


def add_limits(model: Model, accounts: Mapping[str, Account]) -> None:
    """No queue takes more than its limit."""
    for queue, items in _by(model, lambda item: item.queue).items():
        account = accounts[str(queue)]
        for name, most in account.rule.limit.items():
            amounts = {
                column: amount
                for item in items
                for asked, amount in model.items[item].shape.requests
                for column in model.of_item(item).values()
                if asked == name and amount
            }
            if amounts:
                model.program.add_amounts(amounts, max(0, most - account.used.get(name, 0)))


def add_gangs(model: Model) -> None:
    """Enough members of a gang are placed, or none."""
    gangs = _by(model, lambda item: _gang_of(item.tasks[0]))
    for key, items in gangs.items():
        gang = model.items[items[0]].tasks[0].gang
        if key is None or gang is None:
            continue
        members = model.count(items)
        columns = list(members)
        goes = model.program.add_derived(1.0, lambda values, own=columns: float(values[own].any()))  # type: ignore[misc]
        everybody = float(sum(len(model.items[item].tasks) for item in items))
        model.program.add_row({**members, goes: -everybody}, high=0.0)
        model.program.add_row({**members, goes: -float(gang.least)}, low=0.0)


def _gang_of(task: TaskView) -> tuple[str, str] | None:
    return None if task.gang is None else (task.ref.namespace, task.gang.name)


def _by(model: Model, key: Callable[[Item], object]) -> dict[object, list[int]]:
    found: dict[object, list[int]] = {}
    for number, item in enumerate(model.items):
        found.setdefault(key(item), []).append(number)
    return found
