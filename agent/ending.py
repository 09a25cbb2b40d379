"""How an actor ends its life with a value: errors that its shell answers in words, not with a traceback."""

from agent.errors import AgentError
from store.errors import Rewound
from store.loop import Actor, Supervisor


class Ending:
    """An actor whose expected errors are noted in `ends`, and stop all actors of its supervisor."""

    def __init__(self, actor: Actor, supervisor: Supervisor, ends: list[Exception]) -> None:
        self._actor, self._supervisor, self._ends = actor, supervisor, ends

    @property
    def name(self) -> str:
        return self._actor.name

    def step(self, now: float) -> float | None:
        try:
            return self._actor.step(now)
        except (AgentError, Rewound) as error:
            self._ends.append(error)
            self._supervisor.request_stop()
            return None
