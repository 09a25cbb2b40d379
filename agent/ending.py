"""How actors end: with errors that their shell answers in words, not with a traceback."""

import threading
from collections.abc import Callable, Sequence

from agent.errors import AgentError
from store.errors import Rewound
from store.loop import Actor, Supervisor

POLL_STOP_S = 0.5  # how soon a dead actor is noticed


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


def live_until(
    stopping: threading.Event,
    clock: Callable[[], float],
    actors: Sequence[tuple[Actor, threading.Event]],
) -> tuple[str, ...]:
    """Run actors, each with its wake, until `stopping`; return the names of those that are still busy then.

    Raises what ended one of them.
    """
    supervisor = Supervisor(clock)
    ends: list[Exception] = []
    for actor, wake in actors:
        supervisor.add(Ending(actor, supervisor, ends), wake)
    supervisor.start()
    while not stopping.wait(POLL_STOP_S) and not supervisor.wait(0.0):
        pass
    lingering = supervisor.stop()
    for error in (*ends, supervisor.error):
        if error is not None:
            raise error
    return tuple(lingering)
