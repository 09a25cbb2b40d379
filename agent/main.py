"""The agent as a process: state folder, threads, signals, and a new life when history was rewound.

Containers go on when the agent ends, for whatever reason. A clean stop says so in the node report before it
gives the node's name up.
"""

import logging
import os
import signal
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

from agent.assembly import Agent, Settings, Wakes, assemble
from agent.errors import AgentError
from agent.identity import IdentityKeeper, StateFolder
from agent.options import DEFAULT_DOCKER_HOST, AgentOptions
from agent.resources import HostFacts, primary_address
from agent.runtime.api import Runtime
from agent.runtime.logs import Logs, NoLogs
from agent.server import AgentServer, api_address, bind_socket
from schemas.binding import Binding
from schemas.errors import InvalidName
from schemas.keys import Keys
from schemas.meta import check_dns_subdomain
from store.api import Store
from store.errors import PermissionDenied, Rewound, ServerTooOld, StoreError
from store.loop import Actor, Supervisor, steady_clock

__all__ = ["AgentOptions", "run_agent"]

log = logging.getLogger(__name__)

POLL_STOP_S = 0.5  # how soon a dead actor is noticed
FINAL_REPORT_S = 3.0  # a clean stop waits so long for its last report to be written


def run_agent(options: AgentOptions, stopping: threading.Event | None = None) -> int:
    """Run until SIGTERM, SIGINT or `stopping`; return the exit code.

    An error that a person must mend prints one line.
    """
    stopping = stopping or threading.Event()
    try:
        check_dns_subdomain(options.node)
        with _signals(stopping), ExitStack() as stack:
            folder = stack.enter_context(StateFolder(options.state_dir, lambda: str(uuid.uuid4())))
            if options.join_new_cluster:
                _leave_cluster(folder.keeper)
            _Process(options, folder.keeper, stack).run(stopping)
    except (AgentError, InvalidName, ServerTooOld, PermissionDenied, OSError) as error:
        sys.stderr.write(f"Error: {error}\n")
        return 1
    return 0


def _leave_cluster(keeper: IdentityKeeper) -> None:
    """Forget the cluster. Its containers are not ours to touch any more, so say how to find them."""
    left = keeper.identity.cluster_uid
    keeper.update(cluster_uid="", incarnation=0, highest_revision=0, rewound_from=0)
    if left:
        log.warning(
            "left cluster=%s; its containers here go on and nobody manages them: "
            "docker ps --filter label=berth.cluster=%s",
            left,
            left,
        )


class _Ending:
    """An actor whose expected errors end its life, not with a traceback but as a value."""

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


class _Process:
    """What outlives a rewind: runtime, server, identity; and the lives between rewinds."""

    def __init__(self, options: AgentOptions, keeper: IdentityKeeper, stack: ExitStack) -> None:
        self._options = options
        self._keeper = keeper
        self._clock = steady_clock()
        self._wake_core = threading.Event()
        self._agent: Agent | None = None
        listener = bind_socket(options.listen)
        stack.callback(listener.close)
        self._settings = Settings(
            node=options.node,
            facts=HostFacts(options),
            keys=Keys(options.prefix),
            host_ports=options.port_range,
            api_address=api_address(listener, options.address or primary_address()),
            agent_version=options.version,
            orphan_after_s=options.orphan_after_s,
            lease_ttl_s=options.lease_ttl_s,
        )
        self._runtime, logs = make_runtime(options, self._wake_core.set, self._clock)
        stack.callback(self._runtime.close)
        server = AgentServer(listener, self._find, logs)
        server.start()
        stack.callback(server.stop)

    def run(self, stopping: threading.Event) -> None:
        """Live until `stopping`; each rewind of history ends one life, and the next begins afresh."""
        while not stopping.is_set():
            store = open_store(self._options, self._keeper.identity.highest_revision)
            try:
                self._live(store, stopping)
            except Rewound as error:
                log.warning("history was rewound, frozen until the leader has answered error=%s", error)
                self._keeper.rewound(error.seen)
            finally:
                store.close()

    def _live(self, store: Store, stopping: threading.Event) -> None:
        """Run one life's actors in threads. Raises what ended one of them."""
        wakes = {name: threading.Event() for name in ("heartbeat", "reporter")} | {"core": self._wake_core}
        agent = assemble(
            store,
            self._runtime,
            self._keeper,
            self._settings,
            instance=str(uuid.uuid4()),
            now=self._clock(),
            wakes=Wakes(**{name: event.set for name, event in wakes.items()}),
        )
        supervisor = Supervisor(self._clock)
        ends: list[Exception] = []
        for actor in agent.actors:
            supervisor.add(_Ending(actor, supervisor, ends), wakes[actor.name])
        self._agent = agent
        supervisor.start()
        while not stopping.wait(POLL_STOP_S) and not supervisor.wait(0.0):
            pass
        lingering = supervisor.stop()
        try:
            for error in (*ends, supervisor.error):
                if error is not None:
                    raise error
            if lingering:  # a call to the store hangs; its thread still owns what leaving would touch
                log.warning("not announced, the lease will expire; still busy=%s", ",".join(lingering))
            else:
                self._leave(agent)
        finally:
            agent.close()

    def _leave(self, agent: Agent) -> None:
        """Announce the stop, then give the name up. Without the store the lease simply expires."""
        agent.core.announce_stop()
        deadline = time.monotonic() + FINAL_REPORT_S
        try:
            agent.core.step(self._clock())
            while not agent.reporter.idle and time.monotonic() < deadline:
                due = agent.reporter.step(self._clock())
                if due is not None or agent.heartbeat.fence is None:
                    break
            agent.heartbeat.release()
        except StoreError as error:
            log.warning("clean stop not announced, the lease will expire error=%s", error)

    def _find(self, task_uid: str) -> tuple[str, Binding] | None:
        agent = self._agent
        binding = agent.core.book.binding(task_uid) if agent is not None else None
        if not isinstance(binding, Binding):
            return None
        return self._keeper.identity.cluster_uid, binding


def open_store(options: AgentOptions, highest_revision: int) -> Store:
    """Connect to etcd. highest_revision: seen in a former life; below it history was rewound."""
    from store.etcd import EtcdOptions, EtcdStore

    return EtcdStore(
        EtcdOptions(
            endpoints=options.etcd,
            ca_file=options.cacert,
            cert_file=options.cert,
            key_file=options.key,
            highest_revision=highest_revision,
        )
    )


def make_runtime(
    options: AgentOptions, notify: Callable[[], None], clock: Callable[[], float]
) -> tuple[Runtime, Logs]:
    """Return the runtime that the options name, and where its logs are."""
    if options.runtime == "hollow":
        from agent.runtime.hollow import HollowHost, HollowRuntime

        return HollowRuntime(HollowHost(clock), node=options.node, notify=notify), NoLogs()
    from agent.runtime.docker import DockerRuntime
    from agent.runtime.docker_client import DockerOptions
    from agent.runtime.docker_logs import DockerLogs

    host = options.docker_host or os.environ.get("DOCKER_HOST") or DEFAULT_DOCKER_HOST
    docker = DockerOptions(host, options.node, options.state_dir.resolve())
    return DockerRuntime(docker, notify), DockerLogs(docker)


@contextmanager
def _signals(stopping: threading.Event) -> Iterator[None]:
    """Let SIGTERM and SIGINT set `stopping`; only the main thread may ask for that."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    numbers = (signal.SIGTERM, signal.SIGINT)
    before = {number: signal.signal(number, lambda *_: stopping.set()) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
