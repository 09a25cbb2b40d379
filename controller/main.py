"""The controller as a process: options, threads, signals, and what to do when history was rewound."""

import logging
import secrets
import signal
import sys
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from controller.companions import Beside
from controller.errors import CannotStart
from controller.manager import Controller, ControllerSettings
from controller.reconcilers.collection import FinishedPolicy
from controller.scheduler.schedule import Policy
from controller.scheduler.scores import Strategy
from controller.server import ApiServer, address_of, bind_socket
from controller.source import Random
from sealing.errors import BadKey
from sealing.keys import KeyPair, load_key_pair
from store.api import Store
from store.errors import PermissionDenied, Rewound, ServerTooOld, StoreError
from store.loop import Supervisor, calm_collector, steady_clock

__all__ = ["Beside", "ControllerOptions", "FinishedPolicy", "run_controller"]

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ControllerOptions:
    """What a person may set.

    etcd: endpoints. cacert, cert, key: files for TLS. listen: host:port of the read API, port 0 for any.
    identity: name shown as leader. score: how nodes are chosen. lease_ttl_s: seconds until a dead leader is replaced.
    secret_key: file of the private key that opens Secrets; None: tasks that need one wait.
    finished: when tasks of nobody's that have ended are removed.
    """

    etcd: tuple[str, ...]
    identity: str
    cacert: str | None = None
    cert: str | None = None
    key: str | None = None
    prefix: str = "/berth"
    listen: str = "127.0.0.1:0"
    score: Strategy = "binpack"
    lease_ttl_s: int = 10
    version: str = ""
    secret_key: Path | None = None
    finished: FinishedPolicy = field(default_factory=FinishedPolicy)


def run_controller(options: ControllerOptions, beside: Beside | None = None) -> int:
    """Run until SIGTERM or SIGINT; return the exit code. Errors that a person must mend print one line.

    beside: what else this process does while it leads.
    """
    beside = beside or Beside()
    stopping = threading.Event()
    calm_collector()
    try:
        key_pair = load_key_pair(options.secret_key) if options.secret_key else None
    except (OSError, BadKey) as error:
        return _fail(f"--secret-key: {error}")
    try:
        listener = bind_socket(options.listen)
    except (OSError, ValueError) as error:
        return _fail(f"can't listen on {options.listen}: {error}; choose another with --listen")
    with _signals(stopping):
        current: list[Controller] = []
        server = ApiServer(listener, lambda: current[-1], beside.hook)
        try:
            return _run_lives(options, key_pair, address_of(listener), stopping, current, server, beside)
        except (CannotStart, ServerTooOld, PermissionDenied, OSError) as error:
            return _fail(str(error))
        finally:
            if server.started:
                server.stop()
            listener.close()


def _run_lives(
    options: ControllerOptions,
    key_pair: KeyPair | None,
    address: str,
    stopping: threading.Event,
    current: list[Controller],
    server: ApiServer,
    beside: Beside,
) -> int:
    """Run one controller after another: each rewind of history ends one, and the next begins afresh."""
    saw_rewind = False
    while not stopping.is_set():
        store = open_store(options)
        try:
            life = _Life(store, options, key_pair, address, saw_rewind, beside)
            current[:] = [life.controller]
            if not server.started:
                server.start()
            saw_rewind = life.run(stopping)
        finally:
            store.close()
    return 0


def open_store(options: ControllerOptions) -> Store:
    """Connect to etcd; the client is imported here, so that `--help` need not load it."""
    from store.etcd import EtcdOptions, EtcdStore

    return EtcdStore(
        EtcdOptions(
            endpoints=options.etcd, ca_file=options.cacert, cert_file=options.cert, key_file=options.key
        )
    )


class _Life:
    """One controller between two rewinds: its actors in threads."""

    def __init__(
        self,
        store: Store,
        options: ControllerOptions,
        key_pair: KeyPair | None,
        address: str,
        saw_rewind: bool,
        beside: Beside,
    ) -> None:
        self._clock = steady_clock()
        self._supervisor = Supervisor(self._clock)
        wakes = {"core": threading.Event()}
        settings = ControllerSettings(
            identity=options.identity,
            prefix=options.prefix,
            api_address=address,
            version=options.version,
            lease_ttl_s=options.lease_ttl_s,
            policy=Policy(options.score),
            key_pair=key_pair,
            finished=options.finished,
        )
        source = Random(lambda: str(uuid.uuid4()), lambda: secrets.token_urlsafe(32), secrets.randbits(32))
        self.controller = Controller(
            store,
            settings,
            source,
            saw_rewind=saw_rewind,
            wake_core=wakes["core"].set,
            starters=beside.starters,
        )
        for actor in self.controller.actors:
            wake = wakes.setdefault(actor.name, threading.Event())
            self._supervisor.add(actor, wake)
        self.controller.writer.wake = wakes["writer"].set
        if beside.starters:
            self.controller.companions.wake = wakes[self.controller.companions.name].set

    def run(self, stopping: threading.Event) -> bool:
        """Run until `stopping`; return True if history was rewound. Other errors are raised."""
        self._supervisor.start()
        while not stopping.wait(0.5) and not self._supervisor.wait(0.0) and self.controller.refusal is None:
            pass
        lingering = self._supervisor.stop()
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


@contextmanager
def _signals(stopping: threading.Event) -> Iterator[None]:
    def stop(signum: int, frame: object) -> None:
        stopping.set()

    before = {number: signal.signal(number, stop) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _fail(message: str) -> int:
    sys.stderr.write(f"Error: {message}\n")
    return 1
