"""What the agent knows of one task at one moment: the input of the pure state machine."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from agent.labels import Target
from agent.probes import NO_VERDICT, Verdict
from agent.runtime.api import ContainerInfo, Create, Op, Phase, PullSecrets, Reason, Start, When
from schemas.report import TaskReport


@dataclass(frozen=True, slots=True)
class Trouble:
    """The last pull or create that failed, and when it is tried again (seconds since the epoch).

    secrets: what a pull was tried with; with other credentials it is tried again at once.
    """

    reason: Reason
    message: str
    failures: int
    retry_at: float
    secrets: PullSecrets | None = None


@dataclass(frozen=True, slots=True)
class Memory:
    """What Docker does not remember of a target; an agent that restarts begins with an empty one."""

    pulled: bool = False
    image_missing: bool = False
    trouble: Trouble | None = None


@dataclass(frozen=True, slots=True)
class Ending:
    """When a running container was sent its stop signal and SIGKILL (seconds since the epoch)."""

    signalled_at: float | None = None
    killed_at: float | None = None


@dataclass(frozen=True, slots=True)
class HookRun:
    """One run of a hook, since `begun_at` (seconds since the epoch). error: why it failed, once it is done."""

    begun_at: float
    done: bool = False
    error: str = ""


@dataclass(frozen=True, slots=True)
class Leave:
    """What the agent may do now.

    act: it is neither frozen nor recovering, the runtime answers, and the binding is of this incarnation.
    begin: the store confirmed this node's heartbeat in time, so that new work may start.
    fresh: the bindings were read after the name was taken: what was decided while this node was away is known.
    alone: nothing was read from the store since this agent started; only labels tell about bindings.
    confirmed_at: when it last did (seconds since the epoch); before the first beat: when this agent started.
    beaten: it did so since this agent started.
    orphan_after_s: after this long without a binding the agent acts alone.
    keep_dead_s: how long dead containers are kept that nothing has need of but a reader of logs.
    """

    act: bool
    begin: bool
    confirmed_at: float
    fresh: bool = True
    alone: bool = False
    beaten: bool = False
    orphan_after_s: float = 86_400.0
    keep_dead_s: float = float("inf")


_EMPTY = Memory()
_NO_ENDING = Ending()


@dataclass(frozen=True, slots=True)
class TaskObservation:
    """All of one task's containers on this node, of every binding, and what is under way.

    ends: binding uid -> since when all of its containers are brought to an end.
    hooks: (container id, which) -> the run of a hook; hooks_due: ids of containers that this node's agent started, and
    whose postStart hook has not ended. verdicts: container id -> what its probes say.
    halted: ids of containers that the agent itself stopped because it was cut off from the store.
    reported: the task report that the store holds, or that says the end and is on its way there. stored: the one
    that it holds for sure, as the watch has shown it.
    unwanted: ids of dead containers for which the disk has no room.
    unbound_since: since when no binding names the task, None while one does.
    """

    containers: tuple[ContainerInfo, ...] = ()
    in_flight: Mapping[Target, Op] = field(default_factory=dict)
    memory: Mapping[Target, Memory] = field(default_factory=dict)
    endings: Mapping[str, Ending] = field(default_factory=dict)
    ends: Mapping[str, float] = field(default_factory=dict)
    hooks: Mapping[tuple[str, When], HookRun] = field(default_factory=dict)
    hooks_due: frozenset[str] = frozenset()
    verdicts: Mapping[str, Verdict] = field(default_factory=dict)
    halted: frozenset[str] = frozenset()
    reported: TaskReport | None = None
    stored: TaskReport | None = None
    unwanted: frozenset[str] = frozenset()
    unbound_since: float | None = None
    uncertain: bool = False

    def of(self, binding_uid: str) -> tuple[ContainerInfo, ...]:
        return tuple([each for each in self.containers if each.journal.binding_uid == binding_uid])

    def attempts(self, target: Target) -> tuple[ContainerInfo, ...]:
        """Return the containers of `target`, newest attempt first."""
        found = [each for each in self.of(target.binding_uid) if each.journal.container == target.container]
        if len(found) > 1:
            found.sort(key=lambda each: -each.journal.attempt)
        return tuple(found)

    def newest(self, target: Target) -> ContainerInfo | None:
        """Return the newest attempt of `target`."""
        attempts = self.attempts(target)
        return attempts[0] if attempts else None

    def verdict_of(self, container_id: str) -> Verdict:
        return self.verdicts.get(container_id, NO_VERDICT)

    def memory_of(self, target: Target) -> Memory:
        return self.memory.get(target, _EMPTY)

    def ending_of(self, container_id: str) -> Ending:
        return self.endings.get(container_id, _NO_ENDING)

    @property
    def running(self) -> tuple[ContainerInfo, ...]:
        return tuple(each for each in self.containers if each.phase is Phase.RUNNING)

    @property
    def may_run_soon(self) -> bool:
        """A create or start is under way, or got no answer: whether something runs is not known yet."""
        return self.uncertain or any(isinstance(op, Create | Start) for op in self.in_flight.values())
