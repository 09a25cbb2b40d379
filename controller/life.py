"""The lives of a controller: each rewind of history ends one, and the next begins afresh."""

import logging
import secrets
import threading
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING

from controller.companions import Beside
from controller.manager import Controller, ControllerSettings
from controller.options import ControllerOptions
from controller.packing import PackBeside
from controller.scheduler.program import Limits
from controller.scheduler.schedule import Policy
from controller.source import Random
from sealing.keys import KeyPair
from store.api import Store
from store.errors import Rewound, StoreError
from store.loop import Supervisor, steady_clock

if TYPE_CHECKING:
    from controller.history.keeper import Keeper

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Lasting:
    """What all lives of one process have in common. address: by which others reach its API."""

    options: ControllerOptions
    address: str
    key_pair: KeyPair | None
    history: "Keeper | None"
    beside: Beside

    @property
    def settings(self) -> ControllerSettings:
        """What the options say to the controller itself."""
        options = self.options
        return ControllerSettings(
            identity=options.identity,
            prefix=options.prefix,
            api_address=self.address,
            version=options.version,
            lease_ttl_s=options.lease_ttl_s,
            policy=Policy(options.score),
            key_pair=self.key_pair,
            finished=options.finished,
            packing=Limits(options.packing_budget_s),
        )


class Life:
    """One controller between two rewinds: its actors in threads."""

    def __init__(self, store: Store, lasting: Lasting, *, saw_rewind: bool) -> None:
        """saw_rewind: the life before ended because history was rewound."""
        self._supervisor = Supervisor(steady_clock())
        wakes = {"core": threading.Event()}
        self._packer = PackBeside(wakes["core"].set)
        self.controller = Controller(
            store,
            lasting.settings,
            Random(lambda: str(uuid.uuid4()), lambda: secrets.token_urlsafe(32), secrets.randbits(32)),
            saw_rewind=saw_rewind,
            wake_core=wakes["core"].set,
            packer=self._packer,
            history=lasting.history,
            starters=lasting.beside.starters,
        )
        for actor in self.controller.actors:
            self._supervisor.add(actor, wakes.setdefault(actor.name, threading.Event()))
        self.controller.writer.wake = wakes["writer"].set
        if lasting.beside.starters:
            self.controller.companions.wake = wakes[self.controller.companions.name].set

    def run(self, stopping: threading.Event) -> bool:
        """Run until `stopping`; return True if history was rewound. Other errors are raised."""
        self._supervisor.start()
        while not stopping.wait(0.5) and not self._supervisor.wait(0.0) and self.controller.refusal is None:
            pass
        lingering = self._supervisor.stop()
        self._packer.close()
        if self.controller.companions.name not in lingering:
            self.controller.companions.close()
        if lingering:  # a call to the store hangs; its thread still owns what resigning would touch
            log.warning("not resigned, the lease will expire; still busy=%s", ",".join(lingering))
        else:
            self._leave()
        error = self._supervisor.error or self.controller.refusal
        if isinstance(error, Rewound):
            log.warning("history was rewound, beginning afresh error=%s", error)
            return True
        if error is not None:
            raise error
        return False

    def _leave(self) -> None:
        try:
            self.controller.electing.resign()
        except StoreError as error:
            log.warning("resigning failed, the lease will expire error=%s", error)
        self.controller.close()
