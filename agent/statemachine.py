"""What to do next about one task: a pure function of its binding, of what is observed, and of the time.

    old bindings' containers end first -> then, by what is desired:
    Run   sandbox, if it needs one -> init containers in order -> main containers; each: pull -> create -> start
          -> (exit -> wait -> create the next attempt ...); when no main container goes on, the rest is ended
    Hold  pull
    Stop  drainDelay -> hook -> stop signal -> grace -> kill

How one container comes up is in `agent.starting`, how containers end in `agent.stopping`, which dead ones go in
`agent.dead`.

Invariants: a container is stopped only because a binding of its task says Stop or names another bindingUid,
because the agent is cut off for longer than `stopAfter`, because it was unbound for `orphanAfter`, because the
main containers that it is there for have ended, or, to be started anew, because its probe or hook failed or its
sandbox ended; at most one attempt of a container runs; one operation per target at a time, its result is a later
observation.
"""

from collections.abc import Iterator
from dataclasses import replace
from itertools import chain

from agent.actions import NOTHING, Action, BeginEnd, Nothing, Wait, first_of
from agent.dead import collect_dead
from agent.labels import SANDBOX, Target
from agent.observation import Leave, TaskObservation
from agent.restarts import wants_restart
from agent.runtime.api import ContainerInfo, Create, Phase, Pull, Reason, Remove, RunHook, Start, Why
from agent.starting import Moment, has_started, hold, is_done, run, run_sandbox, spares
from agent.stopping import end_all, end_each, hindrance, stop
from schemas.binding import Binding, Desired
from schemas.defaults import stop_after_s
from schemas.roles import Role, all_containers, find_container, init_role, needs_sandbox
from schemas.task import Container

__all__ = ["Action", "BeginEnd", "Nothing", "Wait", "cut_off", "finally_reported", "is_all", "next_action"]

ALONE_STOP_AFTER_S = 10.0  # after a start without a beat: the store may have been away for long already
_SANDBOX_ENDED = Why(Reason.SANDBOX_ENDED, "the sandbox that holds the network of its task ended")


def next_action(
    binding: Binding | None, observed: TaskObservation, now: float, *, leave: Leave, cluster: str = ""
) -> Action:
    """Return the one next step for a task; asked again with its operation in flight, the step after it.

    binding: the task's current binding on this node, None if there is none.
    """
    if leave.alone:
        return first_of(_end_alone(observed, now, leave))
    if not leave.act:
        return NOTHING
    if binding is None:
        return first_of(_unbound(observed, now, leave))
    if _old_remains(binding, observed):
        return first_of(_end_old(binding, observed, now))
    moment, spec = Moment(binding, observed, now, leave, cluster), binding.spec
    if binding.desired is Desired.STOP:
        drain_s = spec.drain_delay
        ending = end_all(observed.running, observed, now, grace_s=spec.grace, drain_s=drain_s, spec=spec)
        return first_of([*ending, *collect_dead(binding, observed, now, leave)])
    if binding.desired is Desired.HOLD:
        return first_of(hold(moment, each) for each in all_containers(spec))
    if cut_off(binding, now, leave):
        return first_of(end_all(observed.running, observed, now, grace_s=spec.grace, spec=spec))
    dead = collect_dead(binding, observed, now, leave)
    return first_of(chain(_bring_up(moment), [_watch_the_store(binding, observed, leave)], dead))


def is_all(action: Action, binding: Binding | None, observed: TaskObservation) -> bool:
    """Say whether nothing else is to be done about a task until `action`, decided from these, has landed.

    So it is with a task of one container that is on its way up for the first time, as most are.
    """
    if binding is None or len(observed.containers) > 1 or not isinstance(action, Pull | Create | Start):
        return False
    return len(all_containers(binding.spec)) == 1


def cut_off(binding: Binding, now: float, leave: Leave) -> bool:
    """Say whether the store has been silent for so long that this task must not run here."""
    return now >= leave.confirmed_at + stop_after_s(binding.spec)


def _watch_the_store(binding: Binding, observed: TaskObservation, leave: Leave) -> Action:
    deadline = leave.confirmed_at + stop_after_s(binding.spec)
    return Wait(deadline) if observed.running and deadline != float("inf") else NOTHING


# What is not bound here, or not any more


def _unbound(observed: TaskObservation, now: float, leave: Leave) -> Iterator[Action]:
    """Absence stops nothing before `orphanAfter`; what was finally reported is removed."""
    if not leave.begin or observed.unbound_since is None:
        return
    alone_at = observed.unbound_since + leave.orphan_after_s
    if observed.running and now < alone_at:
        yield Wait(alone_at)
    elif observed.running:
        yield from end_each(observed.running, observed, now)
    for each in _sandbox_last(observed.containers):
        if each.phase is Phase.RUNNING:
            continue
        if finally_reported(observed, each) or now >= alone_at:
            yield hindrance(observed, each.journal.target, now) or Remove(each.journal.target, each.id)
        else:
            yield Wait(alone_at)


def _end_alone(observed: TaskObservation, now: float, leave: Leave) -> Iterator[Action]:
    """An agent that was started while the store is away knows from labels what may not run on without it."""
    overdue = []
    for each in observed.running:
        patience_s = each.journal.stop_after_s
        if not leave.beaten:
            patience_s = min(patience_s, ALONE_STOP_AFTER_S)
        if each.journal.stop_after_s != float("inf"):
            due = leave.confirmed_at + patience_s
            if now < due:
                yield Wait(due)
            else:
                overdue.append(each)
    yield from end_each(overdue, observed, now)


def finally_reported(observed: TaskObservation, container: ContainerInfo) -> bool:
    """Say whether the store holds the final report of the container's binding, or of a later one."""
    report = observed.reported
    return report is not None and report.final and container.journal.epoch <= report.epoch


def _end_old(binding: Binding, observed: TaskObservation, now: float) -> Iterator[Action]:
    """Stop, then remove, the containers of this task's other bindings."""
    old = [each for each in observed.containers if each.journal.binding_uid != binding.binding_uid]
    yield from end_each([each for each in old if each.phase is Phase.RUNNING], observed, now)
    for each in _sandbox_last(old):
        if each.phase is not Phase.RUNNING:
            yield hindrance(observed, each.journal.target, now) or Remove(each.journal.target, each.id)


def _sandbox_last(containers: "tuple[ContainerInfo, ...] | list[ContainerInfo]") -> list[ContainerInfo]:
    return sorted(containers, key=lambda each: each.journal.is_sandbox)


def _old_remains(binding: Binding, observed: TaskObservation) -> bool:
    """Something of another binding is there or may yet appear."""
    uid = binding.binding_uid
    coming = (
        target.binding_uid != uid and not isinstance(op, Pull | RunHook)
        for target, op in observed.in_flight.items()
    )
    return any(each.journal.binding_uid != uid for each in observed.containers) or any(coming)


# What is to run


def _bring_up(moment: Moment) -> Iterator[Action]:
    """Bring all containers of the task as far as their order allows; end what is there for nothing any more."""
    spec, observed = moment.binding.spec, moment.observed
    if is_over(moment.binding, observed):
        yield from end_all(observed.running, observed, moment.now, grace_s=spec.grace, spec=spec)
        for each in all_containers(spec):
            yield from spares(moment, each.name)
        return
    if needs_sandbox(spec):
        sandbox = observed.newest(moment.target(SANDBOX))
        yield from spares(moment, SANDBOX, kept=1)
        if sandbox is None or sandbox.phase is not Phase.RUNNING:
            lost = _stop_lost(moment, round_=None)
            yield from lost or [run_sandbox(moment)]
            return
        moment = replace(moment, sandbox=sandbox)
        lost = _stop_lost(moment, round_=moment.round)
        if lost:
            yield from lost
            return
    yield from _in_order(moment)


def _stop_lost(moment: Moment, round_: int | None) -> list[Action]:
    """Return the stops of containers whose sandbox is not that of `round_`: they have no network any more."""
    spec = moment.binding.spec
    return [
        stop(
            each,
            moment.observed,
            moment.now,
            spec.grace,
            container=find_container(spec, each.journal.container),
            why=_SANDBOX_ENDED,
        )
        for each in moment.observed.running
        if not each.journal.is_sandbox and each.journal.round != round_
    ]


def _in_order(moment: Moment) -> Iterator[Action]:
    """Init containers one after the other; when all are through, the main containers."""
    spec = moment.binding.spec
    mains_began = bool(spec.init_containers) and began(moment.binding, moment.observed, moment.round)
    for container in spec.init_containers:
        if mains_began and init_role(container) is Role.INIT:
            yield from spares(moment, container.name)
            continue
        yield run(moment, container)
        if not mains_began and not is_through(moment.binding, container, moment.observed, moment.round):
            return
    for container in spec.containers:
        yield run(moment, container)


def is_over(binding: Binding, observed: TaskObservation) -> bool:
    """Say whether no main container will run any more: all have ended for good, or an init container failed."""
    spec = binding.spec

    def ended(container: Container) -> ContainerInfo | None:
        newest = observed.newest(Target(binding.binding_uid, container.name))
        if newest is None or newest.phase is not Phase.EXITED or newest.id in observed.halted:
            return None
        return None if wants_restart(spec.restart_policy, newest) else newest

    for container in spec.init_containers:
        last = ended(container) if init_role(container) is Role.INIT else None
        if last is not None and not is_done(last):
            return True
    return all(ended(container) is not None for container in spec.containers)


def began(binding: Binding, observed: TaskObservation, round_: int) -> bool:
    """Say whether main containers were begun in this sandbox: then all before them were through."""
    names = {each.name for each in binding.spec.containers}
    return any(
        each.journal.container in names and each.journal.round == round_
        for each in observed.of(binding.binding_uid)
    )


def is_through(binding: Binding, container: Container, observed: TaskObservation, round_: int) -> bool:
    """Say whether the containers after this init container may begin."""
    newest = observed.newest(Target(binding.binding_uid, container.name))
    if newest is None or newest.journal.round != round_:
        return False
    if init_role(container) is Role.SIDECAR:
        return has_started(container, newest, observed)
    return is_done(newest)
