"""A fleet as a process: one identity on disk for all its nodes, one loop, and a new life after a rewind.

The uid of a node follows from that of the fleet and its name, and the cluster and its incarnation are the same for
all, so that one small file serves a thousand nodes. Their hollow containers are gone when the process ends.
"""

import logging
import threading
import uuid
from collections.abc import Callable
from dataclasses import replace

from agent.assembly import Agent, Settings, Wakes, assemble
from agent.ending import live_until
from agent.facts import NodeFacts
from agent.fleet import Fleet
from agent.fleet_store import FleetStore
from agent.identity import IdentityKeeper
from agent.options import AgentOptions
from agent.resources import HostFacts, allocatable_of, default_reserve
from agent.runtime.hollow import HollowHost, HollowRuntime
from agent.standing import Identity
from schemas.keys import Keys
from store.api import Store
from store.errors import Rewound, StoreError
from store.loop import calm_collector, steady_clock

log = logging.getLogger(__name__)

RESULTS_AT_ONCE = 4  # pull, create, start: what is hollow is done at once, and told of when it runs


class FleetProcess:
    """What outlives a rewind: the identity and the hosts; and the lives between rewinds."""

    def __init__(
        self, options: AgentOptions, keeper: IdentityKeeper, open_store: Callable[[int], Store]
    ) -> None:
        """open_store: highest revision seen -> a new connection."""
        self._options = options
        self._keeper = keeper
        self._open_store = open_store
        self._clock = steady_clock()
        self._wake = threading.Event()
        self._facts = HostFacts(options)
        self._nodes = tuple(f"{options.node}-{number:04d}" for number in range(1, options.count + 1))
        self._keepers = tuple(map(self._keeper_of, self._nodes))
        self._hosts = tuple(HollowHost(self._clock) for _ in self._nodes)

    def _keeper_of(self, node: str) -> IdentityKeeper:
        fleet = self._keeper.identity
        own = replace(
            fleet, node_uid=str(uuid.uuid5(uuid.UUID(fleet.node_uid), node)), halted=(), hooks_due=()
        )
        return IdentityKeeper(own, self._save)

    def _save(self, identity: Identity) -> None:
        """What one node learned of the cluster holds for all; the file changes once."""
        self._keeper.update(
            cluster_uid=identity.cluster_uid,
            incarnation=max(identity.incarnation, self._keeper.identity.incarnation),
            rewound_from=identity.rewound_from,
            highest_revision=max(identity.highest_revision, self._keeper.identity.highest_revision),
        )

    def run(self, stopping: threading.Event) -> None:
        """Live until `stopping`; each rewind of history ends one life of all, and the next begins afresh."""
        while not stopping.is_set():
            store = self._open_store(self._keeper.identity.highest_revision)
            try:
                self._live(store, stopping)
            except Rewound as error:
                log.warning("history was rewound, frozen until the leader has answered error=%s", error)
                for keeper in self._keepers:
                    keeper.rewound(error.seen)
            finally:
                store.close()

    def _live(self, store: Store, stopping: threading.Event) -> None:
        calm_collector()
        keys = Keys(self._options.prefix)
        shared = FleetStore(store, keys, self._wake.set)
        fleet = Fleet(
            shared,
            keys,
            lambda number, wakes: self._assemble(shared, number, wakes),
            count=len(self._nodes),
            clock=self._clock,
        )
        log.info("fleet starts nodes=%d first=%s last=%s", len(self._nodes), self._nodes[0], self._nodes[-1])
        try:
            if not live_until(stopping, self._clock, [(fleet, self._wake)]):
                self._leave(fleet)
        finally:
            fleet.close()

    def _leave(self, fleet: Fleet) -> None:
        try:
            fleet.leave(self._clock())
        except StoreError as error:
            log.warning("clean stop not announced, the leases will expire error=%s", error)

    def _assemble(self, store: FleetStore, number: int, wakes: Wakes) -> Agent:
        node = self._nodes[number]
        settings = Settings(
            node=node,
            facts=lambda data_root: self._facts_of(node, data_root),
            keys=Keys(self._options.prefix),
            host_ports=self._options.port_range,
            agent_version=self._options.version,
            orphan_after_s=self._options.orphan_after_s,
            keep_dead_s=self._options.dead.max_age_s,
            lease_ttl_s=self._options.lease_ttl_s,
            results_at_once=RESULTS_AT_ONCE,
        )
        runtime = HollowRuntime(self._hosts[number], node=node, notify=wakes.core)
        instance = str(uuid.uuid4())
        return assemble(
            store,
            runtime,
            self._keepers[number],
            settings,
            instance=instance,
            now=self._clock(),
            wakes=wakes,
        )

    def _facts_of(self, node: str, data_root: str) -> NodeFacts:
        """Return facts about a node that is nowhere: its capacity is what was asked for."""
        facts = self._facts(data_root)
        capacity = facts.capacity | self._options.capacity
        reserve = default_reserve(capacity) | self._options.reserve
        return replace(
            facts,
            capacity=capacity,
            allocatable=allocatable_of(capacity, reserve),
            labels=facts.labels | {"berth/hostname": node},
        )
