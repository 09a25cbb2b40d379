"""The port of probes: a question to a container goes in, its answer comes out, and nothing waits."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from agent.probes import Answer, ProbeKind
from schemas.probe import Probe


@dataclass(frozen=True, slots=True)
class Ask:
    """One question of a probe to a container that runs. port: a number, of a probe that names one; else None."""

    container_id: str
    kind: ProbeKind
    probe: Probe
    port: int | None = None


@dataclass(frozen=True, slots=True)
class Answered:
    ask: Ask
    answer: Answer


class Asker(Protocol):
    """Asks containers. One thread calls it; `notify` of its constructor wakes that thread."""

    def submit(self, ask: Ask) -> None:
        """Begin to ask and return at once; exactly one Answered follows, soon after the probe's timeout."""

    def poll(self) -> tuple[Answered, ...]:
        """Return the answers since the last call."""

    def close(self) -> None: ...


class HollowAsker:
    """Answers at once, for a runtime that runs nothing: all is well, or what `answer` says."""

    def __init__(self, answer: Callable[[Ask], Answer] = lambda _: Answer(True)) -> None:
        self._answer = answer
        self._asked: list[Ask] = []

    def submit(self, ask: Ask) -> None:
        self._asked.append(ask)

    def poll(self) -> tuple[Answered, ...]:
        asked, self._asked = self._asked, []
        return tuple(Answered(each, self._answer(each)) for each in asked)

    def close(self) -> None:
        self._asked.clear()
