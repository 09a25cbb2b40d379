"""The end of tasks and of their other copies: stop, wait for the final report, remove. Pure."""

from collections.abc import Iterator
from dataclasses import replace

from controller.reconcilers.bindings import binding_to_stop, stop_answer
from controller.reconcilers.leaving import answered_wishes
from controller.reconcilers.placing import unplaced
from controller.reconcilers.plan import (
    CreateBinding,
    EventNote,
    GiveUpBinding,
    Intent,
    Plan,
    PutTaskStatus,
    RemoveBinding,
    RemoveObject,
    StopBinding,
)
from controller.reconcilers.task_inputs import TaskInputs
from schemas.binding import Binding, Desired, StopReason
from schemas.state import FINISHED, TaskState
from schemas.versioned import Versioned

ROUNDING_S = 0.001  # durations are stored as text: less than that is no shorter grace


def plan_removal(inputs: TaskInputs, plan: Plan) -> Plan:
    """Stop, wait for the final reports, then remove the object in one transaction."""
    leaving = sum(isinstance(intent, RemoveBinding | GiveUpBinding) for intent in plan.intents)
    if leaving < len(inputs.bindings) or any(isinstance(i, CreateBinding) for i in plan.intents):
        return _without_ended_placement(inputs, plan)
    if inputs.is_owned and inputs.spec is not None:
        return _without_ended_placement(inputs, plan)  # its owner removes it, and counts it if it is a Job's
    if inputs.spec is None and inputs.status is None and inputs.delete is None:
        return replace(plan, intents=(*plan.intents, *answered_wishes(inputs)))
    return replace(plan, intents=(*plan.intents, RemoveObject()), events=(_note(inputs),))


def _note(inputs: TaskInputs) -> EventNote:
    status = inputs.own_status
    if not inputs.collected or inputs.delete is not None or status is None:
        return EventNote("Normal", "Deleted", "stopped and removed")
    text = f"{status.state.value} at {status.finished_at} and removed, as the controller's --finished-task options say"
    return EventNote("Normal", "Collected", text)


def _without_ended_placement(inputs: TaskInputs, plan: Plan) -> Plan:
    """While older copies still end: a placement whose binding is removed is taken back with it, as it has ended."""
    status = inputs.own_status
    ended = {
        i.binding.value.binding_uid for i in plan.intents if isinstance(i, RemoveBinding | GiveUpBinding)
    }
    if status is None or not status.node or status.binding_uid not in ended:
        return plan
    if inputs.is_owned and status.state in FINISHED:
        return plan  # how it ended is still to be counted
    stopped = unplaced(inputs, previous_node=status.node).model_copy(update={"state": TaskState.STOPPED})
    return replace(plan, intents=(*plan.intents, PutTaskStatus(stopped)))


def end_other_bindings(inputs: TaskInputs) -> Iterator[Intent]:
    """Bring to an end every binding that is not the current one, and answer containers without binding."""
    current = inputs.current
    reason = StopReason.DELETED if inputs.is_terminating else StopReason.SUPERSEDED
    grace_s = inputs.delete.value.grace_s if inputs.delete and inputs.is_terminating else None
    for versioned in inputs.bindings.values():
        binding = versioned.value
        if versioned is current:
            continue
        stopped = binding.desired is Desired.STOP or inputs.health(binding.node).fenced
        if stopped and inputs.has_ended(binding):
            yield end_of(inputs, versioned)
        elif binding.desired is not Desired.STOP:
            yield StopBinding(versioned, reason, grace_s=grace_s)
        elif _is_shorter(grace_s, binding):  # it was deleted again, with less patience
            yield StopBinding(versioned, binding.reason or reason, binding.message, grace_s)
    yield from _answer_unbound(inputs)
    yield from _put_back_to_stop(inputs)


def _is_shorter(grace_s: float | None, binding: Binding) -> bool:
    return grace_s is not None and grace_s < binding.spec.grace - ROUNDING_S


def end_of(inputs: TaskInputs, versioned: Versioned[Binding]) -> RemoveBinding | GiveUpBinding:
    """The agent's word is good for ever; an operator's, that the node is dead, while it does not answer."""
    report = inputs.report_of(versioned.value)
    return RemoveBinding(versioned) if report is not None and report.final else GiveUpBinding(versioned)


def _put_back_to_stop(inputs: TaskInputs) -> Iterator[CreateBinding]:
    """The key of a placed task's binding was removed by hand, and now the task goes: its end needs that binding."""
    status = inputs.own_status
    if status is None or not inputs.is_terminating or not status.node or status.state in FINISHED:
        return
    site = (status.node, status.uid)
    answered = any(report.value.unbound and other == site for other, report in inputs.reports.items())
    if site not in inputs.bindings and not answered and not inputs.health(status.node).fenced:
        yield CreateBinding(binding_to_stop(inputs, status))


def _answer_unbound(inputs: TaskInputs) -> Iterator[CreateBinding]:
    for site, versioned in inputs.reports.items():
        report, health = versioned.value, inputs.health(site[0])
        if not report.unbound or report.final or site in inputs.bindings or health.down_since is not None:
            continue
        status = inputs.own_status
        named = status is not None and (status.node, status.binding_uid) == (site[0], report.binding_uid)
        if not named or inputs.is_terminating:
            yield CreateBinding(stop_answer(site[0], report, inputs.incarnation))
