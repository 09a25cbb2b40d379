"""Work that goes beside a leader's own: it starts with a term, writes under its fence, and ends with it.

The controller knows nothing of what it is: who puts the process together says what there is (`berth controller`).
Whatever goes wrong in there is logged, and begun anew after a while; the leader goes on.
"""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from schemas.keys import Keys
from sealing.keys import KeyPair
from store.api import Store
from store.errors import Rewound
from store.fence import Fence
from store.fenced import FencedStore

log = logging.getLogger(__name__)

AGAIN_S = 10.0  # after a companion died


class Companion(Protocol):
    """Work of one term."""

    @property
    def name(self) -> str: ...

    def step(self, now: float) -> float | None:
        """Do one iteration, without blocking for long; return the time of the next one, None to wait for a wake."""

    def close(self) -> None:
        """Stop; nothing is written under the term's fence any more."""


class Starter(Protocol):
    """Begins the work of one term. store: carries the fence of the term. wake: asks for a step, from any thread."""

    def __call__(
        self, store: Store, keys: Keys, *, key_pair: KeyPair | None, wake: Callable[[], None]
    ) -> Companion: ...


class Hook(Protocol):
    """Answers POST /v1/webhook/{name} on every controller, leader or not, by an HTTP status and a sentence. It may
    block."""

    def __call__(
        self,
        store: Store,
        keys: Keys,
        key_pair: KeyPair | None,
        *,
        name: str,
        headers: Mapping[str, str],
        body: bytes,
    ) -> tuple[int, str]: ...


@dataclass(frozen=True, slots=True)
class Beside:
    """What a process has beside the controller's own work."""

    starters: tuple[Starter, ...] = ()
    hook: Hook | None = None


class Companions:
    """The actor that starts, steps and closes the companions of whatever term there is."""

    name = "companions"

    def __init__(
        self,
        store: Store,
        keys: Keys,
        starters: tuple[Starter, ...],
        fence: Callable[[], Fence | None],
        key_pair: KeyPair | None,
    ) -> None:
        self._store = store
        self._keys = keys
        self._starters = starters
        self._fence_now = fence
        self._key_pair = key_pair
        self._fence: Fence | None = None
        self._running: dict[int, Companion] = {}
        self._again_at: dict[int, float] = {}
        self.wake: Callable[[], None] = lambda: None  # set by the shell before anything runs

    def step(self, now: float) -> float | None:
        """Follow the term, and step what belongs to it. Raises Rewound."""
        fence = self._fence_now()
        if fence != self._fence:
            self.close()
            self._fence = fence
        if fence is None:
            return None
        return min(
            (due for number in range(len(self._starters)) if (due := self._step(number, fence, now))),
            default=None,
        )

    def _step(self, number: int, fence: Fence, now: float) -> float | None:
        again = self._again_at.get(number, 0.0)
        if now < again:
            return again
        try:
            companion = self._running.get(number)
            if companion is None:
                store = FencedStore(self._store, fence)
                companion = self._starters[number](
                    store, self._keys, key_pair=self._key_pair, wake=lambda: self.wake()
                )
                self._running[number] = companion
            return companion.step(now)
        except Rewound:
            raise
        except Exception:
            log.exception("companion died, it begins anew number=%d", number)
            self._end(number)
            self._again_at[number] = now + AGAIN_S
            return now + AGAIN_S

    def _end(self, number: int) -> None:
        companion = self._running.pop(number, None)
        if companion is not None:
            companion.close()

    def close(self) -> None:
        """End all."""
        for number in list(self._running):
            self._end(number)
        self._again_at.clear()
