"""`describe node`, in the order of `kubectl describe node`. Pure."""

from collections.abc import Sequence

from cli.ages import age
from cli.blocks import NONE, Block, Content, Rows, pairs
from cli.cells import is_cordoned, node_roles, node_status
from cli.describe_object import condition_rows, event_rows, rfc1123
from client.views import ObjectView
from schemas.event import Event
from schemas.meta import Condition
from schemas.node import Node
from schemas.quantity import show_quantity
from schemas.report import NodeReport
from schemas.state import FINISHED
from schemas.task import Task

Amounts = dict[str, int]


def describe_node(
    view: ObjectView, tasks: Sequence[ObjectView], events: Sequence[Event], now: float
) -> Block:
    """Return the description of a node; tasks: those placed on it."""
    report = view.report
    first_seen = view.node_status.first_seen_at if view.node_status else ""
    return Block(
        [
            ("Name", view.name),
            ("Roles", node_roles(view)),
            ("Labels", pairs(view.labels)),
            ("Annotations", pairs(view.annotations, ": ")),
            ("CreationTimestamp", rfc1123(first_seen or view.created_at)),
            ("Taints", _taints(view)),
            ("Unschedulable", str(is_cordoned(view)).lower()),
            ("Status", node_status(view)),
            *([("Message", view.error)] if view.error else []),
            ("Heartbeat", "alive" if view.is_beating else NONE),
            ("Conditions", condition_rows(_conditions(view))),
            *(_of_report(report) if report else [("Report", "none: its agent has not reported")]),
            *_of_tasks(report, [each for each in tasks if not _is_finished(each)], now),
            ("Events", event_rows(events, now)),
        ]
    )


def _taints(view: ObjectView) -> tuple[str, ...]:
    if not view.raw or view.spec_kv is None:
        return ()
    taints = Node.parse_stored(view.raw).spec.taints
    return tuple(f"{each.key}{f'={each.value}' if each.value else ''}:{each.effect}" for each in taints)


def _conditions(view: ObjectView) -> list[Condition]:
    """The leader's, and those of the agent's own that the leader doesn't repeat."""
    found = list(view.node_status.conditions) if view.node_status else []
    told = {each.type for each in found}
    reported = view.report.conditions if view.report else ()
    return [*found, *(each for each in reported if each.type not in told)]


def _of_report(report: NodeReport) -> list[tuple[str, Content]]:
    return [
        ("Addresses", Block([("InternalIP", report.address or NONE), ("API", report.api_address or NONE)])),
        ("Capacity", _amounts(report.capacity)),
        ("Allocatable", _amounts(report.allocatable)),
        (
            "System Info",
            Block(
                [
                    ("Node UID", report.node_uid),
                    ("OS Image", report.os_image or NONE),
                    ("Kernel Version", report.kernel_version or NONE),
                    ("Container Runtime", report.runtime_version or NONE),
                    ("Agent Version", report.agent_version or NONE),
                    ("Host Ports", f"{report.host_ports[0]}-{report.host_ports[1]}"),
                ]
            ),
        ),
    ]


def _amounts(amounts: Amounts) -> Content:
    return (
        Block([(name, show_quantity(name, each)) for name, each in sorted(amounts.items())])
        if amounts
        else NONE
    )


def _is_finished(view: ObjectView) -> bool:
    return view.task_status is not None and view.task_status.state in FINISHED


def _of_tasks(
    report: NodeReport | None, tasks: Sequence[ObjectView], now: float
) -> list[tuple[str, Content]]:
    """Return who uses the node, and how much of it is promised."""
    allocatable = report.allocatable if report else {}
    asked = {view.ref: _requests_and_limits(view) for view in tasks}
    rows = [
        (
            view.namespace,
            view.name,
            *(
                _share(name, amounts, allocatable)
                for name in ("cpu", "memory")
                for amounts in asked[view.ref]
            ),
            age(view.created_at, now),
        )
        for view in tasks
    ]
    header = ("Namespace", "Name", "CPU Requests", "CPU Limits", "Memory Requests", "Memory Limits", "Age")
    totals = [_sum([each[index] for each in asked.values()]) for index in (0, 1)]
    names = sorted({"cpu", "memory", *allocatable, *totals[0], *totals[1]})
    return [
        (f"Non-terminated Tasks ({len(tasks)} in total)", Rows(header, rows) if rows else NONE),
        (
            "Allocated resources (total limits may be over 100 percent, i.e., overcommitted)",
            Rows(
                ("Resource", "Requests", "Limits"),
                [(name, *(_share(name, total, allocatable) for total in totals)) for name in names],
            ),
        ),
    ]


def _requests_and_limits(view: ObjectView) -> tuple[Amounts, Amounts]:
    """What the task was granted, its namespace's defaults included, and its limits as written."""
    granted = dict(view.task_status.resources) if view.task_status else {}
    if not view.raw:
        return granted, {}
    spec = Task.parse_stored(view.raw).spec
    return granted, _sum([each.resources.limits for each in spec.containers])


def _sum(many: Sequence[Amounts]) -> Amounts:
    total: Amounts = {}
    for amounts in many:
        for name, amount in amounts.items():
            total[name] = total.get(name, 0) + amount
    return total


def _share(name: str, amounts: Amounts, allocatable: Amounts) -> str:
    """Return `500m (25%)` of what the node can give."""
    amount, whole = amounts.get(name, 0), allocatable.get(name, 0)
    return f"{show_quantity(name, amount)} ({100 * amount // whole if whole else 0}%)"
