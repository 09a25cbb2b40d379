"""What this agent has observed of its runtime, kept for the state machine: the only place that changes it.

Of two observations of one container the later phase is right, so results and events may overtake each other.
A container that vanishes without our doing stays as an exited one until its target moves on.
"""

from collections.abc import Iterable
from dataclasses import replace

from agent.labels import Target
from agent.observation import Ending, HookRun, Memory, TaskObservation, Trouble
from agent.probes import Verdict
from agent.restarts import IMAGE_BACKOFF, delay_s
from agent.runtime.api import (
    ContainerGone,
    ContainerInfo,
    ContainerSeen,
    Create,
    Done,
    Failed,
    Kill,
    Observation,
    OomSeen,
    Op,
    Phase,
    Pull,
    Reason,
    Remove,
    RoomWanted,
    RunHook,
    RuntimeDown,
    RuntimeUp,
    Start,
    Stop,
    When,
    Why,
)
from schemas.report import TaskReport
from schemas.task import RestartBackoff

PORT_TAKEN_S = 600.0  # how long a port that a stranger held is kept out of the node's offer
GONE_EXIT_CODE = 137  # as after SIGKILL, which is how a container is removed by force
UNWELL_EXIT_CODE = 137  # of one that ended well when it was stopped because it had failed
RUNTIME_BACKOFF = RestartBackoff(initial=1.0, factor=2.0, max=30.0)  # its trouble, not the task's
_RANK = {phase: rank for rank, phase in enumerate(Phase)}
_FORGET_GONE = 4096  # ids of vanished containers remembered, against results that come late


class World:
    """Containers by id, operations in flight, and what Docker does not remember."""

    def __init__(self, node: str) -> None:
        self._node = node
        self.cluster = ""
        self.heard = False  # the runtime answered, or failed to
        self.listed = False  # it has told of its containers at least once
        self.runtime_up = False
        self.runtime_error = "not asked yet"
        self.runtime_version = ""
        self.data_root = ""
        self._containers: dict[str, ContainerInfo] = {}
        self._by_task: dict[str, set[str]] = {}
        self._in_flight: dict[str, dict[Target, Op]] = {}
        self._submitter: dict[Target, str] = {}  # of what is in flight: the task that it is of
        self._memory: dict[Target, Memory] = {}
        self._endings: dict[str, Ending] = {}
        self._ends: dict[str, float] = {}
        self._hooks: dict[tuple[str, When], HookRun] = {}
        self._verdicts: dict[str, Verdict] = {}
        self._why: dict[str, Why] = {}
        self._gone: dict[str, None] = {}
        self._ports_taken: dict[int, float] = {}
        self.halted: set[str] = set()
        self.hooks_due: set[str] = set()
        self._unwanted: frozenset[str] = frozenset()
        self.uncertain: set[str] = set()  # tasks of which an operation got no answer since the last listing

    # Asking

    def task_uids(self) -> set[str]:
        """Return the tasks that have a container here or an operation under way."""
        return {uid for uid, ids in self._by_task.items() if ids} | set(self._in_flight)

    def containers(self, task_uid: str) -> tuple[ContainerInfo, ...]:
        ids = self._by_task.get(task_uid)
        if not ids:
            return ()
        found = [self._containers[each] for each in sorted(ids)]
        return tuple([each for each in found if each.journal.cluster == self.cluster])

    def pulls(self, task_uid: str) -> tuple[Target, ...]:
        """Return where an image of the task is being pulled."""
        ops = self._in_flight.get(task_uid, {})
        return tuple(target for target, op in ops.items() if isinstance(op, Pull))

    def observe(
        self,
        task_uid: str,
        *,
        reported: TaskReport | None,
        unbound_since: float | None,
        stored: TaskReport | None = None,
    ) -> TaskObservation:
        """Return a value for the state machine; it shares this world's tables and is used up at once."""
        return TaskObservation(
            containers=self.containers(task_uid),
            in_flight=self._in_flight.get(task_uid, {}),
            memory=self._memory,
            endings=self._endings,
            ends=self._ends,
            hooks=self._hooks,
            hooks_due=frozenset(self.hooks_due),
            verdicts=self._verdicts,
            halted=frozenset(self.halted),
            reported=reported,
            stored=stored,
            unwanted=self._unwanted,
            unbound_since=unbound_since,
            uncertain=task_uid in self.uncertain,
        )

    def ports_taken(self, now: float) -> tuple[int, ...]:
        """Return the host ports that strangers were found to hold in the last ten minutes."""
        self._ports_taken = {port: until for port, until in self._ports_taken.items() if until > now}
        return tuple(sorted(self._ports_taken))

    # Changing

    def submitted(self, task_uid: str, op: Op, now: float) -> None:
        self._in_flight.setdefault(task_uid, {})[op.target] = op
        self._submitter[op.target] = task_uid
        if isinstance(op, Stop | Kill) and op.why is not None:
            self._why[op.id] = op.why
        if isinstance(op, Start):
            self._ends.pop(op.target.binding_uid, None)
        elif isinstance(op, RunHook):
            self._hooks[op.id, op.when] = HookRun(now)
        elif isinstance(op, Stop):
            self._endings[op.id] = replace(self._endings.get(op.id, Ending()), signalled_at=now)
        elif isinstance(op, Kill):
            self._endings[op.id] = replace(self._endings.get(op.id, Ending()), killed_at=now)

    def begin_end(self, binding_uid: str, now: float) -> None:
        """Note that from now on all containers of a binding are brought to an end."""
        self._ends.setdefault(binding_uid, now)

    def judged(self, container_id: str, verdict: Verdict) -> set[str]:
        """Take in what a container's probes say; return the uids of the tasks that it is about."""
        known = self._containers.get(container_id)
        if known is None or known.phase is not Phase.RUNNING:
            return set()
        self._verdicts[container_id] = verdict
        return {known.journal.task_uid}

    def forgive_config(self, binding_uid: str) -> None:
        """Other copies of ConfigMaps and Secrets have come: what failed for want of them is tried at once."""
        for target, memory in list(self._memory.items()):
            trouble = memory.trouble
            reason = trouble.reason if trouble is not None else None
            if target.binding_uid == binding_uid and reason is Reason.CREATE_CONTAINER_CONFIG_ERROR:
                self._memory[target] = replace(memory, trouble=None)

    def forget_pull(self, task_uid: str, target: Target) -> None:
        """Stop waiting for a pull whose task is to end; its result will be ignored."""
        if isinstance(self._in_flight.get(task_uid, {}).get(target), Pull):
            self._landed(task_uid, target)

    def apply(self, observation: Observation, now: float) -> set[str]:
        """Take one observation in; return the uids of the tasks that it is about."""
        self.heard = self.heard or isinstance(observation, RuntimeUp | RuntimeDown)
        match observation:
            case ContainerSeen(info):
                return self._see(info, now)
            case ContainerGone(container_id):
                return self._lose(container_id, now)
            case OomSeen(container_id):
                return self._oom(container_id)
            case RoomWanted(ids):
                return self._make_room(ids)
            case Done(op, info):
                return self._done(op, info, now)
            case Failed(op, reason, message):
                return self._failed(op, reason, message, now)
            case RuntimeUp():
                return self._up(observation, now)
            case RuntimeDown(error):
                self.runtime_up, self.runtime_error = False, error
                return self.task_uids()

    def _up(self, up: RuntimeUp, now: float) -> set[str]:
        self.listed, self.runtime_up, self.runtime_error = True, True, ""
        self.runtime_version, self.data_root = up.version, up.data_root
        touched = self.task_uids() | self.uncertain
        self.uncertain.clear()
        for info in up.containers:
            touched |= self._see(info, now)
        self.hooks_due &= self._containers.keys()
        return touched

    def _see(self, info: ContainerInfo, now: float) -> set[str]:
        if info.id in self._gone or info.journal.node != self._node:
            return set()
        known = self._containers.get(info.id)
        if known is not None and _newness(info) < _newness(known):
            return set()
        oom = info.oom or (known is not None and known.oom and _is_one_run(known, info))
        finished_at = min(info.finished_at, now) if info.finished_at else 0.0  # a clock that was set back
        if (oom, finished_at) != (info.oom, info.finished_at):
            info = replace(info, oom=oom, finished_at=finished_at)
        self._containers[info.id] = self._explained(info)
        self._by_task.setdefault(info.journal.task_uid, set()).add(info.id)
        if info.taken_port is not None and (known is None or known.phase is not Phase.EXITED):
            self._ports_taken[info.taken_port] = max(info.created_at, 0.0) + PORT_TAKEN_S
        if info.phase is Phase.EXITED:
            self._at_rest(info.id)
        return {info.journal.task_uid}

    def _explained(self, info: ContainerInfo) -> ContainerInfo:
        """A container that was stopped because it was not well has failed, whatever it said at its end."""
        why = self._why.get(info.id)
        if why is None or info.phase is not Phase.EXITED:
            return info
        code = info.exit_code or UNWELL_EXIT_CODE
        return replace(info, exit_code=code, failure=why.reason, error=why.message)

    def _at_rest(self, container_id: str) -> None:
        self._endings.pop(container_id, None)
        self._verdicts.pop(container_id, None)
        self.hooks_due.discard(container_id)

    def _oom(self, container_id: str) -> set[str]:
        known = self._containers.get(container_id)
        if known is None or known.oom:
            return set()
        self._containers[container_id] = replace(known, oom=True)
        return {known.journal.task_uid}

    def _make_room(self, ids: frozenset[str]) -> set[str]:
        self._unwanted = ids
        known = (self._containers.get(each) for each in ids)
        return {each.journal.task_uid for each in known if each is not None}

    def _lose(self, container_id: str, now: float) -> set[str]:
        """A container is gone: forgotten if we removed it, else taken as ended until its target moves on."""
        known = self._containers.get(container_id)
        if known is None:
            self._remember_gone(container_id)
            return set()
        task_uid = known.journal.task_uid
        flying = self._in_flight.get(task_uid, {}).get(known.journal.target)
        if isinstance(flying, Remove) and flying.id == container_id:
            self._forget(known)
        elif known.phase is not Phase.EXITED:
            self._containers[container_id] = replace(
                known,
                phase=Phase.EXITED,
                exit_code=GONE_EXIT_CODE,
                failure=Reason.CONTAINER_GONE,
                error="the container was removed, and not by its agent",
                finished_at=now,
            )
            self._at_rest(container_id)
        return {task_uid}

    def _forget(self, known: ContainerInfo) -> None:
        self._containers.pop(known.id, None)
        self._at_rest(known.id)
        self._why.pop(known.id, None)
        for when in When:
            self._hooks.pop((known.id, when), None)
        self.halted.discard(known.id)
        ids = self._by_task.get(known.journal.task_uid, set())
        ids.discard(known.id)
        if not ids:
            self._by_task.pop(known.journal.task_uid, None)
        self._remember_gone(known.id)

    def _remember_gone(self, container_id: str) -> None:
        self._gone[container_id] = None
        while len(self._gone) > _FORGET_GONE:
            self._gone.pop(next(iter(self._gone)))

    def _owner(self, op: Op) -> str | None:
        """Return the task that an operation under way is of, None for one that nobody waits for any more."""
        uid = self._submitter.get(op.target)
        return uid if uid is not None and self._in_flight.get(uid, {}).get(op.target) == op else None

    def _landed(self, task_uid: str, target: Target) -> None:
        ops = self._in_flight.get(task_uid, {})
        ops.pop(target, None)
        self._submitter.pop(target, None)
        if not ops:
            self._in_flight.pop(task_uid, None)

    def _done(self, op: Op, info: ContainerInfo | None, now: float) -> set[str]:
        task_uid = self._owner(op)
        touched = self._see(info, now) if info is not None else set()
        if isinstance(op, Remove):
            known = self._containers.get(op.id)
            if known is not None:
                self._forget(known)
        if task_uid is None:
            return touched
        self._landed(task_uid, op.target)
        if isinstance(op, RunHook):
            self._hook_ended(op, "")
        elif isinstance(op, Pull):
            self._memory[op.target] = Memory(pulled=True)
        else:  # also the runtime's trouble is over
            self._memory.pop(op.target, None)
        return touched | {task_uid}

    def _failed(self, op: Op, reason: Reason, message: str, now: float) -> set[str]:
        task_uid = self._owner(op)
        if task_uid is None:
            return set()
        self._landed(task_uid, op.target)
        if isinstance(op, RunHook):
            self._hook_ended(op, message or str(reason))
            return {task_uid}
        if reason is Reason.RUNTIME_ERROR and not isinstance(op, Pull):
            self.uncertain.add(task_uid)
        memory = self._memory.get(op.target, Memory())
        if reason is Reason.IMAGE_MISSING and not memory.pulled:
            self._memory[op.target] = Memory(image_missing=True)
        else:
            self._memory[op.target] = Memory(
                pulled=memory.pulled and isinstance(op, Create) and reason is not Reason.IMAGE_MISSING,
                image_missing=memory.image_missing or reason is Reason.IMAGE_MISSING,
                trouble=_trouble(op, memory.trouble, reason, message, now),
            )
        if isinstance(op, Stop | Kill):
            self._endings.pop(op.id, None)
        return {task_uid}

    def _hook_ended(self, op: RunHook, error: str) -> None:
        run = self._hooks.get((op.id, op.when))
        if run is not None:
            self._hooks[op.id, op.when] = replace(run, done=True, error=error)
        if op.when is When.POST_START and not error:
            self.hooks_due.discard(op.id)

    def forget_targets(self, live_bindings: Iterable[str]) -> None:
        """Drop what is remembered of bindings that are neither live nor have a container."""
        keep = set(live_bindings) | {each.journal.binding_uid for each in self._containers.values()}
        flying = {target for ops in self._in_flight.values() for target in ops}
        self._ends = {uid: since for uid, since in self._ends.items() if uid in keep}
        self._memory = {
            target: memory
            for target, memory in self._memory.items()
            if target.binding_uid in keep or target in flying
        }


def _is_one_run(known: ContainerInfo, info: ContainerInfo) -> bool:
    """Both are looks at one run of a container: it may be known as created only, and yet have been started."""
    return known.phase is Phase.CREATED or known.started_at == info.started_at


def _newness(info: ContainerInfo) -> tuple[float, int]:
    """Order observations of one container: a later start, else a later phase."""
    return info.started_at, _RANK[info.phase]


def _trouble(op: Op, before: Trouble | None, reason: Reason, message: str, now: float) -> Trouble:
    backoff = _backoff_of(op, reason)
    failures = before.failures + 1 if before is not None else 1
    secrets = op.secrets if isinstance(op, Pull) else None
    return Trouble(reason, message, failures, now + delay_s(backoff, failures), secrets)


def _backoff_of(op: Op, reason: Reason) -> RestartBackoff:
    if isinstance(op, Create) and reason is not Reason.RUNTIME_ERROR:
        return op.binding.spec.restart_backoff
    return IMAGE_BACKOFF if isinstance(op, Pull) else RUNTIME_BACKOFF
