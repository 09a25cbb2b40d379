"""Probes in the simulation: which container is well is decided by the seed, and by what its image says."""

import random
from collections.abc import Callable
from dataclasses import dataclass, field

from agent.probes import Answer, ProbeKind
from agent.runtime.api import ContainerInfo, Phase
from agent.runtime.asking import Answered, Ask
from sim.templates import UNREADY

FALLS_ILL = 0.04  # probability a question
ILL_S = (3.0, 8.0, 25.0)
NO_ANSWER = 0.03
LATE_S = (0.0, 0.0, 0.5, 2.0)


@dataclass(slots=True)
class Wellness:
    """How well each container is, on one host. `passed`, `failed`: (container id, probe) that was ever told so."""

    rng: random.Random
    clock: Callable[[], float]
    has_troubles: Callable[[], bool]
    ill_until: dict[tuple[str, ProbeKind], float] = field(default_factory=dict)
    passed: set[tuple[str, ProbeKind]] = field(default_factory=set)
    failed: set[tuple[str, ProbeKind]] = field(default_factory=set)

    def answer(self, ask: Ask, info: ContainerInfo | None) -> Answer:
        """Return what a container answers now."""
        if info is None or info.phase is not Phase.RUNNING:
            return Answer(None, "simulated: it does not run")
        if self.has_troubles() and self.rng.random() < NO_ANSWER:
            return Answer(None, "simulated: nobody could be asked")
        is_well = self._is_well(ask, info)
        (self.passed if is_well else self.failed).add((ask.container_id, ask.kind))
        return Answer(is_well, "" if is_well else "simulated: not well")

    def _is_well(self, ask: Ask, info: ContainerInfo) -> bool:
        if info.image == UNREADY and ask.kind is ProbeKind.READINESS:
            return False
        if not self.has_troubles():
            return True
        place, now = (ask.container_id, ask.kind), self.clock()
        if self.rng.random() < FALLS_ILL:
            self.ill_until[place] = now + self.rng.choice(ILL_S)
        return now >= self.ill_until.get(place, 0.0)

    def delay_s(self) -> float:
        return self.rng.choice(LATE_S) if self.has_troubles() else 0.0


class SimAsker:
    """`agent.runtime.asking.Asker` of one agent's life; answers of the life before are lost."""

    def __init__(self, wellness: Wellness, look: Callable[[str], ContainerInfo | None]) -> None:
        self._wellness = wellness
        self._look = look
        self._asked: list[tuple[float, Ask]] = []

    def submit(self, ask: Ask) -> None:
        self._asked.append((self._wellness.clock() + self._wellness.delay_s(), ask))

    def poll(self) -> tuple[Answered, ...]:
        now = self._wellness.clock()
        due = [ask for at, ask in self._asked if at <= now]
        self._asked = [each for each in self._asked if each[0] > now]
        return tuple(Answered(ask, self._wellness.answer(ask, self._look(ask.container_id))) for ask in due)

    def close(self) -> None:
        self._asked.clear()
