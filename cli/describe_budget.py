"""`describe disruptionbudget`, in kubectl's order. Pure."""

from collections.abc import Sequence

from cli.blocks import Block, pairs
from cli.describe_object import condition_rows, describe_unreadable, event_rows, rfc1123
from cli.describe_workload import selector_text
from cli.related import Related
from client.views import ObjectView, status_of
from schemas.budget import DisruptionBudget
from schemas.event import Event
from schemas.workload_status import DisruptionBudgetStatus


def describe(view: ObjectView, related: Related, events: Sequence[Event], now: float) -> Block:
    """Return what the budget promises, and what it allows now."""
    if not view.raw:
        return describe_unreadable(view, events, now)
    parsed = view.parsed
    assert isinstance(parsed, DisruptionBudget), "only budgets are described here"
    spec = parsed.spec
    status = status_of(view, DisruptionBudgetStatus) or DisruptionBudgetStatus(uid=view.uid)
    return Block(
        [
            ("Name", view.name),
            ("Namespace", view.namespace),
            ("Labels", pairs(view.labels)),
            ("CreationTimestamp", rfc1123(view.created_at)),
            *([("Min available", str(spec.min_available))] if spec.min_available is not None else []),
            *([("Max unavailable", str(spec.max_unavailable))] if spec.max_unavailable is not None else []),
            ("Selector", selector_text(spec.selector)),
            ("Allowed disruptions", str(status.disruptions_allowed)),
            ("Current", str(status.healthy)),
            ("Desired", str(status.desired_healthy)),
            ("Total", str(status.expected)),
            ("Conditions", condition_rows(status.conditions)),
            ("Events", event_rows(events, now)),
        ]
    )
