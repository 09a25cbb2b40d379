"""How one container comes up, and comes up again: pull, create, start, its hook, restarts. Pure."""

from collections.abc import Callable
from dataclasses import dataclass

from agent.actions import NOTHING, Action, Wait, first_of
from agent.labels import SANDBOX, Target, journal_for
from agent.observation import Ending, Leave, Memory, TaskObservation, Trouble
from agent.probes import ProbeKind
from agent.restarts import next_restart, sandbox_due
from agent.runtime.api import (
    ContainerInfo,
    Create,
    Phase,
    Pull,
    PullSecrets,
    Reason,
    Remove,
    RunHook,
    Start,
    When,
    Why,
)
from agent.stopping import hindrance, stop
from schemas.binding import Binding
from schemas.defaults import STOP_SIGNAL, pull_policy, stop_after_s
from schemas.probe import Hook
from schemas.roles import Role, role_of
from schemas.task import Container

KEPT_ATTEMPTS = 2  # the newest, and the one before it for `berth logs --previous`
HOOK_TIMEOUT_S = 3600.0  # of a hook after the start; Kubernetes sets none
_FAILED_PROBES = {
    ProbeKind.STARTUP: Reason.STARTUP_PROBE_FAILED,
    ProbeKind.LIVENESS: Reason.LIVENESS_PROBE_FAILED,
}


@dataclass(frozen=True, slots=True)
class Moment:
    """All that a step is decided by. sandbox: the running one that the containers join, if the task has one."""

    binding: Binding
    observed: TaskObservation
    now: float
    leave: Leave
    cluster: str = ""
    sandbox: ContainerInfo | None = None

    @property
    def round(self) -> int:
        """The attempt of the sandbox; what belongs to another has no network any more."""
        return self.sandbox.journal.attempt if self.sandbox else 0

    def target(self, name: str) -> Target:
        return Target(self.binding.binding_uid, name)

    @property
    def may_be_elsewhere(self) -> bool:
        """Another copy may run elsewhere by now."""
        finite = stop_after_s(self.binding.spec) != float("inf")
        return finite and not self.leave.fresh and not self.observed.running


def hold(moment: Moment, container: Container) -> Action:
    """Only bring the image."""
    target, observed = moment.target(container.name), moment.observed
    if target in observed.in_flight or observed.attempts(target) or not moment.leave.begin:
        return NOTHING
    return _pull(moment, container, then=lambda: NOTHING)


def run(moment: Moment, container: Container) -> Action:
    """Bring one container of the binding a step further."""
    target, observed, now = moment.target(container.name), moment.observed, moment.now
    attempts = observed.attempts(target)
    if moment.may_be_elsewhere:
        return NOTHING
    hindered = hindrance(observed, target, now)
    if hindered is not None:
        return hindered
    if not attempts:
        return _begin(moment, container)
    newest, *older = attempts
    for each in older:
        if each.phase is Phase.RUNNING:  # somebody started it by hand
            return stop(each, observed, now, moment.binding.spec.grace)
    match newest.phase:
        case Phase.CREATED if newest.journal.round != moment.round:
            step: Action = Remove(target, newest.id)  # it would join a sandbox that has ended
        case Phase.CREATED:
            step = Start(target, newest.id) if moment.leave.begin or newest.journal.attempt else NOTHING
        case Phase.EXITED:
            step = _again(moment, container, newest)
        case Phase.RUNNING:
            step = _keep(moment, container, newest)
    spare = [Remove(target, each.id) for each in attempts[KEPT_ATTEMPTS:]]
    return first_of([step, *spare])


def spares(moment: Moment, name: str, kept: int = KEPT_ATTEMPTS) -> list[Action]:
    """Return the removal of attempts that are kept for nothing."""
    target = moment.target(name)
    if target in moment.observed.in_flight:
        return []
    dead = [each for each in moment.observed.attempts(target)[kept:] if each.phase is not Phase.RUNNING]
    return [Remove(target, each.id) for each in dead]


def _begin(moment: Moment, container: Container) -> Action:
    """The first attempt, which needs the store's consent; the pull goes by the task's policy."""
    if not moment.leave.begin:
        return NOTHING
    return _pull(moment, container, then=lambda: _create(moment, container, attempt=0, failures=0))


def _again(moment: Moment, container: Container, ended: ContainerInfo) -> Action:
    """The attempt after `ended`, if there is to be one; from the image that is there, as nothing was bound anew."""
    attempt, failures = ended.journal.attempt + 1, ended.journal.failures
    if ended.id not in moment.observed.halted and not _to_repeat(moment, ended):
        restart = next_restart(moment.binding.spec, ended)
        if restart is None:
            return NOTHING
        if moment.now < restart.due:
            return Wait(restart.due)
        failures = restart.failures
    create = _create(moment, container, attempt=attempt, failures=failures)
    memory = moment.observed.memory_of(ended.journal.target)
    secrets = pull_secrets(moment.binding)
    waits = patience(memory, secrets, moment.now)
    if waits is not None:
        return waits
    target = ended.journal.target
    return Pull(target, container.image, "IfNotPresent", secrets) if memory.image_missing else create


def _to_repeat(moment: Moment, ended: ContainerInfo) -> bool:
    """Say whether an init container has done its work, but in a sandbox that is gone."""
    journal = ended.journal
    return journal.role == Role.INIT and is_done(ended) and journal.round != moment.round


def is_done(info: ContainerInfo) -> bool:
    """Say whether an init container has done its work."""
    return info.phase is Phase.EXITED and info.exit_code == 0 and info.failure is None


def _keep(moment: Moment, container: Container, info: ContainerInfo) -> Action:
    """What a running container needs: its hook, or its end because it is not well."""
    observed, grace_s = moment.observed, moment.binding.spec.grace
    why = _ailment(moment, info)
    begun = observed.ending_of(info.id) != Ending() or (info.id, When.PRE_STOP) in observed.hooks
    if begun or why is not None:  # a stop that was begun, while cut off, is carried through
        return stop(info, observed, moment.now, grace_s, container=container, why=why)
    hook = post_start(container)
    if (
        hook is not None
        and info.id in observed.hooks_due
        and (info.id, When.POST_START) not in observed.hooks
    ):
        return RunHook(info.journal.target, info.id, When.POST_START, hook, container, HOOK_TIMEOUT_S)
    return NOTHING


def _ailment(moment: Moment, info: ContainerInfo) -> Why | None:
    """Return why a running container is to be restarted."""
    hook_run = moment.observed.hooks.get((info.id, When.POST_START))
    if hook_run is not None and hook_run.error:
        return Why(Reason.POST_START_HOOK_FAILED, f"its postStart hook failed: {hook_run.error}")
    verdict = moment.observed.verdict_of(info.id)
    if verdict.unhealthy is not None:
        return Why(_FAILED_PROBES.get(verdict.unhealthy, Reason.LIVENESS_PROBE_FAILED), verdict.text)
    return None


def post_start(container: Container) -> Hook | None:
    return container.lifecycle.post_start if container.lifecycle else None


def has_started(container: Container, info: ContainerInfo, observed: TaskObservation) -> bool:
    """Say whether a container runs, its hook has ended well, and its startup probe has passed."""
    if info.phase is not Phase.RUNNING or info.id in observed.hooks_due:
        return False
    return container.startup_probe is None or observed.verdict_of(info.id).started is True


# The sandbox


def run_sandbox(moment: Moment) -> Action:
    """Bring the sandbox up, also anew. Its first end is followed by another at once, further ones with patience."""
    target, observed, spec = moment.target(SANDBOX), moment.observed, moment.binding.spec
    hindered = hindrance(observed, target, moment.now)
    if hindered is not None:
        return hindered
    trouble = patience(observed.memory_of(target), None, moment.now)
    if trouble is not None:
        return trouble
    newest = observed.newest(target)
    if newest is None:
        may = moment.leave.begin and not moment.may_be_elsewhere
        return _create_sandbox(moment, attempt=0, failures=0) if may else NOTHING
    if newest.phase is Phase.CREATED:
        return Start(target, newest.id) if moment.leave.begin or newest.journal.attempt else NOTHING
    if moment.may_be_elsewhere:
        return NOTHING
    due, failures = sandbox_due(spec, newest)
    if newest.id not in observed.halted and moment.now < due:
        return Wait(due)
    return _create_sandbox(moment, attempt=newest.journal.attempt + 1, failures=failures)


def _create_sandbox(moment: Moment, *, attempt: int, failures: int) -> Create:
    journal = journal_for(
        moment.binding,
        cluster=moment.cluster,
        container=SANDBOX,
        stop_signal=STOP_SIGNAL,
        attempt=attempt,
        failures=failures,
        role=SANDBOX,
        round_=attempt,
    )
    return Create(journal.target, moment.binding, journal)


# Images


def _pull(moment: Moment, container: Container, *, then: Callable[[], Action]) -> Action:
    """Pull unless that was done, with patience after a failure; `then` what comes after."""
    target = moment.target(container.name)
    memory, secrets = moment.observed.memory_of(target), pull_secrets(moment.binding)
    waits = patience(memory, secrets, moment.now)
    if waits is not None:
        return waits
    if memory.pulled and not memory.image_missing:
        return then()
    policy = container.image_pull_policy or pull_policy(container.image)
    return Pull(target, container.image, policy, secrets)


def patience(memory: Memory, secrets: PullSecrets | None, now: float) -> Wait | None:
    """Return until when to wait after a failure; a pull that failed with other credentials tells nothing."""
    trouble: Trouble | None = memory.trouble
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


def _create(moment: Moment, container: Container, *, attempt: int, failures: int) -> Create:
    spec = moment.binding.spec
    names = [each.name for each in spec.init_containers]
    journal = journal_for(
        moment.binding,
        cluster=moment.cluster,
        container=container.name,
        stop_signal=container.stop_signal or STOP_SIGNAL,
        attempt=attempt,
        failures=failures,
        role=role_of(spec, container.name),
        order=names.index(container.name) if container.name in names else 0,
        round_=moment.round,
    )
    sandbox_id = moment.sandbox.id if moment.sandbox else ""
    return Create(journal.target, moment.binding, journal, sandbox_id)
