"""Which columns each kind has. Data: a header, whether it is for `-o wide` only, and the function of a cell."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module

from cli import cells
from cli.ages import UNKNOWN, age
from cli.cells import NONE
from client.views import ObjectView
from schemas.configmap import ConfigMap
from schemas.event import Event
from schemas.secret import Secret


@dataclass(frozen=True, slots=True)
class RowContext:
    """What a cell needs besides its object. default_queues: namespace -> the queue of tasks that name none."""

    now: float
    default_queues: Mapping[str, str] = field(default_factory=dict)


Cell = Callable[[ObjectView, RowContext], str]


@dataclass(frozen=True, slots=True)
class Column:
    header: str
    cell: Cell
    is_wide: bool = False


def _name(view: ObjectView, context: RowContext) -> str:
    return view.name


def _age(view: ObjectView, context: RowContext) -> str:
    """An unreadable object has no time that is known, and a built-in one was never made."""
    if view.spec_kv is None:
        return NONE
    return age(view.created_at, context.now)


def _node_age(view: ObjectView, context: RowContext) -> str:
    """A node is as old as its first report; its object may be younger, or missing."""
    first_seen = view.node_status.first_seen_at if view.node_status else ""
    return age(first_seen or view.created_at, context.now)


def _spec(*path: str) -> Cell:
    """Return a cell that shows a field of the spec, with the default of its model."""

    def cell(view: ObjectView, context: RowContext) -> str:
        if not view.raw:
            return NONE
        parsed = view.kind.model.parse_stored(view.raw)
        assert not isinstance(parsed, (Secret, ConfigMap)), "it has no spec"
        value = parsed.spec.model_dump(mode="json", by_alias=True)
        for part in path:
            value = value[part]
        if isinstance(value, dict):
            return ",".join(f"{key}={inner}" for key, inner in value.items()) or NONE
        if isinstance(value, list):
            return ",".join(map(str, value)) or NONE
        return NONE if value is None or value == "" else str(value)

    return cell


def _queue(view: ObjectView, context: RowContext) -> str:
    named = (view.raw.get("spec") or {}).get("queue")
    return named or context.default_queues.get(view.namespace, "default")


def _node_report(read: Callable[[ObjectView], str]) -> Cell:
    """Return a cell of what the agent reported, `<unknown>` where it has not."""
    return lambda view, context: (read(view) or NONE) if view.report else UNKNOWN


def _allocatable(resource: str) -> Cell:
    return _node_report(
        lambda view: (
            cells.show_quantity(resource, view.report.allocatable.get(resource, 0)) if view.report else ""
        )
    )


TASK = (
    Column("NAME", _name),
    Column("READY", lambda view, context: cells.ready(view)),
    Column("STATUS", lambda view, context: cells.task_status(view)),
    Column("RESTARTS", lambda view, context: cells.restarts(view, context.now)),
    Column("AGE", _age),
    Column("NODE", lambda view, context: (view.task_status and view.task_status.node) or NONE, True),
    Column("IP", lambda view, context: (view.task_status and view.task_status.host_ip) or NONE, True),
    Column("PORTS", lambda view, context: cells.ports(view), True),
    Column("QUEUE", _queue, True),
    Column("REASON", lambda view, context: cells.task_reason(view), True),
)
NODE = (
    Column("NAME", _name),
    Column("STATUS", lambda view, context: cells.node_status(view)),
    Column("ROLES", lambda view, context: cells.node_roles(view)),
    Column("AGE", _node_age),
    Column("VERSION", _node_report(lambda view: view.report.agent_version if view.report else "")),
    Column("INTERNAL-IP", _node_report(lambda view: view.report.address if view.report else ""), True),
    Column("OS-IMAGE", _node_report(lambda view: view.report.os_image if view.report else ""), True),
    Column(
        "KERNEL-VERSION", _node_report(lambda view: view.report.kernel_version if view.report else ""), True
    ),
    Column(
        "CONTAINER-RUNTIME",
        _node_report(lambda view: view.report.runtime_version if view.report else ""),
        True,
    ),
    Column("CPU", _allocatable("cpu"), True),
    Column("MEMORY", _allocatable("memory"), True),
)
_STATUS = Column("STATUS", lambda view, context: cells.plain_status(view))
NAMESPACE = (
    Column("NAME", _name),
    _STATUS,
    Column("AGE", _age),
    Column("QUEUES", _spec("queues"), True),
    Column("MAX-PRIORITY", _spec("maxPriority"), True),
)
QUEUE = (
    Column("NAME", _name),
    _STATUS,
    Column("WEIGHT", _spec("weight")),
    Column("AGE", _age),
    Column("GUARANTEE", _spec("guarantee"), True),
    Column("LIMIT", _spec("limit"), True),
    Column("ORDERING", _spec("ordering"), True),
    Column("BACKFILL", _spec("backfill"), True),
    Column("PLACEMENT", _spec("placement"), True),
)
PRIORITY_CLASS = (
    Column("NAME", _name),
    _STATUS,
    Column("VALUE", _spec("value")),
    Column("AGE", _age),
    Column("DESCRIPTION", _spec("description"), True),
)

SECRET = (
    Column("NAME", _name),
    Column("TYPE", lambda view, context: str(view.raw.get("type") or "Opaque") if view.raw else UNKNOWN),
    Column("DATA", lambda view, context: str(len((view.raw.get("sealed") or {}).get("keys") or ()))),
    Column("AGE", _age),
)

NAME, AGE = TASK[0], Column("AGE", _age)

ELSEWHERE = {
    "deployments": ("cli.columns_owners", "DEPLOYMENT"),
    "daemonsets": ("cli.columns_owners", "DAEMONSET"),
    "configmaps": ("cli.columns_owners", "CONFIGMAP"),
    "disruptionbudgets": ("cli.columns_owners", "BUDGET"),
    "jobs": ("cli.columns_jobs", "JOB"),
    "cronjobs": ("cli.columns_jobs", "CRONJOB"),
    "gitsources": ("cli.sync_status", "GITSOURCE"),
}
"""Plural -> (module, name) of the columns of kinds whose models are imported only when they are shown."""

BY_PLURAL = {
    "secrets": SECRET,
    "tasks": TASK,
    "nodes": NODE,
    "namespaces": NAMESPACE,
    "queues": QUEUE,
    "priorityclasses": PRIORITY_CLASS,
}


def columns_of(plural: str, *, is_wide: bool) -> tuple[Column, ...]:
    if plural in ELSEWHERE:
        module, name = ELSEWHERE[plural]
        columns: tuple[Column, ...] = getattr(import_module(module), name)
    else:
        columns = BY_PLURAL[plural]
    return tuple(column for column in columns if is_wide or not column.is_wide)


NAMESPACE_COLUMN = Column("NAMESPACE", lambda view, context: view.namespace)
LABELS_COLUMN = Column(
    "LABELS",
    lambda view, context: ",".join(f"{key}={value}" for key, value in sorted(view.labels.items())) or NONE,
)


def label_column(key: str) -> Column:
    """Return the column of `-L KEY`: the label's value, empty where it is missing."""
    header = key.rpartition("/")[2].upper()
    return Column(header, lambda view, context: view.labels.get(key, ""))


def with_kind(columns: Sequence[Column]) -> tuple[Column, ...]:
    """Return columns in which the name says the kind too, for tables of several kinds."""
    name, *others = columns
    return (Column(name.header, lambda view, context: str(view.ref)), *others)


EVENT_HEADER = ("LAST SEEN", "TYPE", "REASON", "OBJECT", "MESSAGE")
EVENT_WIDE_HEADER = ("SOURCE", "FIRST SEEN", "COUNT")


def event_row(event: Event, now: float, *, is_wide: bool) -> tuple[str, ...]:
    row = (
        age(event.last_timestamp, now),
        event.type,
        event.reason,
        f"{event.object_kind.lower()}/{event.object_name}",
        event.message,
    )
    return (*row, event.source, age(event.first_timestamp, now), str(event.count)) if is_wide else row
