"""The controller as a process: options, threads, signals, and what to do when history was rewound."""

import logging
import secrets
import signal
import socket
import sys
import threading
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from controller.companions import Beside
from controller.errors import CannotStart
from controller.history.sizes import DEFAULT_SIZE_BYTES, MIN_SIZE_BYTES
from controller.manager import Controller, ControllerSettings
from controller.packing import PackBeside
from controller.reconcilers.collection import FinishedPolicy
from controller.scheduler.program import Limits
from controller.scheduler.schedule import Policy
from controller.scheduler.scores import Strategy
from controller.server import ApiServer, HookServer, WebServer
from controller.source import Random
from schemas.keys import Keys
from sealing.errors import BadKey
from sealing.keys import KeyPair, load_key_pair
from store.api import Store
from store.errors import CannotServe, PermissionDenied, Rewound, ServerTooOld, StoreError
from store.loop import Supervisor, calm_collector, steady_clock
from store.serving import PLAIN, ServerTls, api_address, bind_socket, primary_address

if TYPE_CHECKING:
    from controller.history.keeper import Keeper

__all__ = ["MIN_HISTORY_BYTES", "Beside", "ControllerOptions", "FinishedPolicy", "run_controller"]

log = logging.getLogger(__name__)

MIN_HISTORY_BYTES = MIN_SIZE_BYTES
HISTORY_STOP_S = 5.0  # what waits is written within tenths of a second, unless the disk hangs


@dataclass(frozen=True, slots=True)
class ControllerOptions:
    """What a person may set.

    etcd: endpoints. cacert, cert, key: files for TLS towards it. listen: host:port of the read API, port 0 for any.
    address: by which others reach that, where it listens everywhere; empty: found out. tls: how it serves.
    hook_listen: host:port for webhooks alone, of callers without a certificate; empty: they call at `listen` only.
    identity: name shown as leader. score: how nodes are chosen. lease_ttl_s: seconds until a dead leader is replaced.
    secret_key: file of the private key that opens Secrets; None: tasks that need one wait.
    finished: when tasks of nobody's that have ended are removed.
    history_file: where changes of spec are taken down, None: nowhere; history_bytes: how large it may get.
    packing_budget_s: how long tasks with `placement: optimal` wait for the optimiser; 0: it is not asked.
    """

    etcd: tuple[str, ...]
    identity: str
    cacert: str | None = None
    cert: str | None = None
    key: str | None = None
    prefix: str = "/berth"
    listen: str = "127.0.0.1:0"
    address: str = ""
    tls: ServerTls = PLAIN
    hook_listen: str = ""
    score: Strategy = "binpack"
    lease_ttl_s: int = 10
    version: str = ""
    secret_key: Path | None = None
    finished: FinishedPolicy = field(default_factory=FinishedPolicy)
    history_file: Path | None = None
    history_bytes: int = DEFAULT_SIZE_BYTES
    packing_budget_s: float = 5.0

    @property
    def addresses(self) -> tuple[tuple[str, str], ...]:
        """Option -> where it listens, as pairs: the read API's comes first."""
        hooks = (("--webhook-listen", self.hook_listen),) if self.hook_listen else ()
        return (("--listen", self.listen), *hooks)


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
    with ExitStack() as closing, _signals(stopping):
        try:
            options.tls.check()
            listeners = [
                closing.enter_context(bind_socket(address, option)) for option, address in options.addresses
            ]
        except CannotServe as error:
            return _fail(str(error))
        current: list[Controller] = []
        servers = _servers(options, listeners, lambda: current[-1], beside)
        address = api_address(listeners[0], options.address or primary_address(), options.tls)
        try:
            with history_of(options) as history:
                return _run_lives(options, key_pair, address, stopping, current, servers, history, beside)
        except (CannotStart, ServerTooOld, PermissionDenied, OSError) as error:
            return _fail(str(error))
        finally:
            for server in servers:
                if server.started:
                    server.stop()


def _servers(
    options: ControllerOptions,
    listeners: Sequence[socket.socket],
    controller: Callable[[], Controller],
    beside: Beside,
) -> tuple[WebServer, ...]:
    """Return what serves at the addresses of the options: the read API, and webhooks where that is asked for."""
    api = ApiServer(listeners[0], controller, options.tls, beside.hook)
    if beside.hook is None:
        return (api,)
    return (api, *(HookServer(each, controller, options.tls, beside.hook) for each in listeners[1:]))


def _run_lives(
    options: ControllerOptions,
    key_pair: KeyPair | None,
    address: str,
    stopping: threading.Event,
    current: list[Controller],
    servers: tuple[WebServer, ...],
    history: "Keeper | None",
    beside: Beside,
) -> int:
    """Run one controller after another: each rewind of history ends one, and the next begins afresh."""
    saw_rewind = False
    while not stopping.is_set():
        store = open_store(options)
        try:
            life = _Life(store, options, key_pair, address, saw_rewind, history, beside)
            current[:] = [life.controller]
            for server in servers:
                if not server.started:
                    server.start()
            saw_rewind = life.run(stopping)
            if saw_rewind and history is not None:
                history.rewound()
        finally:
            store.close()
    return 0


@contextmanager
def history_of(options: ControllerOptions) -> "Iterator[Keeper | None]":
    """Keep the archive in a thread of its own, from before the first life of a controller until after the last.

    Raises CannotStart when another process has the file.
    """
    path = options.history_file
    if path is None:
        yield None
        return
    from controller.history.archive import Archive, FileLock
    from controller.history.keeper import Keeper

    lock = FileLock(path.with_name(path.name + ".lock"))
    clock = steady_clock()
    keeper = Keeper(Archive(path, options.history_bytes), Keys(options.prefix), clock)
    thread, wake = Supervisor(clock), threading.Event()
    keeper.wake = wake.set
    thread.add(keeper, wake)
    thread.start()
    try:
        yield keeper
    finally:
        if thread.stop(HISTORY_STOP_S):
            log.warning("history is still busy with its disk, what waits is lost file=%s", path)
        else:
            keeper.close()
            lock.release()


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
        history: "Keeper | None",
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
            packing=Limits(options.packing_budget_s),
        )
        source = Random(lambda: str(uuid.uuid4()), lambda: secrets.token_urlsafe(32), secrets.randbits(32))
        self._packer = PackBeside(wakes["core"].set)
        self.controller = Controller(
            store,
            settings,
            source,
            saw_rewind=saw_rewind,
            wake_core=wakes["core"].set,
            packer=self._packer,
            history=history,
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
