"""All nodes as columns, kept up to date from events; a cycle copies only what it changes.

One owner: the live side puts changed nodes and tasks in between two cycles. A cycle reads, and works on `Work`.
"""

import zlib
from collections.abc import Iterable, Iterator
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from controller.scheduler.columns import ABSENT, Bools, Codebook, Codes, Floats, Ints, grown
from controller.scheduler.crowd import Crowd
from controller.scheduler.node_view import NodeView, Standing
from controller.scheduler.shape import NODE, Labels, Place, TaskTerm
from schemas.node import Taint

FIRST_ROWS = 16
PROTOCOLS = ("TCP", "UDP")

K = TypeVar("K")


class Fleet:
    """rows: 0 .. size - 1, one a node, in no order that means anything; a removed node's row is reused.

    allocatable, free: int64[resource, row], base units. ready, cordoned, ...: bool[row]. ports_free: int64[protocol,
    row], of the range from which ports are allotted.
    """

    def __init__(self, nodes: Iterable[NodeView] = (), tasks: Iterable[Standing] = ()) -> None:
        self.views: list[NodeView | None] = []
        self.row_of: dict[str, int] = {}
        self.resources: dict[str, int] = {}
        self.allocatable: Ints = np.zeros((0, FIRST_ROWS), np.int64)
        self.free: Ints = np.zeros((0, FIRST_ROWS), np.int64)
        self.ports_free: Ints = np.zeros((len(PROTOCOLS), FIRST_ROWS), np.int64)
        self.flags: Bools = np.zeros((5, FIRST_ROWS), np.bool_)  # exists, readable, ready, cordoned, draining
        self.taints: Codes = np.zeros(FIRST_ROWS, np.int32)
        self.taint_sets: list[tuple[Taint, ...]] = [()]
        self.port_holders: dict[tuple[str, int], set[int]] = {}
        self.image_holders: dict[str, set[int]] = {}
        self.devices: set[str] = set()  # resources of which some node has ids
        self.standing: dict[str, Standing] = {}
        self.crowd = Crowd()  # the same as columns
        self.on_row: dict[int, dict[str, Standing]] = {}
        self.allowed: dict[Place, Bools] = {}  # kept by filters.allowed, emptied when a node changes
        self.preferred: dict[Place, Floats | None] = {}  # kept by scores.preference, likewise
        self._labels: dict[str, tuple[Codebook, Codes]] = {}
        self._names: NDArray[np.object_] | None = None
        self._ties: dict[int, Ints] = {}  # of one seed
        self._vacant: list[int] = []
        self._groups: dict[Labels, dict[int, int]] = {}  # tasks of equal labels -> row -> how many
        self._repelling: dict[TaskTerm, dict[int, int]] = {}
        for node in nodes:
            self.put(node)
        for task in tasks:
            self.put_task(task)

    @property
    def size(self) -> int:
        return len(self.views)

    @property
    def exists(self) -> Bools:
        return self.flags[0, : self.size]

    def names(self) -> Iterator[str]:
        return (view.name for view in self.views if view is not None)

    @property
    def names_by_row(self) -> NDArray[np.object_]:
        if self._names is None:
            self._names = np.array([view.name if view else "" for view in self.views], np.object_)
        return self._names

    def ties(self, seed: int) -> Ints:
        """Return by row who goes first among equally good nodes, the lower; for each seed another order."""
        known = self._ties.get(seed)
        if known is None:
            names = (view.name if view else "" for view in self.views)
            known = np.array([zlib.crc32(f"{seed}/{name}".encode()) for name in names], np.int64)
            self._ties = {seed: known}
        return known

    def view(self, row: int) -> NodeView:
        found = self.views[row]
        assert found is not None, "the row of a node that is gone"
        return found

    # Nodes

    def put(self, node: NodeView) -> None:
        """Take in a node that is new or changed."""
        row = self.row_of.get(node.name)
        if row is None:
            row = self.row_of[node.name] = self._vacant.pop() if self._vacant else self._new_row()
            before = None
            self._names, self._ties = None, {}
        else:
            before = self.views[row]
        self.views[row] = node
        self.devices.update(node.devices_free)
        self._put_amounts(row, node)
        self._put_ports(row, before, node)
        if before is None or _static(before) != _static(node):
            self._put_static(row, before, node)

    def remove(self, name: str) -> None:
        """Take in that a node is gone, and with it the tasks that stood on it."""
        row = self.row_of.get(name)
        if row is None:
            return
        before = self.view(row)
        for uid in list(self.on_row.get(row, ())):
            self.remove_task(uid)
        del self.row_of[name]
        self._put_ports(row, before, None)
        self._hold_images(row, before.images, frozenset())
        self.views[row] = None
        self.flags[:, row] = False
        self.allocatable[:, row] = self.free[:, row] = 0
        self._vacant.append(row)
        self.allowed.clear()
        self.preferred.clear()

    def _new_row(self) -> int:
        row = len(self.views)
        self.views.append(None)
        if row >= self.taints.shape[0]:
            rows = row * 2
            for name in ("allocatable", "free", "ports_free", "flags", "taints"):
                setattr(self, name, grown(getattr(self, name), rows))
            self._labels.clear()
        return row

    def _put_amounts(self, row: int, node: NodeView) -> None:
        for name in node.allocatable:
            if name not in self.resources:
                self._new_resource(name)
        for name, index in self.resources.items():
            free = node.free.get(name, 0)
            if name in node.devices_free:
                free = min(free, len(node.devices_free[name]))
            self.allocatable[index, row] = node.allocatable.get(name, 0)
            self.free[index, row] = free

    def _new_resource(self, name: str) -> None:
        self.resources[name] = len(self.resources)
        blank = np.zeros((1, self.taints.shape[0]), np.int64)
        self.allocatable = np.concatenate((self.allocatable, blank))
        self.free = np.concatenate((self.free, blank))

    def _put_ports(self, row: int, before: NodeView | None, node: NodeView | None) -> None:
        used = node.ports_used if node else frozenset()
        old = before.ports_used if before else frozenset()
        for port in old - used:
            self.port_holders[port].discard(row)
        for port in used - old:
            self.port_holders.setdefault(port, set()).add(row)
        if node is None:
            return
        low, high = node.port_range
        for index, protocol in enumerate(PROTOCOLS):
            taken = sum(1 for other, port in used if other == protocol and low <= port <= high)
            self.ports_free[index, row] = high - low + 1 - taken

    def _put_static(self, row: int, before: NodeView | None, node: NodeView) -> None:
        self.allowed.clear()
        self.preferred.clear()
        self.flags[:, row] = (True, node.readable, node.ready, node.cordoned, node.draining)
        if node.taints not in self.taint_sets:
            self.taint_sets.append(node.taints)
        self.taints[row] = self.taint_sets.index(node.taints)
        self._hold_images(row, before.images if before else frozenset(), node.images)
        for key, (book, codes) in self._labels.items():
            codes[row] = _code_of(book, key, node)

    def _hold_images(self, row: int, before: frozenset[str], after: frozenset[str]) -> None:
        for image in before - after:
            self.image_holders[image].discard(row)
        for image in after - before:
            self.image_holders.setdefault(image, set()).add(row)

    def label(self, key: str) -> tuple[Codebook, Codes]:
        """Return the values of a label and the code of each row's, ABSENT where a node has it not."""
        known = self._labels.get(key)
        if known is None:
            book, codes = Codebook(), np.full(self.taints.shape[0], ABSENT, np.int32)
            for row, view in enumerate(self.views):
                if view is not None:
                    codes[row] = _code_of(book, key, view)
            known = self._labels[key] = (book, codes)
        return known[0], known[1][: self.size]

    # Tasks that stand on them

    def put_task(self, task: Standing) -> None:
        """Take in a task that holds room on a node that is there; one of the same uid is replaced."""
        self.remove_task(task.uid)
        row = self.row_of.get(task.node)
        if row is None:
            return
        self.standing[task.uid] = task
        self.on_row.setdefault(row, {})[task.uid] = task
        self.crowd.put(task, row)
        self._count(row, task, +1)

    def remove_task(self, uid: str) -> None:
        task = self.standing.pop(uid, None)
        if task is None:
            return
        row = self.row_of[task.node]
        del self.on_row[row][uid]
        self.crowd.remove(uid)
        self._count(row, task, -1)

    def _count(self, row: int, task: Standing, sign: int) -> None:
        _add(self._groups, task.labels, row, sign)
        for term in task.repels:
            _add(self._repelling, term, row, sign)

    def count_of(self, term: TaskTerm) -> Ints:
        """Return how many standing tasks match, by row."""
        counts = np.zeros(self.size, np.int64)
        for labels, rows in self._groups.items():
            if term.matches(labels):
                counts[list(rows)] += list(rows.values())
        return counts

    def repelling(self, labels: Labels) -> list[TaskTerm]:
        """Return the anti-affinities of standing tasks that a task with these labels would meet."""
        return [term for term in self._repelling if term.matches(labels)]

    def holders_of(self, term: TaskTerm) -> Ints:
        """Return how many standing tasks have such an anti-affinity, by row."""
        rows = self._repelling.get(term, {})
        counts = np.zeros(self.size, np.int64)
        counts[list(rows)] = list(rows.values())
        return counts

    def capacity(self) -> dict[str, int]:
        """Return the sums of what the nodes have to give."""
        return {name: int(self.allocatable[index].sum()) for name, index in self.resources.items()}

    def share_free(self, index: int) -> Floats:
        """Return free / allocatable of a resource by row, 1 where a node has none to give."""
        size = self.size
        allocatable = self.allocatable[index, :size]
        shares = np.ones(size)
        np.divide(self.free[index, :size], allocatable, out=shares, where=allocatable > 0)
        return shares


def _static(node: NodeView) -> tuple[object, ...]:
    flags = (node.readable, node.ready, node.cordoned, node.draining)
    return (*flags, node.labels, node.taints, node.images)


def _code_of(book: Codebook, key: str, node: NodeView) -> int:
    value = node.name if key == NODE else node.labels.get(key)
    return ABSENT if value is None else book.code(value)


def _add(where: dict[K, dict[int, int]], key: K, row: int, sign: int) -> None:
    rows = where.setdefault(key, {})
    rows[row] = rows.get(row, 0) + sign
    if not rows[row]:
        del rows[row]
    if not rows:
        del where[key]
