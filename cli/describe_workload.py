"""`describe deployment` and `describe daemonset`, in kubectl's order. Pure."""

from collections.abc import Sequence

from cli.blocks import NONE, Block, Content, Rows, pairs
from cli.cells import task_status
from cli.describe_object import condition_rows, describe_unreadable, event_rows, rfc1123, standing
from cli.describe_template import template_block
from cli.related import Related
from client.views import ObjectView, status_of
from schemas.event import Event
from schemas.selector import LabelSelector
from schemas.workload import DaemonSet, Deployment, RollingUpdate
from schemas.workload_status import DaemonSetStatus, DeploymentStatus

Entry = tuple[str, Content]
SHOWN_TASKS = 50


def describe(view: ObjectView, related: Related, events: Sequence[Event], now: float) -> Block:
    """Return the description of a deployment or daemonset."""
    if not view.raw:
        return describe_unreadable(view, events, now)
    parsed = view.parsed
    middle = _deployment(view, parsed) if isinstance(parsed, Deployment) else _daemonset(view)
    return Block(
        [
            ("Name", view.name),
            ("Namespace", view.namespace),
            ("CreationTimestamp", rfc1123(view.created_at)),
            ("Labels", pairs(view.labels)),
            ("Annotations", pairs(view.annotations, ": ")),
            *standing(view),
            *middle,
            *_revisions(related),
            ("Tasks", _tasks(related)),
            ("Events", event_rows(events, now)),
        ]
    )


def _deployment(view: ObjectView, deployment: Deployment) -> list[Entry]:
    spec = deployment.spec
    status = status_of(view, DeploymentStatus) or DeploymentStatus(uid=view.uid)
    rolling = spec.strategy.rolling_update or RollingUpdate()
    missing = max(0, spec.replicas - status.available_replicas)
    back = f" (went back from {status.rolled_back} at its progress deadline)" if status.rolled_back else ""
    return [
        ("Selector", selector_text(spec.selector)),
        (
            "Replicas",
            f"{spec.replicas} desired | {status.updated_replicas} updated | {status.replicas} total | "
            f"{status.available_replicas} available | {missing} unavailable",
        ),
        ("Revision", f"{status.revision or NONE}{back}"),
        *([("Paused", "true")] if spec.paused else []),
        ("StrategyType", spec.strategy.type),
        ("MinReadySeconds", str(spec.min_ready_seconds)),
        *(
            [
                (
                    "RollingUpdateStrategy",
                    f"{rolling.max_unavailable} max unavailable, {rolling.max_surge} max surge",
                )
            ]
            if spec.strategy.type == "RollingUpdate"
            else []
        ),
        ("Task Template", template_block(spec.template)),
        ("Conditions", condition_rows(status.conditions)),
    ]


def _daemonset(view: ObjectView) -> list[Entry]:
    parsed = view.parsed
    assert isinstance(parsed, DaemonSet), "only deployments and daemonsets are described here"
    spec = parsed.spec
    status = status_of(view, DaemonSetStatus) or DaemonSetStatus(uid=view.uid)
    return [
        ("Selector", selector_text(spec.selector)),
        ("Node-Selector", pairs(spec.template.spec.node_selector)),
        ("Desired Number of Nodes Scheduled", str(status.desired)),
        ("Current Number of Nodes Scheduled", str(status.current)),
        ("Number of Nodes Scheduled with Up-to-date Tasks", str(status.updated)),
        ("Number of Nodes Scheduled with Available Tasks", str(status.available)),
        ("Number of Nodes Misscheduled", str(status.misscheduled)),
        ("Revision", str(status.revision or NONE)),
        ("UpdateStrategy", spec.update_strategy.type),
        ("Task Template", template_block(spec.template)),
        ("Conditions", condition_rows(status.conditions)),
    ]


def selector_text(selector: LabelSelector | None) -> str:
    """Return `app=web,tier in (a,b)`."""
    if selector is None:
        return NONE
    terms = [f"{key}={value}" for key, value in selector.match_labels.items()]
    for each in selector.match_expressions:
        listed = f" ({','.join(each.values)})" if each.values else ""
        terms.append(f"{each.key} {each.operator}{listed}")
    return ",".join(terms) or "<all>"


def _revisions(related: Related) -> list[Entry]:
    rows = []
    for each in related.revisions:
        count = sum(view.labels.get("berth/revision") == str(each.number) for view in related.tasks)
        rows.append((str(each.number), str(count), each.cause or NONE))
    return [("Revisions", Rows(("Revision", "Tasks", "Change-Cause"), rows) if rows else NONE)]


def _tasks(related: Related) -> Content:
    rows = [
        (view.name, task_status(view), (view.task_status and view.task_status.node) or NONE)
        for view in related.tasks[:SHOWN_TASKS]
    ]
    more = len(related.tasks) - len(rows)
    rows += [(f"and {more} more", "", "")] if more else []
    return Rows(("Name", "Status", "Node"), rows) if rows else NONE
