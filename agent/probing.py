"""The probes of this node's containers: who is asked when, and what came of it.

    core --look--> Probing --submit--> asker --poll--> Probing --Judged--> World -> state machine, reports

The core owns it and steps it; it keeps no thread. Without probes nothing of it costs anything. What an answer
means is decided in `agent.probes` alone.
"""

import heapq
from collections.abc import Iterator
from dataclasses import dataclass
from zlib import crc32

from agent import probes
from agent.labels import Target
from agent.observation import Ending, TaskObservation
from agent.probes import NO_VERDICT, Verdict, Watch, has_probes, probes_of
from agent.runtime.api import ContainerInfo, Phase
from agent.runtime.asking import Ask, Asker
from schemas.binding import Binding, Desired
from schemas.task import Container


@dataclass(frozen=True, slots=True)
class Judged:
    """A container's verdict, which is new."""

    container_id: str
    verdict: Verdict


@dataclass(slots=True)
class _Watched:
    container: Container
    watch: Watch
    told: Verdict = NO_VERDICT
    due: float | None = None


class Probing:
    """All watches of one agent's life."""

    def __init__(self, asker: Asker) -> None:
        self._asker = asker
        self._watched: dict[str, _Watched] = {}  # container id -> its watch
        self._by_task: dict[str, set[str]] = {}
        self._timers: list[tuple[float, str]] = []  # a heap; an entry counts if it is the watch's own due

    def concerns(self, task_uid: str, binding: Binding | None) -> bool:
        """Say whether a task has anything to watch, or that is watched still."""
        return task_uid in self._by_task or (binding is not None and _has_probes(binding))

    def look(
        self, task_uid: str, binding: Binding | None, observed: TaskObservation, now: float
    ) -> Iterator[Judged]:
        """Begin to watch the task's containers that run, end the watches that are over; yield first verdicts."""
        if not self.concerns(task_uid, binding):
            return
        wanted = {info.id: (container, info) for container, info in _to_watch(binding, observed)}
        for container_id in self._by_task.pop(task_uid, set()) - wanted.keys():
            del self._watched[container_id]
        if wanted:
            self._by_task[task_uid] = set(wanted)
        for container, info in wanted.values():
            if info.id not in self._watched:
                yield self._begin(container, info, observed, now)

    def step(self, now: float) -> Iterator[Judged]:
        """Take the answers in and ask what is due; yield verdicts that changed."""
        for answered in self._asker.poll():
            known = self._watched.get(answered.ask.container_id)
            if known is not None and answered.ask.kind in known.watch.courses:
                known.watch = probes.answered(known.watch, answered.ask.kind, answered.answer, now)
                self._set_timer(answered.ask.container_id, known)
                yield from self._tell(answered.ask.container_id, known)
        while self._timers and self._timers[0][0] <= now:
            due, container_id = heapq.heappop(self._timers)
            known = self._watched.get(container_id)
            if known is not None and known.due == due:
                self._ask(container_id, known, now)

    def next_due(self) -> float | None:
        """Return when a question is due, or a little before; None if none will be."""
        return self._timers[0][0] if self._timers else None

    def _begin(
        self, container: Container, info: ContainerInfo, observed: TaskObservation, now: float
    ) -> Judged:
        spread = crc32(info.id.encode()) / 2**32
        before = _known_before(info, observed)
        watch = probes.begin(container, info.started_at, now, spread=spread, before=before)
        known = _Watched(container, watch, told=probes.verdict(watch))
        self._watched[info.id] = known
        self._set_timer(info.id, known)
        return Judged(info.id, known.told)

    def _ask(self, container_id: str, known: _Watched, now: float) -> None:
        for kind in probes.asks(known.watch, now):
            known.watch = probes.asked(known.watch, kind, now)
            probe = probes_of(known.container)[kind]
            self._asker.submit(Ask(container_id, kind, probe, _port(known.container, probe.port)))
        self._set_timer(container_id, known)

    def _set_timer(self, container_id: str, known: _Watched) -> None:
        due = probes.next_due(known.watch)
        if due is not None and due != known.due:
            heapq.heappush(self._timers, (due, container_id))
        known.due = due

    def _tell(self, container_id: str, known: _Watched) -> Iterator[Judged]:
        verdict = probes.verdict(known.watch)
        if verdict != known.told:
            known.told = verdict
            yield Judged(container_id, verdict)


def _has_probes(binding: Binding) -> bool:
    spec = binding.spec
    return any(map(has_probes, spec.containers)) or any(map(has_probes, spec.init_containers))


def _to_watch(
    binding: Binding | None, observed: TaskObservation
) -> Iterator[tuple[Container, ContainerInfo]]:
    """Yield the containers with probes whose newest attempt runs and is to run on."""
    if binding is None or binding.desired is not Desired.RUN:
        return
    for container in (*binding.spec.init_containers, *binding.spec.containers):
        if not probes_of(container):
            continue
        attempts = observed.attempts(Target(binding.binding_uid, container.name))
        newest = attempts[0] if attempts else None
        if newest is not None and newest.phase is Phase.RUNNING and observed.ending_of(newest.id) == Ending():
            yield container, newest


def _known_before(info: ContainerInfo, observed: TaskObservation) -> Verdict | None:
    """Return what an agent before this one reported of the very same attempt."""
    reported = observed.reported.containers if observed.reported is not None else ()
    for each in reported:
        if each.container_id == info.id:
            return Verdict(each.started, each.ready)
    return None


def _port(container: Container, wanted: int | str | None) -> int | None:
    """Return the number of a port that a probe asks. Admission denies a name that the container does not have."""
    if not isinstance(wanted, str):
        return wanted
    return next((each.container_port for each in container.ports if each.name == wanted), None)
