"""The planner of tasks: from all that is stored about one task to what should happen next.

Reads top to bottom as the life of a task (docs/design, section 4):
other copies and removal (`ending`) -> the current binding -> a place for it (`placing`). Every step is
level-triggered: it looks at what is, never at what happened.
"""

from dataclasses import replace

from controller.reconcilers.bindings import new_binding, put_back
from controller.reconcilers.ending import end_of, end_other_bindings, plan_removal
from controller.reconcilers.gang import Verdict
from controller.reconcilers.leaving import answered_wishes, meant_for, without_address
from controller.reconcilers.placing import (
    copies_end_at,
    ends_by_itself,
    plan_unplaced,
    unplaced,
    waiting_for,
    with_admission,
)
from controller.reconcilers.plan import (
    CreateBinding,
    EventNote,
    Plan,
    PutTaskStatus,
    RemoveBinding,
    RemoveRequest,
    RunBinding,
    SealBinding,
    StopBinding,
    UpdateBinding,
)
from controller.reconcilers.readiness import PROBE_FAILED, hook_notes, probe_notes
from controller.reconcilers.rollup import roll_up, state_of
from controller.reconcilers.task_config import copies_to_change, with_lack, without_lack
from controller.reconcilers.task_inputs import Site, TaskInputs, reads_of
from schemas.admission import Admitted, Denied
from schemas.binding import Binding, Desired, StopReason
from schemas.defaults import reschedule_after_s
from schemas.report import TaskReport
from schemas.state import FINISHED, TaskState
from schemas.status import TaskStatus
from schemas.task import LIVE_FIELDS, TaskSpec
from schemas.timestamps import format_time
from schemas.versioned import Versioned

LIVE_ATTRIBUTES = tuple(
    name for name, field in TaskSpec.model_fields.items() if (field.alias or name) in LIVE_FIELDS
)


Step = StopBinding | UpdateBinding | RunBinding
"""What may happen to the current binding."""


def plan_task(inputs: TaskInputs, now: float) -> Plan:
    """Return what should happen next about one task."""
    return _with_last_words(inputs, without_address(inputs, _plan_task(inputs, now)))


def _plan_task(inputs: TaskInputs, now: float) -> Plan:
    reads, old_copies = reads_of(inputs), tuple(end_other_bindings(inputs))
    if inputs.is_terminating:
        return plan_removal(inputs, Plan(inputs.ref, inputs.uid, reads, old_copies))
    if inputs.delete is not None:
        meant_for_an_older_object = RemoveRequest("delete", inputs.delete.mod_revision)
        old_copies += (meant_for_an_older_object,)
    plan = Plan(inputs.ref, inputs.uid, reads, (*old_copies, *answered_wishes(inputs)))
    if inputs.current is not None:
        return _plan_bound(inputs, inputs.current, plan, now)
    if inputs.own_status is not None and inputs.own_status.node:
        return _restore_binding(inputs, inputs.own_status, plan, now)
    return plan_unplaced(inputs, plan, now)


def _plan_bound(inputs: TaskInputs, current: Versioned[Binding], plan: Plan, now: float) -> Plan:
    """Follow the current binding: change it, end it, replace it elsewhere; and roll its report up."""
    binding, ended = current.value, inputs.has_ended(current.value)
    if ended and (binding.desired is not Desired.STOP or _is_to_leave(inputs, binding)):
        return _release(inputs, current, plan, now)
    if ended and inputs.health(binding.node).fenced:
        logs_died_with_the_node = end_of(inputs, current)
        return replace(plan, intents=(*plan.intents, logs_died_with_the_node))
    step = _next_step(inputs, current)
    seen = _after(binding, step)
    status = _rolled_up(inputs, seen, now, ended=ended)
    intents = [*plan.intents, *([step] if step else _new_copies(inputs, current))]
    if status != inputs.own_status:
        intents.append(PutTaskStatus(status))
    whole = Plan(plan.ref, plan.uid, plan.reads, tuple(intents), _notes(inputs, step, status))
    return _plan_reschedule(inputs, current, whole, now)


def _is_to_leave(inputs: TaskInputs, binding: Binding) -> bool:
    """A finished task keeps its binding (for its logs) until it is changed; any other stop makes room."""
    return binding.reason is not StopReason.COMPLETED or _is_outdated(inputs, binding)


def _is_outdated(inputs: TaskInputs, binding: Binding) -> bool:
    return inputs.spec is not None and inputs.template_hash != binding.template_hash


def _next_step(inputs: TaskInputs, current: Versioned[Binding]) -> Step | None:
    binding, spec = current.value, inputs.spec
    assert spec is not None, "a task without spec is terminating"
    if binding.desired is Desired.STOP:
        return None
    report = inputs.report_of(binding)
    if _is_outdated(inputs, binding):
        return StopBinding(current, StopReason.SUPERSEDED, "the task was changed")
    if state_of(binding, report, ended=False) in (TaskState.SUCCEEDED, TaskState.FAILED):
        return StopBinding(current, StopReason.COMPLETED)
    taken = _taken_port(binding, report, spec.value.spec)
    if taken is not None:
        return StopBinding(current, StopReason.PORT_TAKEN, f"host port {taken} is taken on {binding.node}")
    evicted = inputs.evicted
    if evicted is not None and evicted.binding_uid == binding.binding_uid:
        return StopBinding(current, evicted.reason, evicted.message)
    if binding.desired is Desired.HOLD and inputs.gang is Verdict.RELEASE:
        return StopBinding(current, StopReason.GANG_RELEASED, "not all of its gang have a place")
    if binding.desired is Desired.HOLD and inputs.gang is Verdict.RUN:
        return RunBinding(current)
    labels = tuple(sorted(spec.value.metadata.labels.items()))
    if isinstance(inputs.verdict, Admitted) and binding.generation != spec.generation:
        return UpdateBinding(
            current, labels, spec.generation, _with_live_fields(binding, inputs.verdict.spec)
        )
    return None


def _new_copies(inputs: TaskInputs, current: Versioned[Binding]) -> tuple[SealBinding, ...]:
    """Have the binding's copies made anew when a ConfigMap, a Secret or the node's key has changed."""
    key_id = inputs.health(current.value.node).key_id
    copies = copies_to_change(current.value, inputs.config, key_id)
    return () if copies is None else (SealBinding(current, copies),)


def _with_live_fields(binding: Binding, effective: TaskSpec) -> TaskSpec:
    return binding.spec.model_copy(update={name: getattr(effective, name) for name in LIVE_ATTRIBUTES})


def _taken_port(binding: Binding, report: TaskReport | None, written: TaskSpec) -> int | None:
    """Return an allotted host port that a stranger holds; one that was asked for is waited for instead."""
    if report is None or not any(c.reason == "HostPortTaken" for c in report.containers):
        return None
    asked = {port.host_port for container in written.containers for port in container.ports}
    return next((p.host_port for p in binding.grants.ports if p.host_port not in asked), None)


def _after(binding: Binding, step: Step | None) -> Binding:
    match step:
        case StopBinding(_, reason, message):
            return binding.model_copy(update={"desired": Desired.STOP, "reason": reason, "message": message})
        case RunBinding():
            return binding.model_copy(update={"desired": Desired.RUN})
        case _:
            return binding


def _rolled_up(inputs: TaskInputs, binding: Binding, now: float, *, ended: bool) -> TaskStatus:
    assert inputs.own_status is not None
    assert inputs.spec is not None
    old = inputs.own_status
    status = roll_up(
        old,
        binding,
        inputs.report_of(binding),
        inputs.health(binding.node),
        ended=ended,
        generation=inputs.spec.generation,
        now=now,
    )
    if binding.reason is StopReason.COMPLETED and status.state not in FINISHED:
        status = _finished_anyway(old, status, inputs.spec.generation, now, ended=ended)
    if inputs.health(binding.node).down_since is None:
        status = without_lack(status, now)
    return with_admission(status, inputs, now)


def _finished_anyway(
    old: TaskStatus, rolled: TaskStatus, generation: int, now: float, *, ended: bool
) -> TaskStatus:
    """A task that ended by itself, and whose remains are gone: an end that was seen stands, else it failed."""
    if old.state in FINISHED:
        return old.model_copy(update={"observed_generation": generation})
    if not ended:
        return rolled
    lost = {"state": TaskState.FAILED, "reason": "ResultLost", "finished_at": format_time(now)}
    return rolled.model_copy(update={**lost, "message": "it ended, but its container and exit code are gone"})


def _release(inputs: TaskInputs, current: Versioned[Binding], plan: Plan, now: float) -> Plan:
    """Third step of the binding's end: remove it and free the placement, in one transaction."""
    binding = current.value
    lost = inputs.health(binding.node).fenced and binding.desired is not Desired.STOP
    stays_lost = lost and reschedule_after_s(binding.spec) == float("inf")
    reason = "NodeFenced" if lost else (binding.reason or StopReason.SUPERSEDED).value
    status = unplaced(inputs, previous_node=binding.node).model_copy(
        update={
            "state": TaskState.LOST if stays_lost else TaskState.PENDING,
            "reason": reason,
            "message": binding.message,
            "finished_at": format_time(now) if stays_lost else "",
            "nominated": meant_for(inputs, binding),
        }
    )
    intents = (*plan.intents, end_of(inputs, current), PutTaskStatus(status))
    return replace(
        plan, intents=intents, events=(EventNote("Normal", "Released", f"{reason} on {binding.node}"),)
    )


def _plan_reschedule(inputs: TaskInputs, current: Versioned[Binding], plan: Plan, now: float) -> Plan:
    """Want another node once the present one has been unreachable for long enough."""
    binding, health = current.value, inputs.health(current.value.node)
    if health.down_since is None or isinstance(inputs.verdict, Denied | None):
        return plan
    if inputs.has_ended(binding) or not _is_to_leave(inputs, binding):
        return plan  # it has ended, or keeps its logs
    if (binding.spec.exactly_one or inputs.verdict.spec.exactly_one) and not ends_by_itself(binding, health):
        return plan
    due = health.down_since + reschedule_after_s(binding.spec)
    if now < due:
        return plan if due == float("inf") else replace(plan, requeue_at=due)
    blocked_until = copies_end_at(inputs, now, besides=current)
    if blocked_until is not None:
        return replace(plan, requeue_at=blocked_until)
    if inputs.config.reason:
        return _with_lack_told(inputs, plan, now)
    return replace(plan, waiting=waiting_for(inputs, inputs.verdict.spec, replaces=current))


def _with_lack_told(inputs: TaskInputs, plan: Plan, now: float) -> Plan:
    """It could not start elsewhere for want of a ConfigMap or Secret: say so, as it stays on a node that is lost."""
    new = next((each.status for each in plan.intents if isinstance(each, PutTaskStatus)), inputs.own_status)
    assert new is not None, "what is bound has a status"
    told = with_lack(new, inputs.config, now)
    if told == new:
        return plan
    others = tuple(each for each in plan.intents if not isinstance(each, PutTaskStatus))
    note = EventNote("Warning", "FailedScheduling", inputs.config.message)
    return replace(plan, intents=(*others, PutTaskStatus(told)), events=(*plan.events, note))


def _restore_binding(inputs: TaskInputs, status: TaskStatus, plan: Plan, now: float) -> Plan:
    """The placement names a binding whose key is gone: put it back, so that its container is adopted."""
    spec = inputs.spec
    assert spec is not None, "a task without spec is terminating"
    if status.state in (TaskState.SUCCEEDED, TaskState.FAILED):
        if status.observed_generation == spec.generation:
            return plan
        again = PutTaskStatus(unplaced(inputs, previous_node=status.node))
        return replace(plan, intents=(*plan.intents, again))
    if not isinstance(inputs.verdict, Admitted):
        told = with_admission(status, inputs, now)
        return plan if told == status else replace(plan, intents=(*plan.intents, PutTaskStatus(told)))
    site = (status.node, inputs.uid)
    if site in inputs.bindings or any(
        isinstance(each, CreateBinding) and _site_of(each) == site for each in plan.intents
    ):
        return plan  # its key is another copy's, which must end and go first
    effective = inputs.verdict.spec
    binding = new_binding(inputs, effective, status.node, status.epoch, status.binding_uid, status.grants)
    binding = put_back(binding, has_started=status.state is not TaskState.BOUND)
    if status.observed_generation != spec.generation:
        unknown_template = {"template_hash": ""}  # so that it is replaced
        binding = binding.model_copy(update=unknown_template)
    note = EventNote(
        "Warning", "BindingRestored", f"the binding to {status.node} was missing and was put back"
    )
    return replace(plan, intents=(*plan.intents, CreateBinding(binding)), events=(note,))


def _site_of(intent: CreateBinding) -> Site:
    return intent.binding.node, intent.binding.task_uid


def _notes(inputs: TaskInputs, step: Step | None, status: TaskStatus) -> tuple[EventNote, ...]:
    """Tell what people would want to read later: changes of state and new troubles."""
    old = inputs.own_status
    notes = []
    if isinstance(step, StopBinding) and step.reason is not StopReason.COMPLETED:
        notes.append(EventNote("Normal", "Stopping", f"{step.reason.value}: {step.message}".rstrip(": ")))
    if old is not None and status.state is not old.state and status.state is not TaskState.STOPPING:
        trouble = status.state is TaskState.FAILED or _is_trouble(status.reason)
        text = f"on {status.node}" + (f": {status.message}" if status.message else "")
        reason = status.reason if trouble and status.reason else status.state.value
        notes.append(EventNote("Warning" if trouble else "Normal", reason, text))
    elif old is not None and status.reason != old.reason and _is_trouble(status.reason):
        notes.append(EventNote("Warning", status.reason, status.message))
    return (*notes, *probe_notes(old, status), *hook_notes(old, status.containers))


def _with_last_words(inputs: TaskInputs, plan: Plan) -> Plan:
    """Tell of the hooks that failed at the end of what leaves with this plan; nobody rolls its last report up."""
    notes: list[EventNote] = []
    for intent in plan.intents:
        if isinstance(intent, RemoveBinding):
            report = inputs.report_of(intent.binding.value)
            notes += hook_notes(inputs.own_status, report.containers) if report is not None else ()
    return replace(plan, events=(*notes, *plan.events)) if notes else plan


def _is_trouble(reason: str) -> bool:
    return bool(reason) and reason not in _QUIET


_QUIET = frozenset(
    {"Completed", "Deleted", "Superseded", "ContainerCreating", "Pulling", "Initializing", *PROBE_FAILED}
)
