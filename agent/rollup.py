"""What is said about a task: its observation rolled up into a report. Pure.

Reasons and messages name times as points, never as "in 10s", so that a report changes only with the facts.
"""

from dataclasses import dataclass

from agent.labels import SANDBOX, Target
from agent.observation import Ending, Leave, TaskObservation
from agent.probes import Verdict, has_probes
from agent.restarts import next_restart, wants_restart
from agent.runtime.api import ContainerInfo, Create, Phase, Pull, Reason, When
from agent.starting import has_started
from agent.statemachine import began, cut_off, finally_reported, is_over, is_through
from schemas.binding import Binding, Desired
from schemas.report import INITIALIZING, UNHEALTHY, ContainerStatus, LastExit, TaskReport
from schemas.roles import Role, find_container, init_role, needs_sandbox
from schemas.state import ContainerState
from schemas.task import Container, TaskSpec
from schemas.timestamps import format_time

_UNWELL = (
    Reason.POST_START_HOOK_FAILED,
    Reason.LIVENESS_PROBE_FAILED,
    Reason.STARTUP_PROBE_FAILED,
)  # these ends are the container's own fault
_ON_THE_WAY = (ContainerState.WAITING, ContainerState.PREPARING, ContainerState.STARTING)


@dataclass(frozen=True, slots=True)
class Author:
    """Who reports: the agent's instance, the next sequence number, whether the runtime is silent."""

    instance: str
    sequence: int
    runtime_down: bool


def task_report(
    binding: Binding | None, observed: TaskObservation, now: float, *, leave: Leave, author: Author
) -> TaskReport | None:
    """Return what there is to say about a task, None if there is nothing of it here.

    Of a task that no binding names, and, while the agent may not act, of one whose binding names no container
    that is there, the containers of the highest epoch are reported as unbound.
    """
    described = binding is not None and (
        leave.act or not observed.containers or bool(observed.of(binding.binding_uid))
    )
    if binding is not None and described:
        return _bound(binding, observed, now, leave, author)
    left = tuple(
        each
        for each in observed.containers
        if each.phase is Phase.RUNNING or not finally_reported(observed, each)
    )
    return _unbound(left, observed, author) if left else None


def last_known(reported: TaskReport, author: Author) -> TaskReport:
    """Return the stored report again, for an agent whose runtime has not answered since it started."""
    update = {"unknown": True, "instance": author.instance, "sequence": author.sequence}
    return reported.model_copy(update=update)


def once_final(report: TaskReport, binding: Binding, before: tuple[TaskReport | None, ...]) -> TaskReport:
    """Return `report`, final if one before it was: an end that was reported is never taken back under a Stop."""
    ended = any(each is not None and each.final and each.binding_uid == report.binding_uid for each in before)
    same = report.binding_uid == binding.binding_uid and binding.desired is Desired.STOP
    return report.model_copy(update={"final": True}) if ended and same else report


def is_passing(report: TaskReport) -> bool:
    """Say whether a report tells no more than that containers are on their way to being ready, without trouble."""
    if report.final or report.unbound or report.unknown:
        return False
    on_the_way = any(
        each.state in _ON_THE_WAY or each.ready is False or each.started is False
        for each in report.containers
    )
    return on_the_way and all(_is_well(each) for each in report.containers)


def _is_well(status: ContainerStatus) -> bool:
    """Say whether a container is on its way, runs, or is an init container that has done its work."""
    if status.state is ContainerState.EXITED:
        return status.init and status.exit_code == 0
    return status.reason in ("", INITIALIZING) and status.state in (*_ON_THE_WAY, ContainerState.RUNNING)


def _bound(
    binding: Binding, observed: TaskObservation, now: float, leave: Leave, author: Author
) -> TaskReport:
    return TaskReport(
        task_uid=binding.task_uid,
        namespace=binding.namespace,
        name=binding.name,
        epoch=binding.epoch,
        binding_uid=binding.binding_uid,
        instance=author.instance,
        sequence=author.sequence,
        final=is_final(binding, observed, leave),
        unknown=author.runtime_down,
        containers=_statuses(binding, observed, now, leave),
        ports=binding.grants.ports,
        template_hash=binding.template_hash,
    )


def is_final(binding: Binding, observed: TaskObservation, leave: Leave) -> bool:
    """Say whether nothing of the binding runs or ever will: only a Stop that the agent may act on ends it."""
    stopped = leave.act and binding.desired is Desired.STOP
    return stopped and not observed.running and not observed.may_run_soon


def _unbound(containers: tuple[ContainerInfo, ...], observed: TaskObservation, author: Author) -> TaskReport:
    epoch = max(each.journal.epoch for each in containers)
    newest = {
        each.journal.container: each
        for each in sorted(containers, key=lambda each: each.journal.attempt)
        if each.journal.epoch == epoch
    }
    if len(newest) > 1:  # alone, it tells that something is left
        newest.pop(SANDBOX, None)
    journal = next(iter(newest.values())).journal
    return TaskReport(
        task_uid=journal.task_uid,
        namespace=journal.namespace,
        name=journal.name,
        epoch=epoch,
        binding_uid=journal.binding_uid,
        instance=author.instance,
        sequence=author.sequence,
        unbound=True,
        unknown=author.runtime_down,
        containers=tuple(_seen(each, observed, None, stopping=False) for each in newest.values()),
        ports=journal.grants.ports,
        grants_resources=journal.grants.resources,
        template_hash=journal.template_hash,
    )


def _statuses(
    binding: Binding, observed: TaskObservation, now: float, leave: Leave
) -> tuple[ContainerStatus, ...]:
    """Main containers first, then init containers, each in the order of the spec."""
    spec = binding.spec
    mains = tuple(_status(binding, each, observed, now, leave) for each in spec.containers)
    before = (_init_status(binding, each, observed, now, leave) for each in spec.init_containers)
    statuses = (_with_the_past(binding, each, observed) for each in (*mains, *before))
    return tuple(_with_hooks(_with_health(binding, each, observed), observed) for each in statuses)


def _with_the_past(binding: Binding, status: ContainerStatus, observed: TaskObservation) -> ContainerStatus:
    """What was told of containers that are collected by now stays told: an end, and the end before a restart."""
    report = observed.reported
    if report is None or report.binding_uid != binding.binding_uid:
        return status
    told = next((each for each in report.containers if each.name == status.name), None)
    if told is None:
        return status
    if report.final and binding.desired is Desired.STOP and status.state is not ContainerState.EXITED:
        is_here = observed.newest(Target(binding.binding_uid, status.name)) is not None
        return told if told.state is ContainerState.EXITED and not is_here else status
    if status.last_exit is None and status.attempt == told.attempt and told.last_exit is not None:
        return status.model_copy(update={"last_exit": told.last_exit})
    return status


def _init_status(
    binding: Binding, container: Container, observed: TaskObservation, now: float, leave: Leave
) -> ContainerStatus:
    """One that is done stays done, also when its container was removed."""
    status = _status(binding, container, observed, now, leave)
    done = init_role(container) is Role.INIT and began(binding, observed, _round(binding, observed))
    if done and status.state is not ContainerState.EXITED:
        done_status = {"state": ContainerState.EXITED, "exit_code": 0, "reason": "Completed", "message": ""}
        status = status.model_copy(update=done_status)
    return status.model_copy(update={"init": True})


def _round(binding: Binding, observed: TaskObservation) -> int:
    sandbox = observed.newest(Target(binding.binding_uid, SANDBOX))
    return sandbox.journal.attempt if sandbox else 0


def _with_health(binding: Binding, status: ContainerStatus, observed: TaskObservation) -> ContainerStatus:
    """Add what hooks and probes say of a container that runs."""
    container = find_container(binding.spec, status.name)
    if container is None or not has_probes(container):
        return status
    info = observed.newest(Target(binding.binding_uid, status.name))
    runs = info is not None and info.phase is Phase.RUNNING
    verdict = observed.verdict_of(info.id) if info is not None and runs else None
    started = container.startup_probe and bool(runs and info and has_started(container, info, observed))
    ready = container.readiness_probe and bool(verdict and verdict.ready)
    told = _ailment(status, verdict) if verdict is not None else {}
    return status.model_copy(update={"started": started, "ready": ready, **told})


def _with_hooks(status: ContainerStatus, observed: TaskObservation) -> ContainerStatus:
    """Add which hooks of this attempt failed: a stop goes on after its hook, whatever that says."""
    runs = ((when, observed.hooks.get((status.container_id, when))) for when in When)
    failed = {str(when): run.error for when, run in runs if run is not None and run.error}
    return status.model_copy(update={"failed_hooks": failed}) if failed else status


def _ailment(status: ContainerStatus, verdict: Verdict) -> dict[str, str]:
    """Return reason and message of a container that is not well; as in Kubernetes one that is not ready runs."""
    if verdict.unhealthy is not None and status.state is ContainerState.STOPPING:
        return {"reason": f"{verdict.unhealthy}ProbeFailed", "message": f"{verdict.text}; it is restarted"}
    if verdict.text and status.state is ContainerState.RUNNING:
        return {"reason": UNHEALTHY, "message": verdict.text}
    return {}


def _status(
    binding: Binding, container: Container, observed: TaskObservation, now: float, leave: Leave
) -> ContainerStatus:
    """One container of a binding: its newest attempt, or the one that comes next."""
    target = Target(binding.binding_uid, container.name)
    attempts = observed.attempts(target)
    if not attempts:
        return _not_yet(binding, container, observed, now, leave)
    newest = attempts[0]
    before = _last_exit(attempts[1]) if len(attempts) > 1 else None
    if newest.phase is not Phase.EXITED:
        return _seen(newest, observed, before, stopping=binding.desired is Desired.STOP)
    if binding.desired is Desired.STOP:
        return _exited(newest, before)
    return _between(binding, container, newest, before, observed, now, leave)


def _not_yet(
    binding: Binding, container: Container, observed: TaskObservation, now: float, leave: Leave
) -> ContainerStatus:
    """No attempt exists yet: say what it waits for."""
    target = Target(binding.binding_uid, container.name)
    trouble = observed.memory_of(target).trouble
    op = observed.in_flight.get(target)
    state, reason, message = ContainerState.WAITING, "", ""
    if isinstance(op, Pull | Create):
        state = ContainerState.PREPARING
        reason, message = (str(trouble.reason), trouble.message) if trouble else ("", "")
    elif trouble is not None:
        reason, message = _waiting_words(trouble.reason, trouble.message, trouble.retry_at)
    elif any(each.journal.binding_uid != binding.binding_uid for each in observed.containers):
        reason, message = "PreviousEnding", "waits until the containers of the previous binding have ended"
    elif binding.desired is Desired.HOLD:
        reason, message = "Held", "waits for the rest of its group"
    elif (waits := _waits_for_sandbox(binding, observed)) or (
        waits := _waits_in_order(binding, container, observed)
    ):
        reason, message = waits
    elif cut_off(binding, now, leave):
        reason, message = "CutOff", "the store has been silent for longer than unreachable.stopAfter"
    return ContainerStatus(
        name=container.name, state=state, image=container.image, reason=reason, message=message
    )


def _waits_for_sandbox(binding: Binding, observed: TaskObservation) -> tuple[str, str] | None:
    """Return what is wrong with the sandbox, without which nothing begins."""
    if not needs_sandbox(binding.spec):
        return None
    target = Target(binding.binding_uid, SANDBOX)
    trouble, newest = observed.memory_of(target).trouble, observed.newest(target)
    if trouble is not None:
        return _waiting_words(trouble.reason, f"the sandbox of the task: {trouble.message}", trouble.retry_at)
    if newest is not None and newest.phase is Phase.EXITED and newest.failure is not None:
        return str(newest.failure), f"the sandbox of the task could not be started: {newest.error}"
    return None


def _waits_in_order(
    binding: Binding, container: Container, observed: TaskObservation
) -> tuple[str, str] | None:
    """Return whom a container waits for."""
    spec, round_ = binding.spec, _round(binding, observed)
    if not spec.init_containers or is_over(binding, observed) or began(binding, observed, round_):
        return None
    for index, each in enumerate(spec.init_containers):
        if each.name == container.name:
            return None
        if not is_through(binding, each, observed, round_):
            place = f"{index + 1} of {len(spec.init_containers)}"
            return INITIALIZING, f"waits for init container {each.name}, {place}"
    return None


def _waiting_words(reason: Reason, message: str, retry_at: float) -> tuple[str, str]:
    """Kubernetes' words: a pull that failed and is tried later is in ImagePullBackOff."""
    word = "ImagePullBackOff" if reason is Reason.ERR_IMAGE_PULL else str(reason)
    return word, f"{message}; tried again at {format_time(retry_at)}"


def _seen(
    info: ContainerInfo, observed: TaskObservation, before: LastExit | None, *, stopping: bool
) -> ContainerStatus:
    """An attempt as the runtime shows it."""
    if info.phase is Phase.EXITED:
        return _exited(info, before)
    running = info.phase is Phase.RUNNING and info.id not in observed.hooks_due
    ending = stopping or observed.ending_of(info.id) != Ending()
    state = ContainerState.RUNNING if running else ContainerState.STARTING
    return ContainerStatus(
        name=info.journal.container,
        state=ContainerState.STOPPING if info.phase is Phase.RUNNING and ending else state,
        attempt=info.journal.attempt,
        container_id=info.id,
        image=info.image,
        oom=info.oom,
        message="a process of this container was killed for want of memory" if info.oom else "",
        started_at=_time(info.started_at),
        last_exit=before,
    )


def _exited(info: ContainerInfo, before: LastExit | None) -> ContainerStatus:
    code = info.exit_code if info.exit_code is not None else 128
    return ContainerStatus(
        name=info.journal.container,
        state=ContainerState.EXITED,
        attempt=info.journal.attempt,
        container_id=info.id,
        image=info.image,
        exit_code=code,
        signal=code - 128 if code > 128 and info.started_at else None,
        oom=info.oom,
        reason=exit_reason(info),
        message=info.error or f"exit code {code}",
        started_at=_time(info.started_at),
        finished_at=_time(info.finished_at),
        last_exit=before,
    )


def _between(
    binding: Binding,
    container: Container,
    ended: ContainerInfo,
    before: LastExit | None,
    observed: TaskObservation,
    now: float,
    leave: Leave,
) -> ContainerStatus:
    """After an exit: over for good, or on the way to the next attempt."""
    memory, op = observed.memory_of(ended.journal.target), observed.in_flight.get(ended.journal.target)
    halted = ended.id in observed.halted
    if not halted and (not wants_restart(binding.spec.restart_policy, ended) or is_over(binding, observed)):
        return _exited(ended, before)
    next_attempt = ContainerStatus(
        name=container.name,
        state=ContainerState.WAITING,
        attempt=ended.journal.attempt + 1,
        image=container.image,
        last_exit=_last_exit(ended),
    )
    if isinstance(op, Pull | Create):
        return next_attempt.model_copy(update={"state": ContainerState.PREPARING})
    if memory.trouble is not None and now < memory.trouble.retry_at:
        trouble = memory.trouble
        reason, message = _waiting_words(trouble.reason, trouble.message, trouble.retry_at)
        return next_attempt.model_copy(update={"reason": reason, "message": message})
    if halted:
        message = "stopped by its agent, which was cut off from the store; starts again with its answer"
        return next_attempt.model_copy(update={"reason": "CutOff", "message": message})
    return _restarting(binding.spec, ended, before)


def _restarting(spec: TaskSpec, ended: ContainerInfo, before: LastExit | None) -> ContainerStatus:
    """The ended attempt, with when the next one starts."""
    status = _exited(ended, before)
    restart = next_restart(spec, ended)
    if restart is None:
        return status
    words = f"{status.message}; attempt {ended.journal.attempt + 1} starts at {format_time(restart.due)}"
    if ended.failure is Reason.HOST_PORT_TAKEN:
        return status.model_copy(
            update={"message": words, "state": ContainerState.WAITING, "exit_code": None}
        )
    crashed = (ended.failure is None or ended.failure in _UNWELL) and ended.exit_code != 0
    reason = "CrashLoopBackOff" if crashed else status.reason
    detail = f"{status.reason}: {words}" if crashed else words
    return status.model_copy(update={"reason": reason, "message": detail})


def exit_reason(info: ContainerInfo) -> str:
    """Return the stable word for how an attempt ended."""
    if info.failure is not None:
        return str(info.failure)
    if info.exit_code == 0:
        return "Completed"
    return "OOMKilled" if info.oom else "Error"


def _last_exit(info: ContainerInfo) -> LastExit:
    return LastExit(
        exit_code=info.exit_code if info.exit_code is not None else 128,
        reason=exit_reason(info),
        oom=info.oom,
        started_at=_time(info.started_at),
        finished_at=_time(info.finished_at),
    )


def _time(epoch_s: float) -> str:
    return format_time(epoch_s) if epoch_s else ""
