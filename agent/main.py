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
from typing import TYPE_CHECKING

from agent.assembly import Agent, Settings, Wakes, assemble
from agent.cleanup import stop_tasks_of
from agent.collecting import DeadPolicy, ImagePolicy
from agent.ending import live_until
from agent.errors import AgentError
from agent.identity import IdentityKeeper, StateFolder, node_key_pair
from agent.options import DEFAULT_DOCKER_HOST, AgentOptions
from agent.pulled import PulledImages
from agent.resources import HostFacts
from agent.runtime.api import Runtime
from agent.runtime.asking import Asker, HollowAsker
from agent.runtime.logs import Logs, NoLogs
from agent.runtime.streams import NoStreams, Streams
from agent.runtime.usage import NoUsage, UsageCounters
from agent.server.app import AgentServer, warn_if_open
from agent.server.usage import UsageMeter, UsageSource
from schemas.binding import Binding
from schemas.errors import InvalidName
from schemas.keys import Keys
from schemas.meta import check_dns_subdomain
from schemas.roles import all_containers
from sealing.keys import KeyPair
from store.api import Store
from store.errors import CannotServe, PermissionDenied, Rewound, ServerTooOld, StoreError
from store.loop import steady_clock
from store.serving import ServerTls, api_address, bind_socket, primary_address

if TYPE_CHECKING:
    from agent.fleet_process import FleetProcess

__all__ = ["AgentOptions", "DeadPolicy", "ImagePolicy", "run_agent", "stop_tasks_of"]

log = logging.getLogger(__name__)

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
            _process(options, folder.keeper, stack).run(stopping)
    except (AgentError, CannotServe, InvalidName, ServerTooOld, PermissionDenied, OSError) as error:
        sys.stderr.write(f"Error: {error}\n")
        return 1
    return 0


def _process(options: AgentOptions, keeper: IdentityKeeper, stack: ExitStack) -> "_Process | FleetProcess":
    if not options.count:
        return _Process(options, keeper, stack)
    from agent.fleet_process import FleetProcess

    return FleetProcess(options, keeper, lambda seen: open_store(options, seen))


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


class _Process:
    """What outlives a rewind: runtime, server, identity; and the lives between rewinds."""

    def __init__(self, options: AgentOptions, keeper: IdentityKeeper, stack: ExitStack) -> None:
        self._options = options
        self._keeper = keeper
        self._clock = steady_clock()
        self._wake_core = threading.Event()
        self._agent: Agent | None = None
        tls = server_tls(options)
        pair = node_key_pair(options.state_dir) if options.runtime == "docker" else None
        listener = bind_socket(options.listen)
        stack.callback(listener.close)
        warn_if_open(listener, tls)
        facts = HostFacts(options)
        self._settings = Settings(
            node=options.node,
            facts=facts,
            keys=Keys(options.prefix),
            host_ports=options.port_range,
            api_address=api_address(listener, options.address or primary_address(), tls),
            agent_version=options.version,
            public_key=pair.public if pair else None,
            orphan_after_s=options.orphan_after_s,
            keep_dead_s=options.dead.max_age_s,
            lease_ttl_s=options.lease_ttl_s,
        )
        pulled = PulledImages(options.state_dir.resolve())
        self._runtime, logs, streams, counters = make_runtime(
            options, self._wake_core.set, self._clock, pair, pulled
        )
        stack.callback(self._runtime.close)
        self._asker = make_asker(options, streams, self._wake_core.set)
        stack.callback(self._asker.close)
        if options.runtime == "docker":
            self._collect(pulled, stack)
        usage = UsageSource(UsageMeter(counters), self._here, lambda: facts.last.capacity)
        server = AgentServer(listener, self._find, logs, streams, tls, usage)
        server.start()
        stack.callback(server.stop)

    def _collect(self, pulled: PulledImages, stack: ExitStack) -> None:
        from agent.runtime.docker import DockerRuntime
        from agent.runtime.docker_client import DockerOptions
        from agent.runtime.docker_collecting import DiskCollector

        assert isinstance(self._runtime, DockerRuntime)
        options, tell = self._options, self._runtime.tell
        docker = DockerOptions(docker_host(options), options.node, options.state_dir.resolve())
        collector = DiskCollector(docker, pulled, options.images, self._images_needed, time.time, tell)
        collector.start()
        stack.callback(collector.close)

    def _images_needed(self) -> frozenset[str] | None:
        """Return the images of all tasks that are bound here, None while that is not known."""
        agent = self._agent
        if agent is None or not agent.core.book.synced or agent.core.book.unreadable():
            return None
        specs = [each.spec for each in agent.core.book.bindings()]
        return frozenset(each.image for spec in specs for each in all_containers(spec))

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
            asker=self._asker,
        )
        self._agent = agent
        try:
            woken = [(actor, wakes[actor.name]) for actor in agent.actors]
            lingering = live_until(stopping, self._clock, woken)
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

    def _here(self) -> tuple[str, tuple[Binding, ...]]:
        agent = self._agent
        bindings = tuple(agent.core.book.bindings()) if agent is not None else ()
        return self._keeper.identity.cluster_uid, bindings


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


def server_tls(options: AgentOptions) -> ServerTls:
    """Return the server's certificates, which can be used. Raises CannotServe."""
    tls = ServerTls(
        *(str(each or "") for each in (options.server_cert, options.server_key, options.client_ca))
    )
    tls.check()
    return tls


def make_runtime(
    options: AgentOptions,
    notify: Callable[[], None],
    clock: Callable[[], float],
    pair: KeyPair | None = None,
    pulled: PulledImages | None = None,
) -> tuple[Runtime, Logs, Streams, UsageCounters]:
    """Return the runtime that the options name, where its logs are, the ways into its containers, their counters."""
    if options.runtime == "hollow":
        from agent.runtime.hollow import HollowHost, HollowRuntime

        return (
            HollowRuntime(HollowHost(clock), node=options.node, notify=notify),
            NoLogs(),
            NoStreams(),
            NoUsage(),
        )
    from agent.runtime.docker import DockerRuntime
    from agent.runtime.docker_client import DockerOptions
    from agent.runtime.docker_logs import DockerLogs
    from agent.runtime.docker_streams import DockerStreams
    from agent.runtime.docker_usage import DockerUsage

    host = docker_host(options)
    docker = DockerOptions(
        host,
        options.node,
        options.state_dir.resolve(),
        key_pair=pair,
        secret_dir=options.secret_dir,
        pulled=pulled,
    )
    return DockerRuntime(docker, notify), DockerLogs(docker), DockerStreams(host), DockerUsage(docker)


def docker_host(options: AgentOptions) -> str:
    return options.docker_host or os.environ.get("DOCKER_HOST") or DEFAULT_DOCKER_HOST


def make_asker(options: AgentOptions, streams: Streams, notify: Callable[[], None]) -> Asker:
    """Return who asks containers for their probes; those of a runtime that runs nothing are always well."""
    if options.runtime == "hollow":
        return HollowAsker()
    from agent.runtime.stream_asking import StreamAsker

    return StreamAsker(streams, notify)


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
