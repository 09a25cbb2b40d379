"""A place for a task: when it may be asked for, and what is asked. Pure."""

from dataclasses import replace

from controller.reconcilers.plan import EventNote, Plan, PutTaskStatus, Waiting
from controller.reconcilers.rollup import NodeHealth
from controller.reconcilers.shapes import labels_of, shape_of
from controller.reconcilers.task_config import with_config
from controller.reconcilers.task_inputs import TaskInputs, reads_of
from controller.scheduler.snapshot import Gang, TaskView
from schemas.admission import Admitted, Denied
from schemas.binding import Binding
from schemas.defaults import reschedule_after_s
from schemas.keys import ObjectRef
from schemas.meta import Condition, set_condition
from schemas.namespace import DEFAULT_QUEUE
from schemas.owned import OwnerReference
from schemas.state import TaskState
from schemas.status import TaskStatus
from schemas.task import Task, TaskSpec
from schemas.timestamps import format_time, parse_time
from schemas.versioned import Versioned


def plan_unplaced(inputs: TaskInputs, plan: Plan, now: float) -> Plan:
    """Ask for a node, unless it is denied, lost for good, lacks a ConfigMap or Secret, or an older one still ends."""
    status = inputs.own_status
    spec = inputs.spec
    assert spec is not None
    if (
        status is not None
        and status.state is TaskState.LOST
        and status.observed_generation == spec.generation
    ):
        return plan
    if status is None and isinstance(inputs.verdict, Admitted) and not inputs.config.reason:
        return _ask(inputs, inputs.verdict.spec, plan, now)  # as most do: there is nothing to tell
    base = status or TaskStatus(uid=inputs.uid, owner=inputs.owner)
    rolled = with_config(with_admission(base, inputs, now), inputs.config, now)
    if rolled != base:
        rolled = rolled.model_copy(update={"observed_generation": spec.generation})
        plan = replace(plan, intents=(*plan.intents, PutTaskStatus(rolled)))
    if isinstance(inputs.verdict, Denied):
        if rolled == base:
            return plan
        return replace(plan, events=(EventNote("Warning", "Denied", "; ".join(inputs.verdict.reasons)),))
    if inputs.config.reason:
        if rolled.message == base.message:
            return plan
        note = EventNote("Warning", inputs.config.reason, inputs.config.message)
        return replace(plan, events=(note,))
    return plan if inputs.verdict is None else _ask(inputs, inputs.verdict.spec, plan, now)


def _ask(inputs: TaskInputs, spec: TaskSpec, plan: Plan, now: float) -> Plan:
    """Ask for a node once nothing is left to be done before."""
    if any(uid != inputs.uid for _, uid in inputs.bindings) or plan.intents:
        return plan
    blocked_until = copies_end_at(inputs, now, besides=None)
    if blocked_until is not None:
        return replace(plan, requeue_at=blocked_until)
    return replace(plan, waiting=waiting_for(inputs, spec, replaces=None))


def with_admission(status: TaskStatus, inputs: TaskInputs, now: float) -> TaskStatus:
    """Note a denial, and take the note back when it no longer holds."""
    if inputs.verdict is None:
        return status  # something that it names can't be read: neither admitted nor denied
    if not isinstance(inputs.verdict, Denied):
        kept = tuple(c for c in status.conditions if c.type != "Admitted")
        if len(kept) == len(status.conditions):
            return status
        return status.model_copy(update={"conditions": kept})
    denied = Condition(
        type="Admitted",
        status="False",
        reason="Denied",
        message="; ".join(inputs.verdict.reasons),
        last_transition_time=format_time(now),
    )
    return status.model_copy(update={"conditions": set_condition(status.conditions, denied)})


def unplaced(inputs: TaskInputs, previous_node: str) -> TaskStatus:
    """A status without placement; the epoch stays, so that it never counts back."""
    old = inputs.own_status
    return TaskStatus(
        uid=inputs.uid,
        owner=inputs.owner,
        observed_generation=inputs.spec.generation if inputs.spec else 0,
        epoch=old.epoch if old else 0,
        previous_node=previous_node,
        conditions=tuple(c for c in old.conditions if c.type == "Scheduled") if old else (),
    )


def copies_end_at(inputs: TaskInputs, now: float, besides: Versioned[Binding] | None) -> float | None:
    """For exactlyOne: return when older copies of this task may be taken for ended, None if they may now.

    A copy on a node that answers must report its end (infinity: only that helps); one on a node that does not
    is gone `rescheduleAfter` after the node was last seen, unless its agent was stopped in good order.
    """
    spec = inputs.spec
    if spec is None or not spec.value.spec.exactly_one:
        return None
    latest = now
    for versioned in inputs.bindings.values():
        binding, health = versioned.value, inputs.health(versioned.value.node)
        if versioned is besides or inputs.has_ended(binding):
            continue
        if health.down_since is None or not ends_by_itself(binding, health):
            return float("inf")
        latest = max(latest, health.down_since + reschedule_after_s(binding.spec))
    for site, report in inputs.reports.items():
        health = inputs.health(site[0])
        if site in inputs.bindings or report.value.final or not report.value.unbound or health.fenced:
            continue
        if health.down_since is None or health.stopping:
            return float("inf")
        latest = max(latest, health.down_since + reschedule_after_s(spec.value.spec))
    return latest if latest > now else None


def ends_by_itself(binding: Binding, health: NodeHealth) -> bool:
    """Say whether the agent, when it is cut off, stops this copy.

    It does so for exactlyOne only; one that was itself stopped in good order lets its containers run on.
    """
    return binding.spec.exactly_one and not health.stopping


def waiting_for(inputs: TaskInputs, spec: TaskSpec, replaces: Versioned[Binding] | None) -> Waiting:
    assert inputs.spec is not None
    status = inputs.own_status
    task = task_view(
        inputs.ref,
        inputs.spec,
        effective=spec,
        owner=inputs.owner,
        previous_node=status.previous_node if status and replaces is None else "",
        ending_on=frozenset(node for node, uid in inputs.bindings if uid == inputs.uid),
        waiting_since=_waiting_since(status),
    )
    nominated = status.nominated if status is not None else ""
    return Waiting(task, spec, reads_of(inputs), replaces, nominated)


def task_view(
    ref: ObjectRef,
    written: Versioned[Task],
    *,
    effective: TaskSpec,
    owner: OwnerReference | None,
    previous_node: str = "",
    ending_on: frozenset[str] = frozenset(),
    waiting_since: float = float("inf"),
) -> TaskView:
    """Return a task as one that begins to wait, as far as its spec says; the rest: what became of it so far."""
    metadata = written.value.metadata
    return TaskView(
        ref=ref,
        uid=metadata.uid,
        shape=shape_of(effective, labels_of(ref.namespace, metadata.labels, owner)),
        priority=effective.priority or 0,
        age=written.create_revision,
        queue=effective.queue or DEFAULT_QUEUE,
        estimate=effective.estimated_duration,
        previous_node=previous_node,
        ending_on=ending_on,
        waiting_since=waiting_since,
        gang=gang_of(effective, owner),
        preempts=effective.preemption_policy != "Never",
    )


def _waiting_since(status: TaskStatus | None) -> float:
    """Return when it was first found to wait, infinity if it was not: it has not waited at all then."""
    if status is None or not status.waiting_since:
        return float("inf")
    try:
        return parse_time(status.waiting_since)
    except ValueError:
        return float("inf")  # somebody else wrote into the status; the leader will note it afresh


def gang_of(spec: TaskSpec, owner: OwnerReference | None) -> Gang | None:
    """The gang's name; where none is written, that of the owner, which no written name is like.

    What its owner has left behind without a name waits for nobody.
    """
    if spec.gang is None or (spec.gang.name is None and owner is None):
        return None
    own = f"{owner.kind.lower()}s/{owner.name}" if owner else ""
    return Gang(spec.gang.name or own, spec.gang.min_member)
