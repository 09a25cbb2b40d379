"""What `berth up` shows of its cluster: the latest of each node and task, and recent events. No ages, as an idle
cluster is not drawn anew."""

from collections import deque
from dataclasses import dataclass, field

from cli import cells
from client.views import ObjectView
from schemas.event import Event
from schemas.keys import ObjectRef

MAX_EVENTS = 50


@dataclass(frozen=True, slots=True)
class NodeRow:
    status: str
    address: str


@dataclass(frozen=True, slots=True)
class TaskRow:
    status: str
    node: str
    ports: str
    reason: str


@dataclass(slots=True)
class Board:
    """One thread changes it at a time (its owner locks); each change returns a line to tell, "" for none."""

    nodes: dict[str, NodeRow] = field(default_factory=dict)
    tasks: dict[ObjectRef, TaskRow] = field(default_factory=dict)
    events: deque[Event] = field(default_factory=lambda: deque(maxlen=MAX_EVENTS))

    def put_node(self, name: str, view: ObjectView | None) -> str:
        if view is None:
            return f"node {name} is gone" if self.nodes.pop(name, None) else ""
        address = view.report.address if view.report else ""
        row, before = NodeRow(cells.node_status(view), address), self.nodes.get(name)
        self.nodes[name] = row
        return "" if before is not None and before.status == row.status else f"node {name} is {row.status}"

    def put_task(self, ref: ObjectRef, view: ObjectView | None) -> str:
        name = ref.name if ref.namespace == "default" else f"{ref.namespace}/{ref.name}"
        if view is None:
            return f"task {name} is gone" if self.tasks.pop(ref, None) else ""
        row, before = _task_row(view), self.tasks.get(ref)
        self.tasks[ref] = row
        if before is not None and (before.status, before.node) == (row.status, row.node):
            return ""
        where = f" on {row.node}" if row.node else ""
        return f"task {name} is {row.status}{where}{f' ({row.reason})' if row.reason else ''}"

    def put_event(self, event: Event) -> str:
        """Keep an event, the newest at the end."""
        self.events.append(event)
        about = f"{event.object_kind.lower()}/{event.object_name}"
        return f"{event.type.lower()}: {about} {event.reason}: {event.message}"


def _task_row(view: ObjectView) -> TaskRow:
    status = view.task_status
    shown = cells.task_status(view)
    reason = "" if shown == "Running" else cells.task_reason(view)
    ports = cells.ports(view)
    return TaskRow(
        shown,
        status.node if status else "",
        "" if ports == cells.NONE else ports,
        "" if reason == cells.NONE else reason,
    )
