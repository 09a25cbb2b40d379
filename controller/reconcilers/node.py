"""The planner of nodes: conditions from heartbeat and report, fencing, removal."""

from dataclasses import dataclass, replace

from controller.reconcilers.plan import (
    EventNote,
    Intent,
    Plan,
    PutNodeStatus,
    Reads,
    RemoveNodeReports,
    RemoveObject,
    RemoveRequest,
)
from schemas.keys import ObjectRef
from schemas.meta import Condition, find_condition, set_condition
from schemas.node import Node
from schemas.report import Heartbeat, NodeReport
from schemas.request import DeleteRequest, FenceRequest
from schemas.status import DrainLeft, DrainStatus, NodeStatus
from schemas.timestamps import format_time
from schemas.versioned import Versioned

MAX_LEFT = 200  # tasks that the status of a drain names


@dataclass(frozen=True, slots=True)
class DrainWork:
    """How far the drain that was asked for at `requested_at` has come; decided by `eviction`."""

    requested_at: str
    left: tuple[DrainLeft, ...]
    timed_out: bool


@dataclass(frozen=True, slots=True)
class NodeInputs:
    """All that is stored about one node. `has_sites`: some binding is on it, ended or not. `drain`: None, unknown."""

    ref: ObjectRef
    spec: Versioned[Node] | None
    report: Versioned[NodeReport] | None
    heartbeat: Versioned[Heartbeat] | None
    status: Versioned[NodeStatus] | None
    delete: Versioned[DeleteRequest] | None
    fence: Versioned[FenceRequest] | None
    has_sites: bool
    incarnation: int
    drain: DrainWork | None = None


def plan_node(inputs: NodeInputs, now: float) -> Plan:
    """Return the node's status, and the answer to wishes about it."""
    report = inputs.report.value if inputs.report else None
    plan = Plan(
        inputs.ref,
        inputs.spec.value.metadata.uid if inputs.spec else (report.node_uid if report else ""),
        Reads(
            spec=inputs.spec.mod_revision if inputs.spec else 0,
            status=inputs.status.mod_revision if inputs.status else 0,
        ),
    )
    if inputs.delete is not None:
        return _plan_removal(inputs, plan)
    intents: list[Intent] = []
    if inputs.fence is not None and (inputs.heartbeat is not None or not inputs.has_sites):
        intents.append(
            RemoveRequest("fence", inputs.fence.mod_revision)
        )  # it lives, or nothing of it is left to give up
    if report is None:
        return replace(plan, intents=tuple(intents))
    fresh = NodeStatus(node_uid=report.node_uid, first_seen_at=format_time(now))
    old = inputs.status.value if inputs.status else fresh
    conditions = old.conditions
    for condition in _conditions(inputs, report):
        moved = condition.model_copy(update={"last_transition_time": format_time(now)})
        conditions = set_condition(conditions, moved)
    new = old.model_copy(update={"node_uid": report.node_uid, "conditions": conditions})
    new = _with_drain(inputs, new, now)
    if inputs.status is None or new != old:
        intents.append(PutNodeStatus(new))
    return replace(plan, intents=tuple(intents), events=(*_notes(old, new), *_drain_notes(old, new)))


def _plan_removal(inputs: NodeInputs, plan: Plan) -> Plan:
    """Remove a node that is gone, with its reports; of one that lives only what people said about it."""
    if inputs.heartbeat is not None:
        return replace(plan, intents=(RemoveObject(),))
    if inputs.has_sites:
        return plan  # its bindings wait for the agent, or for an operator to fence the node
    return replace(plan, intents=(RemoveObject(), RemoveNodeReports(inputs.ref.name)))


def _conditions(inputs: NodeInputs, report: NodeReport) -> tuple[Condition, ...]:
    return (_ready(inputs, report), *report.conditions)


def _ready(inputs: NodeInputs, report: NodeReport) -> Condition:
    if inputs.heartbeat is None:
        reason, message = (
            "HeartbeatLost",
            "the agent's lease has expired; is the host up and can it reach etcd?",
        )
        if report.stopping:
            reason, message = "AgentStopped", "the agent was stopped; its containers go on"
        return Condition(type="Ready", status="Unknown", reason=reason, message=message)
    if report.rewound_from or report.incarnation != inputs.incarnation:
        message = "the store was rewound; the agent waits until placements are rebuilt"
        return Condition(type="Ready", status="False", reason="Recovering", message=message)
    runtime = find_condition(report.conditions, "RuntimeReady")
    if runtime is not None and runtime.status != "True":
        return Condition(type="Ready", status="False", reason=runtime.reason, message=runtime.message)
    return Condition(type="Ready", status="True", reason="AgentReady", message="the agent reports")


def _notes(old: NodeStatus, new: NodeStatus) -> tuple[EventNote, ...]:
    before, after = find_condition(old.conditions, "Ready"), find_condition(new.conditions, "Ready")
    if after is None or (before is not None and before.status == after.status):
        return ()
    ready = after.status == "True"
    return (
        EventNote("Normal" if ready else "Warning", "NodeReady" if ready else "NodeNotReady", after.message),
    )


def _with_drain(inputs: NodeInputs, status: NodeStatus, now: float) -> NodeStatus:
    """Tell how far the drain has come; of a node that is not drained nothing is told."""
    drain = inputs.spec.value.spec.drain if inputs.spec else None
    if drain is None:
        kept = tuple(each for each in status.conditions if each.type != "Drained")
        return status.model_copy(update={"drain": None, "conditions": kept})
    work = inputs.drain
    if work is None or work.requested_at != drain.requested_at:
        return status
    old = status.drain
    if old is None or old.requested_at != work.requested_at:
        old = DrainStatus(requested_at=work.requested_at, started_at=format_time(now))
    count = len(work.left)
    told = old.model_copy(
        update={"total": max(old.total, count), "count": count, "left": work.left[:MAX_LEFT]}
    )
    condition = _drained(told, work).model_copy(update={"last_transition_time": format_time(now)})
    conditions = set_condition(status.conditions, condition)
    return status.model_copy(update={"drain": told, "conditions": conditions})


def _drained(drain: DrainStatus, work: DrainWork) -> Condition:
    if not drain.count:
        return Condition(type="Drained", status="True", reason="Drained", message="no task is left to move")
    waiting = [each for each in drain.left if each.reason != "stopping"] or list(drain.left)
    text = f"{drain.count} of {drain.total} tasks left; {waiting[0].task}: {waiting[0].reason}"
    reason = "TimedOut" if work.timed_out else "Draining"
    return Condition(type="Drained", status="False", reason=reason, message=text)


def _drain_notes(old: NodeStatus, new: NodeStatus) -> tuple[EventNote, ...]:
    before, after = find_condition(old.conditions, "Drained"), find_condition(new.conditions, "Drained")
    if after is None or (before is not None and before.reason == after.reason):
        return ()
    return (EventNote("Warning" if after.reason == "TimedOut" else "Normal", after.reason, after.message),)
