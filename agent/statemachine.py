"""What to do next about one task: a pure function of its binding, of what is observed, and of the time.

    old bindings' containers end first -> then, by what is desired:
    Run   pull -> create -> start -> (exit -> wait -> create the next attempt ...)
    Hold  pull
    Stop  stop signal -> grace -> kill

Invariants: a container is stopped only because a binding of its task says Stop or names another bindingUid,
because the agent is cut off for longer than `stopAfter`, or because it was unbound for `orphanAfter`; at most
one attempt of a container runs; one operation per target at a time, its result is a later observation.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from agent.labels import Target, journal_for
from agent.observation import Ending, Leave, Memory, TaskObservation
from agent.restarts import next_restart
from agent.runtime.api import (
    ContainerInfo,
    Create,
    Kill,
    Phase,
    Pull,
    PullSecrets,
    Reason,
    Remove,
    Start,
    Stop,
)
from schemas.binding import Binding, Desired
from schemas.defaults import STOP_SIGNAL, pull_policy, stop_after_s
from schemas.task import Container

KILL_AGAIN_S = 10.0  # a kill that had no effect (a process in the kernel's D state) is repeated
ALONE_STOP_AFTER_S = 10.0  # after a start without the store: it may have been away for long already
KEPT_ATTEMPTS = 2  # the newest, and the one before it for `berth logs --previous`


@dataclass(frozen=True, slots=True)
class Wait:
    """Nothing before `until` (seconds since the epoch), unless something is observed."""

    until: float


@dataclass(frozen=True, slots=True)
class Nothing:
    """Nothing until something is observed."""


Action = Pull | Create | Start | Stop | Kill | Remove | Wait | Nothing
NOTHING = Nothing()


def next_action(
    binding: Binding | None, observed: TaskObservation, now: float, *, leave: Leave, cluster: str = ""
) -> Action:
    """Return the one next step for a task; asked again with its operation in flight, the step after it.

    binding: the task's current binding on this node, None if there is none.
    """
    if leave.alone:
        return _first(_end_alone(observed, now, leave))
    if not leave.act:
        return NOTHING
    if binding is None:
        return _first(_unbound(observed, now, leave))
    old = _first(_end_old(binding, observed, now))
    if old is not NOTHING or _old_remains(binding, observed):
        return old
    if binding.desired is Desired.STOP:
        return _first(_stop(each, observed, now, binding.spec.grace) for each in observed.running)
    if binding.desired is Desired.HOLD:
        return _first(_hold(binding, each, observed, now, leave) for each in binding.spec.containers)
    if cut_off(binding, now, leave):
        return _first(_stop(each, observed, now, binding.spec.grace) for each in observed.running)
    actions = [_run(binding, each, observed, now, leave, cluster) for each in binding.spec.containers]
    return _first([*actions, _watch_the_store(binding, observed, leave)])


def cut_off(binding: Binding, now: float, leave: Leave) -> bool:
    """Say whether the store has been silent for so long that this task must not run here."""
    return now >= leave.confirmed_at + stop_after_s(binding.spec)


def _first(actions: Iterable[Action]) -> Action:
    """Return the first operation; without one the earliest wait; without one nothing."""
    earliest: Wait | None = None
    for action in actions:
        if isinstance(action, Wait):
            earliest = action if earliest is None or action.until < earliest.until else earliest
        elif not isinstance(action, Nothing):
            return action
    return earliest or NOTHING


def _watch_the_store(binding: Binding, observed: TaskObservation, leave: Leave) -> Action:
    deadline = leave.confirmed_at + stop_after_s(binding.spec)
    return Wait(deadline) if observed.running and deadline != float("inf") else NOTHING


# The end of containers


def _unbound(observed: TaskObservation, now: float, leave: Leave) -> Iterator[Action]:
    """Absence stops nothing before `orphanAfter`; what was finally reported is removed."""
    if not leave.begin or observed.unbound_since is None:
        return
    alone_at = observed.unbound_since + leave.orphan_after_s
    for each in observed.containers:
        if each.phase is Phase.RUNNING:
            due = now >= alone_at
            yield _stop(each, observed, now, each.journal.grace_s) if due else Wait(alone_at)
        elif finally_reported(observed, each) or now >= alone_at:
            yield _hindered(observed, each.journal.target, now) or Remove(each.journal.target, each.id)
        else:
            yield Wait(alone_at)


def _end_alone(observed: TaskObservation, now: float, leave: Leave) -> Iterator[Action]:
    """An agent that was started while the store is away knows from labels what may not run on without it."""
    for each in observed.running:
        patience_s = min(each.journal.stop_after_s, ALONE_STOP_AFTER_S)
        if each.journal.stop_after_s != float("inf"):
            due = leave.confirmed_at + patience_s
            yield _stop(each, observed, now, each.journal.grace_s) if now >= due else Wait(due)


def finally_reported(observed: TaskObservation, container: ContainerInfo) -> bool:
    """Say whether the store holds the final report of the container's binding, or of a later one."""
    report = observed.reported
    return report is not None and report.final and container.journal.epoch <= report.epoch


def _end_old(binding: Binding, observed: TaskObservation, now: float) -> Iterator[Action]:
    """Stop, then remove, the containers of this task's other bindings."""
    old = [each for each in observed.containers if each.journal.binding_uid != binding.binding_uid]
    for each in old:
        if each.phase is Phase.RUNNING:
            yield _stop(each, observed, now, each.journal.grace_s)
    for each in old:
        if each.phase is not Phase.RUNNING:
            yield _hindered(observed, each.journal.target, now) or Remove(each.journal.target, each.id)


def _old_remains(binding: Binding, observed: TaskObservation) -> bool:
    """Something of another binding is there or may yet appear."""
    uid = binding.binding_uid
    coming = (
        target.binding_uid != uid and not isinstance(op, Pull) for target, op in observed.in_flight.items()
    )
    return any(each.journal.binding_uid != uid for each in observed.containers) or any(coming)


def _stop(container: ContainerInfo, observed: TaskObservation, now: float, grace_s: float) -> Action:
    """Signal, wait the grace, kill; and kill again while it does not die."""
    target = container.journal.target
    ending = observed.ending_of(container.id)
    hindered = _hindered(observed, target, now)
    if hindered is not None:
        return hindered
    if ending.killed_at is not None:
        again = ending.killed_at + KILL_AGAIN_S
        return Kill(target, container.id) if now >= again else Wait(again)
    if grace_s <= 0:
        return Kill(target, container.id)
    if ending.signalled_at is None:
        return Stop(target, container.id, container.journal.stop_signal, grace_s)
    deadline = ending.signalled_at + grace_s
    return Kill(target, container.id) if now >= deadline else Wait(deadline)


def _hindered(observed: TaskObservation, target: Target, now: float) -> Action | None:
    """Return what to wait for before the next operation on `target`, None if it may come now."""
    if target in observed.in_flight:
        return NOTHING
    trouble = observed.memory_of(target).trouble
    if trouble is not None and trouble.reason is Reason.RUNTIME_ERROR and now < trouble.retry_at:
        return Wait(trouble.retry_at)
    return None


# The beginning of containers


def _hold(
    binding: Binding, container: Container, observed: TaskObservation, now: float, leave: Leave
) -> Action:
    target = Target(binding.binding_uid, container.name)
    if target in observed.in_flight or observed.attempts(target) or not leave.begin:
        return NOTHING
    return _pull(binding, container, observed, now, then=lambda: NOTHING)


def _run(
    binding: Binding,
    container: Container,
    observed: TaskObservation,
    now: float,
    leave: Leave,
    cluster: str,
) -> Action:
    """Bring one container of the binding a step further."""
    target = Target(binding.binding_uid, container.name)
    attempts = observed.attempts(target)
    if stop_after_s(binding.spec) != float("inf") and not leave.fresh and not observed.running:
        return NOTHING  # another copy may run elsewhere by now
    hindered = _hindered(observed, target, now)
    if hindered is not None:
        return hindered
    if not attempts:
        return _begin(binding, container, observed, now, leave, cluster)
    newest, *older = attempts
    for each in older:
        if each.phase is Phase.RUNNING:  # somebody started it by hand
            return _stop(each, observed, now, binding.spec.grace)
    match newest.phase:
        case Phase.CREATED:
            return Start(target, newest.id) if leave.begin or newest.journal.attempt else NOTHING
        case Phase.EXITED:
            step = _again(binding, container, newest, observed, now, cluster)
        case Phase.RUNNING:  # a stop that was begun, while cut off, is carried through
            begun = observed.ending_of(newest.id) != Ending()
            step = _stop(newest, observed, now, binding.spec.grace) if begun else NOTHING
    spare = [Remove(target, each.id) for each in attempts[KEPT_ATTEMPTS:]]
    return _first([step, *spare])


def _begin(
    binding: Binding,
    container: Container,
    observed: TaskObservation,
    now: float,
    leave: Leave,
    cluster: str,
) -> Action:
    """The first attempt, which needs the store's consent; the pull goes by the task's policy."""
    if not leave.begin:
        return NOTHING
    create = _create(binding, container, cluster, attempt=0, failures=0)
    return _pull(binding, container, observed, now, then=lambda: create)


def _again(
    binding: Binding,
    container: Container,
    ended: ContainerInfo,
    observed: TaskObservation,
    now: float,
    cluster: str,
) -> Action:
    """The attempt after `ended`, if there is to be one; from the image that is there, as nothing was bound anew."""
    target = ended.journal.target
    attempt = ended.journal.attempt + 1
    if ended.id in observed.halted:
        create = _create(binding, container, cluster, attempt=attempt, failures=ended.journal.failures)
    else:
        restart = next_restart(binding.spec, ended)
        if restart is None:
            return NOTHING
        if now < restart.due:
            return Wait(restart.due)
        create = _create(binding, container, cluster, attempt=attempt, failures=restart.failures)
    memory = observed.memory_of(target)
    secrets = pull_secrets(binding)
    patience = _patience(memory, secrets, now)
    if patience is not None:
        return patience
    return Pull(target, container.image, "IfNotPresent", secrets) if memory.image_missing else create


def _pull(
    binding: Binding,
    container: Container,
    observed: TaskObservation,
    now: float,
    *,
    then: Callable[[], Action],
) -> Action:
    """Pull unless that was done, with patience after a failure; `then` what comes after."""
    target = Target(binding.binding_uid, container.name)
    memory, secrets = observed.memory_of(target), pull_secrets(binding)
    patience = _patience(memory, secrets, now)
    if patience is not None:
        return patience
    if memory.pulled and not memory.image_missing:
        return then()
    policy = container.image_pull_policy or pull_policy(container.image)
    return Pull(target, container.image, policy, secrets)


def _patience(memory: Memory, secrets: PullSecrets | None, now: float) -> Wait | None:
    """Return until when to wait after a failure; a pull that failed with other credentials tells nothing."""
    trouble = memory.trouble
    if trouble is None or now >= trouble.retry_at:
        return None
    has_new_credentials = trouble.secrets is not None and trouble.secrets != secrets
    return None if has_new_credentials else Wait(trouble.retry_at)


def pull_secrets(binding: Binding) -> PullSecrets | None:
    """Return the credentials that a task's images are pulled with, sealed as they are in its binding."""
    names = tuple(each.name for each in binding.spec.image_pull_secrets)
    if not names:
        return None
    return PullSecrets(binding.namespace, binding.task_uid, names, tuple(sorted(binding.sealed.items())))


def _create(binding: Binding, container: Container, cluster: str, *, attempt: int, failures: int) -> Create:
    journal = journal_for(
        binding,
        cluster=cluster,
        container=container.name,
        stop_signal=container.stop_signal or STOP_SIGNAL,
        attempt=attempt,
        failures=failures,
    )
    return Create(journal.target, binding, journal)
