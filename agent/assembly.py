"""One life of an agent: its actors put together. Threads, signals and the next life are its shell's matter.

agent = assemble(...); step agent.heartbeat, agent.core and agent.reporter; on Rewound: keeper.rewound(error.seen),
agent.close(), and assemble anew with a fresh client of the store.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

from agent.core import AgentCore, CoreParts
from agent.facts import NodeFacts
from agent.heartbeat import LEASE_TTL_S, HeartbeatActor
from agent.identity import IdentityKeeper
from agent.nodereport import NodeContext
from agent.reporter import Reporter
from agent.runtime.api import Runtime
from agent.runtime.asking import Asker, HollowAsker
from schemas.keys import Keys
from schemas.node import HOST_PORTS
from store.api import Store
from store.loop import Actor


@dataclass(frozen=True, slots=True)
class Settings:
    """What one life needs to know. facts: data root of the engine -> what the host offers."""

    node: str
    facts: Callable[[str], NodeFacts]
    keys: Keys = field(default_factory=Keys)
    host_ports: tuple[int, int] = HOST_PORTS
    api_address: str = ""
    agent_version: str = ""
    public_key: str | None = None
    orphan_after_s: float = 86_400.0
    keep_dead_s: float = float("inf")
    lease_ttl_s: int = LEASE_TTL_S
    results_at_once: int = 0


@dataclass(frozen=True, slots=True)
class Wakes:
    """How the actors wake each other; the simulator needs none, as it steps them all."""

    core: Callable[[], None] = lambda: None
    heartbeat: Callable[[], None] = lambda: None
    reporter: Callable[[], None] = lambda: None


@dataclass(frozen=True, slots=True)
class Agent:
    """The actors of one life. They share no state but what `heartbeat` and `reporter` offer to any thread."""

    heartbeat: HeartbeatActor
    core: AgentCore
    reporter: Reporter

    @property
    def actors(self) -> tuple[Actor, ...]:
        return (self.heartbeat, self.core, self.reporter)

    def close(self) -> None:
        """Close the watches; the store and the runtime belong to the shell."""
        self.core.close()


def assemble(
    store: Store,
    runtime: Runtime,
    keeper: IdentityKeeper,
    settings: Settings,
    *,
    instance: str,
    now: float,
    wakes: Wakes | None = None,
    asker: Asker | None = None,
) -> Agent:
    """Return an agent that is about to begin. instance: a random id of this life; now: seconds since the epoch.

    asker: who asks containers for their probes; without one all answer at once that they are well.
    """
    wakes = wakes or Wakes()
    keys, node = settings.keys, settings.node
    both = _both(wakes.core, wakes.reporter)
    heartbeat = HeartbeatActor(
        store,
        keys,
        node,
        keeper=keeper,
        instance=instance,
        started_at=now,
        wake=both,
        ttl_s=settings.lease_ttl_s,
    )
    reporter = Reporter(
        store, heartbeat, node_key=keys.node_report(node), wake=wakes.reporter, doubted=wakes.heartbeat
    )
    context = NodeContext(
        node, instance, settings.host_ports, settings.api_address, settings.agent_version, settings.public_key
    )
    parts = CoreParts(
        store=store,
        runtime=runtime,
        keeper=keeper,
        heartbeat=heartbeat,
        reporter=reporter,
        facts=settings.facts,
        keys=keys,
        context=context,
        asker=asker or HollowAsker(),
        orphan_after_s=settings.orphan_after_s,
        keep_dead_s=settings.keep_dead_s,
        results_at_once=settings.results_at_once,
        joined=wakes.heartbeat,
    )
    return Agent(heartbeat, AgentCore(parts, wakes.core), reporter)


def _both(first: Callable[[], None], second: Callable[[], None]) -> Callable[[], None]:
    def wake() -> None:
        first()
        second()

    return wake
