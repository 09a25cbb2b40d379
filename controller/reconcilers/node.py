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
from schemas.status import NodeStatus
from schemas.timestamps import format_time
from schemas.versioned import Versioned


@dataclass(frozen=True, slots=True)
class NodeInputs:
    """All that is stored about one node. `has_sites`: some binding is on it, ended or not."""

    ref: ObjectRef
    spec: Versioned[Node] | None
    report: Versioned[NodeReport] | None
    heartbeat: Versioned[Heartbeat] | None
    status: Versioned[NodeStatus] | None
    delete: Versioned[DeleteRequest] | None
    fence: Versioned[FenceRequest] | None
    has_sites: bool
    incarnation: int


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
    if inputs.status is None or new != old:
        intents.append(PutNodeStatus(new))
    return replace(plan, intents=tuple(intents), events=_notes(old, new))


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
