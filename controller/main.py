"""The controller as a process: options, threads, signals, and what to do when history was rewound."""

import logging
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from controller.companions import Beside
from controller.errors import CannotStart
from controller.history.sizes import MIN_SIZE_BYTES
from controller.life import Lasting, Life
from controller.manager import Controller
from controller.options import ControllerOptions
from controller.reconcilers.collection import FinishedPolicy
from controller.server import ApiServer, HookServer, WebServer
from schemas.keys import Keys
from sealing.errors import BadKey
from sealing.keys import KeyPair, load_key_pair
from store.api import Store
from store.errors import CannotServe, PermissionDenied, ServerTooOld
from store.loop import Supervisor, calm_collector, steady_clock
from store.serving import api_address, bind_socket, primary_address

if TYPE_CHECKING:
    from controller.history.keeper import Keeper

__all__ = ["MIN_HISTORY_BYTES", "Beside", "ControllerOptions", "FinishedPolicy", "run_controller"]

log = logging.getLogger(__name__)

MIN_HISTORY_BYTES = MIN_SIZE_BYTES
HISTORY_STOP_S = 5.0  # what waits is written within tenths of a second, unless the disk hangs


def run_controller(options: ControllerOptions, beside: Beside | None = None) -> int:
    """Run until SIGTERM or SIGINT; return the exit code. Errors that a person must mend print one line.

    beside: what else this process does while it leads.
    """
    stopping = threading.Event()
    calm_collector()
    try:
        with _signals(stopping):
            _run(options, beside or Beside(), stopping)
    except (CannotServe, CannotStart, ServerTooOld, PermissionDenied, OSError) as error:
        sys.stderr.write(f"Error: {error}\n")
        return 1
    return 0


def _run(options: ControllerOptions, beside: Beside, stopping: threading.Event) -> None:
    key_pair = _key_pair(options.secret_key) if options.secret_key else None
    current: list[Controller] = []
    with ExitStack() as stack:
        options.tls.check()
        listeners = [stack.enter_context(bind_socket(where, option)) for option, where in options.addresses]
        servers = _servers(options, listeners, lambda: current[-1], beside)
        stack.callback(_stop, servers)
        address = api_address(listeners[0], options.address or primary_address(), options.tls)
        history = stack.enter_context(history_of(options))
        _run_lives(Lasting(options, address, key_pair, history, beside), stopping, current, servers)


def _key_pair(path: Path) -> KeyPair:
    try:
        return load_key_pair(path)
    except (OSError, BadKey) as error:
        raise CannotStart(f"--secret-key: {error}") from None


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


def _start(servers: Sequence[WebServer]) -> None:
    """They serve from the first life on, for all lives."""
    for server in servers:
        if not server.started:
            server.start()


def _stop(servers: Sequence[WebServer]) -> None:
    for server in servers:
        if server.started:
            server.stop()


def _run_lives(
    lasting: Lasting, stopping: threading.Event, current: list[Controller], servers: Sequence[WebServer]
) -> None:
    """Run one controller after another. current: where the servers find the one that lives."""
    saw_rewind = False
    while not stopping.is_set():
        store = open_store(lasting.options)
        try:
            life = Life(store, lasting, saw_rewind=saw_rewind)
            current[:] = [life.controller]
            _start(servers)
            saw_rewind = life.run(stopping)
            if saw_rewind and lasting.history is not None:
                lasting.history.rewound()
        finally:
            store.close()


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
