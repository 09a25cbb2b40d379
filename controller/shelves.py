"""The records of tasks and nodes by name, made when something is first known of them, dropped when nothing is left."""

from collections.abc import Callable

from controller.records import NodeRecord, TaskRecord
from schemas.keys import ObjectRef

Refs = tuple[ObjectRef, ...]


class Shelves:
    """owners_of: the owners that a change of a task concerns."""

    def __init__(self, tasks: dict[ObjectRef, TaskRecord], owners_of: Callable[[TaskRecord], Refs]) -> None:
        self.tasks = tasks
        self.nodes: dict[str, NodeRecord] = {}
        self._owners_of = owners_of

    def record(self, ref: ObjectRef) -> TaskRecord:
        """Return the record of a task that is about to change."""
        record = self.tasks.get(ref)
        if record is None:
            record = self.tasks[ref] = TaskRecord(ref)
        record.derived = None
        return record

    def touched(self, record: TaskRecord) -> Refs:
        """Return what a change of the task concerns, itself first."""
        return (record.ref, *self.owners(record))

    def owners(self, record: TaskRecord) -> Refs:
        """Drop a record of which nothing is left; return the owners that a change of it concerns."""
        if record.is_empty:
            self.tasks.pop(record.ref, None)
        return self._owners_of(record)

    def node(self, name: str) -> NodeRecord:
        record = self.nodes.get(name)
        if record is None:
            record = self.nodes[name] = NodeRecord(name)
        return record
