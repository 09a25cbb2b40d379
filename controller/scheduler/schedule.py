"""The scheduler: order the waiting tasks, and place each on the best node that fits.

    schedule(snapshot, policy, now, seed) -> Decisions

Order: priority, then first come first served (age). Place: filters, then the highest score, ties broken by the seed.
Tasks of one shape share one heap of scored nodes. A placement changes only its own node, so after each one only that
node is scored again, in every heap that is used later: the result is exactly that of scoring all nodes for each task.
"""

import heapq
import zlib
from collections.abc import Mapping
from dataclasses import dataclass

from controller.scheduler.filters import first_reason
from controller.scheduler.reasons import Code, Reason
from controller.scheduler.scores import Strategy, score
from controller.scheduler.snapshot import Room, Shape, Snapshot, TaskView
from schemas.binding import Grants


@dataclass(frozen=True, slots=True)
class Policy:
    strategy: Strategy = "binpack"


@dataclass(frozen=True, slots=True)
class Placed:
    """A task, its node, and what it is granted there."""

    task: TaskView
    node: str
    grants: Grants


@dataclass(frozen=True, slots=True)
class Unschedulable:
    """A task that fits no node now; node name -> the first failing reason there."""

    task: TaskView
    reasons: Mapping[str, Reason]


@dataclass(frozen=True, slots=True)
class Decisions:
    placed: tuple[Placed, ...]
    unschedulable: tuple[Unschedulable, ...]


def in_order(pending: tuple[TaskView, ...]) -> list[TaskView]:
    """Higher priority first, then the older; the name makes it total."""
    return sorted(pending, key=lambda task: (-task.priority, task.age, task.ref))


def schedule(snapshot: Snapshot, policy: Policy, now: float, seed: int) -> Decisions:
    """Place as many waiting tasks as fit, in order. Pure: the same input gives the same decisions."""
    cycle = _Cycle(snapshot, policy, seed)
    placed: list[Placed] = []
    unschedulable: list[Unschedulable] = []
    for task in in_order(snapshot.pending):
        room = cycle.best_room(task)
        if room is None:
            unschedulable.append(Unschedulable(task, cycle.reasons(task)))
        else:
            placed.append(Placed(task, room.view.name, cycle.take(room, task.shape)))
    return Decisions(tuple(placed), tuple(unschedulable))


class _Candidates:
    """The nodes that fit one shape, best first. `seen` is how far it has followed the log of changes."""

    def __init__(self, seen: int) -> None:
        self.heap: list[tuple[float, int, int, int]] = []  # -score, tie, version, index of the room
        self.seen = seen


class _Cycle:
    """Working state of one call: rooms, how often each changed, and a heap for each shape."""

    def __init__(self, snapshot: Snapshot, policy: Policy, seed: int) -> None:
        self._policy = policy
        self._rooms = [Room.of(view) for view in snapshot.nodes]
        self._index = {room.view.name: index for index, room in enumerate(self._rooms)}
        self._ties = [zlib.crc32(f"{seed}/{room.view.name}".encode()) for room in self._rooms]
        self._versions = [0] * len(self._rooms)
        self._changes: list[int] = []
        self._candidates: dict[Shape, _Candidates] = {}
        self._reasons: dict[Shape, tuple[int, Mapping[str, Reason]]] = {}

    def best_room(self, task: TaskView) -> Room | None:
        """Return the best room that fits `task`; its previous node if that fits, else by score."""
        if task.shape.node_name is not None:
            return self._only_room(task, task.shape.node_name)
        previous = self._index.get(task.previous_node)
        if previous is not None and task.previous_node not in task.ending_on:
            room = self._rooms[previous]
            if first_reason(task.shape, room) is None:
                return room
        return self._best_by_score(task)

    def _only_room(self, task: TaskView, node: str) -> Room | None:
        index = self._index.get(node)
        if index is None or node in task.ending_on:
            return None
        room = self._rooms[index]
        return room if first_reason(task.shape, room) is None else None

    def _best_by_score(self, task: TaskView) -> Room | None:
        candidates = self._candidates_of(task.shape)
        skipped = []
        found = None
        while candidates.heap and found is None:
            entry = candidates.heap[0]
            room = self._rooms[entry[3]]
            if entry[2] != self._versions[entry[3]]:
                heapq.heappop(candidates.heap)
            elif room.view.name in task.ending_on:
                skipped.append(heapq.heappop(candidates.heap))
            else:
                found = room
        for entry in skipped:
            heapq.heappush(candidates.heap, entry)
        return found

    def _candidates_of(self, shape: Shape) -> _Candidates:
        candidates = self._candidates.get(shape)
        if candidates is None:
            candidates = self._candidates[shape] = _Candidates(len(self._changes))
            for index in range(len(self._rooms)):
                self._push(candidates, shape, index)
        for index in set(self._changes[candidates.seen :]):
            self._push(candidates, shape, index)
        candidates.seen = len(self._changes)
        return candidates

    def _push(self, candidates: _Candidates, shape: Shape, index: int) -> None:
        room = self._rooms[index]
        if first_reason(shape, room) is None:
            entry = (
                -score(shape, room, self._policy.strategy),
                self._ties[index],
                self._versions[index],
                index,
            )
            heapq.heappush(candidates.heap, entry)

    def take(self, room: Room, shape: Shape) -> Grants:
        """Take the room of one task and note that the node changed."""
        index = self._index[room.view.name]
        self._versions[index] += 1
        self._changes.append(index)
        return room.take(shape)

    def reasons(self, task: TaskView) -> Mapping[str, Reason]:
        """Return each node's first failing reason; equal shapes share one answer while nothing changed.

        For a task that names its node only that one counts.
        """
        if task.shape.node_name is not None:
            return self._reasons_of_one(task, task.shape.node_name)
        known = self._reasons.get(task.shape)
        if known is None or known[0] != len(self._changes):
            found = {room.view.name: first_reason(task.shape, room) for room in self._rooms}
            answer = {name: reason for name, reason in found.items() if reason is not None}
            known = self._reasons[task.shape] = (len(self._changes), answer)
        ending = {name: Reason(Code.OLD_COPY_ENDING) for name in task.ending_on if name in self._index}
        return {**known[1], **ending} if ending else known[1]

    def _reasons_of_one(self, task: TaskView, node: str) -> Mapping[str, Reason]:
        index = self._index.get(node)
        if index is None:
            return {node: Reason(Code.NO_SUCH_NODE, detail=node)}
        reason = first_reason(task.shape, self._rooms[index]) or Reason(Code.OLD_COPY_ENDING)
        return {node: reason}
