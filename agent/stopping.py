"""How containers end: hook, stop signal, grace, kill; and in which order those of one task do. Pure.

    drainDelay -> main containers -> sidecars, the last one first -> sandbox

One grace covers them all: when it is over, all that still runs is killed. The clock starts when the end of the
binding was noted (`BeginEnd`), which an agent that restarts does anew.
"""

from collections.abc import Iterator, Sequence
from itertools import groupby

from agent.actions import NOTHING, Action, BeginEnd, Wait
from agent.labels import Target
from agent.observation import TaskObservation
from agent.runtime.api import ContainerInfo, Kill, Reason, RunHook, Stop, When, Why
from schemas.roles import Role, find_container
from schemas.task import Container, TaskSpec

KILL_AGAIN_S = 10.0  # a kill that had no effect (a process in the kernel's D state) is repeated


def end_all(
    running: Sequence[ContainerInfo],
    observed: TaskObservation,
    now: float,
    *,
    grace_s: float,
    drain_s: float = 0.0,
    spec: TaskSpec | None = None,
) -> Iterator[Action]:
    """Bring all of one binding's running containers to an end.

    drain_s: seconds to wait first, while others learn that the task is leaving. spec: None if it is not known any
    more; then there are no hooks.
    """
    if not running:
        return
    began = observed.ends.get(running[0].journal.binding_uid)
    if began is None:
        yield BeginEnd(running[0].journal.binding_uid)
        return
    if all(each.journal.is_sandbox for each in running):
        drain_s = 0.0  # nothing is left that serves anybody
    since = began + drain_s
    if now < since:
        yield Wait(since)
        return
    turn = running if now >= since + grace_s else _whose_turn(running)
    for each in turn:
        container = find_container(spec, each.journal.container) if spec else None
        yield stop(each, observed, now, grace_s, since=since, container=container)


def end_each(running: Sequence[ContainerInfo], observed: TaskObservation, now: float) -> Iterator[Action]:
    """Bring containers to an end of which only their labels are known, binding by binding."""
    by_binding = sorted(running, key=_binding_uid)
    for _, group in groupby(by_binding, key=_binding_uid):
        found = list(group)
        yield from end_all(found, observed, now, grace_s=max(each.journal.grace_s for each in found))


def _binding_uid(info: ContainerInfo) -> str:
    return info.journal.binding_uid


def _whose_turn(running: Sequence[ContainerInfo]) -> Sequence[ContainerInfo]:
    """Return those that are stopped now; the others wait until these have ended."""
    tasks = [each for each in running if each.journal.role in (Role.MAIN, Role.INIT)]
    if tasks:
        return tasks
    beside = [each for each in running if each.journal.role == Role.SIDECAR]
    return [max(beside, key=lambda each: each.journal.order)] if beside else running


def stop(
    info: ContainerInfo,
    observed: TaskObservation,
    now: float,
    grace_s: float,
    *,
    since: float | None = None,
    container: Container | None = None,
    why: Why | None = None,
) -> Action:
    """Run the hook, signal, wait the grace, kill; and kill again while it does not die.

    since: when the grace began; None: with the first of these steps.
    """
    target, ending = info.journal.target, observed.ending_of(info.id)
    hindered = hindrance(observed, target, now)
    if hindered is not None:
        return hindered
    if ending.killed_at is not None:
        again = ending.killed_at + KILL_AGAIN_S
        return Kill(target, info.id, why) if now >= again else Wait(again)
    run = observed.hooks.get((info.id, When.PRE_STOP))
    begins = (since, run.begun_at if run else None, ending.signalled_at)
    deadline = min((each for each in begins if each is not None), default=now) + grace_s
    if now >= deadline or info.journal.is_sandbox:
        return Kill(target, info.id, why)
    if ending.signalled_at is not None:
        return Wait(deadline)
    hook = container.lifecycle.pre_stop if container and container.lifecycle else None
    if container is not None and hook is not None and run is None:
        return RunHook(target, info.id, When.PRE_STOP, hook, container, deadline - now)
    if run is not None and not run.done:
        return Wait(deadline)
    return Stop(target, info.id, info.journal.stop_signal, grace_s, why)


def hindrance(observed: TaskObservation, target: Target, now: float) -> Action | None:
    """Return what to wait for before the next operation on `target`, None if it may come now."""
    if target in observed.in_flight:
        return NOTHING
    trouble = observed.memory_of(target).trouble
    if trouble is not None and trouble.reason is Reason.RUNTIME_ERROR and now < trouble.retry_at:
        return Wait(trouble.retry_at)
    return None
