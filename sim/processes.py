"""Simulated processes: a controller or an agent that can crash at any step and be started again.

What survives a crash is what would survive it in production: the store, an agent's state folder, and the
host's containers with whatever operation was already on its way to the runtime.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from agent.assembly import Agent, Settings, assemble
from agent.identity import Identity, IdentityKeeper
from agent.resources import NodeFacts
from agent.runtime.api import ContainerInfo, Observation, Op
from agent.runtime.hollow import Fault, HollowRuntime
from controller.manager import Controller, ControllerSettings
from controller.reconcilers.collection import FinishedPolicy
from controller.scheduler.program import Limits
from controller.scheduler.schedule import Policy
from controller.source import Random
from sealing.keys import KeyPair
from sim.asking import SimAsker, Wellness
from sim.host import SimHost
from sim.invariants import Claim
from sim.store import NetworkStore
from store.errors import Rewound
from store.loop import Actor

StoreFor = Callable[[str, int], NetworkStore]
"""Returns a new client of the store: (process name, highest revision seen before) -> store."""

QUICKLY = FinishedPolicy(ttl_s=20.0, keep=2)  # so that some tasks go in most stories
KEEP_DEAD_S = 5.0

PACKING = Limits(seconds=1e9, search_nodes=200)  # virtual time: only the search itself may end it


class Process(Protocol):
    """What controllers and agents have in common."""

    name: str
    store: NetworkStore | None

    @property
    def is_up(self) -> bool: ...

    @property
    def may_start(self) -> bool: ...

    @property
    def actors(self) -> tuple[Actor, ...]: ...

    def start(self, now: float) -> None: ...

    def crash(self, now: float) -> None: ...

    def rewound(self, error: Rewound, now: float) -> None: ...

    def claim(self) -> Claim: ...


@dataclass(slots=True)
class ControllerProcess:
    """One controller; `saw_rewind` is what its next life is told."""

    name: str
    connect: StoreFor
    random_source: Random
    policy: Policy
    key_pair: KeyPair | None = None
    controller: Controller | None = None
    store: NetworkStore | None = None
    saw_rewind: bool = False
    finished: FinishedPolicy = field(default_factory=FinishedPolicy)

    @property
    def is_up(self) -> bool:
        return self.controller is not None

    @property
    def actors(self) -> tuple[Actor, ...]:
        return self.controller.actors if self.controller else ()

    def start(self, now: float) -> None:
        self.store = self.connect(self.name, 0)
        settings = ControllerSettings(
            identity=self.name,
            policy=self.policy,
            key_pair=self.key_pair,
            finished=self.finished,
            packing=PACKING,
        )
        self.controller = Controller(self.store, settings, self.random_source, saw_rewind=self.saw_rewind)

    @property
    def may_start(self) -> bool:
        return not self.is_up

    def crash(self, now: float) -> None:
        if self.controller is not None:
            self.controller.close()
        self.controller = None
        self.saw_rewind = False

    def rewound(self, error: Rewound, now: float) -> None:
        """History went back: end without another write, and begin afresh."""
        self.crash(now)
        self.saw_rewind = True
        self.start(now)

    def claim(self) -> Claim:
        keeper = self.controller.electing.keeper if self.controller else None
        lease = f"{keeper.lease_id:x}" if keeper else ""
        prefix = self.controller.keys.election if self.controller else ""
        term = self.controller.term if self.controller else None
        return Claim("controller", f"{self.name}/{id(term)}", key=f"{prefix}{lease}")


class Tap:
    """A runtime whose operations are looked at on their way; `on_op` is told before they are submitted."""

    def __init__(self, inner: HollowRuntime, on_op: Callable[[Op], None]) -> None:
        self.inner = inner
        self._on_op = on_op
        self.under_way: list[Op] = []

    def submit(self, op: Op) -> None:
        self._on_op(op)
        self.under_way.append(op)
        self.inner.submit(op)

    def resync(self) -> None:
        self.inner.resync()

    def poll(self) -> tuple[Observation, ...]:
        found = self.inner.poll()
        landed = [each.op for each in found if hasattr(each, "op")]
        self.under_way = [op for op in self.under_way if op not in landed]
        return found

    def next_due(self) -> float | None:
        return self.inner.next_due()

    def close(self) -> None:
        self.inner.close()


@dataclass(slots=True)
class AgentProcess:
    """One node: its host goes on when the agent dies, and dies when the host does."""

    name: str
    connect: StoreFor
    host: SimHost
    facts: NodeFacts
    rng: random.Random
    on_op: Callable[["AgentProcess", Op], None]
    new_uid: Callable[[], str]
    faults: Callable[[Op, float], Fault]
    wellness: Wellness
    public_key: str | None = None
    keep_dead_s: float = float("inf")
    agent: Agent | None = None
    store: NetworkStore | None = None
    runtime: Tap | None = None
    instance: str = ""
    identity: Identity = field(default_factory=lambda: Identity(node_uid=""))
    keeper: IdentityKeeper | None = None
    host_is_up: bool = True
    down_since: float | None = None
    confirmed_at: float = 0.0  # the last beat of the lives before this one

    @property
    def is_up(self) -> bool:
        return self.agent is not None

    @property
    def may_start(self) -> bool:
        return not self.is_up and self.host_is_up

    @property
    def actors(self) -> tuple[Actor, ...]:
        return self.agent.actors if self.agent else ()

    def start(self, now: float) -> None:
        if not self.identity.node_uid:
            self.identity = Identity(node_uid=f"node-{self.name}")
        self.keeper = IdentityKeeper(self.identity, self._save)
        self.store = self.connect(self.name, self.identity.highest_revision)
        self.runtime = Tap(HollowRuntime(self.host, node=self.name, faults=self.faults), self._look)
        self.instance = self.new_uid()
        settings = Settings(
            node=self.name,
            facts=lambda _root: self.facts,
            public_key=self.public_key,
            keep_dead_s=self.keep_dead_s,
        )
        self.agent = assemble(
            self.store,
            self.runtime,
            self.keeper,
            settings,
            instance=self.instance,
            now=now,
            asker=SimAsker(self.wellness, self.host.find),
        )
        self.down_since = None

    def _save(self, identity: Identity) -> None:
        self.identity = identity

    def _look(self, op: Op) -> None:
        self.on_op(self, op)

    def crash(self, now: float) -> None:
        """The process dies; operations on their way may still be carried out by the runtime."""
        if self.agent is None or self.runtime is None:
            return
        under_way = self.runtime.under_way
        self.confirmed_at = self.silent_since
        self.agent.close()
        self.runtime.close()
        for op in under_way:
            if self.host_is_up and self.rng.random() < 0.5:
                self.host.perform(op)
        self.agent, self.down_since = None, now

    def die_with_host(self, now: float) -> None:
        """Power is cut: agent and containers are gone; dead containers are found again after the start."""
        self.crash(now)
        self.host_is_up = False
        self.host.power_off()

    def rewound(self, error: Rewound, now: float) -> None:
        """History went back: remember that, and begin afresh."""
        assert self.keeper is not None
        self.keeper.rewound(error.seen)
        self.crash(now)
        self.start(now)

    @property
    def silent_since(self) -> float:
        """When the store last confirmed this node, in this life or one before."""
        assert self.agent is not None
        heartbeat = self.agent.heartbeat
        return heartbeat.confirmed_at if heartbeat.fence is not None else self.confirmed_at

    def claim(self) -> Claim:
        return Claim("agent", instance=self.instance, node=self.name)

    def running(self) -> tuple[ContainerInfo, ...]:
        return self.host.running() if self.host_is_up else ()
