"""An agent against a store in memory and a hollow host, under virtual time and without threads."""

import itertools
import json
from dataclasses import dataclass, field

from agent.assembly import Agent, Settings, assemble
from agent.identity import Identity, IdentityKeeper
from agent.resources import NodeFacts
from agent.runtime.asking import Asker, HollowAsker
from agent.runtime.hollow import Fault, Faults, HollowHost, HollowRuntime
from schemas.binding import Binding
from schemas.cluster import Cluster
from schemas.keys import Keys
from schemas.meta import Model
from schemas.report import NodeReport, TaskReport
from store import codec
from store.api import Delete, Put, Txn
from store.errors import Rewound, Unavailable
from store.memory import MemoryStore
from tests.agent.builders import CLUSTER, NODE

KEYS = Keys()
TICK_S = 0.05


class Clock:
    def __init__(self, now: float = 1_000_000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


class CutStore(MemoryStore):
    """A client whose connection can be cut."""

    is_cut = False

    def _guard(self) -> None:
        if CutStore.is_cut:
            raise Unavailable("the connection is cut")

    def get(self, key):  # type: ignore[no-untyped-def]
        self._guard()
        return super().get(key)

    def list(self, prefix, revision=0):  # type: ignore[no-untyped-def]
        self._guard()
        return super().list(prefix, revision)

    def txn(self, txn):  # type: ignore[no-untyped-def]
        self._guard()
        return super().txn(txn)

    def watch(self, prefixes, start_revision, notify):  # type: ignore[no-untyped-def]
        self._guard()
        return super().watch(prefixes, start_revision, notify)

    def grant_lease(self, ttl_s):  # type: ignore[no-untyped-def]
        self._guard()
        return super().grant_lease(ttl_s)

    def keep_alive(self, lease_id):  # type: ignore[no-untyped-def]
        self._guard()
        return super().keep_alive(lease_id)


@dataclass
class Machine:
    """One node: its hollow host and its state folder outlive its agent."""

    world: "World"
    node: str = NODE
    node_uid: str = "node-uid-1"
    faults: Faults = lambda _op, _now: Fault()
    saved: list[Identity] = field(default_factory=list)
    asker: Asker = field(default_factory=HollowAsker)
    agent: Agent | None = None
    rewinds: int = 0
    keep_dead_s: float = float("inf")

    def __post_init__(self) -> None:
        self.host = HollowHost(self.world.clock)
        self.saved.append(Identity(self.node_uid))

    def boot(self) -> Agent:
        """Start an agent with what the state folder remembers."""
        self.keeper = IdentityKeeper(self.saved[-1], self.saved.append)
        self.runtime = HollowRuntime(self.host, node=self.node, faults=lambda op, now: self.faults(op, now))
        self._begin()
        assert self.agent is not None
        return self.agent

    def crash(self) -> None:
        assert self.agent is not None
        self.agent.close()
        self.runtime.close()
        self.agent = None

    def step(self) -> None:
        if self.agent is None:
            return
        try:
            for actor in self.agent.actors:
                actor.step(self.world.clock())
        except Rewound as error:
            self.rewinds += 1
            self.keeper.rewound(error.seen)
            self.agent.close()
            self._begin()

    def _begin(self) -> None:
        highest = self.keeper.identity.highest_revision
        store = CutStore(self.world.clock, server=self.world.server, highest_revision=highest)
        facts = NodeFacts({"cpu": 4000, "memory": 2**32}, {"cpu": 3900, "memory": 2**31})
        settings = Settings(node=self.node, facts=lambda _: facts, keys=KEYS, keep_dead_s=self.keep_dead_s)
        instance = f"instance-{next(self.world.ids)}"
        self.agent = assemble(
            store,
            self.runtime,
            self.keeper,
            settings,
            instance=instance,
            now=self.world.clock(),
            asker=self.asker,
        )


class World:
    """A store, some machines, and the leader's hand, which the test plays."""

    def __init__(self) -> None:
        CutStore.is_cut = False
        self.clock = Clock()
        self.store = MemoryStore(self.clock)
        self.server = self.store._server
        self.ids = itertools.count(1)
        self.machines: list[Machine] = []

    def machine(self, **fields: object) -> Machine:
        machine = Machine(self, **fields)  # type: ignore[arg-type]
        self.machines.append(machine)
        return machine

    def init_cluster(self, uid: str = CLUSTER, *, incarnation: int = 1, recovering: bool = False) -> None:
        cluster = Cluster(cluster_uid=uid, incarnation=incarnation, recovering=recovering)
        self.put(KEYS.cluster, cluster)

    def put(self, key: str, value: Model | bytes) -> int:
        raw = value if isinstance(value, bytes) else codec.encode(value.to_json())
        return self.store.txn(Txn((), (Put(key, raw),))).revision

    def delete(self, key: str) -> None:
        self.store.txn(Txn((), (Delete(key),)))

    def bind(self, binding: Binding) -> None:
        self.put(KEYS.binding(binding.node, binding.task_uid), binding)

    def unbind(self, binding: Binding) -> None:
        self.delete(KEYS.binding(binding.node, binding.task_uid))

    def fresh_client(self) -> None:
        """Forget what the leader has seen, as it does after a rewind."""
        self.store = self.store.another_client()

    def report(self, binding: Binding) -> TaskReport | None:
        kv = self.store.get(KEYS.task_report(binding.node, binding.task_uid)).kv
        return None if kv is None else TaskReport.parse_stored(json.loads(kv.value))

    def node_report(self, node: str = NODE) -> NodeReport:
        kv = self.store.get(KEYS.node_report(node)).kv
        assert kv is not None
        return NodeReport.parse_stored(json.loads(kv.value))

    def run(self, seconds: float = 1.0, *, tick_s: float = TICK_S) -> None:
        """Let virtual time pass, stepping every agent each tick."""
        for _ in range(max(1, round(seconds / tick_s))):
            self.clock.now += tick_s
            self.store.expire_leases()
            for machine in self.machines:
                machine.step()


def booted_world() -> tuple[World, Machine]:
    """A cluster with one agent that is ready."""
    world = World()
    world.init_cluster()
    machine = world.machine()
    machine.boot()
    world.run(2)
    return world, machine
