"""The node's own report, from facts and circumstances. Pure: written when a visible field changes."""

from dataclasses import dataclass

from agent.facts import NodeFacts
from agent.standing import Identity, Standing
from schemas.meta import Condition, find_condition, set_condition
from schemas.report import NodeReport
from schemas.timestamps import format_time


@dataclass(frozen=True, slots=True)
class NodeContext:
    """What does not change while an agent lives."""

    node: str
    instance: str
    host_ports: tuple[int, int]
    api_address: str
    agent_version: str
    public_key: str | None = None


@dataclass(frozen=True, slots=True)
class NodeState:
    """What may change: where the agent stands, how the runtime is, which bindings can't be read."""

    identity: Identity
    standing: Standing
    standing_message: str
    runtime_up: bool
    runtime_error: str
    runtime_version: str
    ports_taken: tuple[int, ...]
    unreadable: tuple[str, ...]
    stopping: bool


def node_report(
    context: NodeContext, state: NodeState, facts: NodeFacts, now: float, before: NodeReport | None
) -> NodeReport:
    """Return what the node report says now; `before` gives the conditions their transition times."""
    conditions = before.conditions if before is not None else ()
    for condition in _conditions(state, facts):
        conditions = _with(conditions, condition, now)
    return NodeReport(
        node=context.node,
        node_uid=state.identity.node_uid,
        instance=context.instance,
        incarnation=state.identity.incarnation,
        rewound_from=state.identity.rewound_from,
        stopping=state.stopping,
        capacity=facts.capacity,
        allocatable=facts.allocatable,
        devices=facts.devices,
        host_ports=context.host_ports,
        ports_taken=state.ports_taken,
        labels=facts.labels,
        address=facts.address,
        api_address=context.api_address,
        public_key=context.public_key,
        conditions=conditions,
        agent_version=context.agent_version,
        runtime_version=state.runtime_version,
        os_image=facts.os_image,
        kernel_version=facts.kernel_version,
    )


def _with(conditions: tuple[Condition, ...], new: Condition, now: float) -> tuple[Condition, ...]:
    old = find_condition(conditions, new.type)
    if old is not None and old.model_copy(update={"last_transition_time": ""}) == new:
        return conditions
    return set_condition(conditions, new.model_copy(update={"last_transition_time": format_time(now)}))


def _conditions(state: NodeState, facts: NodeFacts) -> tuple[Condition, ...]:
    active = state.standing is Standing.ACTIVE
    unread = ", ".join(state.unreadable)
    return (
        _condition("RuntimeReady", state.runtime_up, "RuntimeDown", state.runtime_error),
        _condition("Active", active, str(state.standing), state.standing_message),
        _condition("BindingsReadable", not unread, "Unreadable", f"what runs stays as it is: {unread}"),
        _pressure("DiskPressure", facts.disk_pressure, "less than a tenth of the engine's disk is free"),
        _pressure("MemoryPressure", facts.memory_pressure, "less than 100Mi of memory is available"),
    )


def _condition(type_: str, good: bool, reason: str, message: str) -> Condition:
    if good:
        return Condition(type=type_, status="True", reason=type_)
    return Condition(type=type_, status="False", reason=reason, message=message)


def _pressure(type_: str, pressed: bool, message: str) -> Condition:
    """Kubernetes phrases these the other way round: True is the bad case."""
    if not pressed:
        return Condition(type=type_, status="False", reason=f"No{type_}")
    return Condition(type=type_, status="True", reason=type_, message=message)
